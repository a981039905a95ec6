"""What a Prometheus scrapes: the truth of the store, whoever answers."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamplighter import MissingExtra, Runtime, UsageError
from lamplighter.admin.metrics import KINDS
from lamplighter.cli.main import main
from lamplighter.contrib.prometheus import LamplighterCollector
from lamplighter.contrib.prometheus.serving import served, text_of
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

DOCS = Path(__file__).parents[3] / "docs"

WORKER = """
import sys
from lamplighter import Discard, Runtime

runtime = Runtime(sys.argv[1])

@runtime.jobs.handler("work", max_attempts=2, backoff=[0])
def work(job):
    if job.data % 7 == 0:
        raise Discard("unlucky")
    if job.data % 5 == 0 and job.attempt == 1:
        raise ValueError("once more")

with runtime:
    jobs = [runtime.jobs.queue("work", number) for number in range(1, 61)]
    runtime.jobs.cancel(runtime.jobs.queue("later", delay=600))
    for job in jobs:
        while runtime.jobs.get(job).state in ("queued", "running"):
            runtime.jobs.counts()
"""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def scraped(collector: LamplighterCollector) -> Samples:
    """Every value that only rises: counters, and what histograms have counted."""
    found: Samples = {}
    for family in text_string_to_metric_families(text_of(collector)):
        if family.type in ("counter", "histogram"):
            for sample in family.samples:
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def no_less(before: Samples, after: Samples) -> Samples:
    assert [key for key, value in before.items() if after.get(key, -1) < value] == []
    return after


def truth(path: Path) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Of the jobs in the store the states by name, and of their attempts the outcomes that it keeps."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        states = Counter(db.execute("select name, state from lamplighter_jobs").fetchall())
        attempts = Counter(outcome for (outcome,) in db.execute("select outcome from lamplighter_attempts"))
    return states, attempts


def test_counters_never_fall_and_come_to_the_truth_of_the_store(runtime, path):
    runtime().stop()
    last: Samples = {}
    with contextlib.closing(LamplighterCollector(path)) as collector:
        for _ in range(2):
            command = [sys.executable, "-c", WORKER, str(path)]
            workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
            while any(worker.poll() is None for worker in workers):
                last = no_less(last, scraped(collector))
            assert [worker.returncode for worker in workers] == [0, 0]
        last = no_less(last, scraped(collector))

    states, attempts = truth(path)
    of: dict[str, dict[Any, float]] = {}
    for (name, labels), value in last.items():
        of.setdefault(name, {})[tuple(label for _, label in labels)] = value
    assert of["lamplighter_jobs_queued_total"] == {("later",): 4, ("work",): 240}
    assert of["lamplighter_jobs_ended_total"] == states
    ran = of["lamplighter_attempts_total"]
    assert (ran["work", "failed"], ran["work", "discarded"]) == (attempts["failed"], attempts["discarded"])
    assert of["lamplighter_job_run_seconds_count"] == {("work",): sum(ran.values())}
    assert of["lamplighter_job_run_seconds_bucket"]["+Inf", "work"] == sum(ran.values())


def test_a_registry_learns_what_there_is_without_looking_at_the_store(path):
    collector = LamplighterCollector(path)

    CollectorRegistry().register(collector)

    assert {family.name for family in collector.describe()} == {kind.name for kind in KINDS}
    assert not path.exists()


@pytest.mark.parametrize(
    ("store", "options", "error"),
    [
        ("app.db", {"names_max": 0}, UsageError),
        ("app.db", {"names_max": "many"}, UsageError),
        (7, {}, UsageError),
        ("amqp://nobody:pw@host:port/", {}, UsageError),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(store, options, error):
    with pytest.raises(error):
        LamplighterCollector(store, **options)


def test_a_store_that_is_not_there_is_said_to_whoever_asks_the_command(path, capsys):
    assert main(["metrics", "-s", str(path)]) == 3
    assert main(["metrics", "-s", str(path), "--serve", "127.0.0.1:0"]) == 3
    assert "which is no file" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["9109", "host:", ":65536", "host:http", ""])
def test_an_address_that_is_none_is_refused(runtime, path, capsys, address):
    runtime().stop()

    assert main(["metrics", "-s", str(path), "--serve", address]) == 2
    assert "expected --serve to be [HOST]:PORT" in capsys.readouterr().err


def test_metrics_at_a_terminal_move_no_cursor(runtime, path, monkeypatch, capsys):
    with runtime() as rt:
        rt.jobs.queue("evil\x1b[2J")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    assert main(["metrics", "-s", str(path)]) == 0

    said = capsys.readouterr().out
    assert "evil\\x1b[2J" in said
    assert "\x1b" not in said


def test_the_command_prints_what_a_scrape_gets(runtime, path, capsys):
    runtime().stop()

    assert main(["metrics", "-s", str(path)]) == 0

    families = text_string_to_metric_families(capsys.readouterr().out)
    assert {family.name for family in families} == {kind.name for kind in KINDS}


@pytest.fixture
def server(runtime, path) -> Iterator[str]:
    """The address of a process that serves the metrics of a store."""
    runtime().stop()
    command = [sys.executable, "-m", "lamplighter", "metrics", "-s", str(path), "--serve", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        found = re.search(r"http://\S+/metrics", serving.stderr.readline())
        assert found is not None
        yield found[0]
        serving.terminate()


def test_whoever_scrapes_a_server_is_answered_each_time_anew(server, runtime, path):
    before = urllib.request.urlopen(server, timeout=10).read().decode()
    with runtime() as rt:
        rt.jobs.add_handler("work", lambda job: None)
        rt.jobs.join(rt.jobs.queue("work"))

    after = urllib.request.urlopen(server, timeout=10).read().decode()

    assert 'lamplighter_jobs_ended_total{name="work",state="done"}' not in before
    assert 'lamplighter_jobs_ended_total{name="work",state="done"} 1.0' in after


def test_without_its_extra_the_command_says_what_to_install(runtime, path, monkeypatch, capsys):
    runtime().stop()
    for name in [name for name in sys.modules if name.startswith("lamplighter.contrib.prometheus")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)

    assert main(["metrics", "-s", str(path)]) == 2
    assert "pip install 'lamplighter[prometheus]'" in capsys.readouterr().err
    with pytest.raises(MissingExtra):
        import lamplighter.contrib.prometheus  # noqa: F401


def test_the_page_of_metrics_tells_of_each_and_of_no_other():
    page = (DOCS / "metrics.md").read_text("utf-8")

    named = set(re.findall(r"`(lamplighter_\w+)`", page))
    assert named == {f"{kind.name}{'_total' if kind.kind == 'counter' else ''}" for kind in KINDS}


def test_whoever_has_served_metrics_listens_no_more(tmp_path: Path) -> None:
    with Runtime(tmp_path / "jobs.db"):
        pass
    with served(LamplighterCollector(tmp_path / "jobs.db"), "127.0.0.1", 0) as (port, _):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert b"lamplighter_health" in answer.read()
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"):
            served(LamplighterCollector(tmp_path / "jobs.db"), "127.0.0.1", port).__enter__()

    with socket.create_server(("127.0.0.1", port)):
        """The port is free."""
