"""The replay of jobs that calls with a debounce key find while they are queued: each gives the job its data and puts it
off, and none puts it off for longer than the first has promised.
"""

from __future__ import annotations

from typing import NamedTuple

from ..log_files.lines import Line, LoggedMove

FOUND_BY_CALLS = ("queued", "replaced")
"""The moves after which a job holds its key. Any other lets go of it."""

EXACT_SECONDS = 1e-4
"""Instants are not compared any closer."""

KEPT_MAX = 100
"""The most findings of jobs that were put off too long."""


class PutOff(NamedTuple):
    """A call that has put a job off for too long."""

    says: str
    line: Line


class DebounceReplay:
    """Replays the calls of one store.

    Attributes:
        too_long: judged by instants, so not where a clock was set.
    """

    def __init__(self) -> None:
        self.too_long: list[PutOff] = []

    def wrong(self, last: LoggedMove, move: LoggedMove, line: Line) -> str | None:
        """Take in a call that has found a job. Why it cannot have; None when it can.

        Args:
            last: the job's move before.
        """
        if last.k not in FOUND_BY_CALLS or last.until is None:
            return f"its data were replaced, and it held no debounce key any more after {last.k}"
        latest = last.until if move.until is None else move.until
        if latest > last.until + EXACT_SECONDS or (move.u or 0.0) > latest + EXACT_SECONDS:
            says = f"job {move.j}: it was due at {last.until} at the latest, and a call has put it off until {move.u}"
            if latest > last.until + EXACT_SECONDS:
                says += f", or {latest} at the latest"
            if len(self.too_long) < KEPT_MAX:
                self.too_long.append(PutOff(says, line))
        return None


def digest_after(move: LoggedMove, last: LoggedMove | None, digest: str | None, *, follows: bool) -> str | None:
    """The hash of a job's data after a move; None where nobody can know it.

    Args:
        last: the last move before it that is told.
        digest: the hash after that one.
        follows: whether none lies between the two.
    """
    if last is None or move.k in FOUND_BY_CALLS:
        return move.d
    # An application's own transaction may have given it other data and marked it done: it is told of the end alone.
    may_be_other = last.until is not None and (move.k == "done" or not follows)
    return None if may_be_other else digest
