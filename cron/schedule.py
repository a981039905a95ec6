"""What follows from a schedule alone, in every process the same: its id, its rule, and the jitter of its slots."""

from __future__ import annotations

import json
from hashlib import blake2b

from ..messages.schedules import ScheduleRecord
from .when import Rule, parse_when

_ID_BYTES = 8
_FRACTION_BITS = 48


def schedule_id(key: str | None, name: str, rule_text: str, timezone: str, data_json: str) -> str:
    """The id of a schedule: 16 hex digits, the same in every process and at every start.

    Args:
        key: the application's own name for the schedule. With one, the id depends on this and `name` only, so that the
            schedule can change and yet remain the same one.
        name: the name of its jobs.
        rule_text: `Rule.text`.
        timezone: the name of its zone.
        data_json: what its jobs get, as JSON text in one canonical form.
    """
    parts = ["when", name, rule_text, timezone, data_json] if key is None else ["key", name, key]
    return blake2b(json.dumps(parts).encode(), digest_size=_ID_BYTES).hexdigest()


def rule_of(schedule: ScheduleRecord) -> Rule:
    """When a schedule is due.

    Raises:
        UsageError: it names a zone that this system does not know, or is a newer version's.
    """
    return parse_when(schedule.when, timezone=schedule.timezone, dst_gap=schedule.dst_gap, dst_fold=schedule.dst_fold)


def jitter_of(schedule_id: str, slot: float, jitter: float) -> float:
    """How many seconds after its slot the job of a slot may run: from 0 up to, not including, `jitter`.

    It depends on nothing but its arguments, so that every process computes the same, and again after a restart.
    """
    if not jitter:
        return 0.0
    digest = blake2b(f"{schedule_id}\n{float(slot)!r}".encode(), digest_size=_FRACTION_BITS // 8).digest()
    return int.from_bytes(digest, "big") / (1 << _FRACTION_BITS) * jitter
