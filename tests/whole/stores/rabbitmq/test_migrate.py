"""`lamplighter migrate`: what waits in a file is in the RabbitMQ afterwards, and in the file no more."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main


def test_queued_jobs_and_durable_schedules_move_and_run_there(tmp_path: Path, url: str, capsys) -> None:
    file = tmp_path / "jobs.db"
    with Runtime(file) as old:
        for number in range(3):
            old.jobs.queue("work", number, id=f"job-{number}", priority=number)
        later = old.jobs.queue("work", 99, delay=3600)
        schedule = old.scheduler.add("nightly", "@daily", durable=True)
        old.scheduler.pause(schedule)

    code = main(["migrate", str(file), url])

    assert code == 0
    assert "moved 4 queued jobs, 1 durable schedule and 0 pauses" in capsys.readouterr().out
    ran, all_ran = [], threading.Event()

    def work(job):
        ran.append((job.id, job.data))
        if len(ran) == 3:
            all_ran.set()

    with Runtime(url) as new:
        new.jobs.add_handler("work", work)
        assert all_ran.wait(15)
        assert [(one.id, one.paused, one.durable) for one in new.scheduler.list()] == [(schedule, True, True)]
        assert new.jobs.counts("work")["queued"] == 0
    assert sorted(ran) == [(f"job-{number}", number) for number in range(3)]
    with Runtime(file) as old:
        assert {job.state for job in old.jobs.list("work")} == {"cancelled"}
        assert old.jobs.get(later).reason.startswith("moved to amqp://127.0.0.1")
        assert old.scheduler.list() == []


def test_a_runtime_on_the_file_is_in_the_way(tmp_path: Path, url: str, capsys) -> None:
    file = tmp_path / "jobs.db"
    with Runtime(file) as old:
        old.jobs.queue("work")

        assert main(["migrate", str(file), url]) == 2
        assert old.jobs.counts("work")["queued"] == 1

    assert "stop it first" in capsys.readouterr().err


def test_unique_keys_are_dropped_only_when_told_to(tmp_path: Path, url: str, capsys) -> None:
    file = tmp_path / "jobs.db"
    with Runtime(file) as old:
        old.jobs.queue("work", unique="k")

    assert main(["migrate", str(file), url]) == 2
    assert "there are no unique keys" in capsys.readouterr().err
    assert main(["migrate", "--drop-unique", str(file), url]) == 0


@pytest.mark.parametrize("until", [None, datetime(2099, 1, 1, tzinfo=UTC)])
def test_a_pause_moves_with_its_end_and_none_of_its_jobs_is_started(tmp_path: Path, url: str, until, capsys) -> None:
    file, ran, done = tmp_path / "jobs.db", [], threading.Event()
    with Runtime(file) as old:
        old.jobs.queue("stopped")
        old.jobs.queue("open")
        old.jobs.pause("stopped", by="ada", reason="it fails", until=until)

    assert main(["migrate", str(file), url]) == 0
    assert "and 1 pause from " in capsys.readouterr().out
    with Runtime(url) as new:
        for name in ("stopped", "open"):
            new.jobs.add_handler(name, lambda job: (ran.append(job.name), done.set()))
        assert done.wait(15)
        assert new.jobs.counts("stopped")["queued"] == 1
        (pause,) = new.current_boot.get().store.jobs.pauses()
    assert (ran, pause.name, pause.by, pause.reason) == (["open"], "stopped", "ada", "it fails")
    assert pause.until == (None if until is None else until.timestamp())
    with Runtime(file) as old:
        assert old.current_boot.get().store.jobs.pauses() == []


def test_a_schedule_goes_on_where_the_file_has_accounted_for_it(tmp_path: Path, url: str) -> None:
    file = tmp_path / "jobs.db"
    with Runtime(file) as old:
        schedule_id = old.scheduler.add("digest", "@yearly", durable=True)
        before = old.current_boot.get().store.schedules.one(schedule_id)

    assert main(["migrate", str(file), url]) == 0

    with Runtime(url) as new:
        after = new.current_boot.get().store.schedules.one(schedule_id)
        assert after._replace(change_no=0) == before._replace(change_no=0)


@pytest.mark.parametrize(
    "what",
    [
        "a schedule",
        "a job of one that has none beside it",
        "a unique key",
        "a group",
        "a job that waits",
        "a job with a kept step",
        "a job with a signal",
    ],
)
def test_what_cannot_move_is_said_before_anything_has_moved(tmp_path: Path, url: str, what: str, capsys) -> None:
    file = tmp_path / "jobs.db"
    with Runtime(file) as old:
        job = old.jobs.queue(
            "work", unique="k" if what == "a unique key" else None, group="g" if what == "a group" else None
        )
        if what == "a job with a signal":
            old.jobs.signal(job, "approval")
        if what == "a job that waits":
            old.jobs.queue("work", after=job)
        old.jobs.pause("work")
        if what == "a schedule":
            old.scheduler.add("tick", "@yearly", durable=True, overlap="skip")
    if what == "a job of one that has none beside it":
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update lamplighter_jobs set one_at_a_time = 1")

    if what == "a job with a kept step":
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update lamplighter_jobs set claim_no = 1")
            connection.execute("insert into lamplighter_steps select no, 'x', '1', 1, 1.0 from lamplighter_jobs")

    assert main(["migrate", str(file), url]) == 2

    assert "this store keeps queues" in capsys.readouterr().err
    with Runtime(file) as old:
        assert (old.jobs.counts()["queued"], old.jobs.paused()) == (1 + (what == "a job that waits"), ("work",))
    with Runtime(url) as new:
        assert (new.scheduler.list(), new.jobs.paused()) == ([], ())


def test_a_path_at_which_there_is_no_store_is_said_and_nothing_is_made_there(tmp_path: Path, capsys) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("no store")

    codes = [main(["migrate", str(path), "amqp://localhost/"]) for path in (tmp_path / "typo.db", other)]

    assert codes == [3, 3]
    assert "typo.db" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("turned", [True, False])
def test_only_a_file_and_then_a_server_make_sense(tmp_path: Path, turned: bool, capsys) -> None:
    given = ["amqp://localhost/", str(tmp_path / "jobs.db")] if turned else [str(tmp_path / "jobs.db")] * 2

    assert main(["migrate", *given]) == 2
    assert "expected the path of a SQLite store or the URL of a PostgreSQL" in capsys.readouterr().err
