"""Jobs that wait for others, as the audit reads them of the ledger: at info as at debug."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter import Discard, JobSpec, Runtime

from ..kit import Said, Story, audited, kinds, logger_to

END = {"done": ("done", 1), "dead": ("dead", 1), "cancelled": ("cancelled", 0)}


def parent(story: Story, job: str = "p", end: str = "done") -> Story:
    """A job that ends by its third move."""
    story.move("queued", None, 0, 0, job).move("claimed", "queued", 1, 0, job)
    outcome = {"done": {}, "dead": {"o": "failed"}, "cancelled": {"o": "cancelled"}}[end]
    return story.turn(story.hop(end, "running", 1, END[end][1], job, **outcome))


def born(story: Story, parents: int, job: str = "c") -> Story:
    return story.turn(story.hop("queued", None, 0, 0, job, m=parents))


def freed(story: Story, *named: list[object], job: str = "c", m: int | None = None) -> Story:
    return story.turn(story.hop("freed", "queued", 0, 0, job, m=len(named) if m is None else m, y=list(named)))


def test_a_job_that_was_freed_by_the_ends_that_it_wants_is_well():
    story = parent(parent(born(Story(), 2)), "q", "dead")

    freed(story, ["p", 3], ["q", 3, 1]).move("claimed", "queued", 1, 0, "c").move("done", "running", 1, 1, "c")

    assert audited(story.lines).ok


def test_it_does_not_matter_in_which_order_logs_are_read():
    waits = freed(born(Story("b1", 1), 1), ["p", 3]).move("claimed", "queued", 1, 0, "c")
    ends = parent(Story("b2", 2))

    assert kinds(audited([*waits.lines, *ends.lines])) == kinds(audited([*ends.lines, *waits.lines])) == []


@pytest.mark.parametrize(
    ("end", "named", "says"),
    [
        ("dead", ["p", 3], "job c: expected move 3 of job p to be its end as done, got: dead"),
        ("done", ["p", 2], None),
        ("done", ["p", 2, 1], None),
    ],
)
def test_a_job_that_was_freed_by_another_end_has_started_too_soon(end, named, says):
    story = born(parent(Story(), end=end), 1)

    report = audited(freed(story, named).lines)

    assert kinds(report) == (["started too soon"] if says else [])
    assert [one.says for one in report.findings] == ([says] if says else [])


def test_a_job_that_was_claimed_before_it_was_freed_has_started_too_soon():
    story = born(Story(), 3).move("claimed", "queued", 1, 0, "c")

    (found,) = audited(story.lines).findings

    assert found.kind == "started too soon"
    assert found.says == "job c: it was claimed, and nobody has freed it: it waits for 3 jobs"


def test_a_move_that_is_missing_may_have_freed_it():
    story = born(Story(), 1)
    story.hop("freed", "queued", 0, 0, "c")
    story.hop("claimed", "queued", 1, 0, "c")

    story.move("failed", "running", 1, 1, "c").move("claimed", "queued", 2, 1, "c")

    assert kinds(audited(story.lines)) == ["missing moves"]


def test_a_job_that_was_freed_by_fewer_than_it_waits_for_has_started_too_soon():
    story = freed(born(parent(Story()), 2), ["p", 3], m=2)

    (found,) = audited(story.lines).findings

    assert (found.kind, found.says) == ("started too soon", "job c: it was freed by 1 jobs, and waited for 2")


def test_more_parents_than_one_move_names_are_named_before_it():
    story = parent(parent(born(Story(), 2)), "q")
    more: Said = {"k": "linked", "j": "c", "n": "work", "y": [["p", 3]]}

    story.turn(more, story.hop("freed", "queued", 0, 0, "c", m=2, y=[["q", 3]]))

    assert audited(story.lines).ok


@pytest.mark.parametrize(
    ("kind", "end", "ok"),
    [
        ("doomed", "dead", True),
        ("cancelled", "cancelled", True),
        ("doomed", "done", False),
        ("cancelled", "dead", False),
    ],
)
def test_a_fate_is_shared_with_a_job_that_has_it(kind, end, ok):
    story = born(parent(Story(), end=end), 1)

    report = audited(story.turn(story.hop(kind, "queued", 0, 0, "c", m=1, y=[["p", 3]])).lines)

    assert kinds(report) == ([] if ok else ["doomed without cause"])


@pytest.mark.parametrize(
    ("end", "named", "found"),
    [
        ("dead", [["p", 3, 2]], []),
        ("cancelled", [["p", 3, 2]], []),
        ("done", [["p", 3, 2]], ["started too soon"]),
        ("done", [["p", 3, 2], ["q", 3, 2]], []),
    ],
)
def test_a_job_that_follows_a_failure_has_started_too_soon_if_there_was_none(end, named, found):
    story = born(parent(parent(Story(), end=end), "q", "dead"), len(named))

    assert kinds(audited(freed(story, *named).lines)) == found


@pytest.mark.parametrize(("end", "found"), [("done", []), ("dead", ["doomed without cause"])])
def test_a_job_is_not_needed_only_if_the_other_is_done(end, found):
    story = born(parent(Story(), end=end), 1)

    story.turn(story.hop("cancelled", "queued", 0, 0, "c", m=1, y=[["p", 3, 2]]))

    assert kinds(audited(story.lines)) == found


@pytest.mark.parametrize("kind", ["freed", "doomed"])
def test_a_job_that_waits_for_nobody_is_neither_freed_nor_doomed(kind):
    story = Story().move("queued", None, 0, 0, "c")

    assert "illegal transition" in kinds(
        audited(story.turn(story.hop(kind, "queued", 0, 0, "c", m=1, y=[["p", 3]])).lines)
    )


@pytest.mark.parametrize(("more", "found"), [({}, []), ({"m": 1}, ["started too soon"])], ids=["forced", "revived"])
def test_a_job_that_is_queued_again_waits_if_it_says_so(more, found):
    story = born(parent(Story(), end="dead"), 1)
    story.turn(story.hop("doomed", "queued", 0, 0, "c", m=1, y=[["p", 3]]))

    story.turn(story.hop("requeued", "dead", 0, 0, "c", u=2.0, **more)).move("claimed", "queued", 1, 0, "c")

    assert kinds(audited(story.lines)) == found


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_real_log_is_well_and_a_job_that_is_left_waiting_is_found_in_the_store(tmp_path: Path, level):
    log, store = tmp_path / "log", tmp_path / "jobs.db"
    runtime = Runtime(store, logger=logger_to(log, level))
    runtime.jobs.add_handler("work", lambda job: job.data)

    def die(job):
        raise Discard("no")

    runtime.jobs.add_handler("die", die)
    with runtime:
        parts = [JobSpec(name="work", data=number) for number in range(250)]
        *_, whole = runtime.jobs.queue_many([*parts, JobSpec(name="work", data="whole", after=parts)])
        dead = runtime.jobs.queue("die")
        doomed = runtime.jobs.queue("work", after=dead)
        last = runtime.jobs.queue("work", after_ended=[doomed, whole])
        runtime.jobs.join(last, 30)
        runtime.jobs.requeue(dead, delay=3600)
        waits = runtime.jobs.queue("work", after=runtime.jobs.queue("work", delay=3600))
    lines = [json.loads(line) for line in log.open()]

    assert audited(lines, store).findings == ()

    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("update lamplighter_links set parent = 1 where child = ?", (waits.record.row_id,))
    (found,) = audited(lines, store).findings
    assert found.kind == "left waiting"
    assert waits.id in found.says


@pytest.mark.parametrize("is_lost", [True, False])
def test_of_which_life_an_end_is_nobody_knows_where_a_birth_is_lost(is_lost):
    # The end of the first life was taken for that of the second, whose own fate was then the wrong one to share.
    story = Story()
    birth = story.hop("queued", None, 0, 0, "p")
    if is_lost:
        story.said("log.dropped", count=1, reason="no space left")
        story.turns += 1
    else:
        story.turn(birth)
    story.move("cancelled", "queued", 0, 0, "p").turn({"k": "pruned", "x": 1})
    del story.revs["p"]
    story.move("queued", None, 0, 0, "p", m=1).move("doomed", "queued", 0, 0, "p", m=1, y=[["q", 3]])
    born(story, 1).move("doomed", "queued", 0, 0, "c", m=1, y=[["p", 2]])

    assert "doomed without cause" not in kinds(audited(parent(story, "q", "dead").lines))


def test_a_fate_that_nobody_had_is_found_though_another_job_has_had_two_lives():
    story = Story().done("p").turn({"k": "pruned", "x": 1})
    del story.revs["p"]
    story = born(parent(story, "p", "done"), 1).move("doomed", "queued", 0, 0, "c", m=1, y=[["p", 3]])

    assert kinds(audited(story.lines)) == ["doomed without cause"]
