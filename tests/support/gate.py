"""A point of the runtime at which whoever comes is held up, for as long as a test wants."""

from __future__ import annotations

import threading

from lamplighter.environment.failpoints import Failpoints

HELD_SECONDS_MAX = 30.0


class Gate(Failpoints):
    """Holds whoever passes a point while it is shut.

    Args:
        point: `store.turn.commit` holds the broker with the write lock in hand, `broker.let_out` before it has told
            what a turn has done.

    Attributes:
        is_shut: not until a test says so.
        reached: set once somebody is held.
        opened: set by a test to let them go on.
    """

    def __init__(self, point: str) -> None:
        super().__init__()
        self._point = point
        self.is_shut, self.reached, self.opened = False, threading.Event(), threading.Event()

    def at(self, point: str, about: object = None) -> None:
        if self.is_shut and point == self._point:
            self.reached.set()
            self.opened.wait(HELD_SECONDS_MAX)
