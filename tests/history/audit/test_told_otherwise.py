"""A line for people and the move of its turn in the ledger say the same, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from ..kit import Said, Story, audited, kinds

ACT = {"by": "ada", "via": "cli", "why": "it fails"}
WHO = {"by": "ada", "via": "cli", "reason": "it fails"}

PAIRS: dict[str, tuple[Said, Said]] = {
    "job.queued": (
        {"d": "ab", "s": "s", "t": 1010.0, "q": "p", "m": 2, "until": 1060.0},
        {"digest": "ab", "schedule": "s", "slot": 1010.0, "then_of": "p", "parents": 2, "until": 1060.0},
    ),
    "job.replaced": ({"d": "ab", "u": 5.0, "until": 9.0}, {"digest": "ab", "run_at": 5.0, "until": 9.0}),
    "job.claimed": (
        {"c": 2, "a": 1, "g": "acme", "z": 1, "e": 2, "rate": "1/1s", "p": 1},
        {"claim_no": 2, "attempt": 1, "group": "acme", "of_group": 1, "limit": 2, "rate": "1/1s", "redeliveries": 1},
    ),
    "job.done": (
        {"c": 1, "a": 1, "o": "succeeded", "x": 2, "steps": 1},
        {"claim_no": 1, "attempt": 1, "outcome": "succeeded", "then": 2, "steps": 1},
    ),
    "job.failed": ({"o": "failed", "b": "b9", "u": 5.0}, {"outcome": "failed", "boot_was": "b9", "run_at": 5.0}),
    "job.dead": ({"o": "failed", "b": "b9"}, {"outcome": "failed", "boot_was": "b9"}),
    "job.snoozed": ({"o": "snoozed", "u": 5.0}, {"outcome": "snoozed", "run_at": 5.0}),
    "job.doomed": ({"y": [["p", 3]], "m": 1}, {"fate_of": "p", "parents": 1}),
    "job.cancelled": ({"y": [["p", 3]], "m": 1, **ACT}, {"fate_of": "p", "parents": 1, **WHO}),
    "job.requeued": ({"u": 5.0, "m": 1, "steps": 2, **ACT}, {"run_at": 5.0, "parents": 1, "steps": 2, **WHO}),
    "job.reprioritized": ({"priority": 7, **ACT}, {"priority": 7, **WHO}),
    "schedule.added": ({"s": "s", "when": "@every 10s", "tz": "UTC"}, {"when": "@every 10s", "timezone": "UTC"}),
    "schedule.changed": ({"s": "s", "when": "@every 10s", "tz": "UTC"}, {"when": "@every 10s", "timezone": "UTC"}),
    "name.paused": ({"u": 5.0, **ACT}, {"until": 5.0, **WHO}),
    "name.resumed": ({"by": "ada", "via": "cli"}, {"by": "ada", "via": "cli"}),
    "name.limited": ({"x": 3, **ACT}, {"limit": 3, **WHO}),
    "slot.skipped": ({"s": "s", "t": 10.0, "l": 30.0, "x": 3}, {"slot": 10.0, "last": 30.0, "count": 3}),
    "slot.taken": ({"s": "s", "t": 10.0}, {"slot": 10.0}),
}


def told(event: str, move: Said, fields: Said) -> bool:
    """Whether a turn and its own line are found to differ."""
    kind = event.removeprefix("job.").removeprefix("slot.")
    subject: dict[str, Any] = {"job_name": "n"}
    if "s" in move:
        subject["schedule"] = "s"
    keys: Said = {"k": kind, "n": "n", **move}
    if event.startswith("job."):
        keys, subject = {"j": "j", "r": 1, **keys}, {**subject, "job_id": "j", "claim_no": 0, "attempt": 0}
    if event == "slot.taken":
        subject["job_id"] = "s-10"
    story = Story()
    story.said("turn.committed", v=1, store_id="s", boot_no=1, turn=1, at=1001.0, moves=[keys])
    story.said(event, turn=1, **{**subject, **fields})
    return "told otherwise" in kinds(audited(story.lines))


@pytest.mark.parametrize("event", PAIRS)
def test_each_field_of_a_line_that_differs_from_the_ledger_is_found(event):
    move, fields = PAIRS[event]

    assert not told(event, move, fields)
    for name, value in fields.items():
        assert told(event, move, {**fields, name: f"{value}x" if isinstance(value, str) else value + 1}), name
    assert told(event, move, {**fields, "job_name": "another"})
    if event != "slot.skipped":
        assert told(event, move, {**fields, "by": "eve"})
    if "by" in move and not event.startswith("job."):
        assert told(event, move, {**fields, "reason": "made up"})
