"""A line for people and the move of its turn in the ledger say the same, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter.history.replay.logged_moves import KIND_OF, SLOT_OUTCOMES
from lamplighter.log.events import EVENTS, MOVE_KINDS
from lamplighter.rules.lifecycle import MOVES

from ..kit import Said, Story, audited, kinds

ACT = {"by": "ada", "via": "cli", "why": "it fails"}
WHO = {"by": "ada", "via": "cli", "reason": "it fails"}

PAIRS: dict[str, tuple[Said, Said]] = {
    "job.queued": (
        {"d": "ab", "s": "s", "t": 1010.0, "q": "p", "m": 2, "until": 1060.0},
        {"digest": "ab", "schedule": "s", "slot": 1010.0, "then_of": "p", "parents": 2, "until": 1060.0},
    ),
    "job.replaced": ({"d": "ab", "u": 5.0, "until": 9.0}, {"digest": "ab", "run_at": 5.0, "until": 9.0}),
    "job.woken": ({"m": 1}, {"parents": 1}),
    "job.freed": ({"m": 1}, {"parents": 1}),
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
    "job.released": ({"c": 2, "a": 1}, {"claim_no": 2, "attempt": 1}),
    "job.doomed": ({"y": [["p", 3]], "m": 1}, {"fate_of": "p", "parents": 1}),
    "job.cancelled": ({"y": [["p", 3]], "m": 1, **ACT}, {"fate_of": "p", "parents": 1, **WHO}),
    "job.requeued": ({"u": 5.0, "m": 1, "steps": 2, **ACT}, {"run_at": 5.0, "parents": 1, "steps": 2, **WHO}),
    "job.reprioritized": ({"priority": 7, **ACT}, {"priority": 7, **WHO}),
    "job.stepped": ({"c": 2, "step": "a", "d": "ab"}, {"claim_no": 2, "step": "a", "digest": "ab"}),
    "job.signalled": ({"step": "signal:a", "d": "ab", **ACT}, {"step": "signal:a", "digest": "ab", **WHO}),
    "job.forgotten": (ACT, WHO),
    "schedule.added": ({"s": "s", "when": "@every 10s", "tz": "UTC"}, {"when": "@every 10s", "timezone": "UTC"}),
    "schedule.changed": ({"s": "s", "when": "@every 10s", "tz": "UTC"}, {"when": "@every 10s", "timezone": "UTC"}),
    "schedule.removed": ({"s": "s", **ACT}, WHO),
    "schedule.paused": ({"s": "s", **ACT}, WHO),
    "schedule.resumed": ({"s": "s", **ACT}, WHO),
    "name.paused": ({"u": 5.0, **ACT}, {"until": 5.0, **WHO}),
    "name.resumed": ({"by": "ada", "via": "cli"}, {"by": "ada", "via": "cli"}),
    "name.limited": ({"x": 3, **ACT}, {"limit": 3, **WHO}),
    "name.unlimited": (ACT, WHO),
    "slot.fired": ({"s": "s", "t": 10.0}, {"schedule": "s", "slot": 10.0, "outcome": "fired"}),
    "slot.caught_up": ({"s": "s", "t": 10.0}, {"schedule": "s", "slot": 10.0, "outcome": "caught_up"}),
    "slot.skipped": ({"s": "s", "t": 10.0, "l": 30.0, "x": 3}, {"slot": 10.0, "last": 30.0, "count": 3}),
    "slot.taken": ({"s": "s", "t": 10.0}, {"slot": 10.0}),
}


def told(event: str, move: Said, fields: Said) -> bool:
    """Whether a turn and its own line are found to differ."""
    subject: dict[str, Any] = {"job_name": "n"}
    if "s" in move:
        subject["schedule"] = "s"
    keys: Said = {"k": KIND_OF[event], "n": "n", **move}
    if event.startswith("job."):
        keys, subject = {"j": "j", "r": 1, **keys}, {**subject, "job_id": "j", "claim_no": 0, "attempt": 0}
    elif event in SLOT_OUTCOMES:
        keys, subject = {"j": "s-10", "r": 1, **keys}, {**subject, "job_id": "s-10"}
    elif event == "slot.taken":
        subject["job_id"] = "s-10"
    story = Story()
    story.said("turn.committed", v=1, store_id="s", boot_no=1, turn=1, at=1001.0, moves=[keys])
    story.said(event, turn=1, **{**subject, **fields})
    return "told otherwise" in kinds(audited(story.lines))


def test_every_line_that_has_the_number_of_its_turn_is_compared_with_the_ledger():
    of_turns = {event for event, kind in EVENTS.items() if "turn" in kind.fields}
    of_boots = {"turn.committed", "turn.recovered", "runtime.stopped", "runtime.recovered", "operator.acted"}

    assert PAIRS.keys() == KIND_OF.keys() == of_turns - of_boots - {"retention.pruned"}
    assert {*KIND_OF.values()} <= MOVE_KINDS.keys()


@pytest.mark.parametrize("event", PAIRS)
def test_each_field_of_a_line_that_differs_from_the_ledger_is_found(event):
    move, fields = PAIRS[event]

    assert not told(event, move, fields)
    for name, value in fields.items():
        assert told(event, move, {**fields, name: f"{value}x" if isinstance(value, str) else value + 1}), name
    assert told(event, move, {**fields, "job_name": "another"})
    if not event.startswith("name."):
        assert not told(event, {**move, "n": ""}, fields)
    if event in MOVES:
        for name in ("claim_no", "attempt", "redeliveries", "parents", "steps"):
            assert told(event, move, {**fields, name: 9}), name
    if event != "slot.skipped":
        assert told(event, move, {**fields, "by": "eve"})
    if "by" in move and not event.startswith("job."):
        assert told(event, move, {**fields, "reason": "made up"})


@pytest.mark.parametrize(
    ("event", "move", "fields", "differs"),
    [
        # The line of an end has no outcome of its own, and that of a birth an instant that is not later than now.
        ("job.done", {"o": "succeeded"}, {}, False),
        ("job.queued", {}, {"run_at": 5.0}, False),
        ("job.failed", {"o": "failed"}, {"outcome": "failed", "run_at": 5.0}, True),
        ("slot.fired", {"s": "s", "t": 10.0}, {"slot": 10.0, "outcome": "late"}, False),
        ("slot.taken", {"s": "s", "t": 10.0}, {"slot": 20.0, "job_id": "s-20"}, True),
        ("slot.taken", {"s": "s", "t": 10.0}, {"slot": 10.0, "job_id": "s-20"}, True),
        # Where nobody gave a reason, that of the move itself stands in the line of a job.
        ("job.cancelled", {"by": "ada", "via": "cli"}, {"by": "ada", "via": "cli", "reason": "expired"}, False),
        ("job.cancelled", {"why": "it fails"}, {"reason": "it works"}, True),
    ],
)
def test_a_line_and_the_ledger_differ_where_both_say_something(event, move, fields, differs):
    assert told(event, move, fields) == differs
