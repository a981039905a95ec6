"""What a block of the metadata feed says.

Block 0 names the content feed. Every later block is one change: a path, what became of it, and an index of the whole
tree as of that change. No DEP describes these entries; they were learnt from hyperdrive 9's archives.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Corrupt
from .wire import Fields, Malformed, fields, number, text, varint

_FILE_TYPE, _REGULAR = 0o170000, 0o100000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """A file's record: how large it is and where its blocks begin in the content feed. Its owner chose the figures."""

    mode: int
    size: int
    blocks: int
    offset: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file. mkdir makes entries of its own, with a directory's mode."""
        return self.mode & _FILE_TYPE == _REGULAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of the archive.

    Attributes:
        seq: its block number, which is also the archive's version number.
        names: its path, cut at slashes. Bytes, since an author may write what is no UTF-8.
        stat: the file; None when it was deleted.
        levels: level `k` lists, for the folder made of the first `k` names, the newest entry below each child name.
    """

    seq: int
    names: tuple[bytes, ...]
    stat: Stat | None
    levels: tuple[tuple[int, ...], ...]


def split(path: bytes) -> tuple[bytes, ...]:
    """Cuts a path at slashes and drops empty parts, as every Dat program does."""
    return tuple(name for name in path.split(b"/") if name)


def content_key(block: bytes) -> bytes:
    """Takes the content feed's public key out of metadata block 0.

    Raises:
        Corrupt: the feed is no hyperdrive.
    """
    try:
        header = fields(block)
        kind, key = text(header, 1), text(header, 2)
    except Malformed as error:
        raise Corrupt(f"metadata block 0: {error}") from None
    if kind != b"hyperdrive" or key is None or len(key) != 32:
        raise Corrupt(f"metadata block 0: expected a hyperdrive with a content key of 32 bytes, got: {kind!r:.60}")
    return key


def entry(block: bytes, seq: int) -> Entry:
    """Decodes metadata block `seq`, which is 1 or more.

    Raises:
        Corrupt: it breaks the schema.
    """
    try:
        message = fields(block)
        path, stat = text(message, 1), text(message, 2)
        if path is None:
            raise Malformed("an entry without a path")
        levels = _levels(text(message, 3) or b"", seq)
        return Entry(seq=seq, names=split(path), stat=None if stat is None else _stat(fields(stat)), levels=levels)
    except Malformed as error:
        raise Corrupt(f"metadata block {seq}: {error}") from None


def _stat(message: Fields) -> Stat:
    return Stat(mode=number(message, 1), size=number(message, 4), blocks=number(message, 5), offset=number(message, 6))


def _levels(index: bytes, seq: int) -> tuple[tuple[int, ...], ...]:
    """Decodes an entry's index. Members are written as differences, each from the one before.

    The entry itself is left out, as no lookup goes from an entry to itself. As a rule the flag says that it ends each
    level, unwritten; a deletion that leaves others in its folder has the flag clear and writes itself in some levels.
    """
    if not index:
        return ()
    levels = []
    _, at = varint(index, 0)
    while at < len(index):
        count, at = varint(index, at)
        if count > len(index) - at:
            raise Malformed("an index claims more members than it has bytes")
        members, last = [], 0
        for _ in range(count):
            step, at = varint(index, at)
            last += step
            # It also makes every lookup end: each step goes to an older entry.
            if not 1 <= last <= seq:
                raise Malformed(f"an index lists entry {last}; expected 1 to {seq}")
            if last < seq:
                members.append(last)
        levels.append(tuple(members))
    return tuple(levels)
