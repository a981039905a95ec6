"""Handlers that raise what ends a process, or never return: the host, its own actors and all other handlers go on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from lamplighter import Job, JobFailed, Runtime

from .kit import SECONDS_MAX, eventually


class Neighbour(pykka.ThreadingActor):
    """An actor of the host's own."""

    def ping(self) -> str:
        """Whether it lives."""
        return "pong"


@pytest.fixture
def neighbour() -> Iterator[Any]:
    """The host's own actor, which must outlive everything."""
    reference = Neighbour.start()
    yield reference.proxy()
    assert reference.is_alive(), "the host's own actor was stopped"
    reference.stop()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A started runtime with a handler that does no harm."""
    runtime = Runtime(tmp_path / "jobs.db", lane_grace_seconds=0.1, abandoned_threads_max=2)
    runtime.jobs.add_handler("innocent", lambda job: job.data)
    with runtime:
        yield runtime


def recurse() -> None:
    """Until Python gives up."""
    recurse()


def raiser(error: BaseException) -> Callable[[], None]:
    """A function that raises it."""

    def fail() -> None:
        raise error

    return fail


DEADLY = {
    "SystemExit": raiser(SystemExit(1)),
    "KeyboardInterrupt": raiser(KeyboardInterrupt()),
    "MemoryError": raiser(MemoryError()),
    "RecursionError": recurse,
    "GeneratorExit": raiser(GeneratorExit()),
}


def goes_on(runtime: Runtime, neighbour: Any) -> None:
    """The host, its actor and other handlers work."""
    assert runtime.jobs.join(runtime.jobs.queue("innocent", 7), timeout=SECONDS_MAX).result == 7
    assert neighbour.ping().get(timeout=SECONDS_MAX) == "pong"
    assert all(actor.incarnation == 1 for actor in runtime.tree()), "no actor has died of a job"


@pytest.mark.parametrize("kind", ["thread", "task"])
@pytest.mark.parametrize("name", DEADLY)
def test_what_would_end_a_process_ends_only_the_job(runtime: Runtime, neighbour: Any, name: str, kind: str) -> None:
    def on_thread(job: Job) -> None:
        DEADLY[name]()

    async def as_task(job: Job) -> None:
        DEADLY[name]()

    runtime.jobs.add_handler("deadly", on_thread if kind == "thread" else as_task, max_attempts=1)
    with pytest.raises(JobFailed, match=name):
        runtime.jobs.join(runtime.jobs.queue("deadly"), timeout=SECONDS_MAX)
    goes_on(runtime, neighbour)
    with pytest.raises(JobFailed, match=name):
        runtime.jobs.join(runtime.jobs.queue("deadly"), timeout=SECONDS_MAX)
    assert runtime.health().status == "green"


@pytest.mark.parametrize("name", DEADLY)
def test_what_would_end_a_process_is_retried_like_any_failure(runtime: Runtime, neighbour: Any, name: str) -> None:
    def once(job: Job) -> str:
        if job.attempt == 1:
            DEADLY[name]()
        return "second"

    runtime.jobs.add_handler("deadly", once, max_attempts=2, backoff=[0.0])
    job = runtime.jobs.join(runtime.jobs.queue("deadly"), timeout=SECONDS_MAX)
    assert (job.result, job.attempt) == ("second", 2)
    (attempt,) = runtime.jobs.attempts(job)
    assert name in (attempt.error or "")
    goes_on(runtime, neighbour)


def test_a_loop_in_python_that_never_ends_is_timed_out_and_listed_with_its_stack(
    runtime: Runtime, neighbour: Any
) -> None:
    release = threading.Event()

    def hang_in_python(job: Job) -> str:
        if job.data == "fine":
            return "fine"
        while not release.is_set():
            pass
        return "too late"

    runtime.jobs.add_handler("hang", hang_in_python, timeout=0.2, max_attempts=1)
    try:
        with pytest.raises(JobFailed, match="timed out"):
            runtime.jobs.join(runtime.jobs.queue("hang"), timeout=SECONDS_MAX)
        goes_on(runtime, neighbour)
        assert runtime.jobs.join(runtime.jobs.queue("hang", "fine"), timeout=SECONDS_MAX).result == "fine"
        (abandoned,) = runtime.health().abandoned
        assert "hang_in_python" in abandoned.stack
        assert runtime.health().status == "yellow"
    finally:
        release.set()
    eventually(lambda: runtime.health().status == "green", what="the end of the hung thread")
    assert runtime.jobs.counts("hang") == {"queued": 0, "running": 0, "done": 1, "dead": 1, "cancelled": 0}


def test_a_block_in_c_that_releases_the_gil_is_timed_out_and_its_thread_replaced(
    runtime: Runtime, neighbour: Any
) -> None:
    reading, writing = os.pipe()

    def block_in_c(job: Job) -> str:
        return "fine" if job.data == "fine" else os.read(reading, 1).decode()

    runtime.jobs.add_handler("block", block_in_c, timeout=0.2, max_attempts=1)
    try:
        with pytest.raises(JobFailed, match="timed out"):
            runtime.jobs.join(runtime.jobs.queue("block"), timeout=SECONDS_MAX)
        assert runtime.jobs.join(runtime.jobs.queue("block", "fine"), timeout=SECONDS_MAX).result == "fine"
        goes_on(runtime, neighbour)
    finally:
        os.write(writing, b"x")
        eventually(lambda: not runtime.health().abandoned, what="the end of the blocked thread")
        os.close(reading)
        os.close(writing)


def test_a_coroutine_that_blocks_its_loop_is_timed_out_and_the_others_run_again(
    runtime: Runtime, neighbour: Any
) -> None:
    release, blocked = threading.Event(), threading.Event()
    runs: list[str] = []

    async def work(job: Job) -> str:
        runs.append(job.id)
        if job.id == "culprit":
            blocked.set()
            release.wait()
        else:
            await asyncio.to_thread(blocked.wait, SECONDS_MAX)
        return "ended"

    runtime.jobs.add_handler("loop", work, concurrency=3, timeout=0.5, max_attempts=1)
    try:
        others = [runtime.jobs.queue("loop", id=f"other-{n}") for n in range(2)]
        eventually(lambda: len(runs) == 2, what="the start of the innocent coroutines")
        culprit = runtime.jobs.queue("loop", id="culprit")
        with pytest.raises(JobFailed, match="timed out"):
            runtime.jobs.join(culprit, timeout=SECONDS_MAX)
        goes_on(runtime, neighbour)
        for other in others:
            # Their own deadline may have passed too while the loop stood still: then they are dead by the same rule.
            eventually(lambda other=other: runtime.jobs.get(other).state in ("done", "dead"), what="their end")
    finally:
        release.set()
    assert runtime.jobs.join(runtime.jobs.queue("loop", id="after"), timeout=SECONDS_MAX).result == "ended"


def test_a_timeout_that_raises_ends_a_loop_in_python(runtime: Runtime, neighbour: Any) -> None:
    ended = threading.Event()

    def spin(job: Job) -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    runtime.jobs.add_handler("spin", spin, timeout=0.2, on_timeout="raise", max_attempts=1)
    with pytest.raises(JobFailed, match="timed out"):
        runtime.jobs.join(runtime.jobs.queue("spin"), timeout=SECONDS_MAX)
    assert ended.wait(SECONDS_MAX)
    eventually(lambda: runtime.health().status == "green", what="the end of the thread")
    goes_on(runtime, neighbour)


def test_too_many_hung_threads_halt_their_handler_alone_until_they_have_ended(runtime: Runtime, neighbour: Any) -> None:
    release = threading.Event()

    def hang(job: Job) -> str:
        if job.data == "hang":
            release.wait()
        return "ended"

    runtime.jobs.add_handler("hang", hang, concurrency=3, timeout=0.1, max_attempts=1)
    try:
        hung = [runtime.jobs.queue("hang", "hang") for _ in range(3)]
        for job in hung:
            with pytest.raises(JobFailed, match="timed out"):
                runtime.jobs.join(job, timeout=SECONDS_MAX)
        eventually(lambda: runtime.health().status == "red", what="health turning red")
        later = runtime.jobs.queue("hang", "later")
        goes_on(runtime, neighbour)
        with pytest.raises(TimeoutError):
            runtime.jobs.join(later, timeout=0.3)
        assert runtime.jobs.get(later).state == "queued"
    finally:
        release.set()
    assert runtime.jobs.join(later, timeout=SECONDS_MAX).result == "ended"
    eventually(lambda: runtime.health().status == "green", what="health turning green")
