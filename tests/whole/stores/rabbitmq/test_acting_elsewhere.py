"""Somebody cancels or requeues a job on a RabbitMQ that a runtime elsewhere holds: it does it, in a turn of its own."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lamplighter import Environment, Runtime, StoreUnavailable, UnknownJob
from lamplighter.admin.operator import Operator
from lamplighter.cli.main import main
from lamplighter.history.trace.job import biography
from lamplighter.messages.boots import BootRecord
from lamplighter.messages.jobs import Attribution
from lamplighter.rules.control_lines import AskRefused, encode_refusal
from lamplighter.stores.opening import place_of
from lamplighter.stores.rabbitmq.control_client import RabbitControlClient
from lamplighter.testing import Simulation
from lamplighter.testing.manual_clock import ManualTime

from support.gate import Gate
from support.rabbitmq.simulated import SimulatedRabbitMQ

from ....conftest import Recorder
from ....history.kit import logger_to
from ....stores.rabbitmq.model_world import World
from .test_asking import visit

ADA = Attribution("ada", "cli", "it is too long")


class Long:
    """A handler whose runs last until they are signalled, or are let end."""

    def __init__(self) -> None:
        self.begun: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        self.ended = threading.Event()
        self.reasons: list[str | None] = []

    def __call__(self, job: Any) -> None:
        self.begun[job.id].release()
        while not self.ended.is_set() and job.sleep(0.02):
            pass
        self.reasons.append(job.cancel_reason)

    def wait_for(self, job_id: str) -> None:
        """Until a run of it has begun."""
        assert self.begun[job_id].acquire(timeout=15)


@pytest.fixture
def long() -> Any:
    handler = Long()
    yield handler
    handler.ended.set()


@pytest.fixture
def worker(url: str, runtime: Callable[..., Runtime], long: Long) -> Callable[..., Runtime]:
    def start(**options: Any) -> Runtime:
        made = runtime(url, **options)
        made.jobs.add_handler("long", long)
        return made

    return start


def test_who_holds_a_job_cancels_it_and_says_who_wanted_that(url, worker, long, recorder: Recorder):
    workers = worker(), worker()
    workers[0].jobs.queue("long", {"secret": 1}, id="j")
    holder = recorder.wait_for("job.started", job_id="j")["boot"]
    long.wait_for("j")

    job = Operator(url, by="ada", via="cli").cancel("j", reason="it is too long")

    line = recorder.wait_for("job.cancelled")
    recorder.until(lambda: long.reasons, "the function to be told")
    assert (job.id, job.name, job.state, job.data) == ("j", "long", "cancelled", None)
    assert job.reason == "cancelled by ada while it ran: it is too long"
    assert (line["boot"], line["by"], line["via"], line["reason"]) == (holder, "ada", "cli", "it is too long")
    assert long.reasons == ["cancelled"]
    for one in workers:
        one.stop()
    assert recorder.audit().findings == ()


def test_who_holds_a_job_requeues_it_and_it_runs_again(url, worker, long, recorder: Recorder):
    rt = worker()
    rt.jobs.queue("long", id="j")
    long.wait_for("j")

    job = Operator(url, by="ada", via="cli").requeue("j", reason="the other side is back")

    line = recorder.wait_for("job.requeued")
    long.wait_for("j")
    long.ended.set()
    recorder.wait_for("job.done")
    assert (job.state, line["by"], line["via"]) == ("queued", "ada", "cli")
    assert len(recorder.of("job.started")) == 2
    rt.stop()
    assert recorder.audit().findings == ()


def test_the_command_cancels_what_runs_elsewhere_and_the_trace_tells_it(url, tmp_path: Path, long, recorder, capsys):
    log = tmp_path / "lamplighter.log"
    rt = Runtime(url, logger=logger_to(log, "info"))
    recorder.follow(rt)
    rt.jobs.add_handler("long", long)
    with rt:
        rt.jobs.queue("long", id="j")
        long.wait_for("j")
        assert main(["jobs", "cancel", "j", "-s", url, "--dry-run"]) == 1
        assert "on a server nobody knows beforehand" in capsys.readouterr().err
        code = main(["jobs", "cancel", "j", "-s", url, "--by", "ada", "--reason", "it is too long"])
        recorder.wait_for("job.cancelled")

    life = biography([str(log)], "j")

    assert (code, capsys.readouterr().out) == (0, "j is cancelled\n")
    assert life is not None
    assert any("cancelled by ada" in entry.says for entry in life.entries)


def test_that_nobody_holds_it_is_known_once_all_that_live_have_said_so(url, worker):
    rt = worker()
    room = RabbitControlClient(place_of(url).visit)

    with pytest.raises(UnknownJob, match="no runtime holds job 'none', as 1 runtime said: it has ended, or"):
        room.act("cancel", "none", ADA)
    rt.stop()
    with pytest.raises(UnknownJob, match="no runtime holds job 'none', as 0 runtimes said"):
        RabbitControlClient(place_of(url).visit, 0.1, act_seconds=600.0).act("cancel", "none", ADA)


def test_one_that_hangs_is_named_and_does_not_do_it_later(
    url, worker, long, caller, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
):
    # It leads, too, and so does not say who lives.
    monkeypatch.setattr("lamplighter.stores.rabbitmq.admin_connection.LEADER_SECONDS_MAX", 0.1)
    gate, time = Gate("broker.let_out"), ManualTime()
    rt = worker(environment=Environment(failpoints=gate, clock=time.clock))
    rt.jobs.queue("long", id="j")
    long.wait_for("j")
    gate.is_shut = True
    hangs = caller(rt.jobs.queue, "long", id="behind")
    assert gate.reached.wait(15)

    with pytest.raises(StoreUnavailable, match=rf"{rt.boot.id} holds job 'j', and could not cancel it within 0.5 s"):
        RabbitControlClient(place_of(url).visit, act_seconds=0.5, now=lambda: time.wall).act("cancel", "j", ADA)
    time.advance(6.0)
    gate.is_shut = False
    gate.opened.set()
    hangs.result(15)
    rt.jobs.pause("nothing")

    assert recorder.of("job.cancelled") == []
    assert rt.jobs.cancel("j").state == "cancelled"


@pytest.mark.parametrize("seconds", [6.0, -6.0])
def test_one_that_hears_it_too_late_by_its_clock_does_nothing(url, worker, long, recorder: Recorder, seconds: float):
    """A process that was stopped finds the question in its socket when it goes on, however long ago it was asked."""
    time = ManualTime()
    rt = worker(environment=Environment(clock=time.clock))
    rt.jobs.queue("long", id="j")
    long.wait_for("j")

    with pytest.raises(AskRefused, match=rf"and does nothing: by its clock that was asked {seconds:.0f} s"):
        RabbitControlClient(place_of(url).visit, now=lambda: time.wall - seconds).act("cancel", "j", ADA)

    rt.jobs.pause("nothing")
    assert recorder.of("job.cancelled") == []
    assert (
        RabbitControlClient(place_of(url).visit, now=lambda: time.wall - seconds / 2).act("cancel", "j", ADA).state
        == "cancelled"
    )


def test_who_holds_it_and_cannot_do_it_says_why():
    world = World()
    store = world.store()
    world.turn(store)
    store.notifier.answer(lambda line, later: later(encode_refusal("failed", "it has lost its connection")) or b"")

    with pytest.raises(AskRefused, match="it has lost its connection"):
        RabbitControlClient(lambda: visit(world)).act("cancel", "j", ADA)


def test_one_of_a_version_without_the_question_may_hold_the_job():
    world = World()
    store = world.store()
    world.turn(store)
    with store.turn("old", world.elapsed) as turn:
        turn.boots.register(BootRecord("old", 1, "h", 0.0, None, ()))
    world.attended.append(store)
    store.notifier.answer(lambda line, later: encode_refusal("unknown_verb", "expected one of view, stacks"))

    with pytest.raises(StoreUnavailable, match="got nothing from runtime instance old: it may hang, be of an older"):
        RabbitControlClient(lambda: visit(world)).act("cancel", "j", ADA)


def test_the_model_of_a_server_does_it_too_and_the_proof_is_whole():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("long", lambda job: job.sleep(600.0))

    with Simulation(register, processes=3, server=SimulatedRabbitMQ) as simulation:
        simulation.runtime.jobs.queue("long", id="j")
        simulation.run(seconds=2)
        job = simulation.operator("ada").cancel("j", reason="it is too long")
        with pytest.raises(UnknownJob, match="no runtime holds job 'none', as 3 runtimes said"):
            simulation.operator("ada").cancel("none")
        simulation.settle(seconds=30)
        simulation.check()

    assert job.state == "cancelled"
    assert '"by":"ada"' in simulation.log.replace(" ", "")
