"""`Inspector`: the state of a store, for command, page and metrics. It only reads, and needs no runtime.

Everything is bounded: a count stops at a maximum, and says so; a search says how far it came.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ..environment.clock import SystemClock
from ..errors import UnknownJob, UnknownSchedule, UsageError, shown
from ..messages.jobs import ENDED, Instant, JobRecord, JobState, Seconds, stored_name
from ..messages.queries import LOOKED_MAX, JobQuery
from ..messages.schedules import ScheduleRecord
from ..rules.capabilities import needed
from ..rules.codec import decode
from ..rules.validation import unknown_job
from ..rules.wording import span
from ..stores.control_client import BootView, ControlClient
from ..stores.opening import place_of
from ..stores.places import LockHolder
from ..stores.ports import Readable, StoreSnapshot
from ..stores.stored_lives import WatchedReadable
from .error_groups import ErrorGroup, Failures, grouped, in_pages, key_of
from .finding import find
from .overview import WholeNames, names_seen, overview_of, running_on, whole_names
from .runtimes import Runtimes
from .views import (
    Amount,
    Counts,
    ErrorsPage,
    JobPage,
    JobsPage,
    JobView,
    LoggedLine,
    Matching,
    NameView,
    Overview,
    ScheduleName,
    job_view,
)
from .why import WaitContext, Why, reasons, wait_context_of, why

if TYPE_CHECKING:
    from .graphs import GraphView
    from .schedule_views import ComingSlot, SchedulePage, ScheduleView

COUNTED_MAX = 10_000

NAMES_MAX = 1_000
"""The most names in an overview: the first ones. Where there are more, the sums are capped."""

AHEAD_IN_LISTS_MAX = 20

COUNTED_AT_ONCE = 1_000

STEPS_SHOWN_MAX = 100

OUTPUT_MAX = 100

CHILDREN_MAX = 100

LINKED_MAX = 20
"""The most shown jobs that one waits for, and that wait for one."""

LIKE_ONE_MAX = 100
"""The most dead jobs with an id prefix among which one is searched."""

NEXT_SLOTS = 5
"""The default number of a schedule's next slots."""

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """Looks at a store, from any thread, any number of times. Use it as a context manager, or close it.

    Args:
        runtimes: the boots that work on it.
        now: wall time.
        lock_holder: who keeps the store's turns waiting, if somebody does.
        moved_to: the address to which the store has been moved, if it has.
        shows_data: whether the viewer may see data, results and progress of jobs.
        close: releases the store.
    """

    store: Readable
    runtimes: Runtimes
    now: Callable[[], Instant]
    lock_holder: Callable[[], LockHolder | None] = lambda: None
    moved_to: Callable[[], str | None] = lambda: None
    shows_data: bool = False
    close: Callable[[], None] = lambda: None

    @property
    def address(self) -> str:
        """The store's address, without a password."""
        return self.store.address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def at_one_instant(self) -> Iterator[Inspector]:
        """Within the block, the store as it is now: each look sees the same, and no boot is asked twice."""
        with self.store.snapshot() as seen:
            store = _OneInstant(self.store, seen)
            yield replace(self, store=store, runtimes=self.runtimes.at(store))

    def overview(self) -> Overview:
        """An overview of the store. Like all other methods it raises StoreUnavailable or StoreError if that cannot be
        read.
        """
        boots, now = self.runtimes.all(), self.now()
        with self.store.snapshot() as seen:
            names = whole_names(seen, boots, now, COUNTED_MAX, NAMES_MAX)
            counts = None if seen.table is None else seen.table.capped_counts(None, COUNTED_MAX)
            if counts is not None:
                dead = Amount(count=counts.of[JobState.DEAD], is_capped=JobState.DEAD in counts.capped)
            else:
                dead = Amount(count=seen.jobs.counts(None)[JobState.DEAD])
        return overview_of(self.address, names, boots, dead, now)

    def boots(self) -> Sequence[BootView]:
        """The boots on the store, without their own views."""
        return [replace(boot, view=None) for boot in self.runtimes.all()]

    def names(self, *, limit: int = NAMES_MAX, after: str | None = None) -> Sequence[NameView]:
        """The known job names after one, in order, at most `limit`."""
        boots, now = self.runtimes.all(), self.now()
        with self.store.snapshot() as seen:
            # No text sorts between a text and the same with a NUL appended.
            return names_seen(seen, boots, now, COUNTED_MAX, first="" if after is None else f"{after}\0", limit=limit)

    def whole_names(self) -> WholeNames:
        boots, now = self.runtimes.all(), self.now()
        with self.store.snapshot() as seen:
            return whole_names(seen, boots, now, COUNTED_MAX, NAMES_MAX)

    def name(self, name: str) -> NameView | None:
        """One job name; None if it is unknown."""
        boots, now = self.runtimes.all(), self.now()
        with self.store.snapshot() as seen:
            return next(
                (one for one in names_seen(seen, boots, now, COUNTED_MAX, first=name, limit=1) if one.name == name),
                None,
            )

    def counts(self, name: str | None = None) -> Counts:
        with self.store.snapshot() as seen:
            if seen.table is None:
                of = {state: Amount(count=count) for state, count in seen.jobs.counts(name).items()}
                running = _running(self.runtimes.all(), name) if seen.queues is not None else None
                of |= {} if running is None else {JobState.RUNNING.value: running}
            else:
                found = seen.table.capped_counts(name, COUNTED_MAX)
                of = {state: Amount(count=count, is_capped=state in found.capped) for state, count in found.of.items()}
        return Counts(at=self.now(), name=name, of=of)

    def jobs(self, query: JobQuery, *, limit: int, after: str | None = None) -> JobsPage:
        """The matching jobs, at most `limit`, with why they wait.

        Args:
            after: the `next` of the page before.

        Raises:
            UsageError: the cursor is none.
            NotSupported: the store keeps no table of jobs, and the query is not for dead ones.
        """
        with self.store.snapshot() as seen:
            found = find(seen, query, limit=limit, after=after)
            jobs = self._job_views(seen, found.jobs)
        return JobsPage(
            at=self.now(), jobs=jobs, next=found.next, looked_at=found.looked_at, is_complete=found.complete
        )

    def count(self, query: JobQuery) -> Matching:
        """How many jobs match. NotSupported as `jobs`."""
        count = looked = 0
        after: str | None = None
        with self.store.snapshot() as seen:
            while count < COUNTED_MAX:
                wanted = min(COUNTED_AT_ONCE, COUNTED_MAX - count)
                found = find(seen, query, limit=wanted, after=after, looked_max=max(1, LOOKED_MAX - looked))
                count, looked, after = count + len(found.jobs), looked + found.looked_at, found.next
                if after is None or looked >= LOOKED_MAX:
                    break
        return Matching(at=self.now(), amount=Amount(count=count, is_capped=after is not None), looked_at=looked)

    def job(self, job_id: str) -> JobPage:
        """Everything known about one job.

        Raises:
            UnknownJob: it is not in the store.
        """
        boots = self.runtimes.all()
        with self.store.snapshot() as seen:
            job = self._job(seen, job_id, boots)
            known = reasons(self._known(job, seen, boots, self.lock_holder(), moved_to=self.moved_to))
            now_logged, unheard = self.runtimes.output(job, boots)
            logged = () if seen.table is None else [*seen.table.logged(job.id), *now_logged]
            is_root = job.root_id == job.id
            children = seen.table.children(job.id, CHILDREN_MAX + 1) if seen.table is not None and is_root else ()
            steps = None if seen.table is None else seen.table.steps_seen(job.row_id, STEPS_SHOWN_MAX)
            parents = () if seen.table is None else seen.table.parents(job.row_id, 0, LINKED_MAX + 1)
            waiting = () if seen.table is None else seen.table.linked(job.row_id, LINKED_MAX + 1)
            return JobPage(
                at=self.now(),
                job=job_view(job, known[0], shows_data=self.shows_data),
                traceback=job.traceback,
                reasons=tuple(known),
                attempts=None if seen.table is None else tuple(seen.table.attempts(job.id)),
                output=_output(logged),
                output_unheard=unheard,
                steps=None if steps is None else tuple(steps.newest),
                steps_kept=0 if steps is None else steps.kept,
                children=self._job_views(seen, children[:CHILDREN_MAX], boots),
                has_more_children=len(children) > CHILDREN_MAX,
                parents=self._job_views(seen, parents[:LINKED_MAX], boots),
                has_more_parents=len(parents) > LINKED_MAX,
                gone_parents=_gone_parents(seen, job),
                waiting=self._job_views(seen, waiting[:LINKED_MAX], boots),
                has_more_waiting=len(waiting) > LINKED_MAX,
                schedule=None if job.schedule is None else _schedule_name(seen, job.schedule),
            )

    def why(self, job_id: str) -> Sequence[Why]:
        """Why a job does not run: all known reasons, the first to go at the front; or its fate.

        Raises:
            UnknownJob: it is not in the store.
        """
        boots = self.runtimes.all()
        with self.store.snapshot() as seen:
            job = self._job(seen, job_id, boots)
            return reasons(self._known(job, seen, boots, self.lock_holder(), moved_to=self.moved_to))

    def graph(self, job_id: str) -> GraphView:
        """The graph of a job.

        Raises:
            UnknownJob: it is not in the store.
            NotSupported: the store keeps no table of jobs.
        """
        from .graphs import GraphView, graph_facts

        boots, holder = self.runtimes.all(), self.lock_holder()
        with self.store.snapshot() as seen:
            facts = graph_facts(
                seen,
                job_id,
                now=self.now(),
                why=lambda job: why(self._known(job, seen, boots, holder, counted_max=AHEAD_IN_LISTS_MAX)),
                shows_data=self.shows_data,
            )
        return GraphView(**facts)

    def errors(self, name: str | None = None) -> ErrorsPage:
        """The failures in groups: the jobs that died last, and those that have failed and are tried again."""
        with self.store.snapshot() as seen:
            failures = Failures(seen, name)
            groups = grouped(failures)
        looked = sum(group.count for group in groups)
        return ErrorsPage(at=self.now(), groups=tuple(groups), looked_at=looked, is_capped=failures.is_capped)

    def failed_in(self, group: str, *, limit: int) -> tuple[ErrorGroup | None, Sequence[JobView]]:
        """A group of failures, by its id or the beginning of that, and at most `limit` of its jobs; None if there is
        none.

        Raises:
            UsageError: several begin so.
        """
        page = self.errors()
        meant = [one for one in page.groups if one.id == group] or [
            one for one in page.groups if group and one.id.startswith(group)
        ]
        if len(meant) > 1:
            raise UsageError(f"expected the id of one group, got: {shown(group)}, and {len(meant)} begin so")
        if not meant:
            return None, ()
        with self.store.snapshot() as seen:
            jobs = [job for job in Failures(seen, meant[0].name) if key_of(job).id == meant[0].id]
            return meant[0], self._job_views(seen, jobs[:limit])

    def dead_in(self, group: ErrorGroup) -> Sequence[str]:
        """The ids of all dead jobs of a group of failures, including those too old to be shown."""
        dead = JobQuery(names=(group.name,), states=(JobState.DEAD,))
        with self.store.snapshot() as seen:
            return [job.id for job in in_pages(seen, dead) if key_of(job).id == group.id]

    def schedules(
        self, name: str | None = None, *, limit: int, after: str | None = None, slots: int = NEXT_SLOTS
    ) -> Sequence[ScheduleView]:
        """The schedules of a name, or all, by their ids.

        Args:
            after: the id of the last one of the page before.
            slots: how many next slots each has.
        """
        declared, now = self.runtimes.declared(), self.now()
        with self.store.snapshot() as seen:
            records = seen.schedules.some(name, after or "", limit)
        return [self._schedule_view(record, declared, now, slots) for record in records]

    def coming_slots(self, *, limit: int, count: int) -> tuple[Sequence[ComingSlot], bool]:
        """The next slots of all schedules, as `schedule_views.coming_slots` has them; and whether only the first
        `limit` schedules were asked, by their ids.
        """
        from .schedule_views import coming_slots

        declared, now = self.runtimes.declared(), self.now()
        with self.store.snapshot() as seen:
            records = seen.schedules.some(None, "", limit)
        found = coming_slots([(record, _declaring(declared, record)) for record in records], now, count)
        return found, len(records) == limit

    def schedule(
        self,
        schedule: str,
        *,
        key: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        slots: int = NEXT_SLOTS,
    ) -> SchedulePage:
        """One schedule, with its slots from `since` to `until`: by default from a day ago to a day from now.

        Args:
            schedule: its id; with `key`, the name of its jobs.
            slots: how many of the next are listed.

        Raises:
            UnknownSchedule: there is none.
            UsageError: its rule cannot be read here.
        """
        # Imported only here, as in the other methods about schedules: it loads the calendar, and most looks need none.
        from ..cron.schedule import keyed_id
        from .schedule_views import schedule_page

        wanted = schedule if key is None else keyed_id(schedule, key)
        declared, now = self.runtimes.declared(), self.now()
        since, until = now - DAY if since is None else since, now + DAY if until is None else until
        with self.store.snapshot() as seen:
            record = seen.schedules.one(wanted)
            if record is None:
                raise UnknownSchedule(f"no schedule {shown(wanted)} on {self.address}")
            kept = seen.schedules.slots(record.id, since, until)
        return schedule_page(record, self._schedule_view(record, declared, now, slots), kept, since, until, now)

    def _job(self, seen: StoreSnapshot, job_id: str, boots: Sequence[BootView]) -> JobRecord:
        job = seen.jobs.known((job_id,)).get(job_id)
        if job is None and seen.dead is not None:
            found = find(seen, JobQuery(states=(JobState.DEAD,), id_prefix=job_id), limit=LIKE_ONE_MAX)
            job = next((one for one in found.jobs if one.id == job_id), None)
        if job is None:
            raise unknown_job(job_id) if seen.table is not None else _unknown_on_server(job_id, boots)
        return job

    def _job_views(
        self, seen: StoreSnapshot, jobs: Sequence[JobRecord], boots: Sequence[BootView] | None = None
    ) -> tuple[JobView, ...]:
        whys: dict[str, Why] = {}
        if any(job.state not in ENDED for job in jobs):
            boots, holder = self.runtimes.all() if boots is None else boots, self.lock_holder()
            for job in jobs:
                known = self._known(job, seen, boots, holder, counted_max=AHEAD_IN_LISTS_MAX)
                whys[job.id] = why(known)
        return tuple(job_view(job, whys.get(job.id), shows_data=self.shows_data) for job in jobs)

    def _known(
        self,
        job: JobRecord,
        seen: StoreSnapshot,
        boots: Sequence[BootView],
        lock_holder: LockHolder | None,
        *,
        counted_max: int = COUNTED_MAX,
        moved_to: Callable[[], str | None] = lambda: None,
    ) -> WaitContext:
        return wait_context_of(
            job,
            seen,
            boots,
            now=self.now(),
            store=self.address,
            lock_holder=lock_holder,
            counted_max=counted_max,
            moved_to=moved_to,
        )

    def _schedule_view(
        self, record: ScheduleRecord, declared: Mapping[str, Collection[str]] | None, now: Instant, slots: int
    ) -> ScheduleView:
        from .schedule_views import schedule_view

        by = _declaring(declared, record)
        return schedule_view(record, now, slots=slots, declared_by=by, shows_data=self.shows_data)


def readable_table(address: str, wanted: str) -> WatchedReadable:
    """A store in which every job can be found, without a runtime.

    Args:
        wanted: the feature that other stores lack, for the error.

    Raises:
        NotSupported: it has no table of all jobs.
    """
    return needed(place_of(address).tables, wanted)()


def inspector_of(
    store: Readable,
    client: ControlClient | None = None,
    *,
    now: Callable[[], Instant],
    shows_data: bool = False,
    close: Callable[[], None] = lambda: None,
) -> Inspector:
    """An `Inspector` of a store; `client` asks the boots on it, one of its own unless given."""
    place = store.place
    runtimes = Runtimes(store, place.client() if client is None else client)
    condition = place.condition()
    return Inspector(
        store=store,
        runtimes=runtimes,
        now=now,
        lock_holder=partial(condition.lock_holder, wait),
        moved_to=condition.moved_to,
        shows_data=shows_data,
        close=close,
    )


def inspector_at(
    address: str | os.PathLike[str], *, shows_data: bool = False, now: Callable[[], Instant] | None = None
) -> Inspector:
    """An `Inspector` of a store, without a runtime.

    On RabbitMQ it sees queues, the ledger's records of runtimes, and the answers of runtimes; of jobs, only dead ones.

    Args:
        address: as `Runtime` takes it.
        shows_data: whether the viewer may see data, results and progress of jobs.
        now: wall time; this machine's unless given.
    """
    store = place_of(address).readable()
    now = SystemClock().now if now is None else now
    return inspector_of(store, now=now, shows_data=shows_data, close=store.close)


def wait(seconds: Seconds) -> None:
    # Imported only here, where the lock is held: it loads asyncio.
    from ..environment.environment import Environment

    Environment().event().wait(seconds)


class _OneInstant:
    """A store with one snapshot for all readers."""

    def __init__(self, store: Readable, seen: StoreSnapshot) -> None:
        self.address = store.address
        self.place = store.place
        self.table = seen.table
        self._seen = seen

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[StoreSnapshot]:
        yield self._seen

    def close(self) -> None:
        """The store is closed by the code that has opened it."""


def _declaring(declared: Mapping[str, Collection[str]] | None, record: ScheduleRecord) -> Collection[str] | None:
    return None if declared is None else [boot for boot, ids in declared.items() if record.id in ids]


def _unknown_on_server(job_id: str, boots: Sequence[BootView]) -> UnknownJob:
    """The error for a job that is not dead, where there is no table; it names the boot that runs it."""
    for boot in boots:
        for lane in () if boot.view is None else boot.view.lanes:
            if lane.job_id == job_id:
                return UnknownJob(
                    f"job {shown(job_id)} is no dead one, and only those can be shown: {boot.words} runs attempt "
                    f"{lane.attempt} of {shown(lane.job_name)}, for {span(lane.seconds)}; `lamplighter jobs cancel` "
                    "ends it"
                )
    return unknown_job(job_id, " to whoever looks, unless it is dead")


def _schedule_name(seen: StoreSnapshot, schedule_id: str) -> ScheduleName:
    from .schedule_views import schedule_name

    return schedule_name(schedule_id, seen.schedules.one(schedule_id))


def _running(boots: Sequence[BootView], name: str | None) -> Amount | None:
    """How many jobs run, by the boots' answers; None unless all have answered."""
    views = [boot.view for boot in boots if boot.is_alive is not False]
    known = [view for view in views if view is not None]
    return running_on(known, name) if len(known) == len(views) else None


def _output(logged: Sequence[tuple[int, str]]) -> tuple[LoggedLine, ...]:
    lines = [(claim_no, *line) for claim_no, text in logged for line in decode(text)]
    return tuple(LoggedLine(claim_no=no, at=at, level=level, text=text) for no, at, level, text in lines[-OUTPUT_MAX:])


def _gone_parents(seen: StoreSnapshot, job: JobRecord) -> tuple[dict[str, Any], ...]:
    """The parents of a job that retention has removed."""
    gone = () if seen.table is None else seen.table.gone_parents(job.row_id, LINKED_MAX)
    return tuple({stored_name(field): value for field, value in one._asdict().items()} for one in gone)
