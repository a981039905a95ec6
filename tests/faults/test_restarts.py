"""The supervisor restarts each kind of actor from each kind of death, and nothing is lost or doubled."""

from __future__ import annotations

import ctypes
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from lamplighter import Job, RestartBudget, Runtime, RuntimeFailed
from lamplighter.actors.base import RuntimeActor
from lamplighter.actors.handler_actor import HandlerActor
from lamplighter.actors.job_broker import JobBroker
from lamplighter.actors.scheduler_actor import SchedulerActor
from lamplighter.boot.requests import BROKER_DEATHS_MAX
from lamplighter.supervisor import Supervisor

from .hosts.common import install_oracle
from .kit import SECONDS_MAX, check_endings, eventually

ACTORS: dict[str, type[RuntimeActor]] = {
    "broker": JobBroker,
    "scheduler": SchedulerActor,
    "handler:load": HandlerActor,
    "supervisor": Supervisor,
}
LANES = 20


class Neighbour(pykka.ThreadingActor):
    """An actor of the host's own."""

    def ping(self) -> str:
        """Whether it lives."""
        return "pong"


class Load:
    """A handler that counts its runs, and holds them until the test opens the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.runs: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.overlapped: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, job: Job) -> str:
        with self._lock:
            self.runs[job.id] += 1
            self.at_once[job.id] += 1
            if self.at_once[job.id] > 1:
                self.overlapped.add(job.id)
        while not self.gate.wait(0.005) and not job.cancelled:
            pass
        with self._lock:
            self.at_once[job.id] -= 1
        return "ended"


@pytest.fixture
def load() -> Load:
    """The work that goes on while actors die."""
    return Load()


@pytest.fixture
def runtime(tmp_path: Path, load: Load) -> Iterator[Runtime]:
    """A started runtime under load, beside an actor of the host's own."""
    neighbour = Neighbour.start()
    runtime = Runtime(tmp_path / "jobs.db", restarts_max=10)
    runtime.jobs.add_handler("load", load, concurrency=LANES)
    runtime.jobs.add_handler("innocent", lambda job: job.data)
    with runtime:
        install_oracle(str(tmp_path / "jobs.db"))
        yield runtime
        load.gate.set()
    assert neighbour.proxy().ping().get(timeout=SECONDS_MAX) == "pong"
    neighbour.stop()


def actor_of(runtime: Runtime, name: str) -> RuntimeActor:
    """The living actor of a name."""
    assert runtime.boot is not None
    post = runtime.boot.post
    eventually(lambda: post.find(name) is not None, what=f"the start of {name}")
    actor = post.find(name)
    assert actor is not None
    return actor


def poke(runtime: Runtime, name: str) -> None:
    """Any message at all."""
    assert runtime.boot is not None
    runtime.boot.post.tell(name, object())


def raise_in_receive(error: BaseException) -> Callable[[Runtime, str, pytest.MonkeyPatch], None]:
    """Die of an error while handling a message."""

    def die(runtime: Runtime, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def receive(mail: Any) -> None:
            raise error

        monkeypatch.setattr(actor_of(runtime, name), "receive", receive)
        poke(runtime, name)

    return die


def dead_thread(runtime: Runtime, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die of an error that strikes the thread from outside, wherever it is."""
    thread = actor_of(runtime, name).thread
    assert thread is not None and thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    poke(runtime, name)


def raise_in_next_start(runtime: Runtime, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die, and let the next incarnation die in its on_start too."""
    kind = ACTORS[name]
    original, left = kind.on_start, [1]

    def on_start(self: Any) -> None:
        if self.name == name and left:
            left.pop()
            raise OSError("no start today")
        original(self)

    monkeypatch.setattr(kind, "on_start", on_start)
    raise_in_receive(ValueError("a bug"))(runtime, name, monkeypatch)


DEATHS: dict[str, Callable[[Runtime, str, pytest.MonkeyPatch], None]] = {
    "an exception on a tell": raise_in_receive(ValueError("a bug")),
    "SystemExit": raise_in_receive(SystemExit(1)),
    "KeyboardInterrupt": raise_in_receive(KeyboardInterrupt()),
    "MemoryError": raise_in_receive(MemoryError()),
    "an exception in on_start": raise_in_next_start,
    "a dead thread": dead_thread,
}


def kill(runtime: Runtime, name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill an actor and wait until a next incarnation lives."""
    old = actor_of(runtime, name)
    DEATHS[how](runtime, name, monkeypatch)
    assert old.actor_stopped.wait(SECONDS_MAX)

    def lives() -> bool:
        new = actor_of(runtime, name)
        return new.incarnation > old.incarnation and not new.actor_stopped.is_set()

    eventually(lives, what=f"the next incarnation of {name}")


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_that_restarts_among_a_hundred_jobs_loses_and_doubles_none(
    runtime: Runtime, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    jobs = [runtime.jobs.queue("load", id=f"load-{number}") for number in range(100)]
    eventually(lambda: len(load.runs) == LANES, what="full lanes")
    kill(runtime, name, how, monkeypatch)
    assert runtime.jobs.join(runtime.jobs.queue("innocent", 7), timeout=SECONDS_MAX).result == 7
    late = runtime.jobs.queue("load", id="load-late")
    load.gate.set()
    for job in [*jobs, late]:
        assert runtime.jobs.join(job, timeout=SECONDS_MAX).result == "ended"
    check_endings(tmp_path / "jobs.db", {job.id for job in [*jobs, late]})
    assert not load.overlapped, "no job ran twice at once"
    if name != "handler:load":
        assert set(load.runs.values()) == {1}, "running jobs were not disturbed"
    eventually(lambda: runtime.health().status == "green", what="health turning green")


@pytest.mark.parametrize("name", ACTORS)
def test_the_first_incarnation_may_die_in_on_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind, left = ACTORS[name], [1]
    original = kind.on_start

    def on_start(self: Any) -> None:
        if self.name == name and left:
            left.pop()
            raise SystemExit("not today")
        original(self)

    monkeypatch.setattr(kind, "on_start", on_start)
    runtime = Runtime(tmp_path / "jobs.db")
    runtime.jobs.add_handler("load", lambda job: "ended")
    with runtime:
        assert runtime.jobs.join(runtime.jobs.queue("load"), timeout=SECONDS_MAX).result == "ended"
        eventually(lambda: actor_of(runtime, name).incarnation == 2, what="its second incarnation")


@pytest.mark.parametrize("name", ACTORS)
def test_an_ask_that_fails_tells_the_asker_and_nothing_is_lost(runtime: Runtime, load: Load, name: str) -> None:
    job = runtime.jobs.queue("load")
    with pytest.raises(TypeError):
        actor_of(runtime, name).actor_ref.ask("no mail", timeout=SECONDS_MAX)
    load.gate.set()
    assert runtime.jobs.join(job, timeout=SECONDS_MAX).result == "ended"
    assert runtime.jobs.join(runtime.jobs.queue("load"), timeout=SECONDS_MAX).result == "ended"


def test_a_lane_whose_actor_has_died_is_signalled_and_its_job_waits_for_it_to_end(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled, release, running = threading.Event(), threading.Event(), threading.Event()
    tokens: list[str] = []

    def slow(job: Job) -> str:
        tokens.append(job.token)
        running.set()
        if len(tokens) == 1:
            job.sleep(SECONDS_MAX)
            signalled.set()
            release.wait(SECONDS_MAX)
        return f"run {len(tokens)}"

    runtime.jobs.add_handler("slow", slow)
    job = runtime.jobs.queue("slow")
    assert running.wait(SECONDS_MAX)
    ACTORS["handler:slow"] = HandlerActor
    try:
        kill(runtime, "handler:slow", "an exception on a tell", monkeypatch)
    finally:
        del ACTORS["handler:slow"]
    assert signalled.wait(2.0), "the old lane was not told that it counts no longer"
    assert len(tokens) == 1, "the job waits for its old lane"
    release.set()
    assert runtime.jobs.join(job, timeout=SECONDS_MAX).result == "run 2"


def test_a_broker_that_dies_between_two_hosts_calls_answers_every_one_of_them(
    runtime: Runtime, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load.gate.set()
    accepted: list[str] = []
    errors: list[BaseException] = []

    def queue_some(thread: int) -> None:
        try:
            accepted.extend(runtime.jobs.queue("load", id=f"t{thread}-{n}").id for n in range(50))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=queue_some, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(BROKER_DEATHS_MAX - 1):
        kill(runtime, "broker", "an exception on a tell", monkeypatch)
    for thread in threads:
        thread.join(SECONDS_MAX)
    assert not errors
    assert len(accepted) == 200
    for job_id in accepted:
        runtime.jobs.join(job_id, timeout=SECONDS_MAX)
    check_endings(tmp_path / "jobs.db", set(accepted))
    assert set(load.runs.values()) == {1}


def test_a_name_that_keeps_killing_its_actor_is_quarantined_alone_until_it_is_mended(
    runtime: Runtime, tmp_path: Path
) -> None:
    runtime.jobs.add_handler("bad", lambda job: "mended", restart=RestartBudget(restarts_max=1, window_seconds=60.0))
    eventually(lambda: any(actor.name == "handler:bad" for actor in runtime.tree()))

    def dead_or_quarantined() -> bool:
        poke(runtime, "handler:bad")
        return runtime.health().status == "red"

    eventually(dead_or_quarantined, what="the quarantine")
    assert any("handler:bad is quarantined" in reason for reason in runtime.health().reasons)
    waiting = runtime.jobs.queue("bad")
    assert runtime.jobs.join(runtime.jobs.queue("innocent", 7), timeout=SECONDS_MAX).result == 7
    assert runtime.jobs.get(waiting).state == "queued"
    runtime.jobs.add_handler("bad", lambda job: "mended")
    assert runtime.jobs.join(waiting, timeout=SECONDS_MAX).result == "mended"
    assert runtime.health().status == "green"


def test_a_broker_whose_budget_is_spent_fails_the_runtime_and_the_host_goes_on(tmp_path: Path) -> None:
    told: list[RuntimeFailed] = []
    called = threading.Event()

    def on_failure(failure: RuntimeFailed) -> None:
        told.append(failure)
        called.set()

    neighbour = Neighbour.start()
    runtime = Runtime(tmp_path / "jobs.db", restarts_max=1, on_failure=on_failure)
    runtime.jobs.add_handler("load", lambda job: "ended")
    runtime.start()
    waiting = runtime.jobs.queue("load", delay=3600)
    monkeypatch = pytest.MonkeyPatch()

    def receive(self: Any, mail: Any) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(JobBroker, "receive", receive)

        def failed() -> bool:
            if runtime.boot is not None:
                runtime.boot.post.tell("broker", object())
            return called.is_set()

        eventually(failed, what="the failure")
    with pytest.raises(RuntimeFailed, match="broker died 2 times"):
        runtime.wait(SECONDS_MAX)
    assert len(told) == 1
    assert runtime.health().status == "red"
    assert neighbour.proxy().ping().get(timeout=SECONDS_MAX) == "pong"
    with runtime:
        assert runtime.jobs.get(waiting).state == "queued"
        assert runtime.jobs.join(runtime.jobs.queue("load"), timeout=SECONDS_MAX).result == "ended"
    neighbour.stop()


def test_a_job_in_a_hosts_open_transaction_is_found_though_the_broker_has_died(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    connection.execute("begin immediate")
    job = runtime.jobs.queue("innocent", 7, connection=connection)
    kill(runtime, "broker", "an exception on a tell", monkeypatch)
    connection.execute("commit")
    connection.close()
    assert runtime.jobs.join(job, timeout=5.0).result == 7
