"""Several processes on one file: hints, lost hints, one slot a second, a stopped process, a forked child."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from ...faults.kit import Ended, Host, check_endings, check_slots, count, eventually, now_in, rows, stand_still


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[ExitStack]:
    """Whatever is started ends with the test."""
    with ExitStack() as stack:
        yield stack


def sockets(store: Path) -> list[Path]:
    """Where the living boots listen for hints."""
    return [Path(str(hint)) for (hint,) in rows(store, "select hint from lamplighter_boots")]


def four_nodes(hosts: ExitStack, store: Path, folder: Path) -> list[Host]:
    """Four processes, each of which handles one name that the others queue."""
    nodes = [hosts.enter_context(Host("node.py", store, f"for-{number}", folder=folder)) for number in range(4)]
    for node in nodes:
        node.expect("started")
    names = "select count(*) from lamplighter_boots where names <> '[]'"
    eventually(lambda: rows(store, names) == [(4,)], what="four boots that know what they handle")
    return nodes


def waits(nodes: list[Host], rounds: int, order: str) -> list[float]:
    """Seconds from each `queue` to the start of the job in another process, that was idle."""
    seconds = []
    for number in range(rounds):
        asker, doer = number % 4, (number + 1 + number // 4 % 3) % 4
        job_id = f"{order}-{number}-{rounds}"
        nodes[asker].say(f"{order} for-{doer} {job_id}")
        said, queued_at = nodes[asker].expect("queued")
        ran, ran_at, _ = nodes[doer].expect("ran")
        assert said == ran == job_id
        seconds.append(max(0.0, float(ran_at) - float(queued_at)))
    return seconds


@pytest.mark.parametrize("order", ["queue", "queue-on"])
def test_a_job_queued_in_one_process_is_started_at_once_by_an_idle_other(
    tmp_path: Path, hosts: ExitStack, order: str
) -> None:
    nodes = four_nodes(hosts, tmp_path / "jobs.db", tmp_path)
    waits(nodes, 4, "queue")
    seconds = waits(nodes, count(24, 200), order)
    print(
        f"\n{order}, with hints: median {statistics.median(seconds) * 1000:.1f} ms, "
        f"slowest {max(seconds) * 1000:.1f} ms of {len(seconds)}"
    )
    assert statistics.median(seconds) < 0.5
    assert max(seconds) < 3.0


@pytest.mark.parametrize("order", ["queue", "queue-on"])
def test_a_job_queued_in_one_process_starts_in_another_also_when_the_hint_is_lost(
    tmp_path: Path, hosts: ExitStack, order: str
) -> None:
    store = tmp_path / "jobs.db"
    nodes = four_nodes(hosts, store, tmp_path)
    waits(nodes, 4, "queue")
    for socket in sockets(store):
        socket.unlink()
    seconds = waits(nodes, count(6, 60), order)
    print(
        f"\n{order}, hints lost: median {statistics.median(seconds) * 1000:.0f} ms, "
        f"slowest {max(seconds) * 1000:.0f} ms of {len(seconds)}"
    )
    assert max(seconds) < 5.0


@pytest.mark.timeout(300)
def test_four_processes_with_one_schedule_fire_once_a_second_also_when_one_is_killed(
    tmp_path: Path, hosts: ExitStack
) -> None:
    store = tmp_path / "jobs.db"
    nodes = [hosts.enter_context(Host("node.py", store, "--every-second", folder=tmp_path)) for _ in range(4)]
    for node in nodes:
        node.expect("started")
    fired = "select count(*) from lamplighter_slots where outcome <> 'skipped'"

    def watch(seconds: int) -> None:
        goal = int(str(rows(store, fired)[0][0])) + seconds
        eventually(lambda: int(str(rows(store, fired)[0][0])) >= goal, seconds + 10.0, what=f"{seconds} slots")

    watch(count(4, 60))
    nodes[0].kill()
    watch(count(4, 60))
    slots = [float(str(slot)) for (slot,) in rows(store, "select slot from lamplighter_slots order by slot")]
    assert all(later - earlier == 1.0 for earlier, later in pairwise(slots)), f"a second was missed: {slots}"
    assert rows(store, "select outcome, count(*) from lamplighter_slots group by outcome") == [("fired", len(slots))]
    unfinished = "select count(*) from lamplighter_jobs where slot is not null and state <> 'done'"
    eventually(lambda: rows(store, unfinished) <= [(1,)], what="the end of every job of a slot")
    check_slots(store)
    assert rows(store, "select count(*) from lamplighter_jobs where slot is not null")[0][0] in (
        len(slots),
        len(slots) + 1,
        len(slots) + 2,
    )


@pytest.mark.timeout(300)
def test_a_stopped_process_keeps_its_jobs_and_nobody_runs_them_twice(tmp_path: Path, hosts: ExitStack) -> None:
    store = tmp_path / "jobs.db"
    first = hosts.enter_context(Host("half.py", store, folder=tmp_path))
    first.expect("started")
    first.say("queue j1")
    first.expect("running")
    other = hosts.enter_context(Host("half.py", store, folder=tmp_path))
    other.expect("started")
    stand_still(first.process, store)
    try:
        said = other.lines_until(now_in(count(5, 60)))
        assert not said, "a stopped process was taken for a dead one"
        assert rows(store, "select state, claim_no from lamplighter_jobs where id = 'j1'") == [("running", 1)]
        other.say("queue j2")
        other.expect("running")
    finally:
        first.signal(signal.SIGCONT)
    first.say("go")
    first.say("join j1")
    assert first.expect("ended") == ["done", "whole", "1"]
    other.say("go")
    other.say("join j2")
    assert other.expect("ended") == ["done", "whole", "1"]
    check_endings(store, {"j1", "j2"})


def test_a_process_that_dies_is_relieved_of_its_jobs_within_seconds(tmp_path: Path, hosts: ExitStack) -> None:
    store = tmp_path / "jobs.db"
    first = hosts.enter_context(Host("half.py", store, folder=tmp_path))
    first.expect("started")
    first.say("queue j1")
    first.expect("running")
    other = hosts.enter_context(Host("half.py", store, folder=tmp_path))
    other.expect("started")
    first.kill()
    job_id, *_ = other.expect("running", 8.0)
    assert job_id == "j1"
    other.say("go")
    other.say("join j1")
    assert other.expect("ended") == ["done", "whole", "1"]
    check_endings(store, {"j1"})


def test_a_forked_child_must_start_its_own_life_and_its_death_is_not_its_parents(
    tmp_path: Path, hosts: ExitStack
) -> None:
    store = tmp_path / "jobs.db"
    parent = hosts.enter_context(Host("forking.py", store, folder=tmp_path))
    pid, boot = parent.expect("started")
    parent.say("queue held h1")
    parent.expect("held")
    parent.say("fork")
    refused = parent.expect("child-refused")
    assert refused[0] == "NotStarted"
    assert "fork" in " ".join(refused)
    child, child_boot, *_ = parent.expect("child-done")
    assert child != pid
    assert child_boot != boot
    parent.say(f"kill-child {child}")
    parent.expect("child-killed")
    witness = hosts.enter_context(Host("forking.py", store, folder=tmp_path))
    witness.expect("started")
    boots = "select pid from lamplighter_boots"
    eventually(lambda: (int(child),) not in rows(store, boots), what="the burial of the child")
    assert (int(pid),) in rows(store, boots)
    parent.say("go")
    parent.say("join h1")
    assert parent.expect("joined") == ["by", pid], "the parent's job was never disturbed"
    assert rows(store, "select claim_no from lamplighter_jobs where id = 'h1'") == [(1,)]


def test_a_forked_child_that_lives_is_never_taken_for_its_dead_parent(tmp_path: Path, hosts: ExitStack) -> None:
    store = tmp_path / "jobs.db"
    parent = hosts.enter_context(Host("forking.py", store, folder=tmp_path))
    parent.expect("started")
    parent.say("queue held h1")
    parent.expect("held")
    parent.say("fork")
    child, *_ = parent.expect("child-done")
    try:
        parent.process.kill()
        parent.process.wait()
        # Whoever of the living is first takes the job over: the child itself, here.
        job_id, runner = parent.expect("held", 8.0)
        assert (job_id, runner) == ("h1", child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def test_what_a_forked_child_accepts_after_its_parent_has_stopped_is_in_the_file(
    tmp_path: Path, hosts: ExitStack
) -> None:
    store = tmp_path / "jobs.db"
    parent = hosts.enter_context(Host("forking.py", store, folder=tmp_path))
    parent.expect("started")
    parent.say("fork")
    parent.expect("child-done")
    # A clean stop closes the file, and the last to close it takes the write-ahead log away.
    assert parent.end() == 0
    (accepted,) = parent.expect("orphan-accepted")
    assert rows(store, "select state from lamplighter_jobs where id = ?", accepted) == [("queued",)]
    assert rows(store, "pragma integrity_check") == [("ok",)]


@pytest.mark.timeout(900)
def test_forks_at_random_instants_of_a_busy_parent_hurt_neither_the_file_nor_a_job(
    tmp_path: Path, hosts: ExitStack
) -> None:
    store = tmp_path / "jobs.db"
    parent = hosts.enter_context(Host("forking.py", store, folder=tmp_path))
    parent.expect("started")
    forks = count(6, 60)
    parent.say(f"storm {forks}")
    codes = parent.expect("storm-over", forks * 10.0 + 60.0)
    assert codes == ["0"] * forks, parent.errors()[-3000:]
    with contextlib.suppress(queue.Empty, Ended):
        parent.end()
    assert rows(store, "pragma integrity_check") == [("ok",)]
    states = rows(store, "select state, count(*) from lamplighter_jobs group by state")
    assert [state for state, _ in states] == ["done"], states
    assert not rows(store, "select id from seen_endings group by id having count(*) > 1")
    own = rows(store, "select count(*) from lamplighter_jobs where id like 'child-%'")
    assert own == [(forks * 20,)]
