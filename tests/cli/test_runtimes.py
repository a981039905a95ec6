"""`lamplighter runtimes`."""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter.cli.main import main
from lamplighter.messages.boots import BootRecord
from lamplighter.stores.sqlite.store import SqliteStore

PATIENT = ("--timeout", "15")


@pytest.fixture
def store(tmp_path, monkeypatch):
    address = str(tmp_path / "jobs.db")
    monkeypatch.setenv("LAMPLIGHTER_STORE", address)
    return address


@pytest.fixture
def busy(runtime, recorder, store):
    """A runtime that runs a job, and the job."""
    rt, release = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(30), timeout=60, concurrency_total=5)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started")
    yield rt, job
    release.set()


def run(*arguments):
    return main(["runtimes", *arguments, *PATIENT])


def read_json(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_runtime_has_a_line(busy, runtime, capsys):
    rt, _ = busy
    producer = runtime(start=False).start(work=False)

    assert run("list") == 0

    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.split()[:5] == ["boot", "no", "kind", "process", "condition"]
    assert first.split()[:8] == [rt.boot.id, "1", "worker", str(os.getpid()), "on", socket.gethostname(), "green", "1"]
    assert second.split()[:3] == [producer.boot.id, "2", "producer"]


def test_programs_get_what_the_row_says_and_what_the_runtime_says(busy, capsys):
    rt, job = busy

    assert run("list", "--json") == 0

    (line,) = read_json(capsys)
    assert (line["boot"], line["condition"], line["is_alive"], line["unheard"]) == (rt.boot.id, "answers", True, None)
    assert [lane["job_id"] for lane in line["view"]["lanes"]] == [job.id]


def test_where_none_is_the_exit_code_is_1(runtime, store, capsys):
    runtime().stop()

    assert [run("list"), run("tree")] == [1, 1]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "lamplighter: no runtime lives on this store\n" * 2)

    assert [run("show", "x"), run("quiet", "--all"), run("go", "x")] == [1] * 3
    assert capsys.readouterr().out == ""


def test_one_is_shown_with_its_jobs_and_hung_threads(busy, runtime, recorder, capsys):
    rt, job = busy
    hangs, release = runtime(lane_grace_seconds=0.01), threading.Event()

    def where_it_hangs(job):
        release.wait(30)

    hangs.jobs.add_handler("hangs", where_it_hangs, timeout=1, max_attempts=1)
    hangs.jobs.queue("hangs")
    recorder.wait_for("lane.abandoned")

    assert [run("show", rt.boot.id[:8]), run("show", "2")] == [0, 0]

    shown = capsys.readouterr().out
    release.set()
    assert "work: 1 at once (thread), 20 attempts, 60 s each, 5 on the whole store" in shown
    assert any(line.split()[:3] == [job.id, "work", "1"] for line in shown.splitlines())
    assert "(hangs), timed out, runs for " in shown
    assert "in where_it_hangs" in shown


def test_the_actors_of_all_that_live_are_shown(busy, capsys):
    rt, job = busy

    assert run("tree") == 0
    text = capsys.readouterr().out
    assert run("tree", rt.boot.id, "--json") == 0

    assert ["broker", "1", "up"] in [line.split()[:3] for line in text.splitlines()]
    assert any(line.endswith(job.id) for line in text.splitlines())
    actors = read_json(capsys)
    assert [actor["name"] for actor in actors] == ["supervisor", "broker", "scheduler", "handler:work"]
    assert {actor["boot"] for actor in actors} == {rt.boot.id}


def test_the_stacks_of_one_are_shown(busy, capsys):
    rt, job = busy

    assert run("stacks", rt.boot.id) == 0
    text = capsys.readouterr().out
    assert run("stacks", rt.boot.id, "--json") == 0

    assert f"job {job.id} (work)" in text
    assert "thread lamplighter broker" in text
    assert {"job", "thread"} == {line["what"] for line in read_json(capsys)}


def test_one_is_made_quiet_and_goes_on_and_the_log_says_who_had_it_so(busy, recorder, capsys):
    rt, _ = busy

    codes = [
        run("quiet", rt.boot.id, "--reason", "a deploy"),
        run("list"),
        run("go", "--all", "--by", "eve", "--json"),
    ]

    assert codes == [0, 0, 0]
    quieted, resumed = recorder.wait_for("runtime.quieted"), recorder.wait_for("runtime.resumed")
    me = f"{getpass.getuser()}@{socket.gethostname()}"
    assert (quieted["by"], quieted["via"], quieted["reason"]) == (me, "cli", "a deploy")
    assert (resumed["by"], resumed["via"]) == ("eve", "cli")
    said, *_, line, answer = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{rt.boot.id} claims no more jobs: quiet since ")
    assert "yellow, quiet" in line
    assert json.loads(answer) == {"boot": rt.boot.id, "quiet": None}


def test_a_dry_run_tells_who_would_be_quiet_and_asks_nobody(busy, recorder, capsys):
    rt, _ = busy

    assert run("quiet", "--all", "--dry-run") == 0

    assert capsys.readouterr().out == f"would have {rt.boot.id} claim no more jobs\n"
    assert recorder.of("runtime.quieted") == []


def test_whoever_does_not_answer_cannot_be_made_quiet_and_the_others_are(runtime, store, recorder, capsys, monkeypatch):
    one, other = runtime(), runtime()
    one.boot._standing.controls.close()
    monkeypatch.setattr(one.boot._standing.controls, "keep", lambda: None)

    assert run("quiet", "--all") == 1

    assert recorder.wait_for("runtime.quieted")["boot"] == other.boot.id
    assert f"expected runtime instance {one.boot.id} to answer, got: nobody answers" in capsys.readouterr().err


def test_where_one_of_several_is_not_there_it_is_told_and_the_others_are_made_quiet(busy, recorder, capsys):
    rt, _ = busy

    assert run("quiet", rt.boot.id, "nobody") == 1

    assert recorder.wait_for("runtime.quieted")["boot"] == rt.boot.id
    assert "no runtime instance nobody is on this store" in capsys.readouterr().err


def test_one_that_is_dead_is_listed_and_neither_in_the_tree_nor_asked(runtime, store, capsys):
    runtime().stop()
    with closing(SqliteStore(store)) as opened:
        opened.open()
        with opened.turn("gone", 0.0) as turn:
            turn.boots.register(BootRecord("gone", 1, "h", 1.0, None, ("work",)))
    Path(f"{store}-boots", "gone.lock").touch()

    assert run("list") == 0
    assert "dead" in capsys.readouterr().out

    assert [run("tree"), run("quiet", "--all"), run("quiet", "--all", "--dry-run")] == [1, 1, 1]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "lamplighter: no runtime lives on this store\n")


def test_a_silent_one_is_shown_with_why_nothing_is_known_of_it(runtime, store, capsys, monkeypatch):
    rt = runtime()
    rt.boot._standing.controls.close()
    monkeypatch.setattr(rt.boot._standing.controls, "keep", lambda: None)

    assert [run("list"), run("show", "1"), run("tree"), run("stacks", "1")] == [0, 0, 0, 3]

    out = capsys.readouterr().out
    assert out.count("silent") >= 3
    assert "nobody answers at" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quiet"], "expected the ids of runtimes, or --all"),
        (["go", "1", "--all"], "expected the ids of runtimes, or --all"),
    ],
)
def test_what_makes_no_sense_exits_with_2(arguments, says, runtime, store, capsys):
    runtime()

    assert run(*arguments) == 2

    assert says in capsys.readouterr().err


def test_a_store_that_is_not_there_exits_with_3(tmp_path):
    assert run("list", "-s", str(tmp_path / "none.db")) == 3
