"""`rate=`: how many jobs of a name start in a time, over the whole store."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from lamplighter import Job, Rate, Runtime, Snooze, UsageError
from lamplighter.testing import Inline, Simulation
from lamplighter.testing.simulation.faults import Faults


def claims(log: str, name: str = "api") -> list[float]:
    """When jobs were claimed, by the log."""
    lines = [json.loads(line) for line in log.splitlines() if '"turn.committed"' in line]
    return [line["at"] for line in lines for move in line["moves"] if move["k"] == "claimed" and move["n"] == name]


def most_in(seconds: float, starts: list[float]) -> int:
    """The most that lie within so many seconds."""
    return max(sum(1 for at in starts if first <= at < first + seconds - 1e-4) for first in starts)


def test_jobs_start_as_fast_as_the_rate_says_and_no_faster():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, concurrency=50, rate=Rate(10, per=5, burst=4))

    with Inline(register, at_once=False) as app:
        app.jobs.queue_many([("api", number) for number in range(60)])
        app.drain()
        starts = claims(app.log)

    assert len(starts) == 60
    assert most_in(5, starts) <= 13
    # Whoever slept until the next may start is woken at that instant, and nothing polls.
    assert starts[-1] - starts[0] == pytest.approx(28.0, rel=0.01)


def test_two_processes_share_one_rate():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, concurrency=5, rate=Rate(20, per=timedelta(seconds=10)))

    def live(runtime: Runtime) -> None:
        runtime.jobs.queue_many([("api", number) for number in range(50)])

    with Simulation(register, host=live, processes=2) as simulation:
        simulation.settle()
        starts = claims(simulation.log)

    assert len(starts) == 100
    assert most_in(10, starts) <= 20
    assert starts[-1] - starts[0] == pytest.approx(49.5, rel=0.01)


def test_no_kill_makes_a_rate_forget_what_has_started():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: job.sleep(0.3), concurrency=3, rate=Rate(6, per=6))

    def live(runtime: Runtime) -> None:
        runtime.jobs.queue_many([("api", number) for number in range(40)])

    faults = Faults(kill_process=0.02, crash_actor=0.02, store_error=0.02)
    with Simulation(register, host=live, faults=faults, seed=3) as simulation:
        simulation.run(minutes=1)
        simulation.check()
        starts = claims(simulation.log)

    assert simulation.reached["kill_process"]
    assert len(starts) >= 40
    assert most_in(6, starts) <= 6


def test_each_attempt_takes_of_the_rate():
    """A retry calls the other side as a first attempt does."""

    def fail(job: Job) -> None:
        if job.attempt < 3:
            raise ValueError("no")
        if job.record.claim_no < 4:
            raise Snooze(0)

    with Inline(lambda rt: rt.jobs.add_handler("api", fail, rate=Rate(1, per=10), backoff=[0.0])) as app:
        app.jobs.queue("api")
        starts = claims(app.log)

    assert len(starts) == 4
    assert all(later - earlier >= 10 - 1e-4 for earlier, later in pairwise(starts))


def test_a_name_with_a_rate_is_in_nobodys_way():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, rate=Rate(1, per=3600))
        runtime.jobs.add_handler("mail", lambda job: None)

    with Inline(register, at_once=False) as app:
        app.jobs.queue_many([("api", 1), ("api", 2), ("mail", 1), ("mail", 2)])
        began = app.now
        app.drain()
        (first, second), mails = claims(app.log), claims(app.log, "mail")

    assert second - first == pytest.approx(3618, abs=20)
    assert max(mails) - began.timestamp() < 1.0


def test_what_may_not_start_stays_queued_without_an_attempt(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("api", lambda job: job.attempt, concurrency=4, rate=Rate(1, per=3600))
    jobs = [rt.jobs.queue("api") for _ in range(5)]

    assert rt.jobs.join(jobs[0], timeout=20).result == 1
    rt.jobs.queue("nobody")

    assert rt.jobs.counts("api") == {"queued": 4, "running": 0, "done": 1, "dead": 0, "cancelled": 0}
    assert {rt.jobs.get(job).record.claim_no for job in jobs[1:]} == {0}
    assert recorder.wait_for("job.claimed")["rate"] == "1/3600s"


def test_the_slowest_rate_of_a_runtimes_handlers_counts():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, concurrency=3, rate=Rate(100, per=1))
        runtime.jobs.add_handler("api", lambda job: None, concurrency=3, rate=Rate(1, per=10))
        runtime.jobs.add_handler("api", lambda job: None, concurrency=3)

    with Inline(register, at_once=False) as app:
        app.jobs.queue_many([("api", 1), ("api", 2)])
        app.drain()
        first, second = claims(app.log)

    assert second - first >= 10


def test_what_the_store_keeps_of_a_rate_goes_when_it_says_nothing_any_more():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("api", lambda job: None, rate=Rate(1, per=60))

    def kept(app: Inline) -> int:
        with app.runtime.boot.store.turn("t", app.now.timestamp()) as turn:
            return turn.connection.execute("select count(*) from lamplighter_rates").fetchone()[0]

    with Inline(register) as app:
        app.jobs.queue("api")
        before = kept(app)
        app.advance(days=1)

        assert (before, kept(app)) == (1, 0)


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        ("100/m", r"expected rate to be a Rate, got: '100/m'; write rate=Rate\(100, per=60\)"),
        (Rate(0, per=1), "expected rate.limit to be a whole number from 1 to 1000000, got: 0"),
        (Rate(3, per=1, burst=4), "expected rate.burst to be a whole number from 1 to 3, got: 4"),
        (Rate(3, per=-1), "expected rate.per to be a number of seconds or a timedelta, 0.001 or more"),
    ],
)
def test_a_wrong_rate_is_refused(rate, says):
    with pytest.raises(UsageError, match=says):
        Runtime(":memory:").jobs.add_handler("api", lambda job: None, rate=rate)
