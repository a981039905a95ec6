"""The clock of a store that tells the time of day: what is due on a machine whose own clock is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lamplighter.admin.operator import Operator
from lamplighter.environment import Environment
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.testing import drain
from lamplighter.testing.manual_clock import ManualTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = 3600.0


class Server:
    """The clock of a server, which goes on with `time` and can be set."""

    def __init__(self, time: ManualTime) -> None:
        self._time = time
        self.base = NOON.timestamp()

    def wall(self) -> float:
        return self.base + self._time.elapsed


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def time(request):
    """The time of a machine whose clock is an hour off."""
    return ManualTime(NOON.timestamp() + request.param)


@pytest.fixture
def server(time):
    return Server(time)


@pytest.fixture
def environment(time, server):
    class TimedStore(SqliteStore):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.wall = server.wall

    return Environment(clock=time.clock, store=TimedStore)


@pytest.fixture
def rt(runtime, environment):
    made = runtime(environment=environment)
    made.jobs.add_handler("mail", lambda job: None)
    drain(made)
    return made


def test_jobs_are_queued_and_due_by_the_clock_of_the_store(rt, recorder, time):
    delayed = rt.jobs.queue("mail", delay=60)
    at = rt.jobs.queue("mail", at=NOON + timedelta(minutes=2))

    assert delayed.queued_at == NOON
    time.advance(59)
    drain(rt)
    assert not recorder.of("job.done")
    time.advance(1)
    recorder.wait_for("job.done", job_id=delayed.id)
    assert not recorder.of("job.done", job_id=at.id)
    time.advance(60)
    recorder.wait_for("job.done", job_id=at.id)
    assert not recorder.of("clock.jumped")


def test_schedules_tick_by_the_clock_of_the_store(rt, recorder, time):
    rt.scheduler.add("mail", "* * * * *")
    drain(rt)

    time.advance(60)
    recorder.wait_for("job.done")

    (job,) = rt.jobs.list()
    assert (job.slot, job.queued_at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=1))


def test_a_step_of_the_machine_is_none_of_the_store(rt, recorder, time):
    job = rt.jobs.queue("mail", delay=60)

    time.step(2 * HOUR)
    drain(rt)
    assert not recorder.of("job.done")
    time.advance(60)

    recorder.wait_for("job.done", job_id=job.id)
    assert not recorder.of("clock.jumped")


def test_a_step_back_of_the_store_makes_no_wait_longer(rt, recorder, time, server):
    job = rt.jobs.queue("mail", delay=60)

    server.base -= HOUR
    time.advance(1)
    drain(rt)
    assert recorder.of("clock.jumped")[0]["delta"] == -HOUR
    time.advance(60)

    recorder.wait_for("job.done", job_id=job.id)
    assert len(recorder.of("clock.jumped")) == 1


def test_clocks_that_drift_apart_are_no_step(rt, recorder, time, server):
    for _ in range(10):
        server.base += 0.9
        time.advance(1)
        rt.jobs.queue("mail")
        drain(rt)

    assert not recorder.of("clock.jumped")


def test_two_machines_whose_clocks_differ_see_a_job_due_at_one_instant(rt, runtime, recorder, time, environment):
    other = ManualTime(NOON.timestamp() + 5 * HOUR)
    two = runtime(environment=Environment(clock=other.clock, store=environment.store))
    two.jobs.add_handler("mail", lambda job: None)
    drain(two)

    job = rt.jobs.queue("mail", delay=60)
    for clock in (time, other):
        clock.advance(59)
        drain(rt)
        drain(two)
        assert not recorder.of("job.done")
    for clock in (time, other):
        clock.advance(1)

    recorder.wait_for("job.done", job_id=job.id)


def test_an_operator_acts_by_the_clock_of_the_store(rt, tmp_path, environment, recorder):
    job = rt.jobs.queue("mail", delay=60)

    Operator(tmp_path / "jobs.db", by="ada", via="cli", environment=environment).cancel(job)
    queued = Operator(tmp_path / "jobs.db", by="ada", via="cli", environment=environment).queue("other")

    assert (rt.jobs.get(job).ended_at, queued.queued_at) == (NOON, NOON)
    assert not recorder.of("clock.jumped")
