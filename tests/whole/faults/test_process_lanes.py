"""Process lanes: a crash in C is the job's alone, a timeout really kills, and a child never outlives its parent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...faults.kit import Host, eventually, rows


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with process lanes."""
    with Host("processes.py", tmp_path / "jobs.db", folder=tmp_path) as host:
        host.expect("started")
        yield host


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_segfault_in_a_child_is_the_jobs_alone_and_two_make_it_poison(host: Host) -> None:
    host.say("queue segfault s1")
    host.say("queue light l1")
    host.say("join l1")
    assert host.expect("ended")[0] == "done"
    host.say("join s1")
    state, *reason = host.expect("ended")
    assert state == "dead"
    assert " ".join(reason).startswith("poison: interrupted 2 times")
    host.say("attempts s1")
    for _ in range(2):
        attempt = host.expect("attempt")
        assert attempt[0] == "interrupted"
        assert "SIGSEGV" in attempt


def test_a_timeout_kills_the_child(host: Host) -> None:
    host.say("queue hang h1")
    (child,) = host.expect("child")
    assert is_alive(int(child))
    host.say("join h1")
    state, *reason = host.expect("ended")
    assert state == "dead"
    assert "timed out" in " ".join(reason)
    eventually(lambda: not is_alive(int(child)), 5.0, what="the death of the child")
    host.say("queue hang h2")
    (second,) = host.expect("child")
    assert second != child


def test_a_child_ends_when_its_parent_was_killed(host: Host) -> None:
    host.say("queue hang-on h1")
    (child,) = host.expect("child")
    host.kill()
    eventually(lambda: not is_alive(int(child)), 5.0, what="the death of the child")


def test_a_child_queues_reports_and_logs_through_its_parent(host: Host, tmp_path: Path) -> None:
    host.say("queue descend d1")
    logged = " ".join(host.expect("logged"))
    assert json.loads(logged)["job_id"] == "d1"
    descended, priority = host.expect("descended")
    assert priority == "3"
    host.say("join d1")
    state, pid = host.expect("ended")
    assert state == "done"
    assert int(pid) not in (os.getpid(), host.pid), "it ran in a child"
    progress = " ".join(host.expect("progress"))
    assert "'done': 1" in progress
    host.say(f"join {descended}")
    assert host.expect("ended") == ["done", str(host.pid)]
    root_ids = rows(tmp_path / "jobs.db", "select distinct corr from lamplighter_jobs where id in ('d1', ?)", descended)
    assert len(root_ids) == 1, "both have the same root"
