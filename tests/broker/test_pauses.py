"""Names that are paused until an instant, and names of which only so many jobs run at once over the whole store."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from lamplighter import Job, Operator, Runtime, UsageError
from lamplighter.testing import Simulation
from lamplighter.testing.draining import is_idle

from support.rabbitmq.simulated import SimulatedRabbitMQ

LATER = datetime(2026, 3, 2, 1, tzinfo=UTC)
"""An hour after `timed` runtimes begin."""


def test_a_pause_ends_by_itself_and_somebody_is_awake(timed, time, recorder, monkeypatch):
    # No poll would find it within the test.
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 1e9)
    rt = timed()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.pause("work", until=LATER, by="ada", reason="the other side is down")
    job = rt.jobs.queue("work")
    recorder.until(lambda: is_idle(rt), "it to be idle")
    health = rt.health()

    time.advance(3599)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    before = rt.jobs.get(job).state, rt.jobs.paused()
    time.advance(1)

    assert rt.jobs.join(job, timeout=15).state == "done"
    assert (before, rt.jobs.paused()) == (("queued", ("work",)), ())
    assert health.reasons == (
        "the jobs of 'work' are paused by ada until 2026-03-02T01:00:00Z: the other side is down",
    )
    assert rt.health().status == "green"
    (said,) = recorder.of("name.paused")
    assert (said["until"], said["by"]) == (LATER.timestamp(), "ada")


def test_health_tells_of_the_names_that_are_paused_now_and_not_of_those_that_were(timed, time, recorder):
    rt = timed()
    rt.jobs.pause("for good", by="ada", reason="no paper")
    rt.jobs.pause("an hour", until=LATER)
    rt.jobs.limit("two at once", 2, by="bob", reason="no money")
    forever = "the jobs of 'for good' are paused by ada: no paper"

    recorder.until(lambda: is_idle(rt), "it to be idle")
    before = rt.health()
    stored = [one.name for one in rt.boot.store.jobs.pauses()]
    time.advance(3600)
    after = rt.health()

    assert before.reasons == ("the jobs of 'an hour' are paused until 2026-03-02T01:00:00Z", forever)
    assert after.reasons == (forever,)
    assert stored == ["an hour", "for good", "two at once"]
    assert rt.jobs.paused() == ("for good",)


def test_a_pause_whose_time_passes_while_nothing_runs_holds_nothing_back(runtime, recorder):
    with runtime() as rt:
        rt.jobs.pause("work", until=datetime.now(UTC) + timedelta(seconds=0.05))
        job = rt.jobs.queue("work")
    recorder.until(lambda: datetime.now(UTC).timestamp() > recorder.of("name.paused")[0]["until"], "the time to pass")

    with runtime() as rt:
        rt.jobs.add_handler("work", lambda job: None)
        assert rt.jobs.join(job, timeout=15).state == "done"


def test_a_resume_comes_before_the_instant(timed, time, recorder):
    rt = timed()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.pause("work", until=LATER)
    job = rt.jobs.queue("work")
    rt.jobs.resume("work")

    assert rt.jobs.join(job, timeout=15).state == "done"


@pytest.mark.parametrize("until", [datetime(2026, 3, 2), 3600, "tomorrow"])
def test_a_pause_ends_at_an_aware_datetime(runtime, until):
    with pytest.raises(UsageError, match="expected until to be a datetime with a time zone"):
        runtime().jobs.pause("work", until=until)


def test_a_limit_holds_over_all_runtimes_and_one_more_starts_when_one_ends(runtime, recorder, tmp_path):
    ends, lock, running, most = threading.Semaphore(0), threading.Lock(), [0], [0]

    def work(job: Job) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        ends.acquire(timeout=20)
        with lock:
            running[0] -= 1

    one, other = runtime(), runtime()
    for rt in (one, other):
        rt.jobs.add_handler("work", work, concurrency=3)
    one.jobs.limit("work", 2, by="ada", reason="the database is slow")
    jobs = one.jobs.queue_many([("work", number) for number in range(6)])
    recorder.wait_for("job.started", count=2)

    for _ in range(4):
        ends.release()
    recorder.wait_for("job.done", count=4)
    recorder.until(lambda: running[0] == 2, "two of them to run")
    Operator(tmp_path / "jobs.db", by="bob", via="cli").limit("work", None)
    more = one.jobs.queue_many([("work", number) for number in range(2)])
    recorder.until(lambda: running[0] == 4, "more of them to run")
    for _ in range(4):
        ends.release()

    assert all(one.jobs.join(job, timeout=15) for job in (*jobs, *more))
    assert most[0] == 4
    (said,) = recorder.of("name.limited")
    assert (said["limit"], said["by"], said["reason"]) == (2, "ada", "the database is slow")
    moves = [move for line in recorder.of("turn.committed") for move in line["moves"] if move["k"].startswith("name.")]
    assert [(move["k"], move.get("x"), move["by"]) for move in moves] == [
        ("name.limited", 2, "ada"),
        ("name.unlimited", None, "bob"),
    ]


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "two"])
def test_a_limit_is_a_whole_number_from_one_on(runtime, most):
    with pytest.raises(UsageError, match="expected most to be a whole number from 1"):
        runtime().jobs.limit("work", most)


def test_on_rabbitmq_a_pause_ends_by_itself_on_every_runtime() -> None:
    ran: list[tuple[str, float]] = []

    def register(runtime: Runtime) -> None:
        number = runtime.environment.whereabouts()[1]
        runtime.jobs.add_handler(f"work{number}", lambda job: ran.append((job.name, simulation.now.timestamp())))

    with Simulation(register, processes=2, server=SimulatedRabbitMQ) as simulation:
        first = simulation.runtimes[0]
        until = simulation.now + timedelta(seconds=60)
        for name in ("work1", "work2"):
            first.jobs.pause(name, until=until)
        simulation.run(seconds=5)
        for name in ("work1", "work2"):
            first.jobs.queue(name)
        simulation.run(seconds=50)
        before = list(ran), [runtime.jobs.paused() for runtime in simulation.runtimes]
        simulation.run(seconds=10)

    assert before == ([], [("work1", "work2")] * 2)
    assert sorted(name for name, _ in ran) == ["work1", "work2"]
    assert all(until.timestamp() <= at < until.timestamp() + 1 for _, at in ran)
