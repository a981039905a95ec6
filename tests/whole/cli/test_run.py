"""`lamplighter run`: what it runs, when it ends, and what it says where it cannot begin."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.contrib import reloading
from lamplighter.environment.process import state_of

from ...faults.kit import eventually
from ...support.reloader import noted_workers

APP = """
    from lamplighter import Runtime

    runtime = Runtime("app.db")
    other = object()

    for name in ("mail", "report"):
        runtime.jobs.add_handler(name, lambda job: "{says}")
    runtime.jobs.add_handler("fail", lambda job: 1 / 0, max_attempts=1)
"""
SECONDS_MAX = 30.0


def write_app(folder: Path, says: str = "first", **more: str) -> None:
    text = textwrap.dedent(APP).format(says=says)
    (folder / "app.py").write_text(text + more.get("then", ""))


@contextmanager
def running(folder: Path, *options: str):
    """The command, until the block ends."""
    command = [sys.executable, "-P", "-m", "lamplighter", "run", *options]
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.fixture
def producer(tmp_path):
    """Queues for the command."""
    with Runtime(tmp_path / "app.db").start(work=False) as one:
        yield one


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_does_the_jobs_of_an_application_until_a_signal(tmp_path, producer, number):
    write_app(tmp_path)
    with running(tmp_path, "app:runtime") as process:
        done = producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX)
        process.send_signal(number)

        assert process.wait(SECONDS_MAX) == 0
    assert done.result == "first"
    events = [json.loads(line)["event"] for line in said(tmp_path).splitlines()]
    assert (events[0], events[-1]) == ("runtime.started", "runtime.stopped")


def test_only_some_names_a_log_and_a_level(tmp_path, producer):
    write_app(tmp_path)
    options = ("--only", "report", "--only", "fail", "--log", "app.log", "--level", "warning", "--drain", "0.5")
    with running(tmp_path, "app:runtime", *options) as process:
        mail, report = producer.jobs.queue("mail"), producer.jobs.queue("report")
        failing = producer.jobs.queue("fail")
        producer.jobs.join(report, timeout=SECONDS_MAX)
        eventually(lambda: producer.jobs.get(failing).state == "dead")
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0

    assert producer.jobs.get(mail).state == "queued"
    lines = [json.loads(line) for line in (tmp_path / "app.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["job.dead"]


def test_an_application_that_logs_by_itself_is_left_to_it(tmp_path, producer):
    write_app(tmp_path, then="import logging\nlogging.basicConfig(format='MINE %(message)s', level='INFO')\n")
    with running(tmp_path, "app:runtime") as process:
        producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX)
        process.terminate()
        process.wait(SECONDS_MAX)

    assert all(line.startswith("MINE ") for line in said(tmp_path).splitlines())


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("app", "got: 'app'; did you mean app:runtime?"),
        ("app:runtme", "got: app:runtme; app has no runtme; did you mean app:runtime?"),
        ("app:other", "a Runtime, got: app:other, a object; did you mean app:runtime?"),
        ("app.py:runtime", "got: app.py:runtime; no module 'app.py' in {here}; did you mean app:runtime?"),
        ("nowhere:runtime", "got: nowhere:runtime; no module 'nowhere' in {here}"),
        ("app.inner:runtime", "got: app.inner:runtime; no module 'app.inner' in {here}"),
        ("my-app:runtime", "got: 'my-app:runtime'"),
        ("..app:runtime", "got: '..app:runtime'"),
    ],
)
def test_what_it_cannot_find_it_says_and_what_would_do(tmp_path, monkeypatch, capsys, target, says):
    write_app(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "app", raising=False)

    assert main(["run", target]) == 2
    assert capsys.readouterr().err == f"lamplighter: expected MODULE:RUNTIME, {says.format(here=tmp_path)}\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--only", "mial"), "got: 'mial'; did you mean 'mail'?"),
        (("--drain", "-1"), "expected drain to be"),
        (("--log", "nowhere/app.log"), "nowhere"),
    ],
)
def test_what_it_cannot_do_it_says_and_ends(tmp_path, options, says):
    write_app(tmp_path)
    with running(tmp_path, "app:runtime", *options) as process:
        assert process.wait(SECONDS_MAX) == 2

    assert said(tmp_path).startswith("lamplighter: expected ")
    assert says in said(tmp_path)


def test_an_error_of_the_application_is_shown_as_its_own(tmp_path):
    (tmp_path / "app.py").write_text("import not_there\n")
    with running(tmp_path, "app:runtime") as process:
        assert process.wait(SECONDS_MAX) == 1

    assert "Traceback" in said(tmp_path)
    assert "No module named 'not_there'" in said(tmp_path)


def test_a_runtime_without_handlers_is_said_to_do_nothing(tmp_path):
    (tmp_path / "app.py").write_text("from lamplighter import Runtime\nruntime = Runtime('app.db')\n")
    with running(tmp_path, "app:runtime") as process:
        eventually(lambda: "runtime.started" in said(tmp_path))
        process.terminate()
        process.wait(SECONDS_MAX)

    assert "lamplighter: app:runtime has no handlers; import the modules that add them in app\n" in said(tmp_path)


def test_a_change_of_the_code_starts_it_anew_and_an_error_in_it_waits_for_the_next(tmp_path, producer):
    write_app(tmp_path)
    with running(tmp_path, "app:runtime", "--reload", "--log", "app.log") as process:
        results = [producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX).result]
        (tmp_path / "app.py").write_text("1 / 0\n")
        eventually(lambda: "it has ended with 1; waiting for a file to change" in said(tmp_path))
        write_app(tmp_path, "second")
        results.append(producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX).result)
        process.terminate()

        assert process.wait(SECONDS_MAX) == 0
    assert results == ["first", "second"]
    assert said(tmp_path).count("lamplighter: app.py changed; starting anew\n") == 2
    events = [json.loads(line)["event"] for line in (tmp_path / "app.log").read_text().splitlines()]
    assert [event for event in events if event.startswith("runtime.")] == [
        "runtime.started",
        "runtime.stopping",
        "runtime.stopped",
    ] * 2


def test_a_sighup_starts_a_reloader_s_worker_anew(tmp_path, producer):
    write_app(tmp_path)
    with running(tmp_path, "app:runtime", "--reload", "--log", "app.log") as process:
        producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: (tmp_path / "app.log").read_text().count('"runtime.started"') == 2)
        process.terminate()

        assert process.wait(SECONDS_MAX) == 0
    assert said(tmp_path).count("lamplighter: SIGHUP; starting anew\n") == 1


def test_a_terminal_that_is_closed_ends_a_reloader_and_its_worker(tmp_path, producer):
    write_app(tmp_path, then="import os; runtime.jobs.add_handler('who', lambda job: [os.getppid(), os.getpid()])\n")
    command = [sys.executable, "-P", "-m", "lamplighter", "run", "app:runtime", "--reload"]
    terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *command]
    with subprocess.Popen(terminal, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            pids = producer.jobs.join(producer.jobs.queue("who"), timeout=SECONDS_MAX).result
        finally:
            process.kill()

    eventually(lambda: [state_of(pid) for pid in pids] == ["gone", "gone"])


def test_under_nohup_a_sighup_changes_nothing(tmp_path, producer):
    write_app(tmp_path, then="import signal; assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with running(tmp_path, "app:runtime") as process:
        signal.signal(signal.SIGHUP, before)
        producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX)
        process.send_signal(signal.SIGHUP)

        assert producer.jobs.join(producer.jobs.queue("mail"), timeout=SECONDS_MAX).state == "done"
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize(
    ("options", "given", "drain"),
    [
        ([], ["--drain", "1.0"], 1.0),
        (["--only", "a", "--only", "b"], ["--only", "a", "--only", "b", "--drain", "1.0"], 1.0),
        (["--log", "l", "--level", "debug", "--drain", "7"], ["--log", "l", "--level", "debug", "--drain", "7.0"], 7.0),
    ],
)
def test_a_reloader_s_worker_gets_all_other_options(monkeypatch, options, given, drain):
    started = noted_workers(monkeypatch)

    assert main(["run", "app:runtime", "--reload", *options]) == 0

    command = [sys.executable, "-m", "lamplighter", "run", "app:runtime", *given]
    assert started == [(command, drain + reloading.STOP_SECONDS_MAX, None)]


def test_without_watchfiles_a_reload_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    assert main(["run", "app:runtime", "--reload"]) == 2

    assert "pip install 'lamplighter[reload]'" in capsys.readouterr().err
