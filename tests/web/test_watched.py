"""What it costs a store and its runtime that somebody looks, and that nobody does: counted, on a file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lamplighter import Environment, Runtime
from lamplighter.environment.failpoints import Failpoints
from lamplighter.stores.sqlite.read_only import ReadOnlyStore
from lamplighter.testing.manual_clock import ManualTime
from lamplighter.web.live import LOOK_SECONDS, STREAM_SECONDS_MAX, Live

from .kit import Page

PAGES = ("/", "/jobs", "/jobs/j", "/errors", "/names", "/names/work", "/schedules", "/runtimes")
LOOKS = int(STREAM_SECONDS_MAX / LOOK_SECONDS)
BROWSERS = 3


class Turns(Failpoints):
    """Counts the write batches that are begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    def at(self, point: str, about: object = None) -> None:
        self.begun += point == "store.turn.begin"


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def worker(runtime: Callable[..., Runtime], turns: Turns) -> Runtime:
    """One with nothing to do, for which no time passes."""
    made = runtime(environment=Environment(clock=ManualTime().clock, failpoints=turns))
    made.jobs.queue("work", id="j")
    return made


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Everything that is asked of a file by those who only read it."""
    asked: list[str] = []
    connect = sqlite3.connect

    def traced(database, *given, **options):
        connection = connect(database, *given, **options)
        if "mode=ro" in str(database):
            connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    yield asked


def settled(worker: Runtime, turns: Turns) -> int:
    """How many write batches there were, once all that was asked for is done."""
    worker.jobs.resume("nothing")
    worker.jobs.resume("nothing")
    return turns.begun


def test_while_nobody_looks_there_is_nothing_that_could_read(worker: Runtime, tmp_path: Path, statements) -> None:
    page = Page(tmp_path / "jobs.db")
    threads = set(threading.enumerate())
    for path in PAGES:
        page.text(path)
    read = len(statements)

    # No thread, no timer and no stream are left: what reads is the answer to a request, and that is given.
    assert read > 0
    assert set(threading.enumerate()) <= threads
    assert page.site.live.listeners == 0
    settled(worker, Turns())
    assert len(statements) == read


def test_whoever_looks_has_the_worker_take_no_write_batch(worker: Runtime, tmp_path: Path, turns: Turns) -> None:
    page = Page(tmp_path / "jobs.db")
    before = settled(worker, turns)
    alone = settled(worker, turns) - before

    for _ in range(BROWSERS):
        for path in PAGES:
            page.text(path)

    assert settled(worker, turns) - before == 2 * alone


def test_three_that_listen_share_one_watch_and_are_told_of_each_change_once(
    worker: Runtime, tmp_path: Path, statements
) -> None:
    store = ReadOnlyStore(str(tmp_path / "jobs.db"))
    now, slept, commits = 0.0, 0, 4

    async def sleep(seconds: float) -> None:
        nonlocal now, slept
        slept += 1
        if slept % BROWSERS == 0:
            now += seconds
        if slept % (LOOKS * BROWSERS // commits) == 0:
            await worker.jobs.aqueue("work")
        await asyncio.sleep(0)

    live = Live(store.watch, store.version, lambda: now, sleep)

    async def told() -> int:
        async with contextlib.aclosing(live.stream()) as stream:
            return sum([b"event: stale" in piece async for piece in stream])

    async def all_told() -> list[int]:
        return await asyncio.gather(*(told() for _ in range(BROWSERS)))

    found = asyncio.run(all_told())

    asked = Counter(statements)
    assert asked.pop("select schema_version from lamplighter_store") == 1
    assert asked.keys() == {"pragma data_version"}
    assert asked["pragma data_version"] <= BROWSERS * (LOOKS + commits + 2)
    assert all(0 < one <= commits for one in found)
    store.close()
