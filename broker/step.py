"""One step of a turn: a message, what it may change in the store, and what it will let out after the commit.

Nothing here happens before the commit: lines, replies and messages are collected in `Out`, in order, and are dropped
with it when the turn is rolled back.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..log.emitter import Log, Speaker
from ..messages.jobs import Instant, JobRecord, JobState, Seconds, Transition
from ..messages.mail import Expect, Reply, Revoke
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.schedules import ScheduleRecord
from ..rules.codec import digest
from ..rules.lifecycle import INTERRUPTION_WINDOW_SECONDS, judge
from ..rules.limits import Limits
from ..stores.ports import BootRecord, Deed, Turn
from ..stores.presence import Presence
from ..stores.transitions import sums

if TYPE_CHECKING:
    from .membership import Standing

Key = tuple[int, int]

UNTRACED_SECONDS_MAX = 6.0
"""A boot of which nothing has told for so long is dead: one that lives makes its lock file anew when it next looks."""

PASSED_ON = object()
"""The value of a message whose answer is given by whoever is told of it."""

QUIET_ENDINGS = (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.CANCELLED)
"""Endings that are no failure of an attempt."""


@dataclass(slots=True)
class Room:
    """What one HandlerActor can take, and the claims it holds."""

    incarnation: int
    lanes: int
    prefetch: int
    total: int | None
    interruptions_max: int
    held: dict[Key, JobRecord]


class Renewal(NamedTuple):
    """What a turn must store before anything else, because this runtime has become another boot.

    Attributes:
        record: by which the others will know it.
        boot_was: which one it has been.
        schedules: what the host has declared; the store may be an older one.
        about: what the start of this boot says.
    """

    record: BootRecord
    boot_was: str
    schedules: Sequence[ScheduleRecord]
    about: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Desk:
    """What the broker remembers between turns. All of it can be had again from the store and the living actors.

    Attributes:
        standing: who this runtime is on its store.
        has_handler: whether this boot's host has added a handler for a name, whose actor may still be starting.
        rooms: by job name, of HandlerActors that have said `Up`.
        stored_names: the names that the boot's row has.
        question: the number of the last question that living HandlerActors were asked.
        unreconciled: those whose claims have not been compared with the store since, with the incarnation asked.
        age: monotonic time.
        deferred: claims whose handler has returned: until when by `age` they live, the policy they are judged by then,
            the job.
        others: the other living boots.
        dues: by job name, from when on it pays to look for a job to claim, where that is known; never too late.
        version: the store's, for which they hold.
        expiry: no queued job expires before then, as far as is known.
        untraced: boots of which nothing tells whether they live, and since when by `age`.
        roll_call: whether somebody has come or died, so that the next turn must look who lives.
    """

    standing: Standing
    limits: Limits
    chance: random.Random
    has_handler: Callable[[str], bool]
    age: Callable[[], Seconds]
    rooms: dict[str, Room] = field(default_factory=dict)
    stored_names: list[str] | None = None
    question: int = 0
    unreconciled: dict[str, int] = field(default_factory=dict)
    deferred: dict[Key, tuple[Seconds, Policy, str]] = field(default_factory=dict)
    others: list[BootRecord] = field(default_factory=list)
    dues: dict[str, Instant] = field(default_factory=dict)
    version: int = 0
    expiry: Instant | None = None
    untraced: dict[str, Seconds] = field(default_factory=dict)
    roll_call: bool = False
    draining: bool = False

    @property
    def boot(self) -> str:
        """Which boot this runtime is."""
        return self.standing.boot

    @property
    def presence(self) -> Presence:
        """Who lives."""
        return self.standing.presence

    def renew(self, standing: Standing) -> None:
        """Be another boot from now on, which has claimed nothing and knows nobody."""
        self.standing = standing
        self.stored_names = None
        self.deferred.clear()
        self.others = []
        self.untraced.clear()
        self.forget_dues()

    def names(self) -> list[str]:
        """The job names that have lanes here, which take more."""
        return [] if self.draining else [name for name, room in self.rooms.items() if room.lanes > 0]

    def free_names(self) -> list[str]:
        """The job names that have a free lane here."""
        return [] if self.draining else [n for n, room in self.rooms.items() if len(room.held) < room.lanes]

    def forget_dues(self) -> None:
        """Look for every name again: what was known of them may no longer hold."""
        self.dues.clear()

    def lives(self, boot: str) -> bool:
        """Whether another boot counts as alive. One that has lost its lock file has some time to make it anew."""
        alive = self.presence.is_alive(boot)
        if alive is not None:
            self.untraced.pop(boot, None)
            return alive
        return self.age() - self.untraced.setdefault(boot, self.age()) < UNTRACED_SECONDS_MAX

    def is_handled(self, name: str) -> bool:
        """Whether any living boot has a handler for the name."""
        return self.has_handler(name) or any(name in boot.names for boot in self.others)


@dataclass(slots=True)
class Memory:
    """What outlives a broker.

    Attributes:
        expected: jobs in hosts' own transactions, which are looked for until they appear.
        told: what the boot remembers of the last turn that the log was told of.
        jumped: by how many seconds wall time was stepped since a turn heeded it. The clock's thread adds, a turn takes.
        draining: whether the runtime is stopping, so that no broker claims anything more.
        renewal: given while this runtime is a boot that the store does not know yet.
    """

    expected: dict[str, Expect] = field(default_factory=dict)
    told: tuple[Deed, ...] = ()
    jumped: Seconds = 0.0
    draining: bool = False
    renewal: Renewal | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jump(self, delta: Seconds) -> None:
        """The clock was stepped."""
        with self._lock:
            self.jumped += delta

    def heeded(self, delta: Seconds) -> None:
        """A turn has done what a step asks for."""
        self.jump(-delta)


@dataclass(slots=True)
class Out:
    """What a turn lets out after its commit, in order, and not at all if it is rolled back.

    Attributes:
        lines: the event, who says it, and its fields; of a transition, or of a job that is only named, they are made
            if somebody listens.
        did: what the boot remembers of the turn.
    """

    lines: list[tuple[str, Speaker, dict[str, Any] | Transition | JobRecord]] = field(default_factory=list)
    replies: list[tuple[Reply, Any, BaseException | None]] = field(default_factory=list)
    tells: list[tuple[str, Any, Speaker]] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)
    freed: dict[str, set[Key]] = field(default_factory=dict)
    settled: dict[str, list[Key]] = field(default_factory=dict)
    ticked: list[tuple[str, Instant, int]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    did: tuple[Deed, ...] = ()
    hint: bool = False


class Step(NamedTuple):
    """A message in its turn."""

    desk: Desk
    turn: Turn
    out: Out
    speaker: Speaker

    def say(self, event: str, *, corr: str | None = None, **fields: Any) -> None:
        """Log after the commit, after the transitions so far."""
        self.collect()
        self.out.lines.append((event, self.speaker if corr is None else self.speaker.about(corr), fields))

    def tell(self, to: str, body: Any) -> None:
        """Send after the commit."""
        self.out.tells.append((to, body, self.speaker))

    def collect(self, most: int | None = None) -> None:
        """Put the transitions since the last call, or so many of them, into the order of what is said."""
        first = len(self.out.transitions)
        if first == len(self.turn.transitions):
            return
        new = self.turn.transitions[first : None if most is None else first + most]
        self.out.lines += [(step.event, self.speaker, step) for step in new]
        self.out.transitions += new

    def known(self, job_id: str) -> JobRecord:
        """The job.

        Raises:
            UnknownJob: there is none.
            NotSupported: the store cannot look for it.
        """
        return self.turn.find(job_id)

    def settle(self, job: JobRecord, outcome: Outcome, policy: Policy) -> JobRecord | None:
        """The one road: judge how a claim ended, and record it if the claim still counts. None if it does not."""
        earlier = 0
        if outcome.kind is OutcomeKind.INTERRUPTED and job.interruptions > 0:
            recent = self.turn.recent_interruptions(job.id, self.turn.now - INTERRUPTION_WINDOW_SECONDS)
            # The history of a job outlives a requeue, which begins to count anew.
            earlier = min(recent, job.interruptions)
        is_quiet = outcome.kind in QUIET_ENDINGS
        chance = 0.0 if is_quiet else self.desk.chance.random()
        verdict = judge(job, outcome, policy, self.turn.now, earlier_interruptions=earlier, chance=chance)
        if is_quiet:
            # Only the transition is said, and in its order anyhow.
            return self.turn.settle(job, outcome, verdict)
        self.collect()
        settled = self.turn.settle(job, outcome, verdict)
        if settled is not None:
            attempt = {**names_job(job), "attempt": job.attempt + 1}
            line = {
                **attempt, "outcome": outcome.kind.value, "reason": outcome.reason, "error": outcome.error,
                "traceback": outcome.traceback, "boot_was": job.boot,
            }  # fmt: skip
            self.out.lines.append(("job.failed", self.speaker.about(job.corr), line))
        self.collect()
        return settled

    def interrupt(self, job: JobRecord, reason: str) -> None:
        """End a claim that nobody can be blamed for.

        Its `Run` may have reached an incarnation that nobody has counted with; what that has started must stop.
        """
        self.settle(job, Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason), Policy())
        self.tell(f"handler:{job.name}", Revoke(key=job.key, reason=reason))

    def fenced(self, job: JobRecord, claim_no: int, outcome: str) -> None:
        """Say that an attempt which had lost its claim tried to end the job."""
        line = {**names_job(job), "claim_no": claim_no, "outcome": outcome}
        self.say("job.fenced", corr=job.corr, **line, claim_no_now=job.claim_no, state=job.state, why=job.reason)


def log_lines(log: Log, out: Out) -> None:
    """Say what a turn has to say, now that it is committed."""
    for event, speaker, said in out.lines:
        match said:
            case Transition():
                log.emit_made(event, speaker, partial(line_of, said))
            case JobRecord():
                log.emit_made(event, speaker, partial(names_job, said))
            case fields:
                log.emit(event, speaker, **fields)


def names_job(job: JobRecord) -> dict[str, Any]:
    """The fields by which a line names a job."""
    return {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "attempt": job.attempt}


def line_of(step: Transition) -> dict[str, Any]:
    """What the line of a transition carries."""
    job = step.job
    line = {"corr": job.corr, **names_job(job), "from": step.before, "to": job.state, "rev": step.rev, **step.fields}
    if step.trail:
        line |= sums(step.trail)
    match step.event:
        case "job.queued":
            line |= {
                "priority": job.priority, "run_at": job.run_at, "bytes": len(job.data), "digest": digest(job.data),
                "schedule": job.schedule, "slot": job.slot, "unique_key": job.unique_key,
            }  # fmt: skip
        case "job.claimed":
            line["waited"] = round((job.claimed_at or 0.0) - job.run_at, 6)
        case "job.done" if job.claimed_at is not None and job.ended_at is not None:
            line |= {"took": round(job.ended_at - job.claimed_at, 6), "schedule": job.schedule, "slot": job.slot}
        case "job.dead":
            line |= {"schedule": job.schedule, "slot": job.slot}
    return line


def is_current(job: JobRecord, key: Key) -> bool:
    """Whether a claim still holds its job."""
    return job.state == JobState.RUNNING and job.key == key
