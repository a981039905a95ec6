"""The Scheduler API: what an application calls to add schedules, look at them and act on them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Never, TypeAlias, TypeVar, Unpack, get_args

from ..boot.submitting import Submitter, off_loop
from ..cron.schedule import CAUGHT_UP_MAX, job_of, keyed_id, unkeyed_id
from ..errors import StoreUnavailable, UnknownSchedule, UsageError, check_seconds, shown
from ..log.job_context import current_root_id
from ..messages.jobs import Seconds
from ..messages.mail import Forget, PauseSchedule, Retire
from ..messages.schedules import CatchUp, DstFold, DstGap, HostChange, Overlap, ScheduleKeywords, ScheduleRecord
from ..rules.capabilities import not_supported
from ..rules.codec import encode
from ..rules.new_jobs import check_max_attempts, check_priority, check_timeout
from ..rules.validation import (
    check_bool,
    check_instant,
    check_iterable,
    check_name,
    check_one_of,
    check_whole,
    unknown_options,
)
from .job import Job
from .job_handler import JobHandler

if TYPE_CHECKING:
    from ..admin.schedules import Schedule, SlotStory

When = str | timedelta | datetime

H = TypeVar("H", bound=JobHandler[Any, Any, Any, Any])

ScheduleRef: TypeAlias = "str | Schedule"
"""A schedule as an application may name it: the id that `add` gave it, or a picture of it."""


class Scheduler:
    """Queue jobs by cron, interval or date. Made by `Runtime`."""

    def __init__(self, submitter: Submitter) -> None:
        self._submitter = submitter

    def add(
        self,
        /,
        name: str,
        when: When,
        data: Any = None,
        *,
        key: str | None = None,
        timezone: str = "UTC",
        catch_up: CatchUp = "latest",
        catch_up_window: Seconds | timedelta = timedelta(hours=24),
        catch_up_max: int = 100,
        overlap: Overlap = "allow",
        dst_gap: DstGap = "run_after",
        dst_fold: DstFold = "first",
        jitter: Seconds | timedelta = 0,
        durable: bool = False,
        priority: int = 0,
        max_attempts: int | None = None,
        timeout: Seconds | timedelta | None = None,
        expires: Seconds | timedelta | None = None,
        connection: Any = None,
        **unknown: Never,
    ) -> str:
        """Queue a job whenever a rule is due. The same call at every start-up is idempotent.

        Args:
            when: cron with 5 fields, or 6 with the seconds first; a name such as `@daily`; an interval (a timedelta or
                "@every 30s"); or an aware datetime.
            data: what each job gets; as `jobs.queue` takes it.
            key: your own name for the schedule, under which it may change; otherwise another name, when, zone or data
                makes it another schedule.
            timezone: an IANA zone in which cron fields are read.
            catch_up: what becomes of slots that were missed: `latest`, `all` or `skip`.
            catch_up_window: older slots never fire.
            catch_up_max: `all` fires at most so many.
            overlap: what if an earlier job is unfinished: `allow`, `skip`, or `queue_one` (at most one waits).
            dst_gap: a local time that does not exist: `run_after` or `skip`.
            dst_fold: one that comes twice: `first`, `second` or `both`.
            jitter: up to so many seconds are added to when a job is due, the same in every process.
            durable: keep the schedule in the store until it is removed; otherwise it lives as long as this runtime
                runs, and does not take effect in one that does not work.
            priority, max_attempts, timeout: those of its jobs, as `jobs.queue` takes them.
            expires: a job that is due for longer and has not been started is cancelled: seconds or a timedelta.
            connection: your own open connection, as `jobs.queue` takes it. The schedule, which must be `durable`, is
                what you say if and only if your transaction commits; it counts from this call.

        Returns:
            Its id, the same at every start.

        Raises:
            UsageError: something in the call cannot be.
            NotStarted: a durable schedule needs a running runtime.
            NotSupported: `connection` on a store that your database cannot lie in.
        """
        options = {option: value for option, value in locals().items() if option in _DEFAULTS}
        record = self._check(name, when, data, **options, **unknown)
        self._submitter.warn_of_payload_mismatches((record,))
        if connection is None:
            self._declare([record])
            return record.id
        if not record.durable:
            raise UsageError(
                "expected durable=True with connection=: what is not durable is in no store; say durable=True"
            )
        change = HostChange(record.id, record.changed_at, record)
        return self._submitter.change_schedule(connection, change, record.id)

    aadd = off_loop(add, "The `connection` is one that `jobs.aqueue` takes.")

    def cron(self, when: When, data: Any = None, **options: Unpack[ScheduleKeywords]) -> Callable[[H], H]:
        """`add` as a decorator of a handler object: `@scheduler.cron("0 3 * * *")` above `@jobs.handler`.

        Raises:
            UsageError: as `add`; or what stands below is no handler object, or cannot take the data.
        """

        def decorate(handler: H) -> H:
            if not isinstance(handler, JobHandler):
                raise UsageError(f"expected @scheduler.cron(...) above @jobs.handler, got it above: {shown(handler)}")
            self.add(handler.name, when, handler.fitting(data), **options)
            return handler

        return decorate

    def add_many(self, schedules: Iterable[dict[str, Any]]) -> list[str]:
        """Add several; each is the arguments of `add` as a dict. All are checked before the first is added.

        Many are stored a thousand at a time: when the store fails in between, the call can be made again.

        Raises:
            UsageError, NotStarted: as `add`.
        """
        records = list(self._check_all(schedules))
        self._submitter.warn_of_payload_mismatches(records)
        self._declare(records)
        return [record.id for record in records]

    aadd_many = off_loop(add_many)

    def list(self, name: str | None = None, *, everywhere: bool = False) -> Sequence[Schedule]:
        """The active schedules of a name, or all: those declared here, and the durable ones of the store.

        Args:
            everywhere: those, too, that other living runtimes of the store have declared. Each of them is asked.

        Raises:
            StoreUnavailable: one of them has not answered, so it is not known what it has declared. In a `Simulation`
                nobody on a file can be asked.
            NotStarted: others can be asked only while this runtime runs.
        """
        if name is not None:
            check_name(name)
        elsewhere = self._declared_elsewhere() if check_bool(everywhere, "everywhere") else None
        active, now = self._active(elsewhere).values(), self._submitter.state.now()
        from ..admin.schedules import picture

        return [picture(record, now) for record in active if name is None or record.name == name]

    alist = off_loop(list)

    def get(self, schedule: ScheduleRef, *, key: str | None = None) -> Schedule:
        """The present picture of an active schedule.

        Args:
            schedule: its id or an older picture of it; with `key`, the name of its jobs.
            key: the application's own name for it, as `add` was given it.

        Raises:
            UnknownSchedule: there is none.
        """
        from ..admin.schedules import picture

        return picture(self._known(schedule, key), self._submitter.state.now())

    aget = off_loop(get)

    def remove(self, schedule: ScheduleRef, *, key: str | None = None, connection: Any = None) -> None:
        """Remove a schedule: a declared one from this runtime, a durable one from the store.

        Added again, it is a new one, which counts from then; unless another runtime has declared it all the while.

        Args:
            schedule, key: as `get` takes them.
            connection: as `add` takes it; the schedule must be durable.

        Raises:
            UnknownSchedule: there is none.
            StoreUnavailable: it is not removed.
            UsageError, NotSupported: `connection` is none that can be.
        """
        if connection is not None:
            return self._submitter.change_schedule(connection, self._removal(schedule, key), None)
        record = self._known(schedule, key)
        declared = self._submitter.state.declared
        if record.durable:
            self._submitter.state.get().requests.ask(partial(Forget, record.id))
            return None
        # Before the store is asked: a tick that comes in between must find that nobody declares it. Before the boot is
        # looked up, too: one that begins meanwhile either sees that or is seen here.
        gone = declared.remove_schedule(record.id)
        boot = self._submitter.state.running
        if boot is None or gone is None or not boot.share.works:
            return None
        try:
            boot.requests.ask(partial(Retire, record.id, record.name))
        except BaseException:
            declared.add_schedules([gone])
            raise

    aremove = off_loop(remove, "The `connection` is one that `jobs.aqueue` takes.")

    def pause(self, schedule: ScheduleRef, *, key: str | None = None) -> None:
        """Let its slots pass, on every runtime of the store, until `resume`; each is recorded as skipped. `schedule`
        and `key` are as `get` takes them.
        """
        record = self._known(schedule, key)
        self._submitter.state.get().requests.ask(partial(PauseSchedule, record.id, True))

    apause = off_loop(pause)

    def resume(self, schedule: ScheduleRef, *, key: str | None = None) -> None:
        """Let its slots fire again. `schedule` and `key` are as `get` takes them."""
        record = self._known(schedule, key)
        self._submitter.state.get().requests.ask(partial(PauseSchedule, record.id, False))

    aresume = off_loop(resume)

    def run_now(self, schedule: ScheduleRef, *, key: str | None = None) -> Job[Any]:
        """Queue one of its jobs now, beside its slots. `schedule` and `key` are as `get` takes them."""
        record = self._known(schedule, key)
        boot = self._submitter.state.get()
        job_id, now = boot.job_ids(), boot.clock.now()
        job = job_of(record, job_id, run_at=now, now=now, root_id=current_root_id() or job_id)
        return self._submitter.store_scheduled(job)

    arun_now = off_loop(run_now)

    def explain(self, schedule: ScheduleRef, start: datetime, end: datetime) -> Sequence[SlotStory]:
        """The fate of each slot in [start, end), and why; at most 10,000.

        Raises:
            UnknownSchedule: there is none with this id.
        """
        record = self._known(schedule)
        first, last = check_instant(start, "start"), check_instant(end, "end")
        boot = self._submitter.state.get()
        from ..admin.schedules import explain

        return explain(record, boot.store.schedules.slots(record.id, first, last), first, last, boot.clock.now())

    aexplain = off_loop(explain)

    def _declared_elsewhere(self) -> Callable[[str], bool]:
        """Tells of the id of a schedule whether another living runtime has declared it."""
        boot = self._submitter.state.get()
        store = boot.store
        if store.peers is not None:
            return store.peers.is_declared
        if boot.presence.is_sole:
            return lambda schedule_id: False
        declared = store.place.client().declared(store, but=boot.id)
        if declared is None:
            raise StoreUnavailable(
                "expected every runtime on the store to say which schedules it has declared, and one has not answered; "
                "`lamplighter runtimes list` shows which"
            )
        return frozenset().union(*declared.values()).__contains__

    def _active(self, elsewhere: Callable[[str], bool] | None = None) -> dict[str, ScheduleRecord]:
        """By their ids.

        Args:
            elsewhere: whether another runtime has declared one; None: those are not meant.
        """
        declared = {record.id: record for record in self._submitter.state.declared.schedules()}
        boot = self._submitter.state.running
        if boot is None:
            return declared
        stored = {
            record.id: record
            for record in boot.store.schedules.all()
            if record.durable or record.id in declared or (elsewhere is not None and elsewhere(record.id))
        }
        return {**declared, **stored}

    def _known(self, schedule: ScheduleRef, key: str | None = None) -> ScheduleRecord:
        if key is not None:
            name, key = check_name(schedule), check_name(key, "key")
            try:
                return self._known(keyed_id(name, key))
            except UnknownSchedule:
                raise UnknownSchedule(
                    f"expected the key of an active schedule of {shown(name)}, got: {shown(key)}"
                ) from None
        wanted = _id_of(schedule)
        # A text that is not Unicode cannot even be looked up in the store.
        if isinstance(wanted, str) and wanted.isprintable():
            declared, boot = self._submitter.state.declared.schedule(wanted), self._submitter.state.running
            stored = None if boot is None else boot.store.schedules.one(wanted)
            if stored is not None and (stored.durable or declared is not None):
                return stored
            if declared is not None:
                return declared
        raise UnknownSchedule(f"expected the id of an active schedule, as add gave it, got: {shown(schedule)}")

    def _removal(self, schedule: ScheduleRef, key: str | None) -> HostChange:
        """The same transaction may have added it, so only that can tell whether it is there."""
        named = check_name(_id_of(schedule), "schedule")
        schedule_id = named if key is None else keyed_id(named, check_name(key, "key"))
        return HostChange(schedule_id, self._submitter.state.now(), None, key)

    def _declare(self, records: Sequence[ScheduleRecord]) -> None:
        state, durable = self._submitter.state, [record.id for record in records if record.durable]
        with state.declared.declaring([record for record in records if not record.durable]):
            # After the declaration: a boot that begins meanwhile either sees that or is seen here. A durable schedule
            # needs one.
            boot = state.get() if durable else state.running
            if boot is not None:
                # A producer declares nothing for others: it may be a process with older code that is about to end.
                boot.requests.declare([record for record in records if record.durable or boot.share.works])
        for schedule_id in durable:
            # It was declared here before it was durable: the next start would store it as it was then.
            state.declared.remove_schedule(schedule_id)

    def _check_all(self, schedules: Iterable[dict[str, Any]]) -> Iterator[ScheduleRecord]:
        for arguments in check_iterable(schedules, "schedules", "dicts, each with the arguments of add"):
            if not isinstance(arguments, dict) or not {"name", "when"} <= arguments.keys():
                raise UsageError(f"expected a dict with name and when, got: {shown(arguments)}")
            if strange := [key for key in arguments if not isinstance(key, str)]:
                raise UsageError(f"expected the arguments of add by their names, got: {shown(strange[0])}")
            yield self._check(**{"data": None, **_DEFAULTS, **arguments})

    def _check(self, name: str, when: When, data: Any, **options: Any) -> ScheduleRecord:
        if unknown := options.keys() - _DEFAULTS.keys():
            raise unknown_options(unknown, _DEFAULTS, "scheduler.add")
        name = check_name(name)
        # Imported only here: applications without a schedule load no calendar.
        from ..cron.when import parse_when

        rule = parse_when(when, timezone=options["timezone"], dst_gap=options["dst_gap"], dst_fold=options["dst_fold"])
        key = None if options["key"] is None else check_name(options["key"], "key")
        text = encode(data, what="data", bytes_max=self._submitter.state.limits.data_bytes_max)
        window = check_seconds(options["catch_up_window"], "catch_up_window")
        catch_up = check_one_of(options["catch_up"], "catch_up", get_args(CatchUp))
        overlap = check_one_of(options["overlap"], "overlap", get_args(Overlap))
        if overlap != "allow" and not self._submitter.state.has_table:
            raise not_supported("overlap")
        now = self._submitter.state.now()
        record = ScheduleRecord(
            id=unkeyed_id(name, rule.text, options["timezone"], text) if key is None else keyed_id(name, key),
            name=name,
            when=rule.text,
            data=text,
            timezone=str.__str__(options["timezone"]),
            dst_gap=str.__str__(options["dst_gap"]),
            dst_fold=str.__str__(options["dst_fold"]),
            catch_up=catch_up,
            catch_up_window=window,
            catch_up_max=check_whole(options["catch_up_max"], "catch_up_max", least=1, most=CAUGHT_UP_MAX),
            overlap=overlap,
            jitter=check_seconds(options["jitter"], "jitter"),
            durable=int(check_bool(options["durable"], "durable")),
            paused=0,
            accounted_to=now,
            changed_at=now,
            last_slot=None,
            key=key,
            priority=check_priority(options["priority"]),
            max_attempts=check_max_attempts(options["max_attempts"]),
            timeout=check_timeout(options["timeout"]),
            expires=None if options["expires"] is None else check_seconds(options["expires"], "expires"),
        )
        if not record.durable:
            # A durable one is in a store, and so needs a runtime that is there.
            self._submitter.declared(lambda runtime: runtime.scheduler.add(name, when, data, **options))
        return record

    @property
    def _awaiting(self) -> Scheduler:
        return Scheduler(self._submitter.awaiting)


_DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(Scheduler.add).parameters.items()
    if option.kind is option.KEYWORD_ONLY and name != "connection"
}
"""The options of a schedule."""


def _id_of(schedule: ScheduleRef) -> str:
    if isinstance(schedule, str):
        return schedule
    # Imported only here: who has a picture of a schedule has loaded it.
    from ..admin.schedules import Schedule

    # Any other object is refused where the id is looked up or checked: a job, say, has an `id` too.
    return schedule.id if isinstance(schedule, Schedule) else schedule
