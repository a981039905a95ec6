"""A big log in blocks of whole lines, each looked through by itself, by several processes if there are any to spare."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, TypeVar

from .files import open_plain
from .frames import READ_BYTES

BLOCK_BYTES = 8 << 20
"""Large enough that most jobs begin and end within one, small enough that several are held at once."""

PROCESSES_MAX = 8

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a plain log that begin within a range of its bytes."""

    path: str
    start: int
    end: int

    def within(self, opened: IO[bytes]) -> tuple[int, int]:
        """From where to where these lines reach."""
        return _line_at(opened, self.start), _line_at(opened, self.end)

    def lines(self) -> Iterator[bytes]:
        """These lines.

        Raises:
            UsageError: the log cannot be read.
        """
        with open_plain(self.path) as opened:
            start, end = self.within(opened)
            opened.seek(start)
            yield from chain.from_iterable(_chunks(opened, end - start))


def blocks_of(path: str, start: int = 0, end: int | None = None) -> list[Block]:
    """A plain log, or what lies between two offsets in it, in blocks."""
    end = os.path.getsize(path) if end is None else end
    return [Block(path, at, min(at + BLOCK_BYTES, end)) for at in range(start, end, BLOCK_BYTES)]


def processes_here() -> int:
    """How many processes a program may use that has no threads and nothing else to do."""
    return min(PROCESSES_MAX, len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


def each(look: Callable[[Block], Found], blocks: Sequence[Block], processes: int) -> Iterator[Found]:
    """The results of each block, in their order.

    Args:
        look: a function that several processes can be given; what it finds can be sent back.
    """
    if processes < 2 or len(blocks) < 2:
        yield from map(look, blocks)
        return
    # Imported only here, where there is a big log: they take long to load.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # A fork starts at once, and needs no second import; elsewhere the platform's own way is the safe one.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    workers = ProcessPoolExecutor(processes, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield from workers.map(look, blocks)
    finally:
        workers.shutdown(cancel_futures=True)


def _line_at(opened: IO[bytes], offset: int) -> int:
    """Where the first line begins that does not begin before an offset."""
    if offset == 0:
        return 0
    opened.seek(offset - 1)
    opened.readline()
    return opened.tell()


def _chunks(opened: IO[bytes], size: int) -> Iterator[list[bytes]]:
    """As many whole lines as have this size together."""
    while size > 0 and (lines := opened.readlines(min(READ_BYTES, size))):
        size -= sum(map(len, lines))
        if size < 0:
            # `readlines` goes on until there is more than it was asked for.
            lines.pop()
        yield lines
