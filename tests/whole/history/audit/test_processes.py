"""The audit over several processes that were killed: what it says agrees with the store."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from lamplighter.history.audit.audit import Audit
from lamplighter.history.audit.store_check import StoreView
from lamplighter.history.log_files.lines import read
from lamplighter.history.trace.job import biography

from ....faults.kit import count
from ....history.kit import WAIT_SECONDS_MAX, Talker

KILLS = count(3, 20)


def storm(store: Path, level: str, logs: list[Path], seed: int) -> None:
    """One process a log, on one store; kill one after another at random instants, and stop the last ones well."""
    chance = random.Random(seed)
    lives = 0

    def start(log: Path) -> Talker:
        nonlocal lives
        lives += 1
        return Talker(store, log, level, f"p{lives}")

    hosts = [start(log) for log in logs]
    for host in hosts:
        host.started()
    for _ in range(KILLS):
        # Not a wait for something: the instant of the kill is what the test is about.
        threading.Event().wait(chance.uniform(0.05, 0.6))
        which = chance.randrange(len(hosts))
        hosts[which].kill()
        hosts[which] = start(logs[which])
        hosts[which].started()
    for host in hosts:
        host.stop()


def audited(logs: list[Path], store: Path | None) -> Audit:
    view = None if store is None else StoreView(store)
    audit = Audit()
    for line in read([str(log) for log in logs]):
        audit.feed(line)
    report = audit.finish(view)
    assert report.ok, report.findings[:10]
    assert report.crashes >= KILLS - 1
    return audit


def comes(log: Path, event: str, number: int) -> None:
    """Wait until a log has so many lines of an event."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while log.read_text("utf-8").count(f'"event": "{event}"') < number:
        assert time.monotonic() < deadline, f"{event} does not come"
        threading.Event().wait(0.01)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("shared", [False, True], ids=["a log each", "one log"])
def test_after_kills_at_random_instants_nothing_is_found_and_the_store_agrees(tmp_path, level, shared):
    store = tmp_path / "jobs.db"
    logs = [tmp_path / f"{0 if shared else number}.log" for number in range(2)]
    storm(store, level, logs, random.randrange(2**32))
    logs = sorted(set(logs))

    audited(logs, store)
    audited(logs, None)
    audited(logs[::-1], store)


@pytest.mark.timeout(180)
def test_the_life_of_a_job_of_a_killed_process_goes_on_in_another_ones_log(tmp_path):
    store, logs = tmp_path / "jobs.db", [tmp_path / "1.log", tmp_path / "2.log"]
    with_lane = Talker(store, logs[0], "debug", "first")
    with_lane.started()
    comes(logs[0], "job.started", 50)
    with_lane.kill_at_work(store)
    heir = Talker(store, logs[1], "debug", "second")
    heir.started()
    comes(logs[1], "job.started", 50)
    heir.stop()
    names = [str(log) for log in logs]
    taken_back = next(line for line in read(names) if line.event == "job.failed" and "died" in (line.reason or ""))

    life = biography(names, taken_back.job_id or "")

    assert life is not None
    assert life.gaps == 0
    said = [entry.says for entry in life.entries]
    assert any("is dead" in sentence for sentence in said)
    assert any("interrupted, queued again" in sentence and "the process of boot" in sentence for sentence in said)
    assert len({entry.said.get("boot") for entry in life.entries}) == 2
