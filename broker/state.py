"""What the broker knows between turns, and what outlives a broker. All of it can be had again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..messages.jobs import ClaimKey, Instant, JobRecord, Seconds
from ..messages.mail import Expect
from ..messages.outcomes import Policy
from ..messages.schedules import ScheduleRecord
from ..rules.limits import Limits
from ..stores.ports import BootRecord, Deed
from ..stores.presence import Presence

if TYPE_CHECKING:
    from .membership import Standing

UNTRACED_SECONDS_MAX = 6.0
"""A boot of which nothing has told for so long is dead: one that lives makes its lock file anew when it next looks."""


@dataclass(slots=True)
class HandlerCapacity:
    """What one HandlerActor can take, and the claims it holds."""

    incarnation: int
    lanes: int
    prefetch: int
    total: int | None
    interruptions_max: int
    held: dict[ClaimKey, JobRecord]


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
class BrokerState:
    """What the broker remembers between turns. All of it can be had again from the store and the living actors.

    Attributes:
        standing: who this runtime is on its store.
        has_handler: whether this boot's host has added a handler for a name, whose actor may still be starting.
        capacities: by job name, of HandlerActors that have said `Up`.
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
    capacities: dict[str, HandlerCapacity] = field(default_factory=dict)
    stored_names: list[str] | None = None
    question: int = 0
    unreconciled: dict[str, int] = field(default_factory=dict)
    deferred: dict[ClaimKey, tuple[Seconds, Policy, str]] = field(default_factory=dict)
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
        return [] if self.draining else [name for name, capacity in self.capacities.items() if capacity.lanes > 0]

    def free_names(self) -> list[str]:
        """The job names that have a free lane here."""
        if self.draining:
            return []
        return [name for name, capacity in self.capacities.items() if len(capacity.held) < capacity.lanes]

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
class CarriedOver:
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
        """A turn has done what a context asks for."""
        self.jump(-delta)
