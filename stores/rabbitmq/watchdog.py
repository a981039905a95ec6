"""Notices that a session does not answer, so that it is given up and another begun.

A server that has died is found by its heartbeat. But nodes of a cluster whose network had been cut have been seen to
confirm nothing, and to deliver nothing, for minutes and more, on connections that had a heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...messages.jobs import Seconds

CONFIRMING, DECLARING, HEARING, CALMING = (
    "to confirm what it was sent",
    "to have a queue be there",
    "to let the leader tell what it has read",
    "to say that its alarm is over",
)
"""The questions to a session that falls silent."""

SECONDS_MAX = {HEARING: 60.0}
"""How long an answer of the leader is waited for: the server has to find out one that hangs."""

SILENCE_SECONDS_MAX = 30.0
"""How long any other answer is waited for."""

ALARM_SECONDS = 600.0
"""How long the end of an alarm is waited for before it is looked, by another session, whether the server has only not
told of it; and twice as long each time after, because a session that ends gives its jobs to others.
"""

LOOKS_MIN = 3
"""How often an answer must also have been looked for: a process that stood still itself has read nothing meanwhile."""


@dataclass(slots=True)
class Question:
    """A question that is not answered yet.

    Attributes:
        which: of its kind.
        since: when it was found to have no answer.
        looks: how often it was looked for.
    """

    which: int | None
    since: Seconds
    looks: int = 0


class ResponseWatchdog:
    """The questions to a session that are not answered yet.

    Args:
        monotonic: the time.
    """

    def __init__(self, monotonic: Callable[[], Seconds]) -> None:
        self._monotonic = monotonic
        self._open: dict[str, Question] = {}
        self._alarm_seconds = ALARM_SECONDS

    def asks(self, what: str, which: int | None = None) -> None:
        """This has no answer yet. A `which` that is not the last time's is another question: that one was answered."""
        known = self._open.get(what)
        if known is None or known.which != which:
            self._open[what] = Question(which, self._monotonic())

    def answers(self, what: str) -> None:
        """Nothing of this kind waits for an answer."""
        self._open.pop(what, None)

    def is_asked(self, what: str) -> bool:
        """Whether something of this kind has no answer yet."""
        return what in self._open

    def begin(self) -> None:
        """Nothing was asked."""
        self._open.clear()

    def in_alarm(self) -> None:
        """The server has said that it takes nothing in, so it answers nothing else."""
        self._open = {CALMING: self._open.get(CALMING, Question(None, self._monotonic()))}

    def calm(self) -> None:
        """There is no alarm."""
        self._open.pop(CALMING, None)
        self._alarm_seconds = ALARM_SECONDS

    def look(self) -> str | None:
        """The questions that should have been answered by now. To be called from time to time."""
        now = self._monotonic()
        for what, question in self._open.items():
            question.looks += 1
            seconds = self._alarm_seconds if what == CALMING else SECONDS_MAX.get(what, SILENCE_SECONDS_MAX)
            if now - question.since > seconds and question.looks >= LOOKS_MIN:
                if what == CALMING:
                    self._alarm_seconds *= 2.0
                return f"for {seconds:g} s it was asked {what}, and did not"
        return None
