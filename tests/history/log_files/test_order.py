"""Logs that lie one after another in one file, as `kubectl logs -l`, `docker compose logs` and `cat` leave them."""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

from lamplighter.cli.main import main

from ..kit import Said, Story, index_of, without, write_log

JOBS = 300


def two_pods() -> tuple[list[Said], list[Said]]:
    """What a pod logs that queues jobs and does those that another one, which logs too, has failed to do."""
    web = Story("web")
    worker = Story("worker", 2, among=web)
    for n in range(JOBS):
        job = f"j{n}"
        web.move("queued", None, 0, 0, job)
        worker.move("claimed", "queued", 1, 0, job).move("failed", "running", 1, 1, job)
        web.move("claimed", "queued", 2, 1, job).move("done", "running", 2, 2, job)
    each = {story.boot: 0.1 * JOBS / len(story.lines) for story in (web, worker)}
    logs = [
        [{**line, "ts": round(1.0 + each[story.boot] * number, 6)} for number, line in enumerate(story.lines)]
        for story in (web, worker)
    ]
    return logs[0], logs[1]


def _said(boot: str, seq: int, at: float) -> Said:
    return {"ts": round(at, 6), "boot": boot, "seq": seq}


def _started(boot: str) -> Said:
    return {"event": "runtime.started", **_said(boot, 1, 0.5), "store": "/app/jobs.db", "store_id": "s"}


def test_logs_one_after_another_in_one_file_are_audited_as_if_they_were_apart(tmp_path, capsys):
    """1,409 findings, and the same two files apart were all well."""
    web, worker = two_pods()

    for lines in (web + worker, worker + web, (web + worker)[::-1]):
        assert main(["audit", str(write_log(tmp_path / "all.log", lines))]) == 0
        assert f"all is well: {JOBS:,} jobs, {5 * JOBS:,} transitions" in capsys.readouterr().out


def test_a_line_that_is_missing_from_one_of_them_is_found(tmp_path, capsys):
    web, worker = two_pods()
    gone = index_of(worker, "turn.committed", turn=150)

    assert main(["audit", str(write_log(tmp_path / "all.log", without(worker, gone) + web))]) == 1

    assert "missing turns: turn 150 of boot worker is told by no line" in capsys.readouterr().out


def test_whatever_comes_through_a_pipe_is_audited_in_any_order(tmp_path, capsys, monkeypatch):
    web, worker = two_pods()
    raw = write_log(tmp_path / "all.log", worker + web).read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(raw))))

    assert main(["audit", "-"]) == 0


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
    stories = {boot: Story(boot, number) for number, boot in enumerate(("web", "worker", "third"), 1)}
    lines: list[Said] = []
    for boot, kind, job, move_no, at in (
        ("web", "queued", "p", 1, 1.0),
        ("worker", "claimed", "p", 2, 2.0),
        ("third", "queued", "c", 1, 3.0),
        ("worker", "done", "p", 3, 4.0),
    ):
        story, claim_no = stories[boot], int(move_no > 1)
        before = {"queued": None, "claimed": "queued", "done": "running"}[kind]
        story.revs[job] = move_no - 1
        story.move(kind, before, claim_no, int(kind == "done"), job)
        own = {"job_id": job, "job_name": "n", "claim_no": claim_no, "attempt": int(kind == "done"), "corr": "p"}
        if kind != "done":
            story.said(f"job.{kind}", turn=story.turns, **own)
        story.lines[-1] |= {"corr": "p"}
        lines += [{**line, "ts": at} for line in story.lines[-2:]]

    assert main(["trace", "--corr", "p", "--json", str(write_log(tmp_path / "log", lines))]) == 0

    hops = [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]
    assert [(hop["job_id"], hop["event"]) for hop in hops] == [
        ("p", "job.queued"),
        ("p", "job.claimed"),
        ("c", "job.queued"),
        ("p", "job.done"),
    ]


def test_each_of_several_lives_of_one_id_is_timed_for_itself(tmp_path, capsys):
    lines: list[Said] = []
    for number, store in enumerate(("eu", "us")):
        story = Story(store, store=store).move("queued", None, 0, 0, "j1").move("claimed", "queued", 1, 0, "j1")
        story.lines[0]["store"] = f"/app/{store}.db"
        at = 100.0 - number
        lines += [{**line, "ts": at + 0.5 * (place == 3)} for place, line in enumerate(story.lines)]

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
