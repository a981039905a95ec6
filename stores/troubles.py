"""Problems of a store, and the errors that a turn on it raises."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..errors import LamplighterError, StoreUnavailable


class HealthIssue(NamedTuple):
    """A trouble of a store, though turns succeed.

    Attributes:
        status: `yellow` if it heals by itself or does little harm; `red` when a person must act.
    """

    status: Literal["yellow", "red"]
    reason: str


class StoreBusy(StoreUnavailable):
    """A turn did not get in time what another transaction holds: the write lock of a file, or rows of a database."""


class CommitUnknown(StoreUnavailable):
    """The commit itself raised: its changes may hold or not; only the store can say."""


class BootLost(LamplighterError):
    """The store no longer knows this boot, or has gone back: the boot's claims are lost.

    Attributes:
        turn_was: the boot's last turn before the store went back; None if it has not.
    """

    def __init__(self, message: str, *, turn_was: int | None = None) -> None:
        super().__init__(message)
        self.turn_was = turn_was


class TurnConflict(StoreUnavailable):
    """Another turn held what this one needs, or has changed it. Nothing of the turn holds; the same mail may be applied
    again.
    """
