"""Steps that are kept, as the audit reads them of the ledger: at info as at debug, and beside the store."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from itertools import permutations

import pytest
from lamplighter import JobFailed, Runtime

from ..kit import Said, Story, audited, changed, index_of, kinds, logger_to, without

JOIN_SECONDS_MAX = 20


def claimed(job: str = "j") -> Story:
    """A job that runs."""
    return Story().move("queued", None, 0, 0, job, d="a hash").move("claimed", "queued", 1, 0, job)


def step(story: Story, name: str, claim_no: int = 1, job: str = "j", **changes: object) -> Said:
    """A step that is kept after the last move of a job."""
    told = {"k": "stepped", "j": job, "n": "n", "r": story.revs[job], "c": claim_no, "d": "ab", "step": name}
    return {**told, **changes}


def findings(story: Story) -> list[tuple[str, str]]:
    return [(one.kind, one.says) for one in audited(story.lines).findings]


def test_each_step_once_by_the_claim_that_runs_and_as_many_as_the_end_says():
    story = claimed()
    story.turn(step(story, "one")).turn(step(story, "two"))
    story.move("failed", "running", 1, 1).move("claimed", "queued", 2, 1)
    story.turn(step(story, "three", 2))

    assert findings(story.move("done", "running", 2, 2, steps=3)) == []


def test_a_step_that_is_kept_twice_is_found():
    story = claimed()
    story.turn(step(story, "one")).turn(step(story, "one"))

    assert findings(story) == [("step twice", "job j: step 'one' is kept by claim 1, and again by claim 1")]


def test_a_job_born_again_in_a_missing_turn_keeps_its_steps_anew():
    story = claimed()
    story.turn(step(story, "one"))
    # Of these nothing is told: the job was done and removed, and another one with its id was queued and claimed.
    story.turns += 2

    found = findings(story.turn(step(story, "one")))

    assert [kind for kind, _ in found] == ["missing turns"]


def test_a_job_that_was_done_keeps_its_steps_anew():
    story = claimed()
    story.turn(step(story, "one")).move("done", "running", 1, 1, steps=1)
    story.move("requeued", "done", 1, 0).move("claimed", "queued", 2, 0)

    assert findings(story.turn(step(story, "one", 2))) == []


def test_a_job_that_begins_afresh_keeps_its_steps_anew():
    story = claimed()
    story.turn(step(story, "one")).move("requeued", "running", 1, 0, steps=1).move("claimed", "queued", 2, 0)

    assert findings(story.turn(step(story, "one", 2))) == []


def test_a_job_that_is_requeued_keeps_no_step_again():
    story = claimed()
    story.turn(step(story, "one")).move("requeued", "running", 1, 0).move("claimed", "queued", 2, 0)

    assert kinds(audited(story.turn(step(story, "one", 2)).lines)) == ["step twice"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"c": 2}, "by claim 2 of boot b1 after move 2 of a job of n, and the job of n is running by move 2, claim 1"),
        ({"r": 9}, "by claim 1 of boot b1 after move 9 of a job of n, and the job of n is running by move 2, claim 1"),
        (
            {"n": "x"},
            "by claim 1 of boot b1 after move 2 of a job of x, and the job of n is running by move 2, claim 1",
        ),
    ],
)
def test_a_step_of_a_claim_that_does_not_run_the_job_is_found(changes, says):
    story = claimed()
    story.turn(step(story, "one", **changes))

    assert findings(story) == [("step by a stale claim", f"job j: step 'one' is kept {says}")]


def test_a_step_after_the_end_of_its_claim_is_found():
    story = claimed().move("failed", "running", 1, 1)

    assert kinds(audited(story.turn(step(story, "one")).lines)) == ["step by a stale claim"]


def test_a_step_by_another_boot_than_the_one_that_runs_the_job_is_found():
    story = claimed()
    other = Story("b2", 2, among=story)
    other.turn(step(other, "one"))

    assert kinds(audited([*story.lines, *other.lines])) == ["step by a stale claim"]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (3, "job j is done, which says that 3 steps went with it, and 1 is told"),
        (None, "job j is done, which says that 0 steps went with it, and 1 is told"),
    ],
)
def test_another_number_of_steps_than_is_told_is_found(steps, says):
    story = claimed()
    story.turn(step(story, "one"))

    story.move("done", "running", 1, 1, **({} if steps is None else {"steps": steps}))

    assert findings(story) == [("lost step", says)]


def test_a_requeue_afresh_says_how_many_steps_went_with_it():
    story = claimed()
    story.turn(step(story, "one")).move("requeued", "running", 1, 0, steps=2)

    assert findings(story) == [("lost step", "job j is requeued, which says that 2 steps went with it, and 1 is told")]


def test_of_a_job_that_began_before_the_log_nothing_is_known():
    story = claimed()
    story.turn(step(story, "one")).move("done", "running", 1, 1, steps=2)

    assert "lost step" not in kinds(audited(without(story.lines, 2)))


def test_steps_are_not_judged_where_logs_are_read_in_another_order():
    story = claimed()
    story.turn(step(story, "one")).move("done", "running", 1, 1, steps=1)
    started, up, born, claim, stepped, done, line = story.lines

    for order in permutations((born, claim, stepped, done)):
        assert audited([started, up, *order, line]).ok


@pytest.fixture(params=["debug", "info"])
def run(request, tmp_path):
    """A job that is done after two steps, and one that is dead after as many; the lines, and the store."""
    rt = Runtime(tmp_path / "jobs.db", logger=logger_to(tmp_path / "log", request.param))

    def work(job):
        job.step("one", lambda: 1)
        job.step("two", lambda: 2)
        if job.data:
            raise ValueError("no")

    rt.jobs.add_handler("work", work, max_attempts=1)
    with rt:
        for number in (0, 1):
            with suppress(JobFailed):
                rt.jobs.join(rt.jobs.queue("work", number, id=f"j{number}"), timeout=JOIN_SECONDS_MAX)
    return [json.loads(line) for line in (tmp_path / "log").open()], tmp_path / "jobs.db"


def test_a_log_and_its_store_agree_on_steps(run):
    lines, store = run

    assert audited(lines, store).ok


STEP_X = "insert into lamplighter_steps select no, 'x', '1', 1, 1.0 from lamplighter_jobs where id = "


@pytest.mark.parametrize(
    ("statement", "kind", "says"),
    [
        (
            "delete from lamplighter_steps where name = 'two'",
            "lost step",
            "job j1: step 'two' was kept, and the store has no such step",
        ),
        (f"{STEP_X}'j1'", "disagreement with the store", "job j1: the store has step 'x', and no line tells of it"),
        (f"{STEP_X}'j0'", "disagreement with the store", "job j0 is done, and the store has 1 step of it: x"),
    ],
)
def test_a_store_that_has_other_steps_is_found(run, statement, kind, says):
    lines, store = run
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(statement)
        connection.commit()

    assert [(one.kind, one.says) for one in audited(lines, store).findings] == [(kind, says)]


def test_a_line_for_people_that_says_otherwise_is_found(run):
    lines, _ = run
    done = index_of(lines, "job.done")
    assert kinds(audited(changed(lines, done, steps=1))) == ["told otherwise"]
    for index in [index for index, line in enumerate(lines) if line["event"] == "job.stepped"]:
        for fields in ({"step": "x"}, {"digest": "x"}, {"claim_no": 7}, {"job_id": "x"}):
            assert kinds(audited(changed(lines, index, **fields))) == ["told otherwise"]


def test_where_turns_are_missing_the_job_may_be_another_of_the_same_id():
    story = claimed().move("done", "running", 1, 1)
    missing = index_of(story.lines, "turn.committed", turn=3)
    other = Story("b2", 2, among=story)
    other.revs["j"] = 0
    other.move("queued", None, 0, 0, d="a hash").move("claimed", "queued", 1, 0)
    other.turn(step(other, "one")).move("done", "running", 1, 1, steps=1)

    found = kinds(audited([*without(story.lines, missing), *other.lines]))

    assert "missing turns" in found
    assert "step by a stale claim" not in found


def sent(story: Story, name: str, **changes: object) -> Said:
    """A signal that is sent after the last move of a job, by whom one sees."""
    told = {"k": "signalled", "j": "j", "n": "n", "r": story.revs["j"], "d": "ab", "step": f"signal:{name}"}
    return {**told, **changes, "by": "ada"}


def test_a_signal_of_whichever_boot_wakes_the_job_and_goes_with_its_end():
    story = claimed()
    story.turn(step(story, "wait:approval")).move("snoozed", "running", 1, 0, o="snoozed")
    story.turn(sent(story, "approval")).move("woken", "queued", 1, 0, step="signal:approval")
    story.move("claimed", "queued", 2, 0)

    assert findings(story.move("done", "running", 2, 1, steps=2)) == []


def test_a_second_signal_of_a_name_is_found():
    story = claimed()
    story.turn(sent(story, "approval")).turn(sent(story, "approval", d="cd"))

    assert kinds(audited(story.lines)) == ["step twice"]


def test_a_signal_to_a_job_that_has_ended_is_found():
    story = claimed().move("dead", "running", 1, 1)

    says = "job j: 'signal:approval' is sent after move 3, by which it is dead"
    assert findings(story.turn(sent(story, "approval"))) == [("step by a stale claim", says)]


def test_a_job_that_was_woken_by_no_signal_is_found():
    story = claimed()
    story.turn(step(story, "wait:approval")).move("snoozed", "running", 1, 0, o="snoozed")
    story.move("woken", "queued", 1, 0, step="signal:approval")

    says = "job j: it was woken by 'signal:approval', which nobody has sent"
    assert findings(story) == [("step by a stale claim", says)]
