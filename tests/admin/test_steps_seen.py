"""How far a job has come, as the command, the page and the store alone show it: its kept steps, and no results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.admin.inspector import STEPS_SHOWN_MAX, inspector_at
from lamplighter.admin.stored_life import stored_life
from lamplighter.cli.main import main

from ..web.kit import HOSTILE, Page

JOIN_SECONDS_MAX = 30

SECRET = "card 4711"

NAME = HOSTILE.replace("\x00", "")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a job `few` that is dead after two steps, and one that is after more than are shown."""
    path = tmp_path_factory.mktemp("steps") / "jobs.db"
    runtime = Runtime(path)

    def work(job):
        for number in range(job.data):
            job.step(f"step {number}" if number else NAME, lambda: SECRET)
        raise ValueError("no")

    runtime.jobs.add_handler("work", work, max_attempts=1)
    with runtime:
        for job_id, number in (("few", 2), ("many", STEPS_SHOWN_MAX + 1), ("none", 0)):
            with pytest.raises(JobFailed):
                runtime.jobs.join(runtime.jobs.queue("work", number, id=job_id), timeout=JOIN_SECONDS_MAX)
    return path


def test_a_look_tells_the_newest_steps_and_how_many_there_are(file):
    with inspector_at(str(file)) as inspector:
        few, many, none = (inspector.job(job_id) for job_id in ("few", "many", "none"))

    assert [(step.name, step.bytes, step.claim_no) for step in few.steps] == [(NAME, 11, 1), ("step 1", 11, 1)]
    assert (few.steps_kept, many.steps_kept, none.steps_kept, none.steps) == (2, STEPS_SHOWN_MAX + 1, 0, ())
    assert len(many.steps) == STEPS_SHOWN_MAX
    assert (many.steps[0].name, many.steps[-1].name) == ("step 1", f"step {STEPS_SHOWN_MAX}")


def test_the_command_shows_them(file, capsys):
    assert main(["jobs", "show", "few", "--store", str(file)]) == 0
    shown = capsys.readouterr().out
    assert main(["jobs", "show", "many", "--store", str(file)]) == 0
    many = capsys.readouterr().out
    assert main(["jobs", "show", "few", "--store", str(file), "--json"]) == 0

    assert "2 steps kept:" in shown
    assert f"{STEPS_SHOWN_MAX + 1} steps kept; the last {STEPS_SHOWN_MAX}:" in many
    assert SECRET not in shown + many
    assert [step["name"] for step in json.loads(capsys.readouterr().out)["steps"]] == [NAME, "step 1"]


def test_the_page_shows_them_as_text(file):
    page = Page(file)
    few, many, none = (page.text(f"/jobs/{job_id}") for job_id in ("few", "many", "none"))

    assert "2 steps kept</h2>" in few
    assert "<script>alert(1)" not in few
    assert f"The last {STEPS_SHOWN_MAX} of them:" in many
    assert "steps kept" not in none
    assert SECRET not in few


def test_a_store_alone_tells_the_last_step(file):
    entries = stored_life(str(file), "few", 0.0).entries

    assert entries[1].says == "2 steps kept, the last is step 1, by claim 1"
    times = [entry.at for entry in entries if entry.at is not None]
    assert times == sorted(times)


def test_a_person_has_jobs_begin_afresh_by_their_ids_or_by_a_query(tmp_path):
    path = tmp_path / "jobs.db"
    runtime = Runtime(path)

    def work(job):
        job.step("one", lambda: 1)
        raise ValueError("no")

    runtime.jobs.add_handler("work", work, max_attempts=1)
    with runtime:
        for job_id in ("a", "b", "c"):
            with pytest.raises(JobFailed):
                runtime.jobs.join(runtime.jobs.queue("work", id=job_id), timeout=JOIN_SECONDS_MAX)

    assert main(["jobs", "requeue", "a", "--afresh", "--yes", "--store", str(path)]) == 0
    assert main(["jobs", "requeue", "b", "--yes", "--store", str(path)]) == 0
    assert main(["jobs", "requeue", "--where", "state:dead", "--afresh", "--yes", "--store", str(path)]) == 0

    with inspector_at(str(path)) as inspector:
        assert [inspector.job(job_id).steps_kept for job_id in ("a", "b", "c")] == [0, 1, 0]
