"""One feed of an archive: which blocks are here, and is a block the one that the author signed?

Hyperdrive verifies blocks as they arrive and trusts its disk afterwards. This reader does not: a block counts only when
its hash, joined with stored hashes on the way up, ends in a root list that the feed's own key has signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from . import flat
from .errors import Corrupt, NotLocal
from .sleep import Signatures, SleepFile, Tree, read_block_bits

# DEP-0002.
BLOCK_BYTES_MAX = 8 * 1024 * 1024

# A copy that received each block singly has a signature a block. Newest first finds the right one at once, save in
# copies with holes.
SIGNATURES_TRIED_MAX = 65_536


class Feed:
    """A feed on disk, opened for one reading.

    Attributes:
        name: `metadata` or `content`, for messages.
        length: the number of blocks that the author vouches for: the newest signature's slot, plus 1.
    """

    def __init__(self, feed_dir: Path, key: bytes) -> None:
        """Opens the files and settles the length.

        Args:
            feed_dir: the feed's folder.
            key: its public key, 32 bytes, from a trusted place: the URL, or a verified block. Never the `key` file.
        """
        self.name = feed_dir.name
        self._dir = feed_dir
        self._key = Ed25519PublicKey.from_public_bytes(key)
        self._verified: dict[int, dict[int, tuple[bytes, int]]] = {}  # by slot: the roots that its signature covers
        with ExitStack() as stack:
            # The writer puts the bitfield down last, so it is read first. The other way round, an append in between
            # would look like blocks beyond the newest signature.
            self._bits = read_block_bits(feed_dir)
            self._signatures = Signatures(stack.enter_context(SleepFile(feed_dir, "signatures")))
            self._tree = Tree(stack.enter_context(SleepFile(feed_dir, "tree")))
            self.length = next((slot + 1 for slot, _ in self._signatures.newest_first()), 0)
            self._check_length()
            self._check_key_file(key)
            self._files = stack.pop_all()

    def has(self, block: int) -> bool:
        """Whether the bitfield says that a block is on disk."""
        byte = block // 8
        return 0 <= byte < len(self._bits) and bool(self._bits[byte] & (0x80 >> block % 8))

    def read(self, block: int) -> bytes:
        """Reads one block and verifies it up to a signed root.

        Raises:
            NotLocal: the block, or every chain of hashes from it to a signature, has not been downloaded.
            Corrupt: bytes, hashes and signature contradict one another.
        """
        if not self.has(block):
            raise NotLocal(f"{self.name} block {block} has not been downloaded (the feed has {self.length})")
        number = flat.leaf(block)
        stored = self._tree.node(number)
        if stored is None:
            # A writer puts a block's own hash down before its bit, so this is no gap of a partial copy.
            raise Corrupt(f"{self.name} block {block} is said to be here, but its hash, node {number}, is not")
        data = self._read_data(block, stored[1])
        leaf = (_hash(b"\0", len(data).to_bytes(8, "big"), data), len(data))
        if leaf != stored:
            raise Corrupt(f"{self.name} block {block} does not match its hash, node {number}")
        self._verify(block, leaf)
        return data

    def close(self) -> None:
        """Closes the files."""
        self._files.close()

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _check_length(self) -> None:
        """Refuses blocks beyond the newest signature: a cut file must not pass for an older version of the archive."""
        present = self._bits.rstrip(b"\0")
        if not present:
            return
        lowest_bit = present[-1] & -present[-1]
        highest = 8 * len(present) - lowest_bit.bit_length()
        if highest >= self.length:
            raise Corrupt(f"{self.name} block {highest} is here, but the newest signature covers {self.length} blocks")

    def _check_key_file(self, key: bytes) -> None:
        """Compares the `key` file, a hint and never a source, so that a mix-up of folders is named as what it is."""
        try:
            with SleepFile(self._dir, "key") as file:
                found = file.read(0, 33)
        except NotLocal:
            return
        if found != key:
            raise Corrupt(f"{self.name}: expected the key {key.hex()} in the key file, got: {found.hex()}")

    def _read_data(self, block: int, size: int) -> bytes:
        """Reads a block's bytes; where they begin is verified together with the block (the same nodes say so)."""
        if size > BLOCK_BYTES_MAX:
            raise Corrupt(f"{self.name} block {block} claims {size} bytes; a block has at most {BLOCK_BYTES_MAX}")
        if size == 0:
            return b""
        offset = sum(node[1] for node in self._nodes(block, flat.roots(block)))
        with SleepFile(self._dir, "data") as file:
            if offset + size > file.size:
                raise Corrupt(f"{self.name}/data ends at byte {file.size}, inside or before block {block} at {offset}")
            data = file.read(offset, size)
        if len(data) != size:
            raise Corrupt(f"{self.name} block {block}: expected {size} bytes, got {len(data)}")
        return data

    def _nodes(self, block: int, numbers: Iterable[int]) -> list[tuple[bytes, int]]:
        """Reads nodes that a block cannot do without."""
        found = []
        for number in numbers:
            node = self._tree.node(number)
            if node is None:
                raise NotLocal(f"{self.name} block {block}: its offset needs node {number}, which is not here")
            found.append(node)
        return found

    def _verify(self, block: int, leaf: tuple[bytes, int]) -> None:
        """Finds one signature that covers the block. Newest first is quickest; in a copy with holes an older one may
        be the only one that the stored hashes lead to."""
        path = self._climb(block, leaf)
        for tried, (slot, signature) in enumerate(self._signatures.newest_first(block, self.length - 1)):
            root = flat.root_above(block, slot + 1)
            if root in path and self._covers(slot, signature, root, path[root]):
                return
            if tried >= SIGNATURES_TRIED_MAX:
                break
        raise NotLocal(f"{self.name} block {block}: the hashes that link it to a signature have not been downloaded")

    def _climb(self, block: int, leaf: tuple[bytes, int]) -> dict[int, tuple[bytes, int]]:
        """Computes the nodes above a block, as far up as siblings are stored.

        A stored node on the way up is never looked at, only computed anew.
        """
        number, node = flat.leaf(block), leaf
        path = {number: node}
        top = flat.root_above(block, self.length)
        while number != top:
            other = self._tree.node(flat.sibling(number))
            if other is None:
                break
            left, right = (node, other) if flat.is_left(number) else (other, node)
            size = left[1] + right[1]
            node = (_hash(b"\1", size.to_bytes(8, "big"), left[0], right[0]), size)
            number = flat.parent(number)
            path[number] = node
        return path

    def _covers(self, slot: int, signature: bytes, root: int, node: tuple[bytes, int]) -> bool:
        """Whether the signature in a slot covers a computed root; False when another root is not stored.

        Raises:
            Corrupt: all hashes are here and the signature does not fit them.
        """
        if slot in self._verified:
            if self._verified[slot][root] != node:
                raise Corrupt(f"{self.name}: node {root} is not the one that the signature in slot {slot} covers")
            return True
        covered: dict[int, tuple[bytes, int]] = {}
        for number in flat.roots(slot + 1):
            found = node if number == root else self._tree.node(number)
            if found is None:
                return False
            covered[number] = found
        parts = [
            hash_ + number.to_bytes(8, "big") + size.to_bytes(8, "big") for number, (hash_, size) in covered.items()
        ]
        try:
            self._key.verify(signature, _hash(b"\2", *parts))
        except InvalidSignature:
            raise Corrupt(f"{self.name}: the signature in slot {slot} does not fit the hashes") from None
        self._verified[slot] = covered
        return True


def _hash(kind: bytes, *parts: bytes) -> bytes:
    """BLAKE2b with a 32-byte digest; `kind` keeps leaves, parents and roots apart (DEP-0002)."""
    digest = blake2b(kind, digest_size=32)
    for part in parts:
        digest.update(part)
    return digest.digest()
