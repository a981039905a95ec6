"""`lamplighter migrate`: what waits in a file is in the RabbitMQ afterwards, and in the file no more."""

from __future__ import annotations

import threading
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
    assert "moved 4 queued jobs and 1 durable schedules" in capsys.readouterr().out
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


@pytest.mark.parametrize("turned", [True, False])
def test_only_a_file_and_then_a_server_make_sense(tmp_path: Path, turned: bool, capsys) -> None:
    given = ["amqp://localhost/", str(tmp_path / "jobs.db")] if turned else [str(tmp_path / "jobs.db")] * 2

    assert main(["migrate", *given]) == 2
    assert "expected the path of a SQLite store" in capsys.readouterr().err
