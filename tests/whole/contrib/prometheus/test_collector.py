"""What a Prometheus scrapes: the truth of the store, whoever answers."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamplighter.contrib.prometheus import LamplighterCollector, text_of
from prometheus_client.parser import text_string_to_metric_families

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
