"""Finds a path in the newest version of an archive (append-tree's index)."""

from __future__ import annotations

from .entries import Entry, Stat, entry, split
from .errors import NotFound, NotLocal, TooLarge
from .feed import Feed

# One lookup reads a handful of entries; in a folder of thousands of files it may have to look at each.
ENTRIES_READ_MAX = 20_000


def find(metadata: Feed, path: str) -> Stat:
    """Looks a file up.

    The index is what every Dat program sees. Going through all entries and keeping the last one for each path is not
    the same: append-tree has a flaw by which deleting one file can make others unreachable.

    Args:
        metadata: the archive's metadata feed.
        path: the file's path, UTF-8.

    Raises:
        NotFound: the newest version has no file there.
        NotLocal: the newest entry, or one that might be the answer, is not on disk.
        Corrupt: an entry is damaged.
        TooLarge: more than `ENTRIES_READ_MAX` entries would have to be read.
    """
    wanted = split(path.encode("utf-8", "surrogatepass"))
    reads = _Reads(metadata)
    current = reads.entry(metadata.length - 1)
    while True:
        k = _shared(wanted, current.names)
        if k == len(wanted) == len(current.names):
            return _file(current, path)
        current = _closer(reads, current, k, wanted, path)


class _Reads:
    """Reads entries, and counts them."""

    def __init__(self, metadata: Feed) -> None:
        self._metadata = metadata
        self._left = ENTRIES_READ_MAX

    def entry(self, seq: int) -> Entry:
        if self._left == 0:
            raise TooLarge(f"a lookup in metadata would read more than {ENTRIES_READ_MAX} entries")
        self._left -= 1
        return entry(self._metadata.read(seq), seq)


def _closer(reads: _Reads, current: Entry, k: int, wanted: tuple[bytes, ...], path: str) -> Entry:
    """Takes one step: the member of the current entry's level `k` whose next name is the wanted one.

    "No such name" counts as a name on both sides: where the wanted path ends, so must the member's.
    """
    missing: NotLocal | None = None
    for seq in current.levels[k] if k < len(current.levels) else ():
        try:
            member = reads.entry(seq)
        except NotLocal as error:
            missing = error  # another member may be the one
            continue
        if member.names[k : k + 1] == wanted[k : k + 1]:
            return member
    if missing is not None:
        raise NotLocal(f"{path} may be in an entry that is not here: {missing}") from missing
    raise NotFound(f"{path} is not in version {current.seq} of the archive or newer")


def _file(found: Entry, path: str) -> Stat:
    if found.stat is None:
        raise NotFound(f"{path} was deleted in version {found.seq}")
    if not found.stat.is_file:
        raise NotFound(f"{path} is no file but a directory (mode {found.stat.mode:o})")
    return found.stat


def _shared(a: tuple[bytes, ...], b: tuple[bytes, ...]) -> int:
    """How many leading names two paths share."""
    k = 0
    while k < min(len(a), len(b)) and a[k] == b[k]:
        k += 1
    return k
