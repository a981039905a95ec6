"""Jobs of many calls, as the audit reads them of the ledger: at info as at debug."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Debounce, Runtime
from lamplighter.history.trace.job import biography
from lamplighter.rules.codec import digest

from ..kit import Story, audited, kinds, logger_to


def born(until: float | None = 1060.0) -> Story:
    story = Story()
    return story.turn(story.hop("queued", None, 0, 0, u=1005.0, d="1", **({} if until is None else {"until": until})))


def called(story: Story, u: float, until: float = 1060.0, before: str = "queued", claim_no: int = 0) -> Story:
    return story.turn(story.hop("replaced", before, claim_no, 0, u=u, d="2", until=until))


def test_calls_that_put_a_job_off_as_long_as_they_may_are_well():
    story = called(called(called(born(), 1006.0), 1060.0), 1010.0, 1010.0)

    assert audited(story.move("claimed", "queued", 1, 0).move("done", "running", 1, 1).lines).ok


@pytest.mark.parametrize(
    ("u", "until", "says"),
    [
        (1061.0, 1060.0, "job j: it was due at 1060.0 at the latest, and a call has put it off until 1061.0"),
        (
            1061.0,
            1066.0,
            "job j: it was due at 1060.0 at the latest, and a call has put it off until 1061.0, or 1066.0 at "
            "the latest",
        ),
    ],
)
def test_a_call_that_puts_a_job_off_too_long_is_found_unless_a_clock_was_set(u, until, says):
    story = called(born(), u, until)

    (found,) = [one for one in audited(story.lines).findings if one.kind == "put off too long"]
    assert found.says == says
    assert "put off too long" not in kinds(audited(story.said("clock.jumped", delta=9.0, jobs=1, schedules=0).lines))


@pytest.mark.parametrize("kind", ["claimed", "requeued"])
def test_a_call_that_changes_a_job_which_holds_no_key_any_more_is_found(kind):
    story = born()
    if kind == "claimed":
        story.move("claimed", "queued", 1, 0).move("released", "running", 1, 0)
    else:
        story.move("requeued", "queued", 0, 0)
    called(story, 1006.0, claim_no=int(kind == "claimed"))

    (found,) = [one for one in audited(story.lines).findings if one.kind == "illegal transition"]
    after = "released" if kind == "claimed" else "requeued"
    assert found.says == f"job j: its data were replaced, and it held no debounce key any more after {after}"


def test_a_call_that_changes_a_job_without_a_key_is_found():
    assert "illegal transition" in kinds(audited(called(born(until=None), 1006.0).lines))


def test_a_call_that_changes_what_runs_is_found():
    story = born().move("claimed", "queued", 1, 0)

    assert "illegal transition" in kinds(audited(called(story, 1006.0, before="running", claim_no=1).lines))


@pytest.fixture(params=["debug", "info"])
def run(request, tmp_path):
    """A store, and the log of a job that three calls have found."""
    runtime = Runtime(tmp_path / "jobs.db", logger=logger_to(tmp_path / "log", request.param))
    with runtime:
        for number in range(4):
            job = runtime.jobs.queue("index", number, debounce=Debounce("k", quiet=600, at_most=3600))
    return request.param, tmp_path, job


def test_the_data_of_the_last_call_are_what_the_store_must_have(run):
    _, folder, job = run
    lines = [line for line in read(folder) if "seq" in line]

    assert audited(lines, folder / "jobs.db").findings == ()
    told = [line for line in lines if any(move["k"] == "replaced" for move in line.get("moves", ()))]
    (last,) = [move for move in told[-1]["moves"] if move["k"] == "replaced"]
    assert (last["d"], last["j"]) == (digest("3"), job.id)
    last["d"] = digest("2")
    told[-1]["crc"] = None
    assert "disagreement with the store" in kinds(audited(lines, folder / "jobs.db"))


def test_the_story_of_a_job_tells_of_each_call(run):
    level, folder, job = run
    life = biography([str(folder / "log")], job.id)

    assert life is not None
    says = [entry.says for entry in life.entries]
    calls = [one for one in says if one.startswith("called for again, with new data")]
    assert (len(calls), life.gaps) == (3, 0)
    assert all("due in" in one and ", and at the latest at " in one for one in calls)
    assert all(("1 byte" in one) == (level == "debug") for one in calls)
    assert ", and at the latest at " in next(one for one in says if one.startswith("queued"))


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").open()]
