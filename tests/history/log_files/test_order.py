"""Logs that lie one after another in one file, as `kubectl logs -l`, `docker compose logs` and `cat` leave them."""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

import pytest
from lamplighter.cli.main import main
from lamplighter.history.log_files.order import parts_of

from ..kit import Said, index_of, without, write_log

JOBS = 300


@pytest.fixture(autouse=True)
def _waits_for_few(monkeypatch) -> None:
    """An audit waits for as many transitions as several processes may write at once; here that is soon too few."""
    monkeypatch.setattr("lamplighter.history.audit.file_replay.UNORDERED_MAX", 64)


def two_pods() -> tuple[list[Said], list[Said]]:
    """What a pod logs that queues jobs and does those that another one, which logs too, has failed to do."""
    web: list[Said] = [_started("web")]
    worker: list[Said] = [_started("worker")]
    for n in range(JOBS):
        at, rev = 1.0 + n / 10, 5 * n
        queued = {"to": "queued", "rev": rev + 1, "claim_no": 0, "attempt": 0}
        failed = {"from": "running", "to": "queued", "rev": rev + 3, "claim_no": 1, "attempt": 1, "outcome": "failed"}
        done = {"from": "running", "to": "done", "rev": rev + 5, "claim_no": 2, "attempt": 2, "outcome": "succeeded"}
        web += [
            _step("job.queued", n, _said("web", 3 * n + 2, at), queued),
            _step("job.claimed", n, _said("web", 3 * n + 3, at + 0.04), _claim(rev + 4, 2)),
            _step("job.done", n, _said("web", 3 * n + 4, at + 0.05), {**done, "revs": [rev + 4, rev + 5]}),
        ]
        worker += [
            _step("job.claimed", n, _said("worker", 2 * n + 2, at + 0.02), _claim(rev + 2, 1)),
            _step(
                "job.retried", n, _said("worker", 2 * n + 3, at + 0.03), {**failed, "revs": [rev + 1, rev + 2, rev + 3]}
            ),
        ]
    return web, worker


def _claim(rev: int, claim_no: int) -> Said:
    return {"from": "queued", "to": "running", "rev": rev, "claim_no": claim_no, "attempt": claim_no - 1}


def _step(event: str, job: int, said: Said, move: Said) -> Said:
    return {"event": event, **said, "job_id": f"j{job}", "job_name": "work", **move}


def _said(boot: str, seq: int, at: float) -> Said:
    return {"ts": round(at, 6), "boot": boot, "seq": seq}


def _started(boot: str) -> Said:
    return {"event": "runtime.started", **_said(boot, 1, 0.5), "store": "/app/jobs.db", "store_id": "s"}


def test_logs_one_after_another_in_one_file_are_audited_in_the_order_of_time(tmp_path, capsys):
    """1,409 findings, and the same two files apart were all well."""
    web, worker = two_pods()

    for lines in (web + worker, worker + web):
        assert main(["audit", str(write_log(tmp_path / "all.log", lines))]) == 0
        said = capsys.readouterr().out
        assert "note: several logs lie one after another in all.log: their lines are taken in the order of time" in said
        assert f"all is well: {JOBS:,} jobs, {5 * JOBS:,} transitions" in said


def test_a_line_that_is_missing_from_one_of_them_is_found(tmp_path, capsys):
    web, worker = two_pods()
    gone = index_of(worker, "job.claimed", job_id="j150")

    assert main(["audit", str(write_log(tmp_path / "all.log", without(worker, gone) + web))]) == 1

    said = capsys.readouterr().out
    assert "missing revisions: revision 752 is told by no line of its own, only summed up" in said
    assert "not well: 1 missing revision;" in said


def test_a_log_with_its_newest_line_first_is_refused_with_the_way_around_it(tmp_path, capsys):
    web, worker = two_pods()
    lines = sorted(web + worker, key=lambda line: line["ts"])
    log = write_log(tmp_path / "export.log", lines[::-1])

    assert main(["audit", str(log)]) == 2

    assert f"whose lines run backwards; give it turned round, as in: tac {log} | lamp" in capsys.readouterr().err


def test_of_standard_input_that_is_not_well_it_is_said_that_it_cannot_be_read_twice(tmp_path, capsys, monkeypatch):
    web, worker = two_pods()
    raw = write_log(tmp_path / "all.log", worker + web).read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(raw))))

    assert main(["audit", "-"]) == 1

    assert "note: standard input cannot be read twice: if it holds several logs" in capsys.readouterr().out


def test_a_clock_that_was_set_back_does_not_tear_a_log_apart(tmp_path):
    web, worker = two_pods()
    lines = sorted(web + worker, key=lambda line: line["ts"])
    log = write_log(
        tmp_path / "all.log", [{**line, "ts": line["ts"] - 5.0} if line["ts"] > 10.0 else line for line in lines]
    )

    assert parts_of([str(log)]) == [str(log)]


def test_a_boot_whose_end_stands_before_its_beginning_is_not_taken_for_a_living_one(tmp_path, capsys):
    buried = {"event": "runtime.recovered", **_said("worker", 2, 9.0), "dead_boot": "web", "jobs": 0}
    actor = {"event": "actor.started", **_said("web", 2, 0.6), "child": "broker", "child_incarnation": 1}
    log = write_log(tmp_path / "all.log", [_started("worker"), buried, _started("web"), actor])

    assert main(["trace", "--at", "10", str(log)]) == 0

    said = capsys.readouterr().out
    assert "boots alive: worker (last heard of 1 s before)" in said
    assert "broker/1" not in said


def test_jobs_that_count_each_for_itself_are_told_in_the_order_of_time(tmp_path, capsys):
    """On RabbitMQ a parent's second revision was put behind the first one of a job that it has queued."""
    parent = {"job_name": "parent", "job_id": "p", "corr": "p", "claim_no": 1, "attempt": 0}
    child = {"job_name": "child", "job_id": "c", "corr": "p", "claim_no": 0, "attempt": 0}
    lines = [
        {"event": "job.queued", **_said("web", 1, 1.0), **parent, "claim_no": 0, "to": "queued", "rev": 1},
        {"event": "job.claimed", **_said("worker", 1, 2.0), **parent, "from": "queued", "to": "running", "rev": 2},
        {"event": "job.queued", **_said("third", 1, 3.0), **child, "to": "queued", "rev": 1},
        {"event": "job.done", **_said("worker", 2, 4.0), **parent, "from": "running", "to": "done", "rev": 3},
    ]

    assert main(["trace", "--corr", "p", "--json", str(write_log(tmp_path / "log", lines))]) == 0

    hops = [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]
    assert [(hop["job_id"], hop["event"]) for hop in hops] == [(line["job_id"], line["event"]) for line in lines]


def test_each_of_several_lives_of_one_id_is_timed_for_itself(tmp_path, capsys):
    lines: list[Said] = []
    for number, store in enumerate(("eu", "us")):
        at = 100.0 - number
        started = {**_started(store), "store": f"/app/{store}.db", "store_id": store}
        queued = {"to": "queued", "rev": 1, "claim_no": 0, "attempt": 0}
        lines += [started, _step("job.queued", 1, _said(store, 2, at), queued)]
        lines.append(_step("job.claimed", 1, _said(store, 3, at + 0.5), _claim(2, 1)))

    assert main(["trace", "j1", str(write_log(tmp_path / "log", lines))]) == 0

    waits = re.findall(r"Z +([+-]\S+ \S+)", capsys.readouterr().out)
    assert waits == ["+500 ms", "+500 ms"]


def test_a_schedule_that_is_not_there_is_answered_with_those_that_are(tmp_path, capsys):
    lines = [
        {"event": "schedule.added", **_said("web", 2, 1.0), "schedule": "5f", "job_name": "mail", "when": "@every 2s"},
        {
            "event": "schedule.added",
            **_said("web", 3, 1.0),
            "schedule": "6e",
            "job_name": "report",
            "when": "0 7 * * *",
        },
    ]

    assert main(["trace", "--schedule", "report", str(write_log(tmp_path / "log", lines))]) == 1

    assert capsys.readouterr().out == (
        "nothing in these logs is about schedule report; the schedules in them are 5f (mail, @every 2s), "
        "6e (report, 0 7 * * *)\n"
    )
