"""The direct lane: the shortest turn there is. It stores jobs without options, and claims one that finds a free lane.
Everything else it leaves to an ordinary turn, which the same thread takes in its place.

The thread that has the broker's place calls it: the broker's own, or a caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import inf
from operator import attrgetter

from ..environment.clock import Clock
from ..environment.environment import Environment
from ..errors import StoreGone, StoreUnavailable
from ..log.emitter import Log, Speaker
from ..messages.clock_steps import STEP_SECONDS_MIN, Reading
from ..messages.jobs import Claim, Instant, JobRecord, NewJob, Seconds
from ..messages.mail import Run
from ..messages.names import NO_LIMITS
from ..rules.limits import WHOLE_MAX
from ..stores.ports import Born, Store
from ..stores.troubles import CommitUnknown, TurnConflict
from ..stores.turn_ports import Want
from .outbox import HandlerCapacity, log_born
from .state import NAMES_TOLD_MAX, BrokerState, is_limited, is_news
from .tallies import Tallies, TurnTimes

JOB = attrgetter("job")

JOBS_MAX = 25
"""As many as the store inserts in one statement."""


def has_room(capacity: HandlerCapacity) -> bool:
    """Whether a turn would claim a due job of the name."""
    return capacity.lanes > 0 and len(capacity.held) < capacity.lanes + capacity.prefetch


@dataclass(eq=False)
class DirectLane:
    """Takes short turns for a broker.

    Attributes:
        is_open: whether the last act of the broker was a turn that was stored. Only then does what was noted after the
            last ordinary turn still hold.
    """

    state: BrokerState
    store: Store
    log: Log
    itself: Speaker
    clock: Clock
    tallies: Tallies
    times: TurnTimes
    parked_due: Callable[[], Seconds]
    environment: Environment
    broker: object
    run: Callable[[Run], object]
    is_open: bool = False
    _is_noted: bool = False
    _until: Instant = -inf
    _monotonic_until: Seconds = -inf
    _is_handled: dict[str, bool] = field(default_factory=dict)
    _may_claim: bool = False

    def __post_init__(self) -> None:
        self._share, self._failpoints = self.environment.direct_share, self.environment.failpoints
        # A store without a table delivers jobs: which one comes first is not known here.
        self._claims = self.store.table is not None
        self._counts = self.store.tallies is not None

    def queue(self, jobs: Sequence[NewJob], began: Seconds) -> list[tuple[JobRecord, bool]] | None:
        """Store new jobs, now, which is `began` in monotonic time, and answer as to `Queue`. None, and nothing is
        stored, where an ordinary turn must be taken.

        Raises:
            StoreUnavailable, StoreGone: as a turn of the store. `CommitUnknown`: they may be stored.
        """
        births, state, times = self.store.births, self.state, self.times
        if births is None or not self.is_open or not 0 < len(jobs) <= JOBS_MAX:
            return None
        now = self.clock.now()
        if not self._is_noted:
            self._note()
        if now >= self._until or began >= self._monotonic_until or state.inputs.quiet.is_quiet:
            return None
        parked, want = list[int](), None
        for place, job in enumerate(jobs):
            if not job.is_plain or not -STEP_SECONDS_MIN <= now - job.queued_at <= state.limits.reply_seconds_max:
                return None
            if self._claims and (capacity := state.capacities.get(job.name)) is not None and has_room(capacity):
                if len(jobs) > 1 or (want := self._want(job.name, capacity, now)) is None:
                    return None
            elif (is_handled := self._is_handled.get(job.name)) is not True:
                if is_handled is None and (is_handled := self._look_at(job.name, began)) is None:
                    return None
                if not is_handled:
                    parked.append(place)
        if self._share < 1.0 and state.chance.random() >= self._share:
            return None
        times.began, times.writes_from, self.is_open = began, None, False
        try:
            born = births.bear(state.boot, state.version, jobs, self._begun, want)
        except TurnConflict:
            born = None
        except (StoreUnavailable, StoreGone):
            times.end(is_stored=False)
            raise
        except Exception as error:
            # Perhaps raised into this thread, behind the commit.
            times.end(is_stored=False)
            raise CommitUnknown(f"a write batch may be stored: {error!r}") from error
        times.end(is_stored=born is not None)
        if born is None:
            return None
        if self._failpoints.is_live:
            self._failpoints.at("broker.let_out", self.broker)
            self._failpoints.at("direct.out", self.broker)
        self._let_out(born, parked, want)
        self.is_open = True
        return [*zip(map(JOB, born.moves[: len(jobs)]), repeat(True))]

    def _let_out(self, born: Born, parked: Sequence[int], want: Want | None) -> None:
        """What `JobBroker._let_out` does after an ordinary turn, and `BrokerState.take`, for births alone."""
        state, moves = self.state, born.moves
        log_born(self.log, born, [*map(JOB, map(moves.__getitem__, parked))], self.itself, self.store.store_id)
        state.standing.logged, state.standing.boot_no = born.did.turn, born.did.boot_no
        if self._counts:
            self.tallies.count(moves, born.did.at, self.times.last)
        if want is not None:
            capacity, job = state.capacities[want.name], moves[-1].job
            capacity.held[job.key] = job
            # As after an ordinary turn, which notes the next due job of a name only if a place is left for it.
            if has_room(capacity):
                state.next_due[want.name] = born.next_due
            else:
                state.next_due.pop(want.name, None)
            self.run(Run((Claim(job),), ()))
            return
        for move in moves if state.next_due else ():
            if (due := state.next_due.get(move.job.name)) is not None:
                state.next_due[move.job.name] = min(due, move.job.run_at)
        if state.others:
            state.standing.hint(state.others)

    def open(self) -> None:
        """The broker has taken an ordinary turn, which was stored."""
        self.is_open, self._is_noted = True, False

    def _note(self) -> None:
        """Note, once after each ordinary turn, until when nothing but births can be due."""
        state = self.state
        self._is_noted = True
        self._is_handled.clear()
        self._until = inf if state.expiry is None else state.expiry
        if state.draining or state.membership_changed or state.standing.renewal or state.standing.quiet_logged.is_quiet:
            self._until = -inf
        for name, capacity in state.capacities.items():
            if has_room(capacity):
                # Without an instant, jobs of the name are due and held back, which births do not change.
                self._until = min(self._until, state.next_due.get(name, inf))
        most = state.limits.workers_max
        self._may_claim = most == WHOLE_MAX or not (state.unreconciled or is_limited(state.capacities, most))
        self._monotonic_until = min(self.tallies.due() if self._counts else inf, self.parked_due())

    def _want(self, name: str, capacity: HandlerCapacity, now: Instant) -> Want | None:
        """The want of a name with room whose newborn job is its first. None where only a turn knows what may start."""
        if not self._may_claim or capacity.limits != NO_LIMITS or self.state.next_due.get(name, -inf) <= now:
            return None
        begun = int(len(capacity.held) < capacity.lanes)
        most = capacity.policy.interruptions_max
        return Want(name, self.state.boot, capacity.incarnation, begun, 1 - begun, most)

    def _look_at(self, name: str, monotonic: Seconds) -> bool | None:
        """Whether a living boot handles a name. None where only an ordinary turn can store its jobs."""
        state = self.state
        is_handled = state.is_handled(name, state.others)
        said = state.parked.said
        if not is_handled and (is_news(said.get(name), monotonic) or len(said) > NAMES_TOLD_MAX):
            return None
        self._is_handled[name] = is_handled
        return is_handled

    def _begun(self) -> Reading | None:
        """The write lock is held. The clock is read here, while nobody else is in a turn."""
        self.times.writes_from = self.clock.monotonic()
        reading = self.clock.reading()
        return None if self.state.inputs.steps else reading
