"""How long a session has not answered: one that never will is given up, and another begun.

A server that has died is found by its heartbeat. But nodes of a cluster whose network had been cut have been seen to
confirm nothing, and to deliver nothing, for minutes and more, on connections that had a heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..messages.jobs import Seconds

SILENCE_SECONDS_MAX = 30.0
"""How long an answer is waited for."""


class Silence:
    """What was asked of a session, and is not answered yet.

    Args:
        monotonic: the time.
    """

    def __init__(self, monotonic: Callable[[], Seconds]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, tuple[Any, Seconds]] = {}

    def asks(self, what: str, which: Any = None) -> None:
        """This has no answer yet. A `which` that is not the last time's is another question: that one was answered."""
        known = self._since.get(what)
        if known is None or known[0] != which:
            self._since[what] = which, self._monotonic()

    def answers(self, what: str) -> None:
        """Nothing of this kind waits for an answer."""
        self._since.pop(what, None)

    def begin(self) -> None:
        """Nothing was asked."""
        self._since.clear()

    def too_long(self) -> str | None:
        """What it should have answered by now."""
        now = self._monotonic()
        return next((what for what, (_, since) in self._since.items() if now - since > SILENCE_SECONDS_MAX), None)
