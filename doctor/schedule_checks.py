"""Whether schedules fire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..admin.stats import Stats, stats_of
from ..errors import UsageError
from ..messages.schedules import ScheduleRecord
from ..messages.tallies import HOUR
from ..rules.wording import clock, many, span
from ..stores.ports import StoreSnapshot
from .diagnosis import Symptom, error, note, ok, unknown, warning
from .evidence import Evidence

if TYPE_CHECKING:
    from ..cron.when import Rule

LATE_SECONDS_MAX = 60.0
"""So long after its time a slot is accounted for at the latest, where a runtime works."""

SCHEDULES_MAX = 500

NAMES_MAX = 50

SKIPPED_MAX = 10

DAY = 24 * 3600.0

TOLD_MAX = 20


def silent(seen: Evidence) -> Iterator[Symptom]:
    with seen.store.snapshot() as stored:
        records = stored.schedules.some(None, "", SCHEDULES_MAX)
        if not records:
            yield ok("there is no schedule")
            return
        stats = _stats(seen, stored, records)
        found = [symptom for record in records for symptom in _of_one(seen, stored, record, stats.get(record.name))]
    yield from found[:TOLD_MAX]
    if len(found) > TOLD_MAX:
        yield warning(f"there is as much to say of {len(found) - TOLD_MAX} more", "`lamplighter schedules list`")
    if seen.declared is None and any(not record.durable for record in records):
        yield unknown("not every runtime that lives has said which schedules its code declares")
    elif not found:
        more = f", the first {SCHEDULES_MAX} looked at" if len(records) == SCHEDULES_MAX else ""
        yield ok(f"{many(len(records), 'schedule')}{more}: each fires in time, or is paused")


def _stats(seen: Evidence, stored: StoreSnapshot, records: Sequence[ScheduleRecord]) -> Mapping[str, Stats]:
    """The outcomes of the jobs of each name within a day."""
    names = sorted({record.name for record in records})[:NAMES_MAX]
    if stored.tallies is None:
        return {}
    return {name: stats_of(stored.tallies.between(HOUR, seen.at - DAY, seen.at, name)) for name in names}


def _of_one(seen: Evidence, stored: StoreSnapshot, record: ScheduleRecord, stats: Stats | None) -> Iterator[Symptom]:
    # Imported only here, where there is a schedule: it loads the calendar.
    from ..cron.schedule import rule_of
    from ..cron.words import in_words

    named = f"schedule {record.key or record.id} of {record.name!r}"
    which = f"{record.name} --key {record.key}" if record.key else record.id
    try:
        rule = rule_of(record)
    except UsageError as trouble:
        yield error(f"{named} ({record.when}) cannot be read here: {trouble}", "install `tzdata`, or mend its rule")
        return
    if record.paused:
        return
    if not record.durable and not seen.living:
        yield note(f"no runtime is on the store: {named} ({in_words(rule)}) fires while one lives that declares it")
        return
    if not record.durable and seen.declared is not None and not any(record.id in ids for ids in seen.declared.values()):
        yield warning(
            f"no living runtime declares {named} ({in_words(rule)}), so it does not fire",
            "start the process whose code declares it; add it with durable=True to have it fire in any process; or "
            f"`lamplighter schedules remove {which}`",
        )
        return
    # Schedules with the same rule ask the same of it, and it caches.
    coming = rule.after(max(record.accounted_to, seen.at))
    following = None if coming is None else rule.after(coming.slot)
    if coming is None:
        yield warning(f"{named} never fires again", f"mend its rule, or `lamplighter schedules remove {which}`")
    if overdue := _overdue(seen, record, rule):
        yield error(
            f"{named} ({in_words(rule)}) was due at {clock(overdue)}, {span(seen.at - overdue)} ago, and nothing "
            "became of it",
            "see whether a runtime works (`boots.none`, `boots.hung`); `lamplighter schedules explain "
            f"{which}` tells of each slot",
        )
    if coming is not None and following is not None:
        yield from _too_long(named, following.slot - coming.slot, stats)
    yield from _skipped(seen, stored, named, which, record)


def _overdue(seen: Evidence, record: ScheduleRecord, rule: Rule) -> float | None:
    """The first slot that should be accounted for, and is not."""
    until = seen.at - LATE_SECONDS_MAX - record.jitter
    if record.accounted_to >= until:
        return None
    due = next(iter(rule.between(record.accounted_to, until)), None)
    return None if due is None else due.slot


def _too_long(named: str, between: float, stats: Stats | None) -> Iterator[Symptom]:
    if stats is None or stats.ran is None or stats.ran.n <= SKIPPED_MAX or stats.ran.p95 <= between:
        return
    yield warning(
        f"{named} fires each {span(between)}, and one job in twenty of that name takes {span(stats.ran.p95)} or longer",
        "have it fire less often, or let it skip slots while one runs: overlap='skip'",
    )


def _skipped(
    seen: Evidence, stored: StoreSnapshot, named: str, which: str, record: ScheduleRecord
) -> Iterator[Symptom]:
    entries = stored.schedules.slots(record.id, seen.at - DAY, seen.at).entries
    count, reason = 0, None
    for entry in reversed(entries):
        if entry.outcome != "skipped" or reason not in (None, entry.reason):
            break
        count, reason = count + entry.count, entry.reason
    if count > SKIPPED_MAX:
        yield warning(
            f"the last {count:,} slots of {named} were skipped: {reason or 'nobody knows why'}",
            f"`lamplighter schedules explain {which}`",
        )
