"""What a campaign looks at besides the audit finds what is wrong, and nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from inspection import NOTHING_BACK, check_lines, check_stops, gave_nothing_back, moves_of


def test_a_boot_that_has_stopped_and_left_jobs_behind_is_found():
    log = log_of(("a", "runtime.started"), ("a", "runtime.stopped"), ("b", "runtime.recovered", "a"))

    with pytest.raises(AssertionError, match="has stopped and left jobs behind"):
        check_stops(log)


def test_a_boot_that_a_backup_has_brought_back_as_it_ran_has_left_no_jobs_behind():
    copied = log_of(("old", "runtime.started"), ("old", "runtime.stopped"), ("a", "runtime.started"))
    since = log_of(("a", "runtime.stopped"), ("b", "runtime.started"), ("b", "runtime.recovered", "a"))

    assert check_stops(copied + since, copied) == 1
    with pytest.raises(AssertionError, match="has stopped and left jobs behind"):
        check_stops(copied + since + log_of(("b", "runtime.recovered", "old")), copied)


def test_a_boot_that_could_not_give_its_jobs_back_counts_as_dead():
    unable = {"seq": 1, "boot": "a", "event": "store.unavailable", "reason": NOTHING_BACK}
    log = [unable, *log_of(("a", "runtime.stopped"), ("b", "runtime.recovered", "a"))]

    assert gave_nothing_back(log) == {"a"}
    assert check_stops(log) == 0


@pytest.mark.parametrize(("line", "is_well"), [({"job_id": "j"}, True), ({"job_id": "another"}, False)], ids=str)
def test_a_move_without_a_line_of_its_own_is_found(line, is_well):
    ledger = {"seq": 1, "boot": "a", "event": "turn.committed", "turn": 1, "moves": [{"k": "released", "j": "j"}]}
    lines = [ledger, {"seq": 2, "boot": "a", "event": "job.released", "turn": 1, **line}]

    with nullcontext() if is_well else pytest.raises(AssertionError, match="without a line of their own"):
        check_lines(lines)


def test_moves_come_in_the_order_in_which_their_turns_were_stored():
    """Whoever tells of them, and when, and whatever the clocks said."""
    told = [("x", "x", 1, "1"), ("y", "y", 1, "3"), ("x", "x", 2, "4"), ("z", "y", 7, "2"), ("x", "y", 7, "2")]
    lines = [
        {"seq": 1, "boot": boot, "event": "turn.committed", "turn": turn, "of": of}
        | {"moves": [{"j": job, "n": "n", "r": 1, "k": "queued"}]}
        for boot, of, turn, job in told
    ]
    order = {("x", 1): 0, ("y", 7): 1, ("y", 1): 2, ("x", 2): 3}

    assert [move["job_id"] for move in moves_of(lines, order)] == ["1", "2", "3", "4"]
    with pytest.raises(KeyError):
        moves_of(lines, {("x", 1): 0})


def log_of(*lines: tuple[str, ...]) -> list[dict[str, Any]]:
    """A log. Each line is who says what, and of whom."""
    return [
        {"seq": 0, "boot": boot, "event": event, "jobs": 1, "dead_boot": of}
        for boot, event, of in ((*line, "")[:3] for line in lines)
    ]
