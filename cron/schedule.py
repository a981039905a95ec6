"""Facts that follow from a schedule alone, the same in every process: its id, its rule, and the jitter of its slots."""

from __future__ import annotations

import json
from hashlib import blake2b

from ..messages.jobs import Instant, NewJob
from ..messages.schedules import ScheduleRecord
from .when import Rule, parse_when

_ID_BYTES = 8
_FRACTION_BITS = 48


def keyed_id(name: str, key: str) -> str:
    """The id of a schedule with a key: it depends on nothing else, so that the schedule can change and stay the same.

    Args:
        name: the name of its jobs.
        key: the application's own name for the schedule.
    """
    return _digest("key", name, key)


def unkeyed_id(name: str, rule_text: str, timezone: str, data_json: str) -> str:
    """The id of a schedule without a key, the same in every process and at every start.

    Args:
        name: the name of its jobs.
        rule_text: `Rule.text`.
        timezone: the name of its zone.
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
    return parse_when(schedule.when, timezone=schedule.timezone, dst_gap=schedule.dst_gap, dst_fold=schedule.dst_fold)


def job_of(
    schedule: ScheduleRecord, job_id: str, *, run_at: Instant, now: Instant, corr: str, slot: Instant | None = None
) -> NewJob:
    """A job of a schedule: that of a slot, or one beside its slots.

    Args:
        run_at: when it is due.
        now: when it is queued.
    """
    # Both waits are of seconds, not until an instant: if the clock was ahead and is set back, a job that waited for
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
        corr=corr,
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
    """How many seconds after its slot the job of a slot may run: from 0 up to, not including, `jitter`.

    It depends on nothing but its arguments, so that every process computes the same, and again after a restart.
    """
    if not jitter:
        return 0.0
    digest = blake2b(f"{schedule_id}\n{float(slot)!r}".encode(), digest_size=_FRACTION_BITS // 8).digest()
    return int.from_bytes(digest, "big") / (1 << _FRACTION_BITS) * jitter
