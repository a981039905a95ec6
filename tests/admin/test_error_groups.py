"""Failures in groups."""

from __future__ import annotations

import pytest
from lamplighter import JobSpec
from lamplighter.admin.error_groups import Failures, grouped, key_of
from lamplighter.admin.inspector import readable_table

from .kit import NOW, a_job

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/.venv/lib/python3.13/site-packages/lamplighter/handlers/execute.py", line 50, in _execute
    with Execution.of(lane) as run:
  File "/srv/app/shop/letters.py", line {line}, in send
    post(order)
  File "/srv/app/shop/{file}.py", line 7, in {function}
    return client.post(order)
  File "/srv/app/.venv/lib/python3.13/site-packages/client/http.py", line 900, in post
    raise Refused(self)
client.http.Refused: {says}
"""


def failed(id: str, error: str, **changed: object) -> object:
    return a_job(**{"id": id, "state": "dead", "ended_at": NOW, "error": error, **changed})


def traceback(line: int = 3, file: str = "post", function: str = "post", says: str = "no") -> str:
    return TRACEBACK.format(line=line, file=file, function=function, says=says)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: order 17 has no lines", "ValueError: order 18 has no lines"),
        ("KeyError: 'ada@example.org'", "KeyError: 'bob@example.org'"),
        ('LookupError: no "ada" here', 'LookupError: no "bob" here'),
        ("OSError: at 0x7f00aa11 in 1.5 s", "OSError: at 0x7f00bb22 in 2.25 s"),
        (
            "shop.Missing: 0f8fad5b-d9cb-469f-a165-70867728950e is gone",
            "shop.Missing: 7c9e6679-7425-40de-944b-e07fc1f90ae7 is gone",
        ),
        ("Gone: commit a94a8fe5cc is gone", "Gone: commit b1b3773a05 is gone"),
    ],
)
def test_what_differs_from_one_job_to_the_next_tells_no_groups_apart(one, other) -> None:
    assert key_of(failed("j1", one)) == key_of(failed("j2", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"error": "ValueError: no lines"}, {"error": "ValueError: no address"}),
        ({"error": "ValueError: no lines"}, {"error": "TypeError: no lines"}),
        ({"name": "mail"}, {"name": "resize"}),
        ({"traceback": traceback(function="post")}, {"traceback": traceback(function="put")}),
        ({"traceback": traceback(file="post")}, {"traceback": traceback(file="put")}),
    ],
)
def test_another_name_exception_message_or_place_is_another_group(one, other) -> None:
    assert key_of(failed("j", **{"error": "E: no", **one})) != key_of(failed("j", **{"error": "E: no", **other}))


def test_the_place_is_the_last_frame_of_the_applications_own_code() -> None:
    assert key_of(failed("j", "Refused: no", traceback=traceback())).where == "shop/post.py:post"


def test_a_deployment_that_moves_lines_makes_no_other_group() -> None:
    one, other = failed("j1", "E: no", traceback=traceback(3)), failed("j2", "E: no", traceback=traceback(4))

    assert key_of(one) == key_of(other)


def test_of_errors_that_caused_one_another_the_last_one_counts() -> None:
    both = traceback(file="first") + "\nDuring handling of the above exception, another exception occurred:\n\n"

    assert key_of(failed("j", "E: no", traceback=both + traceback(file="last"))).where == "shop/last.py:post"


def test_an_error_that_passed_no_code_of_the_application_is_placed_by_its_own_frame() -> None:
    frame = '  File "/srv/app/.venv/lib/python3.13/site-packages/client/http.py", line 7, in close\n    raise Closed\n'
    last = f"Traceback (most recent call last):\n{frame}client.http.Closed: no\n"

    assert key_of(failed("j", "E: no", traceback=traceback() + "\n" + last)).where == "client/http.py:close"


def test_a_group_counts_its_jobs_and_shows_the_one_that_failed_last() -> None:
    jobs = [
        failed("j1", "E: 1", ended_at=NOW - 5),
        failed("j2", "E: 2", ended_at=NOW),
        a_job(id="j3", state="queued", attempt=1, error="E: 3", run_at=NOW + 60, due_in=69.0),
        failed("j4", "Other: 4", ended_at=NOW - 1),
    ]

    first, second = grouped(jobs)  # type: ignore[arg-type]

    assert (first.count, first.dead, first.failing) == (3, 2, 1)
    assert (first.first_seen, first.last_seen) == (NOW - 9, NOW)
    assert (first.sample, first.error) == ("j2", "E: 2")
    assert (second.count, second.exception) == (1, "Other")


def test_an_error_without_a_class_is_grouped_by_its_words() -> None:
    assert key_of(failed("j", "it did not end within 30 s")).message == "it did not end within # s"
    assert key_of(failed("j", "")).message == ""


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_failures_are_the_dead_that_failed_by_themselves_and_what_is_tried_again(
    runtime, recorder, tmp_path, monkeypatch, at_once
) -> None:
    monkeypatch.setattr("lamplighter.admin.error_groups.READ_AT_ONCE", at_once)

    def work(job):
        if job.data != "well":
            raise ValueError(job.data)

    rt = runtime()
    rt.jobs.add_handler("work", work, max_attempts=1)
    rt.jobs.add_handler("again", work, max_attempts=2, backoff=[3600.0])
    dead = [JobSpec(name="work", data="no") for _ in range(3)]
    rt.jobs.queue_many([*dead, JobSpec(name="work", data="shares", after=dead[0]), JobSpec(name="work", data="well")])
    rt.jobs.queue_many([("again", "no"), ("again", "well"), ("nobody", "waits")])
    recorder.wait_for("job.dead", count=3)
    recorder.wait_for("job.doomed")
    recorder.wait_for("job.done", count=2)
    recorder.wait_for("job.failed")
    rt.stop()

    def found(name=None):
        with readable_table(str(tmp_path / "jobs.db"), "list").snapshot() as seen:
            told = Failures(seen, name)
            return sorted((job.name, job.state) for job in told), told.is_capped

    every = [("again", "queued"), *[("work", "dead")] * 3]
    assert (found(), found("work"), found("nobody")) == ((every, False), (every[1:], False), ([], False))
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_MAX", 3)
    assert found() == (every, False)
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_MAX", 2)
    assert found() == (every[:3], True)


def test_a_job_that_has_failed_and_runs_again_is_one_that_is_tried_again(runtime, recorder, tmp_path) -> None:
    def work(job):
        if job.attempt == 1:
            raise ValueError("no")
        job.sleep(60)

    rt = runtime()
    rt.jobs.add_handler("work", work, backoff=[0.0])
    rt.jobs.queue("work")
    recorder.wait_for("job.started", count=2)

    with readable_table(str(tmp_path / "jobs.db"), "list").snapshot() as seen:
        (group,) = grouped(Failures(seen, None))

    assert (group.name, group.dead, group.failing, group.error) == ("work", 0, 1, "ValueError: no")
