"""Views of schedules for people: rules in words, slots in local time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from zoneinfo import ZoneInfo

from ..cron.interval import INSTANT_MAX
from ..cron.schedule import rule_of
from ..cron.when import Rule
from ..cron.words import in_words
from ..errors import UsageError
from ..messages.jobs import Instant, Seconds
from ..messages.schedules import ScheduleRecord
from ..stores.ports import Slots
from .schedules import explain
from .views import Payload, ScheduleName, like, payload


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSlot:
    """A slot to come.

    Attributes:
        local: its local time in the schedule's zone, ISO 8601 with the offset.
        note: a peculiarity: that it was moved out of a gap, for instance.
    """

    at: Instant
    local: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule.

    Attributes:
        when: its rule in canonical form; `words` is the same for people.
        next: the next slots; none where there are none any more.
        trouble: why its rule cannot be read here, if it cannot.
        is_durable: whether it lives in the store; otherwise with the boots that declare it.
        declared_by: the living boots that declare it; None unless all of them have answered.
    """

    id: str
    key: str | None
    name: str
    when: str
    words: str
    timezone: str
    next: tuple[NextSlot, ...]
    trouble: str | None
    last_slot: Instant | None
    accounted_to: Instant
    is_paused: bool
    is_durable: bool
    declared_by: tuple[str, ...] | None
    data: Payload
    catch_up: str
    catch_up_window: Seconds
    overlap: str
    dst_gap: str
    dst_fold: str
    jitter: Seconds
    priority: int
    max_attempts: int | None
    timeout: Seconds | None
    expires: Seconds | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingSlot:
    slot: NextSlot
    schedule: str
    key: str | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """The past or future fate of a slot, or of a range of them, as `SlotStory` has it."""

    slot: Instant
    outcome: str
    reason: str | None
    job_id: str | None
    last: Instant
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePage:
    """A schedule, and the fate of its slots in a span of time."""

    at: Instant
    schedule: ScheduleView
    since: Instant
    until: Instant
    slots: tuple[SlotView, ...]


def schedule_view(
    record: ScheduleRecord, now: Instant, *, slots: int, declared_by: Collection[str] | None, shows_data: bool
) -> ScheduleView:
    """A schedule as people see it.

    Args:
        slots: how many of the next are listed.
        declared_by: the living boots that declare it; None unless all have answered.
        shows_data: whether the data of its jobs may be seen.
    """
    trouble, words = None, record.when
    coming: tuple[NextSlot, ...] = ()
    try:
        rule = rule_of(record)
    except UsageError as error:
        trouble = str(error)
    else:
        words, coming = in_words(rule), tuple(islice(_coming(record, rule, now), slots))
    return like(
        ScheduleView,
        record,
        words=words,
        next=coming,
        trouble=trouble,
        is_paused=bool(record.paused),
        is_durable=bool(record.durable),
        declared_by=None if declared_by is None else tuple(sorted(declared_by)),
        data=payload(record.data, is_shown=shows_data),
    )


def coming_slots(
    schedules: Iterable[tuple[ScheduleRecord, Collection[str] | None]], now: Instant, count: int
) -> list[ComingSlot]:
    """The next `count` slots of several schedules, the earliest first. A schedule that is paused, that no boot
    declares, or whose rule cannot be read here, has none.

    Args:
        schedules: each with the living boots that declare it; None unless all have answered.
    """
    coming = [
        _coming_of(record, now)
        for record, declared_by in schedules
        if _fires(record.paused, record.durable, declared_by)
    ]
    # Each gives its first slot, and another only when that has come.
    return list(islice(merge(*coming, key=lambda one: (one.slot.at, one.schedule)), count))


def slots_of(one: ScheduleView) -> list[ComingSlot]:
    if not _fires(one.is_paused, one.is_durable, one.declared_by):
        return []
    return [ComingSlot(slot=slot, schedule=one.id, key=one.key, name=one.name) for slot in one.next]


def schedule_name(schedule_id: str, record: ScheduleRecord | None) -> ScheduleName:
    """The schedule of a job; `record` is None where it is not there any more."""
    if record is None:
        return ScheduleName(id=schedule_id, key=None, when=None, words=None)
    try:
        words = in_words(rule_of(record))
    except UsageError:
        words = record.when
    return like(ScheduleName, record, words=words)


def schedule_page(
    record: ScheduleRecord, view: ScheduleView, kept: Slots, since: Instant, until: Instant, now: Instant
) -> SchedulePage:
    """A schedule, with the fate of its slots in [since, until).

    Raises:
        UsageError: its rule cannot be read here.
    """
    slots = tuple(
        like(SlotView, story, slot=story.slot.timestamp(), last=story.last.timestamp())
        for story in explain(record, kept, since, until, now)
    )
    return SchedulePage(at=now, schedule=view, since=since, until=until, slots=slots)


def _fires(is_paused: object, is_durable: object, declared_by: Collection[str] | None) -> bool:
    return not is_paused and bool(is_durable or declared_by is None or declared_by)


def _coming_of(record: ScheduleRecord, now: Instant) -> Iterator[ComingSlot]:
    try:
        rule = rule_of(record)
    except UsageError:
        return
    for slot in _coming(record, rule, now):
        yield ComingSlot(slot=slot, schedule=record.id, key=record.key, name=record.name)


def _coming(record: ScheduleRecord, rule: Rule, now: Instant) -> Iterator[NextSlot]:
    zone = ZoneInfo(record.timezone)
    for due in rule.between(max(record.accounted_to, now), INSTANT_MAX):
        local = datetime.fromtimestamp(due.slot, zone).isoformat(timespec="seconds")
        yield NextSlot(at=due.slot, local=local, note=due.note)
