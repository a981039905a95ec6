"""Whether schedules fire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..messages.schedules import ScheduleRecord
from ..messages.tallies import HOUR
from ..operating.stats import Stats, stats_by_name
from ..rules.wording import clock, many, span
from ..stores.ports import StoreSnapshot
from .diagnosis import Symptom, error, ok, unknown, warning
from .evidence import Evidence

if TYPE_CHECKING:
    from ..operating.schedule_views import ScheduleView

LATE_SECONDS_MAX = 60.0
"""So long after its time a slot is accounted for at the latest, where somebody works."""

SCHEDULES_MAX = 500
"""So many schedules are looked at."""

SKIPPED_MAX = 10
"""More slots in a row that were skipped for the same reason are worth a word."""

DAY = 24 * 3600.0
SLOTS_TOLD = 2

TOLD_MAX = 20


def silent(seen: Evidence) -> Iterator[Symptom]:
    """Is there a schedule that does not fire, or fires for nothing?"""
    with seen.store.snapshot() as stored:
        records = {record.id: record for record in stored.schedules.some(None, "", SCHEDULES_MAX)}
        if not records:
            yield ok("there is no schedule")
            return
        views = seen.look.schedules(limit=SCHEDULES_MAX, slots=SLOTS_TOLD)
        tallies = None if stored.tallies is None else stored.tallies.between(HOUR, seen.at - DAY, seen.at)
        stats = None if tallies is None else stats_by_name(tallies)
        found = [
            symptom
            for view in views
            if view.id in records
            for symptom in _of_one(seen, stored, records[view.id], view, stats)
        ]
    yield from found[:TOLD_MAX]
    if len(found) > TOLD_MAX:
        yield warning(f"there is as much to say of {len(found) - TOLD_MAX} more", "`lamplighter schedules list`")
    if seen.declared is None and any(not view.is_durable for view in views):
        yield unknown("not every runtime that lives has said which schedules its code declares")
    elif not found:
        more = f", the first {SCHEDULES_MAX} looked at" if len(records) == SCHEDULES_MAX else ""
        yield ok(f"{many(len(records), 'schedule')}{more}: each fires in time, or is paused")


def _of_one(
    seen: Evidence, stored: StoreSnapshot, record: ScheduleRecord, view: ScheduleView, stats: dict[str, Stats] | None
) -> Iterator[Symptom]:
    who = f"schedule {view.key or view.id} of {view.name!r} ({view.words})"
    which = f"{view.name} --key {view.key}" if view.key else view.id
    if view.trouble is not None:
        yield error(f"{who} cannot be read here: {view.trouble}", "install `tzdata`, or mend its rule")
        return
    if view.is_paused:
        return
    if not view.is_durable and view.declared_by == ():
        yield warning(
            f"no living runtime declares {who}, so it does not fire",
            "start the process whose code declares it; add it with durable=True to have it fire in any process; or "
            f"`lamplighter schedules remove {which}`",
        )
        return
    if not view.next:
        yield warning(f"{who} never fires again", f"mend its rule, or `lamplighter schedules remove {which}`")
    if overdue := _overdue(seen, record):
        yield error(
            f"{who} was due at {clock(overdue)}, {span(seen.at - overdue)} ago, and nothing became of it",
            "see whether a runtime works (`boots.none`, `boots.hung`); `lamplighter schedules explain "
            f"{which}` tells of each slot",
        )
    yield from _too_long(who, view, stats)
    yield from _skipped(seen, stored, who, which, record)


def _overdue(seen: Evidence, record: ScheduleRecord) -> float | None:
    """The first slot that should be accounted for, and is not."""
    # Imported only here, where there is a schedule: it loads the calendar.
    from ..cron.schedule import rule_of

    until = seen.at - LATE_SECONDS_MAX - record.jitter
    if record.accounted_to >= until:
        return None
    due = next(iter(rule_of(record).between(record.accounted_to, until)), None)
    return None if due is None else due.slot


def _too_long(who: str, view: ScheduleView, stats: dict[str, Stats] | None) -> Iterator[Symptom]:
    one = None if stats is None else stats.get(view.name)
    if one is None or one.ran is None or len(view.next) < SLOTS_TOLD:
        return
    between = view.next[1].at - view.next[0].at
    if one.ran.p95 > between and one.ran.n > SKIPPED_MAX:
        yield warning(
            f"{who} fires each {span(between)}, and one job in twenty of that name takes {span(one.ran.p95)} or longer",
            "have it fire less often, or let it skip slots while one runs: overlap='skip'",
        )


def _skipped(seen: Evidence, stored: StoreSnapshot, who: str, which: str, record: ScheduleRecord) -> Iterator[Symptom]:
    entries = stored.schedules.slots(record.id, seen.at - DAY, seen.at).entries
    count, reason = 0, None
    for entry in reversed(entries):
        if entry.outcome != "skipped" or reason not in (None, entry.reason):
            break
        count, reason = count + entry.count, entry.reason
    if count > SKIPPED_MAX:
        yield warning(
            f"the last {count:,} slots of {who} were skipped: {reason or 'nobody knows why'}",
            f"`lamplighter schedules explain {which}`",
        )
