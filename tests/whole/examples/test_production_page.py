"""docs/production.md tells the truth: its unit is started and stopped as systemd would, and its commands are run."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.api.runtime import DRAIN_SECONDS
from lamplighter.cli.main import main

from ...faults.kit import eventually, rows
from ...support.web_server import WebServer

PAGE = (Path(__file__).parents[3] / "docs" / "production.md").read_text("utf-8")
SPARE_SECONDS = 2
"""How much longer the page says that whoever kills is to wait."""

ANSWER_SECONDS_MAX = 15
"""How long a process may take to answer that has little of the processor."""

APPLICATION = """
from lamplighter import Runtime

runtime = Runtime("jobs.db")


@runtime.jobs.handler("greet")
def greet(job):
    return "hello"


@runtime.jobs.handler("wait")
def wait(job):
    print("waiting", flush=True)
    job.sleep(60)
    return "stopping" if job.stopping else "slept"
"""


def one(pattern: str) -> str:
    """What the page has in one place."""
    (found,) = re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(one(r"^```ini\n(.*?)^```$"))
    return parser["Service"]


def command_of(line: str) -> list[str]:
    """What comes after the name of the command."""
    name, *options = shlex.split(line)
    assert Path(name).name == "lamplighter"
    return options


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WebServer]:
    """The unit's process, beside a store in the folder."""
    (tmp_path / "app.py").write_text(APPLICATION)
    with WebServer("lamplighter", *command_of(unit()["ExecStart"]), "--log", "app.log", folder=tmp_path) as process:
        eventually((tmp_path / "app.log").exists, what="a runtime that has started")
        eventually(lambda: "runtime.started" in (tmp_path / "app.log").read_text(), what="its first line")
        yield process


def asked(capsys: pytest.CaptureFixture[str], line: str, *more: str) -> tuple[int, str]:
    """How a command ends, and what it says."""
    capsys.readouterr()
    code = main([*command_of(line), *more])
    return code, capsys.readouterr().out


def test_the_units_process_lets_a_job_end_within_the_time_that_systemd_gives(worker: WebServer, tmp_path: Path) -> None:
    with Runtime(tmp_path / "jobs.db").start(work=False) as runtime:
        job = runtime.jobs.queue("wait")
        eventually(lambda: "waiting" in worker.said, what="a job that runs")

        worker.process.send_signal(signal.Signals[unit()["KillSignal"]])

        assert worker.process.wait(float(unit()["TimeoutStopSec"])) == 0
        assert runtime.jobs.get(job).result == "stopping"


def test_whoever_kills_waits_longer_than_the_drain() -> None:
    drain = float(one(r"^ExecStart=.* --drain (\d+)$"))
    told = re.findall(r"^\| [\w ]+ \| .*?(\d+)s?`[^|]* \| `drain` to (\d+)", PAGE, re.MULTILINE)

    assert float(unit()["TimeoutStopSec"]) >= drain + SPARE_SECONDS
    assert unit()["KillMode"] == "mixed", "children are not signalled before the drain is over"
    assert [row for row in told if float(row[0]) < float(row[1]) + SPARE_SECONDS] == []
    assert len(told) == 3
    assert float(one(r"`drain` to (\d+), the default")) == DRAIN_SECONDS


def test_the_commands_that_watch_say_what_the_page_says(
    worker: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "jobs.db"
    health = one(r"^    HEALTHCHECK .* CMD (lamplighter health .*?)$").replace("/data/jobs.db", str(store))
    health = f"{health} --timeout {ANSWER_SECONDS_MAX}"
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(store))

    eventually(lambda: asked(capsys, health)[0] == 0, what="a runtime that is well")
    assert asked(capsys, health, "--any")[0] == 0
    ((boot, pid),) = [
        (seen["boot"], seen["pid"])
        for seen in map(json.loads, asked(capsys, "lamplighter runtimes list", "--json")[1].splitlines())
    ]
    assert pid == worker.process.pid
    assert asked(capsys, health, "--boot", boot[:8])[0] == 0
    for verb in ("show", "tree", "stacks", "quiet"):
        assert re.search(rf"`(runtimes )?{verb}( BOOT)?`", PAGE)
        assert asked(capsys, f"lamplighter runtimes {verb} {boot} --timeout {ANSWER_SECONDS_MAX}")[0] == 0
    with Runtime(store).start(work=False) as runtime:
        job = runtime.jobs.queue("greet")
        assert runtime.jobs.get(job).state == "queued"
        assert asked(capsys, f"lamplighter runtimes go {boot} --timeout {ANSWER_SECONDS_MAX}")[0] == 0
        assert runtime.jobs.join(job, timeout=20).result == "hello"

    worker.process.send_signal(signal.SIGSTOP)
    eventually(lambda: asked(capsys, health, "--timeout", "1")[0] == 1, what="one that does not answer")
    assert "stopped" in asked(capsys, "lamplighter runtimes list")[1]
    worker.process.send_signal(signal.SIGCONT)
    assert worker.stop() == 0
    assert asked(capsys, health)[0] == 1


def test_metrics_are_served_at_the_pages_address_and_the_log_is_audited(
    worker: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "jobs.db"
    assert asked(capsys, f"lamplighter queue greet --store {store} --id a")[0] == 0
    eventually(lambda: rows(store, "select state from lamplighter_jobs where id = 'a'") == [("done",)], what="its end")
    serve = command_of(one(r"`(lamplighter metrics --serve) :9109`"))
    with WebServer("lamplighter", *serve, "127.0.0.1:0", "--store", str(store), folder=tmp_path) as metrics:
        assert one(r"alert on `(lamplighter_\w+)`") in metrics.get("/metrics")

    assert worker.stop() == 0
    audit = one(r"^    (lamplighter audit .*?)$")
    monkeypatch.chdir(tmp_path)
    code, said = asked(capsys, audit.replace("/var/log/app/*.log", "app.log"))
    assert (code, said[:24]) == (0, "all is well: 1 job, 3 tr"), said
