"""How the turns of a broker fare: how long the last one took, and how long the one that is under way has taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..messages.jobs import Seconds
from ..messages.views import TurnView

QUICK_SECONDS_MAX = 0.005
"""A turn that took longer was not quick: a hand-over between threads would be 1 % of it."""


class TurnTime(NamedTuple):
    """How long a turn took, and for how long of that it could not write yet."""

    seconds: Seconds
    waited: Seconds


class TurnTimes:
    """The thread that takes a turn notes it here. Any thread looks, also while a turn hangs.

    Args:
        monotonic: the time that only passes, in seconds.

    Attributes:
        last: of the last turn that was stored.
    """

    def __init__(self, monotonic: Callable[[], Seconds]) -> None:
        self._monotonic = monotonic
        self._began: Seconds | None = None
        self._writes_from: Seconds | None = None
        self.last: TurnTime | None = None

    def begin(self) -> None:
        """A turn begins, and waits until it can write."""
        self._writes_from = None
        self._began = self._monotonic()

    def can_write(self) -> None:
        """It has what it waited for: SQLite's write lock."""
        self._writes_from = self._monotonic()

    def end(self, *, is_stored: bool) -> None:
        """It has ended. One that was not stored says nothing of how long turns take."""
        began, writes_from, self._began = self._began, self._writes_from, None
        if is_stored and began is not None and writes_from is not None:
            self.last = TurnTime(self._monotonic() - began, writes_from - began)

    @property
    def are_quick(self) -> bool:
        """Whether they are by the last one, so that a hand-over between threads is a good part of one."""
        return self.last is not None and self.last.seconds < QUICK_SECONDS_MAX

    def view(self, trouble: str | None) -> TurnView:
        """The times as known now.

        Args:
            trouble: why the store cannot be written, if it cannot.
        """
        began, last = self._began, self.last
        return TurnView(
            took_seconds=None if last is None else last.seconds,
            waited_seconds=None if last is None else last.waited,
            under_way_seconds=None if began is None else max(0.0, self._monotonic() - began),
            is_waiting=began is not None and self._writes_from is None,
            trouble=trouble,
        )
