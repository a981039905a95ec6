"""Views of schedules and of their slots, made of stored records. Nothing here reads a store or a clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..cron.schedule import rule_of
from ..cron.zones import load_zone
from ..errors import UsageError
from ..messages.jobs import Instant
from ..messages.schedules import ScheduleRecord, SlotEntry
from ..rules.codec import decode
from ..stores.ports import Slots

EXPLAINED_SLOTS_MAX = 10_000

UNKNOWN = "it was accounted for before what this runtime remembers: the log says what became of it"
"""The reason of a slot whose fate is not remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An active schedule. Instants are aware datetimes: in UTC, but for the local ones.

    Attributes:
        when: the rule in its canonical form.
        next_slot: the next instant at which it is due; None when there is none any more.
        last_slot: the newest instant at which it fired.
        key: the application's own name for it, if `add` was given one.
    """

    id: str
    name: str
    when: str
    data: Any
    timezone: str
    next_slot: datetime | None
    last_slot: datetime | None
    paused: bool
    durable: bool
    key: str | None

    @property
    def next_local(self) -> datetime | None:
        """`next_slot` by the clock on the wall in the schedule's own time zone."""
        return None if self.next_slot is None else self.next_slot.astimezone(load_zone(self.timezone))

    @property
    def last_local(self) -> datetime | None:
        """`last_slot` by the clock on the wall in the schedule's own time zone."""
        return None if self.last_slot is None else self.last_slot.astimezone(load_zone(self.timezone))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStory:
    """The past or future fate of a slot, or of a range of them.

    Attributes:
        outcome: `fired`, `late`, `caught_up`, `skipped`, `due` for what is still to come, or `unknown` for what was
            accounted for so long ago that the store does not remember how.
        last, count: the end of a range of skipped or unknown slots and how many they are.
    """

    slot: datetime
    outcome: str
    reason: str | None
    job_id: str | None
    last: datetime
    count: int


def picture(record: ScheduleRecord, now: Instant) -> Schedule:
    """A schedule as an application sees it."""
    try:
        due = rule_of(record).after(max(record.accounted_to, now))
    except UsageError:
        # Its zone is not known here, or it is a newer version's: its slots wait, and so does none of the others.
        due = None
    return Schedule(
        id=record.id,
        name=record.name,
        when=record.when,
        data=decode(record.data),
        timezone=record.timezone,
        next_slot=None if due is None else utc(due.slot),
        last_slot=None if record.last_slot is None else utc(record.last_slot),
        paused=bool(record.paused),
        durable=bool(record.durable),
        key=record.key,
    )


def explain(record: ScheduleRecord, kept: Slots, first: Instant, last: Instant, now: Instant) -> Sequence[SlotStory]:
    """The fate of each slot in [first, last), and why, in order; at most `EXPLAINED_SLOTS_MAX`.

    Args:
        kept: what the store remembers of them.

    Raises:
        UsageError: it names a zone that this system does not know, or is a newer version's.
    """
    stored, since = kept
    stories = [*_forgotten(record, stored, first, last, since), *map(_story, stored)]
    accounted = max(record.accounted_to, math.nextafter(first, -math.inf))
    # These were stored since the schedule was read, or while the clock was ahead.
    ahead = [entry for entry in stored if entry.last > accounted]
    for due in rule_of(record).between(accounted, last):
        if due.slot >= last or len(stories) >= EXPLAINED_SLOTS_MAX:
            break
        if any(entry.slot <= due.slot <= entry.last for entry in ahead):
            continue
        reason = due.note or ("it is being accounted for" if due.slot <= now else None)
        stories.append(
            SlotStory(
                slot=utc(due.slot),
                outcome="due",
                reason="paused" if record.paused else reason,
                job_id=None,
                last=utc(due.slot),
                count=1,
            )
        )
    return sorted(stories, key=lambda story: story.slot)[:EXPLAINED_SLOTS_MAX]


def utc(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


def _story(entry: SlotEntry) -> SlotStory:
    return SlotStory(
        slot=utc(entry.slot),
        outcome=entry.outcome,
        reason=entry.reason,
        job_id=entry.job_id,
        last=utc(entry.last),
        count=entry.count,
    )


def _forgotten(
    record: ScheduleRecord, stored: Sequence[SlotEntry], first: Instant, end: Instant, since: Instant
) -> Iterator[SlotStory]:
    """The slots in [first, end) that were accounted for so long ago that the store has forgotten how."""
    ends = (end, *(entry.slot for entry in stored[:1]))
    known_from = min(since, record.accounted_to, *(math.nextafter(at, -math.inf) for at in ends))
    start, rule = max(record.changed_at, math.nextafter(first, -math.inf)), rule_of(record)
    count = rule.count(start, known_from) if start < known_from else 0
    if count:
        slot, last = next(rule.between(start, known_from)).slot, rule.latest(known_from, 1, start)[0].slot
        yield SlotStory(
            slot=utc(slot),
            outcome="unknown",
            reason=UNKNOWN,
            job_id=None,
            last=utc(last),
            count=count,
        )
