"""How fast jobs were started, as the audit reads it of the ledger: at info as at debug."""

from __future__ import annotations

import json

import pytest
from lamplighter import Rate, Runtime
from lamplighter.testing import Simulation

from ..kit import Said, Story, audited, kinds


def started(*after: float, rate: str = "3/10s burst 2", clock: bool = False) -> list[Said]:
    """Jobs, each claimed so many seconds after the one before it."""
    story, at = Story(), 2000.0
    for number, seconds in enumerate(after):
        at += seconds
        story.turn(story.hop("queued", None, 0, 0, f"j{number}"), at=at)
        story.turn(story.hop("claimed", "queued", 1, 0, f"j{number}", rate=rate), at=at)
    if clock:
        story.said("clock.jumped", delta=5.0, jobs=0, schedules=0)
    return story.lines


def test_as_many_as_the_rate_says_are_well():
    assert "too fast" not in kinds(audited(started(0, 0, 3, 3, 4.1, 3, 3)))


def test_one_more_than_the_rate_says_is_found():
    report = audited(started(0, 0, 3, 3, 3, 4))

    (found,) = [one for one in report.findings if one.kind == "too fast"]
    assert found.says == "n may start 3/10s burst 2, and started more jobs in that time: j4 was one too many"


@pytest.mark.parametrize("fifth", [3, 4000.0])
def test_where_a_clock_was_set_it_cannot_be_said(fifth):
    # A step ahead makes starts look slower than they were.
    report = audited(started(0, 0, 3, 3, fifth, 4, clock=True))

    assert "too fast" not in kinds(report)
    assert "the clock was set: whether jobs were started faster than their rate cannot be said" in report.notes


@pytest.mark.parametrize("rate", ["soon", "0/1s", "1/1s burst 9"])
def test_a_rate_that_nobody_can_read_is_passed_over(rate):
    assert "too fast" not in kinds(audited(started(0, 0, 0, rate=rate)))


@pytest.mark.parametrize("processes", [1, 3])
def test_a_simulation_with_a_rate_is_well(processes):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("work", lambda job: None, concurrency=4, rate=Rate(20, per=10, burst=3))

    def live(runtime: Runtime) -> None:
        runtime.jobs.queue_many([("work", number) for number in range(60)])

    with Simulation(register, host=live, processes=processes) as simulation:
        simulation.settle()
        report = simulation.check()

    lines = [json.loads(line) for line in simulation.log.splitlines() if '"turn.committed"' in line]
    claims = [line["at"] for line in lines for move in line["moves"] if move["k"] == "claimed"]
    assert (len(claims), report.ok) == (60 * processes, True)
    assert max(claims) - min(claims) >= (60 * processes - 22) / 2.0
