"""Jobs that wait to be marked done outside of their handlers: they need no process."""

from __future__ import annotations

import pytest
from lamplighter import Runtime, StaleClaim
from lamplighter.history.audit.audit import Audit
from lamplighter.history.log_files.lines import parse
from lamplighter.history.replay.findings import Finding
from lamplighter.testing.simulation.simulation import Simulation


class Letters:
    """A handler that sends its token away, as the first of so many lives of a process has it."""

    def __init__(self, lives: int = 100, **options):
        self.tokens: list[str] = []
        self.seconds = 0.0
        """How long it takes until it returns."""
        self._lives, self._options = lives, {"auto_done": False, "max_attempts": 1, **options}

    def register(self, runtime: Runtime) -> None:
        if self._lives > 0:
            runtime.jobs.add_handler("approve", self._send, **self._options)
        self._lives -= 1

    def _send(self, job) -> None:
        self.tokens.append(job.token)
        if self.seconds:
            job.sleep(self.seconds)


def findings_of(log: str) -> tuple[Finding, ...]:
    """What the audit finds in a log, without the store."""
    audit = Audit()
    for line in map(parse, log.encode().splitlines()):
        if line is not None:
            audit.feed(line)
    return audit.finish().findings


def leave(simulation: Simulation, how: str) -> None:
    """The process ends, and another one starts."""
    if how == "killed":
        simulation.kill()
    else:
        simulation.runtime.stop()
        simulation.runtime.start()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_job_that_waits_for_its_token_outlives_its_process(how):
    letters = Letters()
    with Simulation(letters.register) as simulation:
        job = simulation.runtime.jobs.queue("approve", "order 7")
        simulation.run(seconds=5)
        for _ in range(2):
            leave(simulation, how)
            simulation.run(seconds=20)

        assert simulation.runtime.jobs.get(job).state == "running"
        assert findings_of(simulation.log) == ()
        assert not simulation.runtime.boot.store.jobs.outlook([], simulation.runtime.environment.clock().now()).is_due
        simulation.runtime.jobs.mark_done(letters.tokens[0], "approved")
        assert (simulation.runtime.jobs.get(job).result, len(letters.tokens)) == ("approved", 1)
        simulation.check()


@pytest.mark.parametrize("lives", [1, 9])
def test_its_timeout_goes_on_without_its_process_and_any_runtime_ends_it(lives):
    letters = Letters(lives, timeout=60)
    with Simulation(letters.register) as simulation:
        job = simulation.runtime.jobs.queue("approve")
        simulation.run(seconds=40)
        simulation.kill()
        simulation.run(seconds=15)
        assert simulation.runtime.jobs.get(job).state == "running"
        simulation.run(seconds=10)

        dead = simulation.runtime.jobs.get(job)
        assert (dead.state, dead.reason) == ("dead", "timed out in attempt 1 of 1")
        simulation.check()


def test_its_timeout_is_over_in_time_where_nothing_else_happens():
    letters = Letters(timeout=2)
    with Simulation(letters.register) as simulation:
        job = simulation.runtime.jobs.queue("approve")
        simulation.run(seconds=4)

        assert simulation.runtime.jobs.get(job).reason == "timed out in attempt 1 of 1"


def test_the_seconds_that_its_handler_took_are_part_of_its_timeout():
    letters = Letters(timeout=60)
    with Simulation(letters.register) as simulation:
        letters.seconds = 40
        job = simulation.runtime.jobs.queue("approve")
        simulation.run(seconds=50)
        assert simulation.runtime.jobs.get(job).record.deferred
        simulation.run(seconds=15)

        assert simulation.runtime.jobs.get(job).reason == "timed out in attempt 1 of 1"


def test_the_token_of_an_earlier_claim_is_refused_though_the_job_is_done():
    letters = Letters()
    with Simulation(letters.register) as simulation:
        jobs = simulation.runtime.jobs
        job = jobs.queue("approve")
        simulation.run(seconds=5)
        jobs.requeue(job)
        simulation.run(seconds=5)
        first, second = letters.tokens
        jobs.mark_done(second, "approved")

        with pytest.raises(StaleClaim):
            jobs.mark_done(first, "approved")
        jobs.mark_done(second, "approved")
        assert jobs.get(job).result == "approved"


def test_it_may_be_cancelled_and_requeued_after_the_death_of_its_process():
    letters = Letters()
    with Simulation(letters.register) as simulation:
        jobs = [simulation.runtime.jobs.queue("approve") for _ in range(2)]
        simulation.run(seconds=5)
        simulation.kill()
        simulation.run(seconds=5)
        cancelled = simulation.runtime.jobs.cancel(jobs[0])
        simulation.runtime.jobs.requeue(jobs[1])
        simulation.run(seconds=5)

        assert (cancelled.state, len(letters.tokens)) == ("cancelled", 3)
        simulation.runtime.jobs.mark_done(letters.tokens[-1])
        assert simulation.runtime.jobs.get(jobs[1]).state == "done"
        simulation.check()


def test_a_claim_that_never_times_out_does_not_expire_either():
    letters = Letters()
    with Simulation(letters.register) as simulation:
        job = simulation.runtime.jobs.queue("approve", expires=10)
        simulation.run(seconds=30)

        assert simulation.runtime.jobs.get(job).state == "running"
