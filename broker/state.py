"""The broker's memory between turns, which dies with it, and the inputs of other threads, which do not."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Any, TypeVar

from ..environment.replies import answer_all
from ..errors import alike
from ..messages.boots import BootRecord
from ..messages.jobs import ENDED, ClaimKey, Instant, JobRecord, JobState, Seconds
from ..messages.mail import Reply, WatchExternalCommit
from ..rules.limits import WHOLE_MAX, Limits
from ..rules.validation import unknown_job
from ..stores.ports import Store
from ..stores.presence import Presence
from .boot_registration import BootRegistration
from .outbox import AWAKE, HandlerCapacity, Outbox, QuietSwitch

PARKED_SECONDS: Seconds = 60.0
"""Interval between searches for names without a handler, and between two logs of the same name."""

PARKED_JOBS_MAX = 10_000
"""The most jobs counted per name."""

PARKED_NAMES_MAX = 10_000
NAMES_KEPT_MAX = 100
"""The most names remembered between two searches."""

NAMES_TOLD_MAX = 10
"""The most names with a line and a `health()` reason of their own. If there are more, one line gives the number."""

EXAMPLES_MAX = 5
"""How many names that line gives as examples."""


@dataclass(slots=True)
class ParkedNames:
    """The names with due jobs and no handler. `said`: when each was last logged (monotonic); it may have only the first
    of the `count` found at the last search.
    """

    said: dict[str, Seconds] = field(default_factory=dict)
    count: int = 0

    def is_any_news(self, monotonic: Seconds) -> bool:
        """Whether a name is due to be logged again."""
        return any(is_news(said, monotonic) for said in self.said.values())

    def look(
        self,
        store: Store,
        now: Instant,
        monotonic: Seconds,
        is_handled: Callable[[str], bool],
        meant: Callable[[str], str | None],
    ) -> Sequence[Mapping[str, Any]]:
        """Search the store. Return the fields of the lines to log. Raises as `Store` does."""
        found = dict.fromkeys(name for name in store.due_names(now, PARKED_NAMES_MAX) if not is_handled(name))
        # A name whose jobs all run later was logged when one of them was queued.
        rest = [name for name in islice(self.said, NAMES_KEPT_MAX) if name not in found and not is_handled(name)]
        names = [*found, *(name for name in rest if waiting(store, name, now))]
        news = [name for name in names if is_news(self.said.get(name), monotonic)]
        news.sort(key=self.said.__contains__)
        lines = list(told(news, len(names), lambda name: waiting(store, name, now), meant))
        kept, said_now = names[:NAMES_KEPT_MAX], set(names if len(names) > NAMES_TOLD_MAX and news else news)
        self.said = {name: monotonic if name in said_now else self.said[name] for name in kept}
        self.count = len(names)
        return lines


def is_news(said: Seconds | None, monotonic: Seconds) -> bool:
    """Whether a name last logged at `said` may be logged again."""
    return said is None or monotonic - said >= PARKED_SECONDS


def told(
    news: Sequence[str], count: int, jobs: Callable[[str], int], meant: Callable[[str], str | None]
) -> Iterator[dict[str, Any]]:
    """The fields of lines about parked names: a line for each name, or one for all."""
    if news and count > NAMES_TOLD_MAX:
        yield {"names": count, "examples": news[:EXAMPLES_MAX]}
        return
    for name in news:
        yield {"job_name": name, "jobs": jobs(name), "meant": meant(name)}


def waiting(store: Store, name: str, now: Instant) -> int:
    if store.table is None:
        return store.jobs.counts(name)[JobState.QUEUED]
    found = store.table.census((name,), PARKED_JOBS_MAX, now)[name]
    return found.ready + found.scheduled


def is_limited(capacities: Mapping[str, HandlerCapacity], most: int) -> bool:
    return sum(capacity.lanes for capacity in capacities.values()) > most


@dataclass(slots=True)
class BrokerInputs:
    """The facts that other threads set down for the broker. They wait where no broker lives, as mail would not.

    Attributes:
        draining: whether the runtime is stopping, so that no broker claims anything more.
        gives_up_at: monotonic time at which a stop ceases to wait for an unwritable store.
        quiet: the last switch. The broker obeys at once, even before it reads the message about it.
        steps: the clock steps, in seconds. The thread that notices one appends it, and the broker removes those that a
            turn has corrected.
        expected: jobs and changes of schedules in hosts' own transactions, by `WatchExternalCommit.key`. Callers add
            them, and the broker removes those that have appeared.
    """

    draining: bool = False
    gives_up_at: Seconds = math.inf
    quiet: QuietSwitch = AWAKE
    steps: list[Seconds] = field(default_factory=list)
    expected: dict[tuple[bool, str], WatchExternalCommit] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class BrokerState:
    """The broker's memory between turns. A new broker learns all of it again from the store and the actors.

    Attributes:
        has_handler: whether this boot's host has added a handler for a name, whose actor may still be starting.
        capacities: by job name, as reported by HandlerActors.
        served: the name that got the last of the limited places.
        stored_names: the names in the boot's row.
        sync_id: the number of the last `Resync` sent to HandlerActors.
        unreconciled: actors whose claims have not been compared with the store since, with their incarnation.
        next_due: by job name, from when on it pays to look for a job, where known; never too late.
        version: the store's version for which `next_due` holds.
        expiry: no queued job expires before then, as far as known.
        untraced: boots that have lost their lock files, and since when (monotonic).
        membership_changed: whether the next turn must look which boots live.
        hidden: reasons why other boots' lock files cannot be opened here.
    """

    standing: BootRegistration
    limits: Limits
    chance: random.Random
    has_handler: Callable[[str], bool]
    monotonic: Callable[[], Seconds]
    capacities: dict[str, HandlerCapacity] = field(default_factory=dict)
    served: str = ""
    stored_names: list[str] | None = None
    sync_id: int = 0
    unreconciled: dict[str, int] = field(default_factory=dict)
    others: Sequence[BootRecord] = field(default_factory=list)
    next_due: dict[str, Instant] = field(default_factory=dict)
    version: int = 0
    expiry: Instant | None = None
    untraced: dict[str, Seconds] = field(default_factory=dict)
    membership_changed: bool = False
    parked: ParkedNames = field(default_factory=ParkedNames)
    draining: bool = False
    inputs: BrokerInputs = field(default_factory=BrokerInputs)
    hidden: list[str] = field(default_factory=list)
    boot: str = field(init=False)

    def __post_init__(self) -> None:
        self.boot = self.standing.boot

    @property
    def presence(self) -> Presence:
        return self.standing.presence

    def renew(self, standing: BootRegistration) -> None:
        """Go on as another boot, which has no claims and knows no peers."""
        self.standing, self.boot = standing, standing.boot
        self.stored_names = None
        self.others = []
        self.untraced.clear()
        self.forget_next_due()

    def free_names(self) -> list[str]:
        is_quiet = self.inputs.quiet.is_quiet
        if self.draining or is_quiet or (self.limits.workers_max < WHOLE_MAX and not self._has_place()):
            return []
        names = []
        for name, capacity in self.capacities.items():
            if len(capacity.held) < capacity.lanes:
                names.append(name)
        return names

    def _has_place(self) -> bool:
        most, capacities = self.limits.workers_max, self.capacities
        return not is_limited(capacities, most) or sum(len(one.held) for one in capacities.values()) < most

    def is_handled(self, name: str, others: Sequence[BootRecord]) -> bool:
        return self.has_handler(name) or (len(others) > 0 and any(name in boot.names for boot in others))

    def meant(self, name: str, others: Iterable[BootRecord]) -> str | None:
        """A similar name for which a living boot has lanes, as a hint at a typing error."""
        handled = {*self.capacities, *(known for boot in others for known in boot.names)}
        return next(iter(alike(name, handled)), None)

    def forget_next_due(self) -> None:
        """Have the next turn look for due jobs of all names."""
        self.next_due = {}

    def take(self, out: Outbox) -> None:
        """Apply a committed turn."""
        for name, capacity in out.capacities.items():
            if capacity is None:
                self.capacities.pop(name, None)
            else:
                self.capacities[name] = capacity
        for name, capacity in self.capacities.items():
            for key in out.freed.get(name, ()):
                capacity.held.pop(key, None)
            for claim in out.claimed.get(name, ()):
                job = claim.job
                capacity.held[ClaimKey(job.row_id, job.claim_no)] = job
        for key, progress in out.progress.items():
            for capacity in self.capacities.values():
                if key in capacity.held:
                    capacity.held[key] = capacity.held[key]._replace(progress=progress)
        for actor in out.reconciled:
            self.unreconciled.pop(actor, None)
        if out.membership is not None:
            self.others, self.untraced, self.hidden[:], is_whole = out.membership
            self.membership_changed = not is_whole
        if out.stored_names is not None:
            self.stored_names = out.stored_names
        if out.served is not None:
            self.served = out.served
        if out.next_due is not None:
            self.next_due = out.next_due
        if said := self.parked.said | out.parked:
            for name in [name for name in said if self.is_handled(name, self.others)]:
                del said[name]
            self.parked.said = said
        self.version, self.expiry = out.version, out.expiry
        self.draining = self.draining or out.drains
        if out.quieted is not None:
            self.standing.quiet_logged = out.quieted

    def note_logged(self, out: Outbox) -> None:
        """Note a turn that is committed and logged."""
        for turn in (*out.unlogged, *([out.did] if out.did is not None else ())):
            if turn.boot == self.boot:
                self.standing.logged, self.standing.boot_no = turn.turn, turn.boot_no
        if out.is_renewed:
            self.standing.renewal = None
        if out.steps:
            del self.inputs.steps[: out.steps]


R = TypeVar("R", bound=Reply)


class Joins:
    """Callers of `join` by job id. They are kept outside of the broker, so that they survive its death."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: dict[str, list[Reply]] = {}

    def add(self, job_id: str, reply: R) -> R:
        with self._lock:
            self._replies.setdefault(job_id, []).append(reply)
        return reply

    def drop(self, job_id: str, reply: Reply) -> None:
        with self._lock:
            replies = self._replies.get(job_id, [])
            if reply in replies:
                replies.remove(reply)
            if not replies:
                self._replies.pop(job_id, None)

    def awaited(self) -> list[str]:
        return list(self._replies)

    def wake(self, jobs: Iterable[JobRecord]) -> None:
        """Answer the callers of those that have ended."""
        if not self._replies:
            return
        answers: list[tuple[Reply, JobRecord, None]] = []
        with self._lock:
            for job in jobs:
                if job.state in ENDED:
                    answers += zip(self._replies.pop(job.id, ()), repeat(job), repeat(None))
        if answers:
            answer_all(answers)

    def look(self, store: Store) -> None:
        """Answer callers whose jobs ended or were removed where this runtime did not see it."""
        if not (awaited := self.awaited()):
            return
        known = store.jobs.known(awaited)
        self.wake(job for job in known.values() if job.is_counted)
        if store.table is None:
            # Such a store may have jobs that this runtime does not know.
            return
        with self._lock:
            gone = [(unknown_job(job_id), self._replies.pop(job_id, [])) for job_id in awaited if job_id not in known]
        answer_all((reply, None, error) for error, replies in gone for reply in replies)

    def fail(self, error: BaseException) -> None:
        """Refuse all callers: no answer will come."""
        with self._lock:
            waiting = list(self._replies.values())
            self._replies.clear()
        answer_all((reply, None, error) for replies in waiting for reply in replies)
