"""The view of an instant shows boots that had ended, and those that lived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lamplighter.history.trace.snapshot import snapshot

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
