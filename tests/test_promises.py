"""One test for each promise that no other test would miss if its code were gone."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from lamplighter import RestartBudget, Runtime
from lamplighter.messages.mail import Settled, Tick
from lamplighter.messages.slots import Accounting, SlotRange

SECONDS_MAX = 20.0


def kill(runtime: Runtime, name: str) -> None:
    """Let an actor die of its next message."""
    actor = runtime.boot.post.find(name)

    def die(mail: object) -> None:
        raise SystemExit(f"{name} is killed by a test")

    actor.receive = die
    runtime.boot.post.tell(name, object())


def test_an_ending_that_a_dying_broker_never_settled_is_told_to_the_next_one(runtime, recorder, monkeypatch):
    rt = runtime()
    gate, runs = threading.Event(), []

    def work(job):
        runs.append(job.id)
        gate.wait(SECONDS_MAX)
        return "once"

    rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    # The broker dies over the very message that tells it of the ending, and has settled nothing.
    broker = rt.boot.post.find("broker")
    receive = broker.receive

    def die_of_an_ending(mail):
        if type(mail.body).__name__ == "Ended":
            raise SystemExit("killed by an ending")
        receive(mail)

    monkeypatch.setattr(broker, "receive", die_of_an_ending)
    gate.set()

    done = rt.jobs.join(job, timeout=SECONDS_MAX)

    assert (done.result, runs) == ("once", [job.id])


def test_the_jobs_of_a_handler_that_is_quarantined_go_back_into_the_queue(runtime, recorder):
    rt = runtime()
    gate = threading.Event()
    budget = RestartBudget(restarts_max=0)
    rt.jobs.add_handler("work", lambda job: gate.wait(SECONDS_MAX), restart=budget)
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    kill(rt, "handler:work")
    recorder.wait_for("actor.quarantined")
    recorder.wait_for("job.retried", job_id=job.id)
    gate.set()

    assert rt.jobs.get(job).state == "queued"


def test_a_tick_of_a_runtime_that_was_not_first_changes_nothing(runtime, recorder):
    rt = runtime()
    schedule_id = rt.scheduler.add("yearly", "0 0 1 1 *")
    (record,) = [one for one in rt.boot.store.schedules() if one.id == schedule_id]
    skipped = (SlotRange(first=1.0, last=3.0, count=3, reason="a test"),)
    accounting = Accounting(fires=(), skipped=skipped, accounted_to=record.accounted_to + 1.0)
    tick = Tick(schedule_id=schedule_id, change_no=record.change_no, accounting=accounting)

    rt.boot.post.tell("broker", tick)
    recorder.wait_for("slot.skipped", schedule=schedule_id)
    late = tick._replace(accounting=accounting._replace(skipped=(replace(skipped[0], first=4.0, last=6.0),)))
    rt.boot.post.tell("broker", late)
    rt.jobs.queue("after")

    assert [entry.count for entry in rt.boot.store.slots(schedule_id, 0.0, 10.0)] == [3]


@pytest.mark.parametrize("keys", [(), (("unknown", 1),)])
def test_a_handler_actor_that_hears_of_endings_it_does_not_know_goes_on(runtime, keys):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "done")

    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)
    rt.boot.post.tell("handler:work", Settled(keys=keys))

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX).result == "done"
