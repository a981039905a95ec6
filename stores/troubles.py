"""Problems of a store, and the errors that a turn on it raises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple, TypeVar

from ..errors import LamplighterError, StoreUnavailable

TRIES_MAX = 3
"""After so many conflicts in a row, another writer keeps what a turn needs."""

T = TypeVar("T")


class HealthIssue(NamedTuple):
    """A trouble of a store, though turns succeed.

    Attributes:
        status: `yellow` if it heals by itself or does little harm; `red` when a person must act.
    """

    status: Literal["yellow", "red"]
    reason: str


class StoreBusy(StoreUnavailable):
    """A turn did not get in time what another transaction holds: the write lock of a file, or rows of a database."""


class TurnConflict(StoreBusy):
    """Another writer was in the way: nothing of the turn holds, and the same mail may be applied again."""


class CommitUnknown(StoreUnavailable):
    """The commit itself raised: its changes may hold or not; only the store can say."""


def again(turn: Callable[[], T], tries: int = TRIES_MAX) -> T:
    """Take a turn, so many times at most where another writer is in the way."""
    for _ in range(tries - 1):
        with suppress(TurnConflict):
            return turn()
    return turn()


class BootLost(LamplighterError):
    """The store no longer knows this boot, or has gone back: the boot's claims are lost.

    Attributes:
        turn_was: the boot's last turn before the store went back; None if it has not.
    """

    def __init__(self, message: str, *, turn_was: int | None = None) -> None:
        super().__init__(message)
        self.turn_was = turn_was
