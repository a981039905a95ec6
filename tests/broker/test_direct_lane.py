"""The direct lane leaves what an ordinary turn would leave: in the store's file, the log and the broker's memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import sqlite3
import tempfile
import threading
import time as clock
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lamplighter import Runtime
from lamplighter.broker.outbox import QuietSwitch
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.log.outlets import LineFile
from lamplighter.messages.jobs import UNATTRIBUTED, NewJob
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing import ManualTime

SECONDS_MAX = 15.0
LANES = {"one": 1, "three": 3, "full": 1, "limited": 2}


class Passed(Failpoints):
    """Counts how often each point is passed."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[str] = []

    def at(self, point: str, about: Any = None) -> None:
        self.points.append(point)


class Left(NamedTuple):
    """What a run has left behind. `file` is None where a claim's row may lie elsewhere in it."""

    log: bytes
    copy: bytes
    file: bytes | None
    memory: Any
    direct: int = 0


Act = tuple[str, str, Any]


def do(rt: Runtime, act: Act, time: ManualTime) -> None:
    kind, name, value = act
    jobs = rt.jobs
    match kind:
        case "plain":
            jobs.queue(name, value)
        case "awaited":
            asyncio.run(jobs.aqueue(name, value))
        case "by a job":
            jobs.join(jobs.queue("queues", [name, value]), timeout=SECONDS_MAX)
        case "again":
            jobs.queue(name, value, id="known")
        case "many":
            jobs.queue_many([(name, value), (name, value)])
        case "later":
            jobs.queue(name, value, delay=10)
        case "group":
            jobs.queue(name, value, group="some")
        case "pause":
            jobs.pause(name)
        case "resume":
            jobs.resume(name)
        case "group later":
            jobs.queue(name, value, group="some", delay=10)
        case "expiring":
            jobs.queue(name, value, expires=3600)
        case "quiet":
            # The message about it has not come yet.
            rt.boot.inputs.quiet = QuietSwitch(True, time.wall, UNATTRIBUTED)
        case "foreign":
            with contextlib.closing(sqlite3.connect(rt.boot.store.path)) as connection:
                connection.execute("create table others (own)")
        case "step":
            # Nobody has noticed it yet.
            time.wall += value
        case "wait":
            time.advance(value)


def run(folder: Path, acts: Sequence[Act], *, share: float) -> Left:
    """Do the same on a new store, with the direct lane or without."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    time, passed, numbers, go = ManualTime(), Passed(), count(), threading.Event()
    sink = LineFile(str(folder / "log"))
    logger = logging.Logger("of a file", logging.INFO)
    logger.addHandler(sink)

    def new_id() -> str:
        return f"{next(numbers):024x}"

    environment = Environment(
        clock=time.clock,
        new_id=new_id,
        failpoints=passed,
        direct_share=share,
        store=SqliteStore,
    )
    rt = Runtime(folder / "jobs.db", logger=logger, environment=environment)

    def settle() -> None:
        for _ in range(2):
            for actor in [rt.boot.post.find(name) for name in rt.boot.post.names()]:
                while actor.mailbox._reading or actor.mailbox.mail or not actor.mailbox._arrived.empty():
                    clock.sleep(0)

    with ThreadPoolExecutor(1) as caller:
        rt.start()
        try:
            settle()
            broker = rt.boot.post.find("broker")
            for name, lanes in LANES.items():
                # One after the other: the boot's row has their names in the order in which the broker hears of them.
                total = 5 if name == "limited" else None
                rt.jobs.add_handler(name, lambda job: go.wait(SECONDS_MAX), concurrency=lanes, concurrency_total=total)
                while name not in broker._state.capacities:
                    clock.sleep(0)
                settle()
            rt.jobs.add_handler("queues", lambda job: rt.jobs.queue(*job.data) and None)
            while "queues" not in broker._state.capacities:
                clock.sleep(0)
            settle()
            for act in [("plain", "full", None), ("plain", "nobody", None), *acts]:
                broker._waiting_callers = 0
                caller.submit(do, rt, act, time).result(SECONDS_MAX)
                settle()
            state = broker._state
            held = {name: dict(one.held) for name, one in state.capacities.items()}
            # After a wait it depends on the moment whether the broker has looked once more.
            next_due = {} if any(act[0] == "wait" for act in acts) else state.next_due
            memory = held, next_due, state.expiry, state.standing.logged, state.parked.said
            with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as connection:
                connection.execute("pragma wal_checkpoint(truncate)")
                connection.execute(f"vacuum into '{folder / 'copy.db'}'")
                claims = connection.execute("select count(*) from lamplighter_jobs where claim_no > 0").fetchone()[0]
            file = None if claims > 1 else (folder / "jobs.db").read_bytes()
            # Only a turn with a message has its number, which is beside the point.
            log, copy = (
                re.sub(rb'"(msg|cause)":\d+,', b"", (folder / "log").read_bytes()),
                (folder / "copy.db").read_bytes(),
            )
        finally:
            go.set()
            rt.stop(drain=SECONDS_MAX)
            sink.close()
    return Left(log, copy, file, memory, passed.points.count("direct.out"))


NAMES = st.sampled_from([*LANES, "nobody", "nobody else"])
DATA = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.booleans(), max_size=3))
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("plain"), NAMES, DATA),
        st.tuples(st.sampled_from(["plain", "awaited", "by a job"]), NAMES, DATA),
        st.tuples(st.sampled_from(["again", "many", "later", "group", "group later", "expiring"]), NAMES, DATA),
        st.tuples(st.sampled_from(["pause", "resume"]), NAMES, st.none()),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([0.5, 2.0, 11.0])),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short path: the sockets of a store with a long one lie in a folder with a random name."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "store"


@given(acts=ACTS)
@example(acts=[("plain", "full", 1), ("plain", "one", 2), ("plain", "one", 3), ("plain", "nobody", 4)])
@example(acts=[("plain", "full", 1), ("plain", "one", 2), ("wait", "", 11.0), ("later", "full", 3)])
@example(acts=[("later", "three", 1), ("plain", "three", 2), ("plain", "three", 3), ("plain", "three", 4)])
@settings(max_examples=20, deadline=None)
def test_both_roads_leave_the_same_file_and_the_same_log(folder: Path, acts: Sequence[Act]) -> None:
    direct = run(folder, acts, share=1.0)
    ordinary = run(folder, acts, share=0.0)

    assert ordinary.direct == 0
    assert direct._replace(direct=0) == ordinary


@pytest.mark.parametrize(
    "acts",
    [
        [("plain", "full", 1)],
        [("plain", "one", 1)],
        [("plain", "one", 1), ("plain", "one", 2)],
        [("plain", "three", 1), ("plain", "three", 2), ("plain", "three", 3), ("plain", "three", 4)],
        [("plain", "nobody", 1)],
        [("many", "full", 1)],
        [("again", "full", 1)],
        [("awaited", "one", 1)],
    ],
    ids=["full", "free", "the-last", "four", "no-handler", "several", "id", "awaited"],
)
def test_jobs_without_options_take_the_direct_lane(folder: Path, acts: Sequence[Act]) -> None:
    assert run(folder, acts, share=1.0).direct == len(acts)


def test_a_job_that_a_job_queues_takes_the_direct_lane(folder: Path) -> None:
    assert run(folder, [("by a job", "full", 1)], share=1.0).direct == 2


@pytest.mark.parametrize(
    "acts",
    [
        [("later", "full", 1)],
        [("group", "full", 1)],
        [("many", "three", 1)],
        [("plain", "nobody else", 1)],
        [("plain", "limited", 1)],
        [("pause", "full", None), ("plain", "one", 1)],
        [("group later", "three", 1), ("plain", "three", 2)],
        [("quiet", "", None), ("plain", "one", 1)],
        [("foreign", "", None), ("plain", "full", 1)],
        [("step", "", 3600.0), ("plain", "full", 1)],
        [("wait", "", 11.0), ("plain", "full", 1)],
    ],
    ids=["delay", "group", "several", "news", "limit", "pause", "groups", "quiet", "changed", "stepped", "old"],
)
def test_everything_else_is_left_to_an_ordinary_turn(folder: Path, acts: Sequence[Act]) -> None:
    assert run(folder, acts, share=1.0).direct == 0


@pytest.fixture
def rt(runtime: Any, unwatched: logging.Logger, recorder: Any) -> Runtime:
    """A runtime whose next job is for the direct lane."""
    made = runtime(logger=unwatched, environment=Environment(failpoints=Failpoints()), restart_backoff_seconds_max=0.0)
    made.jobs.queue("work")
    made.jobs.queue("work")
    return made


@pytest.fixture
def still(runtime: Any, unwatched: logging.Logger, time: ManualTime) -> Runtime:
    """The same, and time stands still."""
    made = runtime(logger=unwatched, environment=Environment(clock=time.clock))
    made.jobs.queue("work")
    made.jobs.queue("work")
    return made


ERRORS = {
    "exit": "SystemExit",
    "error": "ValueError",
    "io": "sqlite3.OperationalError: disk I/O error",
    "memory": "MemoryError",
}


@pytest.mark.parametrize("on", ["caller", "broker"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("point", ["direct.begin", "direct.commit", "store.turn.committed", "direct.out"])
def test_a_job_is_stored_once_and_told_whatever_fails_on_the_direct_lane(
    rt: Runtime, recorder: Any, caller: Any, point: str, error: str, on: str
) -> None:
    rt.environment.failpoints.arm(point, f"1*raise({error})->off")
    queue, jobs = (lambda: caller(rt.jobs.queue, "work").result(SECONDS_MAX)), []
    while rt.environment.failpoints._armed[point][0].count:
        # An ordinary turn is due once a second.
        jobs.append(queue() if on == "caller" else rt.jobs.queue("work"))

    assert [one.id for one in rt.jobs.list(name="work", limit=1)] == [jobs[-1].id]
    queue()
    assert rt.jobs.counts("work")["queued"] == len(jobs) + 3
    assert bool(recorder.of("actor.crashed")) is (error == "SystemExit" or point == "direct.out")
    rt.stop()
    assert not recorder.audit().findings


def test_a_claim_of_the_direct_lane_is_run(runtime: Any, unwatched: logging.Logger, caller: Any) -> None:
    passed = Passed()
    rt = runtime(logger=unwatched, environment=Environment(failpoints=passed))
    rt.jobs.add_handler("work", lambda job: job.data)

    # Another second may begin at any job, and then one is for an ordinary turn.
    for number in range(20):
        job = caller(rt.jobs.queue, "work", number).result(SECONDS_MAX)
        assert rt.jobs.join(job, timeout=SECONDS_MAX).result == number

    assert "direct.out" in passed.points


def test_a_claim_that_a_broker_has_died_over_is_taken_back_and_run(
    runtime: Any, unwatched: logging.Logger, recorder: Any, caller: Any
) -> None:
    rt = runtime(logger=unwatched, environment=Environment(failpoints=Failpoints()), restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: job.data)
    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    rt.environment.failpoints.arm("direct.out", "1*raise(SystemExit)->off")

    jobs = [caller(rt.jobs.queue, "work", number).result(SECONDS_MAX) for number in range(5)]

    assert [rt.jobs.join(job, timeout=SECONDS_MAX).result for job in jobs] == list(range(5))
    assert len(recorder.of("actor.crashed", child="broker")) == 1
    rt.stop()
    assert not recorder.audit().findings


def test_a_broker_is_busy_while_a_caller_is_on_the_direct_lane(
    runtime: Any, unwatched: logging.Logger, caller: Any
) -> None:
    class Looking(Failpoints):
        is_live = True

        def __init__(self) -> None:
            super().__init__()
            self.rt: Any = None
            self.seen: list[Any] = []

        def at(self, point: str, about: Any = None) -> None:
            if point == "direct.out" and self.rt is not None:
                self.seen += (actor for actor in self.rt.boot.views.tree() if actor.name == "broker")

    rt = runtime(logger=unwatched, environment=Environment(failpoints=(looking := Looking())))
    looking.rt = rt
    # An ordinary turn is due once a second.
    for _ in range(20):
        caller(rt.jobs.queue, "work").result(SECONDS_MAX)

    assert {broker.busy_with for broker in looking.seen} == {"Queue"}
    assert all(broker.busy_seconds >= 0.0 for broker in looking.seen)
    assert [actor.busy_seconds for actor in rt.boot.views.tree() if actor.name == "broker"] == [None]


def test_a_job_that_was_queued_long_before_its_turn_is_left_to_an_ordinary_one(still: Runtime, recorder: Any) -> None:
    rt = still
    broker, now = rt.boot.post.find("broker"), rt.boot.clock.now()
    recorder.until(lambda: not broker.mailbox._reading and not broker.mailbox.mail, "the broker to wait")
    job = NewJob("one", "work", "null", 0, now, now, "one")

    assert broker.queue_here((job._replace(queued_at=now - 3600, run_at=now - 3600),)) is None
    assert [one.id for one, _ in broker.queue_here((job,))] == ["one"]


def test_a_job_of_the_direct_lane_is_found_by_the_next_turn_with_room_for_it(still: Runtime, recorder: Any) -> None:
    rt = still
    broker, now = rt.boot.post.find("broker"), rt.boot.clock.now()
    recorder.until(lambda: not broker.mailbox._reading and not broker.mailbox.mail, "the broker to wait")
    # As of a handler with fewer lanes than before.
    broker._state.next_due["work"] = inf

    assert broker.queue_here((NewJob("one", "work", "null", 0, now, now, "one"),)) is not None
    assert broker._state.next_due["work"] == now
