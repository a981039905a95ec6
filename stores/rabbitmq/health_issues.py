"""Problems of a runtime on a RabbitMQ that do not heal by a retry, for `health()`; and the watchdog of missing answers.

Refusals by the server, or of one job name's queue, stay until a person changes something; asking again finds out. A
full queue is tried again, too: nothing tells when it has room. Unreadable messages are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from ...errors import StoreError
from ...messages.jobs import Seconds
from ..troubles import HealthIssue
from . import topology
from .link import Link, Message

CONFIRMING, DECLARING, HEARING, CALMING = (
    "to confirm what it was sent",
    "to have a queue be there",
    "to let the leader tell what it has read",
    "to say that its alarm is over",
)

SECONDS_MAX = {HEARING: 60.0}
"""The leader's answer takes longer: the server must first detect a leader that hangs."""

SILENCE_SECONDS_MAX = 30.0
"""How long to wait for any other answer."""

ALARM_SECONDS = 600.0
"""An alarm may last so long, then another session checks it; doubled each time, as each session's end moves its jobs.
"""

LOOKS_MIN = 3
"""How often an answer must also have been looked for: a suspended process reads nothing meanwhile."""


@dataclass(slots=True)
class Question:
    """An unanswered question.

    Attributes:
        since: when it was first seen unanswered.
        looks: how often it was seen unanswered.
    """

    which: int | None
    since: Seconds
    looks: int = 0


class ResponseWatchdog:
    def __init__(self, monotonic: Callable[[], Seconds]) -> None:
        self._monotonic = monotonic
        self._open: dict[str, Question] = {}
        self._alarm_seconds = ALARM_SECONDS

    def asks(self, what: str, which: int | None = None) -> None:
        """Note an unanswered question. A new `which` is another question: the last one was answered."""
        known = self._open.get(what)
        if known is None or known.which != which:
            self._open[what] = Question(which, self._monotonic())

    def answers(self, what: str) -> None:
        self._open.pop(what, None)

    def is_asked(self, what: str) -> bool:
        return what in self._open

    def begin(self) -> None:
        self._open.clear()

    def in_alarm(self) -> None:
        """The server has blocked the connection, so it answers nothing else."""
        self._open = {CALMING: self._open.get(CALMING, Question(None, self._monotonic()))}

    def calm(self) -> None:
        self._open.pop(CALMING, None)
        self._alarm_seconds = ALARM_SECONDS

    def look(self) -> str | None:
        """The overdue questions. Call this from time to time."""
        now = self._monotonic()
        for what, question in self._open.items():
            question.looks += 1
            seconds = self._alarm_seconds if what == CALMING else SECONDS_MAX.get(what, SILENCE_SECONDS_MAX)
            if now - question.since > seconds and question.looks >= LOOKS_MIN:
                if what == CALMING:
                    self._alarm_seconds *= 2.0
                return f"for {seconds:g} s it was asked {what}, and did not"
        return None


FULL = "it refuses messages, as one does that a policy limits (max-length with reject-publish)"


class HealthIssues:
    """The problems of this runtime. Only the thread that takes turns calls this, except `health_issues`.

    Args:
        later: has the thread that takes turns make a call. Any thread calls this.

    Attributes:
        refusal: why the server refuses this runtime.
        stopped: by job name, why its queue cannot be used.
        full: job names whose queues refused a message since the last look.
    """

    def __init__(self, address: str, link: Link, later: Callable[[Callable[[], object]], object]) -> None:
        self._address = address
        self._link = link
        self._later = later
        self.refusal: str | None = None
        self.stopped: dict[str, str] = {}
        self.full: set[str] = set()
        self.unreadable = 0

    def health_issues(self) -> Sequence[HealthIssue]:
        """As `Store.health_issues`. Any thread may call this."""
        found = [] if self.refusal is None else [HealthIssue("red", f"the store refuses this runtime: {self.refusal}")]
        found += [HealthIssue("red", f"{name} has stopped: {reason}") for name, reason in sorted(self.stopped.items())]
        found += [HealthIssue("yellow", f"the queue of {name} takes no more: {FULL}") for name in sorted(self.full)]
        if self.unreadable:
            number = f"{self.unreadable} message{'s' * (self.unreadable > 1)}"
            says = f"{number} in {topology.UNREADABLE} cannot be read: see lamplighter unreadable"
            found.append(HealthIssue("yellow", says))
        return found

    def check(self, name: str) -> None:
        reason = self.stopped.get(name)
        if reason is not None:
            raise StoreError(f"expected the queue of {name} on {self._address} to be usable, got: {reason}")
        if name in self.full:
            raise StoreError(f"expected the queue of {name} on {self._address} to take another job, got: {FULL}")

    def refused(self, messages: Sequence[Message], names: Collection[str]) -> None:
        queues = {message.key for message in messages if not message.exchange}
        self.full = self.full | {name for name in names if topology.queue_of(name) in queues}

    def look(self) -> None:
        self.count_unreadable()
        self.full = set()
        for name in self.stopped:
            asked = self._link.setup([topology.job_queue(name)])
            asked.add_done_callback(partial(self._declared, name))

    def count_unreadable(self) -> None:
        self._link.look(topology.UNREADABLE).add_done_callback(self._counted)

    def _counted(self, answer: Future[tuple[int, int] | None]) -> None:
        if answer.exception() is None and (seen := answer.result()) is not None:
            self._later(lambda: setattr(self, "unreadable", seen[0]))

    def _declared(self, name: str, answer: Future[None]) -> None:
        if answer.exception() is None:
            self._later(lambda: self.stopped.pop(name, None))
