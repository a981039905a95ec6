"""Facts that follow from a schedule alone, the same in every process: its id, its rule, and the jitter of its slots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..messages.jobs import Instant, NewJob
from ..messages.schedules import Accounting, CatchUp, Due, Fire, ScheduleRecord, SlotEntry, SlotRange

if TYPE_CHECKING:
    from .when import Rule

CAUGHT_UP_MAX = 1_000_000

# Why a slot did not fire.
CATCH_UP_OFF = "catch_up=skip"
SUPERSEDED = "superseded by a later slot"
OLDER_THAN_WINDOW = "older than catch_up_window"
OVER_MAX = "more than catch_up_max"

LATE_SECONDS = 10.0
ON_TIME_SECONDS = 1.0

SLOT_SECONDS_KEPT_MIN = 7 * 24 * 3600.0
"""Slots are remembered for seven days, or for the catch-up window if that is longer."""


def account(
    rule: Rule,
    *,
    accounted_to: float,
    now: float,
    catch_up: CatchUp,
    catch_up_window: float,
    catch_up_max: int,
    late_seconds: float = LATE_SECONDS,
) -> Accounting:
    """Decide on every slot after `accounted_to` up to and including `now`.

    A slot less than `late_seconds` late fires whatever the policy. Among the older ones, up to
    `catch_up_window` late, `all` fires the newest `catch_up_max`, `skip` none, and `latest` the newest one, unless a
    slot that is not as old fires anyway: then that one is the latest, and all older ones are superseded by it.

    Args:
        rule: when the schedule is due.
        accounted_to: the instant up to which all slots are accounted for already.
        now: the present instant. When it is before `accounted_to`, because the clock was stepped back, nothing fires
            and nothing is taken back.
        catch_up: the policy.
        catch_up_window: how late a slot may be and still be caught up with, in seconds.
        catch_up_max: how many slots `all` may catch up with.
        late_seconds: how late a slot may be and still fire without any catching up, in seconds.
    """
    if now <= accounted_to:
        return Accounting(fires=(), skipped=(), accounted_to=accounted_to)
    first = rule.after(accounted_to)
    if first is None or first.slot > now:
        return Accounting(fires=(), skipped=(), accounted_to=now)
    if first.slot > now - late_seconds:
        second = rule.after(first.slot)
        if second is None or second.slot > now:
            # The usual case: one slot, and no policy applies.
            return Accounting(fires=(_recent(first, now),), skipped=(), accounted_to=now)
    recent_from = max(accounted_to, now - late_seconds)
    recent = [_recent(due, now) for due in rule.between(recent_from, now)]
    if catch_up == "skip":
        unwanted = tuple(_skipped(rule, accounted_to, recent_from, CATCH_UP_OFF))
        return Accounting(fires=tuple(recent), skipped=unwanted, accounted_to=now)
    window_from = min(max(accounted_to, now - catch_up_window), recent_from)
    wanted = catch_up_max if catch_up == "all" else int(not recent)
    caught = rule.latest(recent_from, wanted, window_from)
    passed_over_to = math.nextafter(caught[0].slot, -math.inf) if caught else recent_from
    skipped = (
        *_skipped(rule, accounted_to, window_from, OLDER_THAN_WINDOW),
        *_skipped(rule, window_from, passed_over_to, OVER_MAX if catch_up == "all" else SUPERSEDED),
    )
    fires = [Fire(slot=due.slot, outcome="caught_up", reason=_joined(f"catch_up={catch_up}", due)) for due in caught]
    return Accounting(fires=(*fires, *recent), skipped=skipped, accounted_to=now)


def recounted(
    schedule: ScheduleRecord, before: ScheduleRecord | None, since: Instant, change_no: int
) -> ScheduleRecord:
    """A new or changed schedule as it is stored: it counts from the change; a pause survives it."""
    return schedule._replace(
        accounted_to=since,
        changed_at=since,
        paused=0 if before is None else before.paused,
        last_slot=None if before is None else before.last_slot,
        change_no=change_no,
    )


def set_back(schedule: ScheduleRecord, now: Instant) -> ScheduleRecord:
    """A schedule that was accounted for in the future, counting from now. Its rule holds from now at the latest,
    because the owner of earlier slots could not be known.
    """
    return schedule._replace(accounted_to=now, changed_at=min(schedule.changed_at, now))


def cut(schedule: ScheduleRecord, skipped: SlotEntry, now: Instant) -> SlotEntry | None:
    """The part of a range of unfired slots up to `now`. None when it is empty."""
    if skipped.slot > now:
        return None
    try:
        rule = rule_of(schedule)
    except UsageError:
        # A zone that this system does not know: its slots wait, and only the first is certain.
        return replace(skipped, last=skipped.slot, count=1)
    before = math.nextafter(skipped.slot, -math.inf)
    last = max((due.slot for due in rule.latest(now, 1, before)), default=skipped.slot)
    return replace(skipped, last=last, count=max(1, rule.count(before, now)))


def _recent(due: Due, now: float) -> Fire:
    lateness = now - due.slot
    if lateness < ON_TIME_SECONDS:
        return Fire(slot=due.slot, outcome="fired", reason=due.note)
    return Fire(slot=due.slot, outcome="late", reason=_joined(f"{lateness:.1f} s late", due))


def _joined(reason: str, due: Due) -> str:
    return reason if due.note is None else f"{reason}; {due.note}"


def _skipped(rule: Rule, start: float, end: float, reason: str) -> Iterator[SlotRange]:
    """The slots after `start` up to and including `end` as one range, if there are any."""
    count = rule.count(start, end)
    if count:
        first, last = next(rule.between(start, end)), rule.latest(end, 1, start)[0]
        yield SlotRange(first=first.slot, last=last.slot, count=count, reason=reason)


_ID_BYTES = 8
_FRACTION_BITS = 48


def keyed_id(name: str, key: str) -> str:
    """The id of a schedule with a key: nothing else matters, so that the schedule can change and stay the same."""
    return _digest("key", name, key)


def unkeyed_id(name: str, rule_text: str, timezone: str, data_json: str) -> str:
    """The id of a schedule without a key, the same in every process and at every start.

    Args:
        rule_text: `Rule.text`.
        data_json: what its jobs get, as JSON text in one canonical form.
    """
    return _digest("when", name, rule_text, timezone, data_json)


def _digest(*parts: str) -> str:
    return blake2b(json.dumps(parts).encode(), digest_size=_ID_BYTES).hexdigest()


def rule_of(schedule: ScheduleRecord) -> Rule:
    """When a schedule is due.

    Raises:
        UsageError: it names a zone that this system does not know, or is a newer version's.
    """
    # Imported only here: applications without a schedule load no calendar.
    from .when import parse_when

    return parse_when(schedule.when, timezone=schedule.timezone, dst_gap=schedule.dst_gap, dst_fold=schedule.dst_fold)


def job_of(
    schedule: ScheduleRecord, job_id: str, *, run_at: Instant, now: Instant, root_id: str, slot: Instant | None = None
) -> NewJob:
    """A job of a schedule: a slot's, or an extra one."""
    # Both waits are in seconds, not until an instant: if the clock was ahead and is set back, a job that waited for
    # that instant would hold up the slots before it.
    due_in = max(0.0, run_at - now)
    expires_in = None if schedule.expires is None else due_in + schedule.expires
    return NewJob(
        id=job_id,
        name=schedule.name,
        data=schedule.data,
        priority=schedule.priority,
        run_at=run_at,
        queued_at=now,
        root_id=root_id,
        max_attempts=schedule.max_attempts,
        timeout=schedule.timeout,
        expires_at=None if expires_in is None else now + expires_in,
        schedule=schedule.id,
        slot=slot,
        one_at_a_time=int(slot is not None and schedule.overlap == "queue_one"),
        due_in=due_in,
        expires_in=expires_in,
    )


def jitter_of(schedule_id: str, slot: float, jitter: float) -> float:
    """The delay of a slot's job after its slot, in seconds: from 0 up to, not including, `jitter`.

    It depends on nothing but its arguments, so that every process computes the same, and again after a restart.
    """
    if not jitter:
        return 0.0
    digest = blake2b(f"{schedule_id}\n{float(slot)!r}".encode(), digest_size=_FRACTION_BITS // 8).digest()
    return int.from_bytes(digest, "big") / (1 << _FRACTION_BITS) * jitter
