"""Pictures of schedules for people: their rules in words, their slots by the clock on the wall there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from ..cron.interval import INSTANT_MAX
from ..cron.schedule import rule_of
from ..cron.when import Rule
from ..cron.words import in_words
from ..errors import UsageError
from ..messages.jobs import Instant
from ..messages.schedules import ScheduleRecord
from ..stores.ports import Slots
from .payloads import payload
from .schedules import SlotStory, explain
from .views import NextSlot, ScheduleName, SchedulePage, ScheduleView, SlotView


def schedule_view(
    record: ScheduleRecord, now: Instant, *, slots: int, declared_by: Collection[str] | None, shows_data: bool
) -> ScheduleView:
    """A schedule as people see it.

    Args:
        slots: how many of the next are told.
        declared_by: the boots that live and declare it; None unless all have said which they declare.
        shows_data: whether what its jobs get may be seen.
    """
    trouble, words = None, record.when
    coming: tuple[NextSlot, ...] = ()
    try:
        rule = rule_of(record)
    except UsageError as error:
        trouble = str(error)
    else:
        words, coming = in_words(rule), tuple(islice(_coming(record, rule, now), slots))
    return ScheduleView(
        id=record.id,
        key=record.key,
        name=record.name,
        when=record.when,
        words=words,
        timezone=record.timezone,
        next=coming,
        trouble=trouble,
        last_slot=record.last_slot,
        accounted_to=record.accounted_to,
        is_paused=bool(record.paused),
        is_durable=bool(record.durable),
        declared_by=None if declared_by is None else tuple(sorted(declared_by)),
        data=payload(record.data, is_shown=shows_data),
        catch_up=record.catch_up,
        catch_up_window=record.catch_up_window,
        overlap=record.overlap,
        dst_gap=record.dst_gap,
        dst_fold=record.dst_fold,
        jitter=record.jitter,
        priority=record.priority,
        max_attempts=record.max_attempts,
        timeout=record.timeout,
        expires=record.expires,
    )


def schedule_name(schedule_id: str, record: ScheduleRecord | None) -> ScheduleName:
    """Which schedule has queued a job.

    Args:
        record: None where it is not there any more.
    """
    if record is None:
        return ScheduleName(id=schedule_id, key=None, when=None, words=None)
    try:
        words = in_words(rule_of(record))
    except UsageError:
        words = record.when
    return ScheduleName(id=schedule_id, key=record.key, when=record.when, words=words)


def schedule_page(
    record: ScheduleRecord, view: ScheduleView, kept: Slots, since: Instant, until: Instant, now: Instant
) -> SchedulePage:
    """A schedule, with what became of its slots in [since, until).

    Raises:
        UsageError: its rule cannot be read here.
    """
    slots = tuple(map(_slot_view, explain(record, kept, since, until, now)))
    return SchedulePage(at=now, schedule=view, since=since, until=until, slots=slots)


def _coming(record: ScheduleRecord, rule: Rule, now: Instant) -> Iterator[NextSlot]:
    zone = ZoneInfo(record.timezone)
    for due in rule.between(max(record.accounted_to, now), INSTANT_MAX):
        local = datetime.fromtimestamp(due.slot, zone).isoformat(timespec="seconds")
        yield NextSlot(at=due.slot, local=local, note=due.note)


def _slot_view(story: SlotStory) -> SlotView:
    return SlotView(
        slot=story.slot.timestamp(),
        outcome=story.outcome,
        reason=story.reason,
        job_id=story.job_id,
        last=story.last.timestamp(),
        count=story.count,
    )
