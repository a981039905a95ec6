"""The files of a feed: SLEEP headers, bitfield, signatures, tree, data.

Figures in these files are untrusted until a signature covers them, and some of them steer a seek: every read is held
against the file's size first. Sources: DEP-0009 (headers), and the project's notes on what hyperdrive 9 writes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from .errors import Corrupt, NotLocal

HEADER_BYTES = 32
NODE_BYTES = 40
SIGNATURE_BYTES = 64

# DEP-0009 says 3328. Later hypercores write 3584 (only the search index at the end grew) and go on using what an
# existing file's header says.
PAGE_BYTES = (3584, 3328)
PAGE_BLOCKS = 8192
PAGE_BLOCK_BYTES = PAGE_BLOCKS // 8

# The longest feed we look into: 4 Mi blocks, 256 GiB at the usual 64 KiB a block.
FEED_BLOCKS_MAX = 1 << 22

# No node can have more bytes below it than any disk has. It also keeps sums of sizes inside 64 bits.
NODE_SIZE_MAX = 1 << 53

_MAGIC = b"\x05\x02\x57"
_SCAN_SLOTS = 1024


class SleepFile:
    """One file of a feed, opened read-only.

    Attributes:
        name: feed and file, for messages: `metadata/tree`.
        size: its size in bytes when it was opened.
    """

    def __init__(self, feed_dir: Path, name: str) -> None:
        self.name = f"{feed_dir.name}/{name}"
        try:
            # Not blocking, as a FIFO in the place of a file would otherwise hold the reader for ever.
            self._fd = os.open(feed_dir / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            # Also when the file may not be opened: it says nothing against the archive, and a person can mend it.
            raise NotLocal(f"{self.name} cannot be opened: {error.strerror}") from error
        status = os.fstat(self._fd)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise Corrupt(f"{self.name}: expected a regular file")

    def read(self, offset: int, length: int) -> bytes:
        """Reads up to `length` bytes; fewer only at the end of the file.

        Raises:
            NotLocal: the disk refuses.
        """
        length = max(0, min(length, self.size - offset))
        try:
            return os.pread(self._fd, length, offset) if length else b""
        except OSError as error:
            raise NotLocal(f"{self.name} cannot be read: {error.strerror}") from error

    def check_header(self, kind: int, entry_sizes: tuple[int, ...], algorithm: bytes) -> int:
        """Checks the 32-byte SLEEP header and that the body is whole entries.

        Returns:
            The size of an entry, in bytes.
        """
        header = self.read(0, HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise Corrupt(f"{self.name}: expected a header of {HEADER_BYTES} bytes, got {len(header)}")
        entry_size = int.from_bytes(header[5:7], "big")
        named = header[8 : 8 + header[7]]
        if header[:5] != _MAGIC + bytes([kind, 0]) or entry_size not in entry_sizes or named != algorithm:
            raise Corrupt(f"{self.name}: the header is not that of a SLEEP file of this kind: {header[:16].hex()}")
        if (self.size - HEADER_BYTES) % entry_size:
            raise Corrupt(f"{self.name}: expected whole entries of {entry_size} bytes, got {self.size - HEADER_BYTES}")
        return entry_size

    def close(self) -> None:
        """Closes it."""
        os.close(self._fd)

    def __enter__(self) -> SleepFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def read_block_bits(feed_dir: Path) -> bytes:
    """Reads which blocks are on disk: one bit a block, the most significant first.

    A page also has bits for tree nodes and an index over the rest. Neither is used: a parent's bit is set by deduction
    and says nothing of the file.
    """
    with SleepFile(feed_dir, "bitfield") as file:
        page = file.check_header(0, PAGE_BYTES, b"")
        pages = (file.size - HEADER_BYTES) // page
        if pages > FEED_BLOCKS_MAX // PAGE_BLOCKS:
            raise Corrupt(f"{file.name}: expected at most {FEED_BLOCKS_MAX // PAGE_BLOCKS} pages, got {pages}")
        return b"".join(file.read(HEADER_BYTES + n * page, PAGE_BLOCK_BYTES) for n in range(pages))


class Signatures:
    """The signatures of a feed. Slot `s` signs the feed as it was when it had `s + 1` blocks; most slots are empty."""

    def __init__(self, file: SleepFile) -> None:
        file.check_header(1, (SIGNATURE_BYTES,), b"Ed25519")
        self._file = file
        self._slots = (file.size - HEADER_BYTES) // SIGNATURE_BYTES
        if self._slots > FEED_BLOCKS_MAX:
            raise Corrupt(f"{file.name}: expected at most {FEED_BLOCKS_MAX} slots, got {self._slots}")

    def newest_first(self, lowest: int = 0, highest: int = FEED_BLOCKS_MAX) -> Iterator[tuple[int, bytes]]:
        """Yields the slots from `highest` down to `lowest` that are not empty, each with its signature."""
        end = min(self._slots, highest + 1)
        while end > lowest:
            start = max(lowest, end - _SCAN_SLOTS)
            chunk = self._file.read(HEADER_BYTES + start * SIGNATURE_BYTES, (end - start) * SIGNATURE_BYTES)
            if chunk.strip(b"\0"):
                for slot in reversed(range(start, end)):
                    at = (slot - start) * SIGNATURE_BYTES
                    signature = chunk[at : at + SIGNATURE_BYTES]
                    if signature.strip(b"\0"):
                        yield slot, signature
            end = start


class Tree:
    """The hashes of a feed, by node number."""

    def __init__(self, file: SleepFile) -> None:
        file.check_header(2, (NODE_BYTES,), b"BLAKE2b")
        self._file = file

    def node(self, number: int) -> tuple[bytes, int] | None:
        """Reads one node.

        Returns:
            Its hash and the number of data bytes below it, or None when the node is not stored. A partial copy leaves
            many nodes out. The hash of an empty block is not zero, so zeros always mean "not stored".
        """
        raw = self._file.read(HEADER_BYTES + NODE_BYTES * number, NODE_BYTES)
        if len(raw) < NODE_BYTES or not raw.strip(b"\0"):
            return None
        size = int.from_bytes(raw[32:], "big")
        if size > NODE_SIZE_MAX:
            raise Corrupt(f"{self._file.name}: node {number} claims {size} bytes")
        return raw[:32], size
