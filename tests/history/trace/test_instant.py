"""The view of an instant shows boots that had ended, and those that lived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lamplighter.history.trace.snapshot import ActorState, Held, snapshot

from ..kit import Story, write_log

Said = dict[str, Any]

HUNG = {"job_id": "j", "job_name": "work", "claim_no": 1}

ENDS: dict[str, Said] = {
    "stopped": {"event": "runtime.stopped"},
    "failed": {"event": "runtime.failed"},
    "renewed": {"event": "runtime.renewed"},
    "found-dead": {"event": "runtime.recovered", "boot": "m", "dead_boot": "ended"},
}


def lives(boot: str) -> list[Said]:
    """A boot with an actor, and with two threads that hung, of which one has come back."""
    lines: list[Said] = [
        {"event": "runtime.started", "pid": 7},
        {"event": "actor.started", "child": "broker", "child_incarnation": 1},
        {"event": "lane.abandoned", "lane": 1, **HUNG},
        {"event": "lane.abandoned", "lane": 2, **HUNG},
        {"event": "lane.returned", "lane": 2, **HUNG},
    ]
    return [{"boot": boot, **line} for line in lines]


@pytest.mark.parametrize("end", ENDS)
# Lines are read boot by boot: the one that finds another dead comes before it or after it.
@pytest.mark.parametrize("name", ["a", "z"])
def test_nothing_of_a_boot_that_has_ended_is_shown_and_all_of_one_that_lives_is(
    tmp_path: Path, end: str, name: str
) -> None:
    over = {"boot": name, **ENDS[end]}
    over |= {key: name for key in ("dead_boot",) if key in over}
    lines = [*lives("m"), *lives(name), over]
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps({**line, "seq": n, "ts": 1000.0 + n}) + "\n" for n, line in enumerate(lines, 1)))

    before, after = snapshot([str(log)], 1000.0 + len(lines) - 1), snapshot([str(log)], 2000.0)

    assert (set(before.boots), set(before.abandoned)) == ({"m", name}, {("m", 1), (name, 1)})
    assert (after.boots, set(after.spoke), after.gone) == ({"m": 7}, {"m"}, {name})
    assert (set(after.actors), set(after.abandoned)) == ({("m", "broker")}, {("m", 1)})


def test_what_runs_is_told_by_its_own_start_and_the_oldest_first(tmp_path: Path) -> None:
    story = Story()
    for job in ("a", "b", "c", "d"):
        story.move("queued", None, 0, 0, job).move("claimed", "queued", 1, 0, job)
    for number, job in enumerate(("c", "b", "d")):
        story.said("job.started", job_id=job, job_name="n", claim_no=1, lane=number, incarnation=7)
    # Its claim was taken from it, and the start of the one before does not count for the new one.
    story.move("failed", "running", 1, 1, "d").move("claimed", "queued", 2, 1, "d").move(
        "queued", None, 0, 0, "e"
    ).done("f")
    log = str(write_log(tmp_path / "log", story.lines))

    seen = snapshot([log], 2000.0)

    assert seen.held == [
        Held("a", "n", 1, 1004.0, "b1"),
        Held("c", "n", 1, 1011.0, "b1", True, 0, 7),
        Held("b", "n", 1, 1012.0, "b1", True, 1, 7),
        Held("d", "n", 2, seen.held[3].since, "b1"),
    ]
    assert (seen.states, seen.last) == ({"running": 4, "queued": 1, "done": 1}, story.lines[-1]["ts"])
    assert seen.has_ledger


def test_an_instant_counts_and_no_line_from_after_it(tmp_path: Path) -> None:
    story = (
        Story().move("queued", None, 0, 0).said("actor.crashed", child="scheduler", child_incarnation=1, reason="died")
    )
    at = float(story.lines[-1]["ts"])
    story.said("runtime.stopped").said("actor.started", child="other", child_incarnation=1)
    log = str(write_log(tmp_path / "log", story.lines))

    seen = snapshot([log], at)

    assert (seen.last, seen.boots, seen.spoke, seen.gone) == (at, {"b1": 1}, {"b1": at}, set())
    assert set(seen.actors) == {("b1", "broker"), ("b1", "scheduler")}
    assert snapshot([log], at - 0.5).actors.keys() == {("b1", "broker")}


def test_an_actor_keeps_what_its_last_lines_have_said_until_it_is_up_again(tmp_path: Path) -> None:
    story = Story().said("actor.crashed", child="broker", child_incarnation=3, reason="died", restarts_in_window=2)
    story.said("actor.quarantined", child="broker")
    down = float(story.lines[-1]["ts"])
    story.said("actor.restarted", child="broker", child_incarnation=4).said("actor.odd", child="broker")
    log = str(write_log(tmp_path / "log", story.lines))

    assert snapshot([log], down).actors["b1", "broker"] == ActorState(3, "quarantined", down, 2, "died")
    up = snapshot([log], 2000.0).actors["b1", "broker"]
    assert (up.status, up.incarnation, up.since, up.restarts_in_window) == ("up", 4, down + 1, 0)
