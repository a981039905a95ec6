"""What a campaign looks at besides the audit finds what is wrong, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from inspection import NOTHING_BACK, check_stops, gave_nothing_back, moves_of


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


def test_a_turn_that_is_told_late_comes_where_its_instant_lies():
    moves = [
        {"j": job, "n": "n", "r": 1, "k": kind} for job, kind in (("a", "claimed"), ("b", "claimed"), ("a", "done"))
    ]
    turns = [("x", 1, 1.0, moves[0]), ("y", 1, 3.0, moves[1]), ("x", 2, 2.0, moves[2])]
    lines = [
        {"seq": 1, "boot": boot, "event": "turn.committed", "turn": turn, "at": at, "moves": [move]}
        for boot, turn, at, move in turns
    ]
    lines[-1]["told_by"] = "x"

    told = moves_of(lines)

    assert [(move["job_id"], move["event"]) for move in told] == [
        ("a", "job.claimed"),
        ("a", "job.done"),
        ("b", "job.claimed"),
    ]


@pytest.mark.parametrize(
    ("then", "order"), [(3.5, ["a", "a", "b"]), (2.1, ["a", "b", "a"])], ids=["held up", "set back"]
)
def test_a_held_up_process_is_told_from_a_clock_that_was_set_back(then: float, order: list[str]):
    turns = [("x", 1, 1.0, "a", "claimed"), ("y", 1, 3.0, "b", "claimed"), ("x", 2, 2.0, "a", "done")]
    lines = [
        {"seq": 1, "boot": boot, "event": "turn.committed", "turn": no, "ts": at, "at": at, "moves": [move]}
        for boot, no, at, move in ((*turn[:3], {"j": turn[3], "n": "n", "r": 1, "k": turn[4]}) for turn in turns)
    ]
    lines.append({"seq": 2, "boot": "x", "event": "job.done", "job_id": "a", "turn": 2, "ts": then})

    told = moves_of(lines)

    assert [move["job_id"] for move in told] == order


def test_what_is_told_of_one_who_said_nothing_follows_what_is_not_later():
    """Also where the clock was ahead before: an operator has no turn of their own from which to look on."""
    turns = [
        ("x", "x", 9.0, "early"),
        ("x", "x", 2.0, "before"),
        ("x", "x", 4.0, "after"),
        ("x", "operator", 3.0, "theirs"),
    ]
    lines = [
        {"seq": 1, "boot": boot, "event": "turn.committed", "turn": no, "ts": at, "at": at, "of": of, "told_by": boot}
        | {"moves": [{"j": job, "n": "n", "r": 1, "k": "queued"}]}
        for no, (boot, of, at, job) in enumerate(turns)
    ]
    for line in lines[:3]:
        del line["told_by"]

    told = moves_of(lines)

    assert [move["job_id"] for move in told] == ["early", "before", "theirs", "after"]


def test_the_first_turn_of_a_boot_comes_behind_what_was_told_when_it_began():
    lines = [
        {
            "seq": 1,
            "boot": "x",
            "event": "turn.committed",
            "turn": 1,
            "ts": 9.0,
            "at": 9.0,
            "moves": [{"j": "early", "n": "n", "r": 1, "k": "queued"}],
        },
        {"seq": 1, "boot": "y", "event": "runtime.started", "ts": 2.0},
        {"seq": 2, "boot": "x", "event": "turn.committed", "turn": 1, "ts": 4.0, "at": 3.0, "of": "y", "told_by": "x"}
        | {"moves": [{"j": "theirs", "n": "n", "r": 1, "k": "queued"}]},
    ]

    told = moves_of(lines)

    assert [move["job_id"] for move in told] == ["early", "theirs"]


def turn(boot: str, no: int, at: float, job: str) -> dict[str, Any]:
    """The line of a turn that queues a job."""
    moves = [{"j": job, "n": "n", "r": 1, "k": "queued"}]
    return {"seq": no, "boot": boot, "event": "turn.committed", "turn": no, "ts": at, "at": at, "moves": moves}


def jump(boot: str, ts: float) -> dict[str, Any]:
    """The line of one who finds that the clock was set back."""
    return {"seq": 9, "boot": boot, "event": "clock.jumped", "ts": ts}


@pytest.mark.parametrize(
    "lines",
    [
        [
            turn("x", 1, 90.0, "1"),
            turn("y", 1, 92.0, "3"),
            jump("y", 10.0),
            turn("y", 2, 11.0, "4"),
            turn("x", 2, 91.0, "2"),
            jump("x", 12.0),
            turn("x", 3, 13.0, "5"),
        ],
        # The second step back is behind the turn that comes before it.
        [
            turn("x", 1, 90.0, "1"),
            jump("y", 10.0),
            jump("x", 10.1),
            turn("y", 1, 11.0, "2"),
            turn("x", 2, 12.0, "3"),
            jump("x", 5.0),
            turn("x", 3, 6.0, "4"),
        ],
    ],
    ids=["told behind it", "told before it"],
)
def test_a_turn_stands_before_the_step_back_that_it_was_stored_before(lines):
    told = [move["job_id"] for move in moves_of(lines)]

    assert told == sorted(told)


def log_of(*lines: tuple[str, ...]) -> list[dict[str, Any]]:
    """A log. Each line is who says what, and of whom."""
    return [
        {"seq": 0, "boot": boot, "event": event, "jobs": 1, "dead_boot": of}
        for boot, event, of in ((*line, "")[:3] for line in lines)
    ]
