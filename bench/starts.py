"""Where handlers say that they have begun: one list for the process, whichever system runs them."""

from __future__ import annotations

import threading
import time

FIRST_SECONDS_MAX = 60.0
"""A machine with other work may give a system no processor for a while."""


class Starts:
    """Counts what has begun, and remembers when."""

    def __init__(self) -> None:
        self.at: list[tuple[int, float]] = []
        self._wanted = 0
        self._one = threading.Event()
        self._reached = threading.Event()

    def expect(self, number: int) -> None:
        """Begin anew, and wait for so many."""
        self.at = []
        self._wanted = number
        self._one.clear()
        self._reached.clear()

    def __call__(self, number: int) -> None:
        """The first statement of every handler."""
        self.at.append((number, time.perf_counter()))
        self._one.set()
        if len(self.at) >= self._wanted:
            self._reached.set()

    def wait(self, seconds: float) -> bool:
        """Whether as many as were expected have begun within so many seconds. The first may take a minute."""
        return self._reached.wait(seconds) or (self._one.wait(FIRST_SECONDS_MAX) and self._reached.is_set())


ran = Starts()
"""Handlers are functions of modules, as most systems want them, so this is one of a module too."""
