"""A message changes the store wholly or not at all: whatever it is refused for, and after whichever of its writes."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from logging import Logger
from queue import SimpleQueue
from threading import Event, current_thread
from typing import Any

import pytest
from lamplighter import Debounce, Environment, JobSpec, Runtime, Step, UnknownJob, UsageError
from lamplighter.actors.job_broker import JobBroker
from lamplighter.broker import dispatch
from lamplighter.broker.tallies import TurnTime
from lamplighter.messages.jobs import Claim
from lamplighter.messages.mail import MarkDone
from lamplighter.messages.steps import KeepStep
from lamplighter.stores.sqlite.store import SqliteStore

KEPT = ("jobs", "links", "parents_to_check", "steps", "attempts", "schedules", "slots", "pauses", "turns", "follow_ups")
"""The tables that messages are about. What a boot says of itself may change meanwhile."""

GONE = JobSpec(name="part", after="removed-by-retention")


class RefusingConnection(sqlite3.Connection):
    """Refuses a message behind one of its writes.

    Attributes:
        after: how many writes of a message hold; None to refuse nothing.
        refuses: which messages, by their bodies; all that somebody waits for unless said otherwise.
        refused: how many messages were refused.
        gate: where transactions wait to begin while it is not set.
        is_at_gate: set when one has waited.
    """

    after: int | None = None
    refused = 0
    _message: Any = None
    _left = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.refuses: Callable[[Any], bool] = lambda body: getattr(body, "reply", None) is not None
        self.gate, self.is_at_gate = Event(), Event()
        self.gate.set()

    def execute(self, *args: Any) -> sqlite3.Cursor:
        if args[0].startswith("begin") and not self.gate.is_set():
            self.is_at_gate.set()
            self.gate.wait(15)
        return self._refusing(super().execute, *args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        return self._refusing(super().executemany, *args)

    def _refusing(self, run: Callable[..., sqlite3.Cursor], *args: Any) -> sqlite3.Cursor:
        before = self.total_changes
        cursor = run(*args)
        message = None if self.after is None else _message_under_way()
        if message is not None and self.total_changes != before and self.refuses(message.f_locals["body"]):
            if message is not self._message:
                self._message, self._left = message, self.after
            self._left -= 1
            if self._left < 0:
                self.refused += 1
                raise UsageError("refused for a test")
        return cursor


def _message_under_way() -> Any:
    """The frame in which a message is handled, if one is."""
    frame = sys._getframe()
    while frame is not None and frame.f_code is not dispatch.handle.__code__:
        frame = frame.f_back
    return frame


class Bench:
    """A runtime whose messages can be refused, with jobs in every state."""

    def __init__(self, rt: Runtime, connection: RefusingConnection) -> None:
        self.rt, self.connection = rt, connection
        rt.jobs.queue_many(
            [
                JobSpec(name="nobody", id="waits", delay=3600),
                JobSpec(name="nobody", id="child", after_ended="waits"),
                JobSpec(name="nobody", data=0, debounce=Debounce("key", quiet=600, at_most=900)),
                JobSpec(name="nobody", id="unique", unique="key"),
                JobSpec(name="nobody", id="grouped", group="g", data={"a": 1}),
                JobSpec(name="nobody", id="bound", after="grouped", data={"a": 1}),
                JobSpec(name="nobody", id="over"),
                JobSpec(name="nobody", id="ended", data={"b": 1}),
                JobSpec(name="nobody", id="fated", after="ended", data={"b": 1}),
            ]
        )
        self.open = rt.jobs.queue("open")
        rt.scheduler.add("nobody", "0 0 1 1 *", key="yearly")
        rt.jobs.cancel("over")
        rt.jobs.cancel("ended")
        while not rt.jobs.get(self.open).record.deferred:
            rt.wait(0.01)
        self.token = f"{self.open.id}:1"


def stored_in(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All that messages are about."""
    return {
        table: sorted(connection.execute(f"select * from lamplighter_{table}").fetchall(), key=repr) for table in KEPT
    }


@pytest.fixture
def bench(runtime: Callable[..., Runtime], unwatched: Logger) -> Iterator[Bench]:
    opened: list[RefusingConnection] = []

    def connect(address: str) -> sqlite3.Connection:
        made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=RefusingConnection)
        opened.append(made)
        return made

    environment = Environment(store=partial(SqliteStore, connect=connect))
    rt = runtime(environment=environment, logger=unwatched, start=False)

    @rt.jobs.handler("open", auto_done=False)
    def keep_open(job):
        job.step("first", lambda: 1)

    with rt:
        yield Bench(rt, opened[-1])


def waits(broker: JobBroker) -> bool:
    """Whether the broker has nothing to do, and the calling thread may stand in for it."""
    broker._waiting_callers, broker.turn_times.last = 0, TurnTime(0.001, 0.0)
    return not broker.mailbox._reading and broker.mailbox.empty() and broker.mailbox._arrived.empty()


def _refusal(call: Callable[[], object]) -> UsageError:
    with pytest.raises(UsageError) as refused:
        call()
    return refused.value


def queue_many(bench: Bench) -> object:
    first = JobSpec(name="part", id="first")
    second = JobSpec(name="part", id="second", after=[first, "waits"])
    twins = [JobSpec(name="nobody", unique="key"), JobSpec(name="nobody", debounce=Debounce("key", quiet=1, at_most=2))]
    return bench.rt.jobs.queue_many([first, second, *twins])


def then() -> list[Any]:
    first = JobSpec(name="part", data=1)
    return [first, JobSpec(name="part", data=2, after=[first, "waits"]), JobSpec(name="nobody", unique="key")]


def keep_step(bench: Bench) -> object:
    claim = Claim(bench.rt.jobs.get(bench.open).record)
    return bench.rt.jobs._submitter.keep_step(KeepStep(claim, "second", "2", 0.0, None))


MESSAGES: dict[str, Callable[[Bench], object]] = {
    "queue": lambda bench: bench.rt.jobs.queue("part", after="waits"),
    "queue, debounced": lambda bench: bench.rt.jobs.queue("nobody", 1, debounce=Debounce("key", quiet=1, at_most=2)),
    "queue_many": queue_many,
    "mark_done, queued": lambda bench: bench.rt.jobs.mark_done("waits", 7, then=then()[:1]),
    "mark_done, running": lambda bench: bench.rt.jobs.mark_done(bench.token, 7, then=then()),
    "requeue": lambda bench: bench.rt.jobs.requeue(bench.open, afresh=True),
    "requeue_many": lambda bench: bench.rt.jobs.requeue_many("state:cancelled data.b=1"),
    "cancel, queued": lambda bench: bench.rt.jobs.cancel("grouped"),
    "cancel, running": lambda bench: bench.rt.jobs.cancel(bench.open),
    "cancel_many": lambda bench: bench.rt.jobs.cancel_many("data.a=1"),
    "reprioritize": lambda bench: bench.rt.jobs.reprioritize("grouped", 7),
    "forget": lambda bench: bench.rt.jobs.forget("over"),
    "pause": lambda bench: bench.rt.jobs.pause("nobody"),
    "limit": lambda bench: bench.rt.jobs.limit("nobody", 3),
    "keep_step": keep_step,
    "schedule": lambda bench: bench.rt.scheduler.add("nobody", "0 0 2 1 *", key="another", durable=True),
    "schedule, changed": lambda bench: bench.rt.scheduler.add("nobody", "0 0 3 1 *", key="yearly"),
    "pause a schedule": lambda bench: bench.rt.scheduler.pause("nobody", key="yearly"),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
def test_a_message_that_is_refused_after_any_of_its_writes_changes_nothing(bench, recorder, message):
    before, writes = stored_in(bench.connection), 0
    bench.connection.after = 0
    while True:
        try:
            message(bench)
        except UsageError as error:
            assert str(error) == "refused for a test"
        else:
            break
        assert stored_in(bench.connection) == before, f"refused after write {writes + 1}"
        writes = bench.connection.after = writes + 1
    bench.connection.after = None

    assert writes > 0
    assert stored_in(bench.connection) != before
    assert recorder.of("message.refused") == []
    assert recorder.audit().ok


def test_messages_beside_one_that_is_refused_after_a_write_are_stored(bench):
    """The whole turn fails. Each of its messages is tried alone then."""
    rt, held = bench.rt, bench.connection
    broker = rt.current_boot.get().requests.context.post.find("broker")
    with ThreadPoolExecutor() as pool:
        held.gate.clear()
        calls = [pool.submit(rt.jobs.pause, "decoy")]
        held.is_at_gate.wait(15)
        held.after = 0
        for more in (
            partial(rt.jobs.queue, "part", id="beside"),
            partial(rt.jobs.mark_done, "waits"),
            partial(rt.jobs.pause, "another"),
        ):
            before = broker.behind
            calls.append(pool.submit(more))
            while broker.behind == before:
                rt.wait(0.01)
        held.refuses = lambda body: isinstance(body, MarkDone)
        held.gate.set()
        errors = [call.exception(15) for call in calls]

    assert [str(error) for error in errors] == ["None", "None", "refused for a test", "None"]
    assert [rt.jobs.get(one).state for one in ("beside", "waits")] == ["queued", "queued"]
    assert rt.jobs.paused() == ("another", "decoy")
    assert held.refused == 2


def test_the_broker_lives_where_a_caller_takes_the_turn_and_is_refused_after_a_write(bench, recorder, caller):
    """What comes out of such a turn may be of the application's, and the broker dies of that."""
    rt, held, threads = bench.rt, bench.connection, []
    broker = rt.current_boot.get().requests.context.post.find("broker")
    held.refuses = lambda body: threads.append(current_thread()) or True
    recorder.until(lambda: waits(broker), "the broker to wait")
    held.after = 0

    error, thread = caller(lambda: (_refusal(partial(rt.jobs.queue, "part", id="a")), current_thread())).result(15)
    held.after = None

    assert (str(error), threads) == ("refused for a test", [thread] * 2)
    assert rt.jobs.queue("part", id="a").state == "queued"
    assert recorder.of("actor.died") == []


@contextmanager
def refusing(connection, what):
    """The database refuses this to the application's connection, and the call that does it raises that."""
    connection.execute(f"create temp trigger refuses before {what} begin select raise(abort, 'for a test'); end")
    with pytest.raises(sqlite3.IntegrityError, match="for a test"):
        yield
    connection.execute("drop trigger refuses")


@pytest.mark.parametrize("state", ["queued", "running"])
def test_in_an_own_transaction_a_refused_end_leaves_the_job_as_it_was(runtime, recorder, tmp_path, state):
    """The application may commit all the same."""
    rt, tokens = runtime(), SimpleQueue()
    rt.jobs.add_handler("open", lambda job: tokens.put(job.token), auto_done=False)
    job = rt.jobs.queue("open" if state == "running" else "nobody", id="a")
    ref = tokens.get(timeout=15) if state == "running" else job
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("create table decisions (what text)")
        connection.execute("insert into decisions values ('before')")
        with pytest.raises(UnknownJob):
            rt.jobs.mark_done(ref, 7, then=[("part", 1), GONE], connection=connection)
        with pytest.raises(UnknownJob):
            rt.jobs.queue("part", after=["a", "removed-by-retention"], connection=connection)
        with refusing(connection, "insert on lamplighter_jobs"):
            rt.jobs.mark_done(ref, 7, then=[("part", 1)], connection=connection)
        connection.execute("insert into decisions values ('after')")
        connection.commit()
        stored = connection.execute("select state, rev from lamplighter_jobs").fetchall()
        decisions = connection.execute("select what from decisions").fetchall()

        assert stored == [(state, 2 if state == "running" else 1)]
        assert decisions == [("before",), ("after",)]

        rt.jobs.mark_done(ref, 7, then=[("part", 1)], connection=connection)
        connection.commit()
    assert rt.jobs.join("a", timeout=15).result == 7
    assert rt.jobs.get("a.1.1").data == 1
    rt.stop()
    assert recorder.audit().ok


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda rt, job, db: job.step(Step("debit", connection=db), lambda: 1), "update on lamplighter_jobs"),
        (lambda rt, job, db: rt.jobs.signal(job, "go", connection=db), "update on lamplighter_jobs"),
        (lambda rt, job, db: rt.jobs.queue("part", after="a", connection=db), "insert on lamplighter_links"),
    ],
    ids=["step", "signal", "queue"],
)
def test_in_an_own_transaction_a_call_refused_after_a_write_has_written_nothing(runtime, tmp_path, call, what):
    """The application may commit all the same."""
    rt = runtime()

    def work(job):
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
            before = stored_in(db)
            with refusing(db, what):
                call(rt, job, db)
            db.commit()
            assert stored_in(db) == before
            call(rt, job, db)
            db.commit()

    rt.jobs.add_handler("open", work, max_attempts=1)

    assert rt.jobs.join(rt.jobs.queue("open", id="a"), timeout=15).state == "done"


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_end_whose_followers_are_refused_leaves_the_job_open(runtime, recorder, state):
    """The job had been done without any follower, and the corrected call had returned without an error."""
    rt, tokens = runtime(), SimpleQueue()
    rt.jobs.add_handler("open", lambda job: tokens.put(job.token), auto_done=False)
    job = rt.jobs.queue("open" if state == "running" else "nobody", id="a")
    ref = tokens.get(timeout=15) if state == "running" else job.id
    later = JobSpec(name="part", id="later")

    for wrong, refusal in (
        ([("part", 1), GONE], UnknownJob),
        ([JobSpec(name="part", after="later"), later], UsageError),
    ):
        with pytest.raises(refusal):
            rt.jobs.mark_done(ref, 7, then=wrong)
        assert rt.jobs.get("a").state == state
    rt.jobs.mark_done(ref, 7, then=[("part", 1), later])

    assert [one.id for one in rt.jobs.list("part")] == ["later", "a.1.1"]
    rt.stop()
    assert recorder.audit().ok
