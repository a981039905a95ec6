"""What a disk is sure to keep when its power is cut, and what it keeps by luck.

Of what was written and not synced, any 512-byte sectors may survive, in any order and torn
(https://sqlite.org/atomiccommit.html#_hardware_assumptions). Names behave as in a journalling file system: what
became of them since the folder was synced is kept up to some moment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

SECTOR_BYTES = 512
"""What a disk writes in one piece, if it is not torn."""

TORN_SHARE = 0.05
"""How many of the sectors that survive do so only in part."""

LUCK = (0.0, 0.1, 0.5, 0.9, 1.0)
"""The share of unsynced sectors that survive, one for each file: all or nothing is as likely as a mixture."""


@dataclass(slots=True, eq=False)
class StoredFile:
    """`seen` is what the operating system shows, `safe` what it had put on the disk; `waiting` leads from this to that.

    A change that waits is (offset, data), or (length, None) for a file that was cut short.
    """

    seen: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)
    locks: dict[object, int] = field(default_factory=dict)

    def change(self, at: int, data: bytes | None) -> None:
        """Write, or cut short; nothing of it is certain yet."""
        _apply(self.seen, at, data)
        self.waiting.append((at, data))

    def sync(self) -> None:
        """Make certain all that was changed so far."""
        for at, data in self.waiting:
            _apply(self.safe, at, data)
        self.waiting.clear()

    def survivor(self, chance: random.Random) -> bytes:
        """What is certain, and of the rest any sectors; or else all up to some moment, and of what came next any."""
        image = bytearray(self.safe)
        in_order = chance.random() < 0.5
        reached = chance.randint(0, len(self.waiting)) if in_order else 0
        for at, data in self.waiting[:reached]:
            _apply(image, at, data)
        luck = chance.choice(LUCK)
        for at, data in self.waiting[reached : reached + 1] if in_order else self.waiting:
            for start, piece in _sectors(at, data):
                if chance.random() < luck:
                    _apply(image, start, _torn(chance, piece))
        return bytes(image)


@dataclass(slots=True)
class Folder:
    """Which names there are: as they are seen, and as they are certain. Changes become certain in their order."""

    seen: dict[str, StoredFile]
    safe: dict[str, StoredFile] = field(init=False)
    waiting: list[tuple[str, StoredFile | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.safe = dict(self.seen)

    def change(self, path: str, file: StoredFile | None) -> None:
        """Let a name stand for a file, or for nothing; it is not certain yet."""
        _enter(self.seen, path, file)
        self.waiting.append((path, file))

    def sync(self) -> None:
        """Make certain which names there are now; not what is in the files."""
        self.safe = dict(self.seen)
        self.waiting.clear()

    def survivor(self, chance: random.Random) -> dict[str, StoredFile]:
        """The names that a power cut now could leave."""
        names = dict(self.safe)
        for path, file in self.waiting[: chance.randint(0, len(self.waiting))]:
            _enter(names, path, file)
        return names


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _enter(names: dict[str, StoredFile], path: str, file: StoredFile | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _sectors(at: int, data: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    if data is None:
        yield at, None
        return
    end = at + len(data)
    start = at
    while start < end:
        stop = min(end, start - start % SECTOR_BYTES + SECTOR_BYTES)
        yield start, data[start - at : stop - at]
        start = stop


def _torn(chance: random.Random, piece: bytes | None) -> bytes | None:
    if piece is None or chance.random() >= TORN_SHARE:
        return piece
    return piece[: chance.randrange(len(piece))]
