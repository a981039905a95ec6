"""What follows jobs that are done, as the audit reads it of the ledger: at info as at debug."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from lamplighter import Runtime
from lamplighter.testing import Simulation

from ..kit import Said, Story, audited, changed, kinds

LEVELS = pytest.mark.parametrize("level", ["debug", "info"])


def claimed(job: str = "j") -> Story:
    """A job that runs."""
    return Story().move("queued", None, 0, 0, job).move("claimed", "queued", 1, 0, job)


def births(story: Story, *jobs: str, of: str = "j") -> list[Said]:
    return [story.hop("queued", None, 0, 0, job, q=of) for job in jobs]


def end(story: Story, number: int | None, job: str = "j") -> Said:
    return story.hop("done", "running", 1, 1, job, **({} if number is None else {"x": number}))


def test_as_many_are_born_with_the_end_as_it_says():
    story = claimed()

    assert audited(story.turn(end(story, 2), *births(story, "a", "b")).lines).ok


@pytest.mark.parametrize(
    ("number", "born", "says"),
    [
        (3, ["a", "b"], "job j is done, and its turn lacks 1 job that should follow it"),
        (3, [], "job j is done, and its turn lacks 3 jobs that should follow it"),
        (1, ["a", "b"], "1 job followed job j, whose end says nothing of it"),
        (None, ["a", "b"], "2 jobs followed job j, whose end says nothing of it"),
    ],
)
def test_another_number_is_a_lost_follow_up(number, born, says):
    story = claimed()

    report = audited(story.turn(end(story, number), *births(story, *born)).lines)

    assert [(one.kind, one.says) for one in report.findings] == [("lost follow-up", says)]


def test_what_is_born_in_another_turn_does_not_follow():
    story = claimed()
    story.turn(end(story, 1)).turn(*births(story, "a"))

    assert kinds(audited(story.lines)) == ["lost follow-up"] * 2


def test_what_follows_a_job_that_has_failed_is_found():
    story = claimed()
    story.turn(story.hop("failed", "running", 1, 1), *births(story, "a"))

    assert kinds(audited(story.lines)) == ["lost follow-up"]


def test_ends_in_one_turn_are_told_apart():
    story = claimed()
    story.move("queued", None, 0, 0, "k").move("claimed", "queued", 1, 0, "k")
    story.turn(end(story, 1), end(story, 1, "k"), *births(story, "a", "b"))

    says = sorted(finding.says for finding in audited(story.lines).findings)
    assert says == [
        "1 job followed job j, whose end says nothing of it",
        "job k is done, and its turn lacks 1 job that should follow it",
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_turn_in_parts_is_judged_when_all_of_them_are_there(order):
    story = claimed()
    parts = [[end(story, 3)], births(story, "a", "b"), births(story, "c")]
    for part in order:
        story.turn(*parts[part], turn=3, part=part + 1, parts=3)
    whole = audited(story.lines)
    cut = audited(line for line in story.lines if line.get("part") != 2)

    assert whole.ok, whole.findings
    assert "lost follow-up" not in kinds(cut)


def test_a_turn_that_another_tells_in_the_place_of_the_dead_is_judged_once():
    dead = claimed()
    moves = [end(dead, 2), *births(dead, "a", "b")]
    dead.turn(*moves)
    other = Story("b2", 2, among=dead).bury(dead).tell(dead, 3, *moves)
    alone = [line for line in dead.lines if line.get("turn") != 3]

    assert audited([*dead.lines, *other.lines]).ok
    assert audited([*alone, *other.lines]).ok
    other.lines[-1]["moves"] = moves[:2]
    assert kinds(audited([*alone, *other.lines])) == ["lost follow-up"]


@pytest.mark.parametrize("field", ["then", "then_of"])
def test_a_line_for_people_that_says_otherwise_is_found(run: list[Said], field: str):
    index = next(index for index, line in enumerate(run) if line.get(field))
    other = {"then": 7, "then_of": "another"}[field]

    assert audited(run).ok
    report = audited(changed(run, index, **{field: other}))
    assert kinds(report) == ["told otherwise"]


@LEVELS
def test_a_birth_taken_out_of_a_turn_is_found_also_where_its_checksum_was_made_anew(run: list[Said], level: str):
    lines = [line for line in run if level == "debug" or line["level"] != "debug"]
    index = next(index for index, line in enumerate(lines) if any("x" in move for move in line.get("moves", ())))
    moves = lines[index]["moves"]

    assert audited(lines).ok
    report = audited(changed(lines, index, moves=[move for move in moves if move.get("j") != "a.1.2"]))
    assert "lost follow-up" in kinds(report)


@pytest.fixture(scope="module")
def run() -> list[Said]:
    """A log of a job with three that follow it."""

    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("whole", lambda job: job.then(*[("part", number) for number in range(3)]))
        runtime.jobs.add_handler("part", lambda job: None)

    with Simulation(register, host=lambda runtime: runtime.jobs.queue("whole", id="a")) as simulation:
        simulation.settle()
        return [json.loads(line) for line in simulation.log.splitlines()]
