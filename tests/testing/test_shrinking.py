"""Simulations that Hypothesis drives: a failing one shrinks to a run in which little happens."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from lamplighter import Job, Runtime
from lamplighter.stores.tables.jobs import TableJobs
from lamplighter.testing import Choices, Faults, Simulation, Violation, simulations, work
from lamplighter.testing.scripted_handlers import Script
from lamplighter.testing.simulation.shrinking import PHASES

settings = hypothesis.settings(deadline=None, database=None, print_blob=False, derandomize=True, phases=PHASES)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis also draws numbers that stand in modules which whatever test has imported. What is drawn here, and so
    what it shrinks to, must not depend on which tests came before.
    """
    monkeypatch.setattr(providers.HypothesisProvider, "_local_constants", providers.Constants())
    monkeypatch.setattr(providers, "CONSTANTS_CACHE", {})


def paying(paid: Counter[str]) -> Callable[[Runtime], None]:
    """A host whose handler does its work a second time when it is called a second time."""

    def register(runtime: Runtime) -> None:
        @runtime.jobs.handler("pay")
        def pay(job: Job[Any]) -> None:
            paid[job.id] += 1

    return register


def test_a_handler_that_is_not_idempotent_is_found_and_the_run_shrinks_to_one_fault() -> None:
    paid: Counter[str] = Counter()
    seen: list[Simulation] = []

    @given(simulations(paying(paid), faults=Faults(crash_handler=0.1)))
    @hypothesis.settings(settings, max_examples=200)
    def each_order_is_paid_once(sim: Simulation) -> None:
        paid.clear()
        seen.append(sim)
        with sim:
            for number in range(3):
                sim.runtime.jobs.queue("pay", id=f"order-{number}")
            sim.run(minutes=10)
            sim.check()
        assert set(paid.values()) == {1}

    with pytest.raises(AssertionError):
        each_order_is_paid_once()

    # Hypothesis runs what it has shrunk to once more, last.
    last = seen[-1]
    events = Counter(json.loads(line)["event"] for line in last.log.splitlines())
    assert last.reached["crash_handler"] == 1
    assert (events["job.failed"], events["job.done"]) == (1, 3)
    assert len(last.log.splitlines()) < 30


def test_a_store_without_its_fence_is_found_and_the_run_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TableJobs, "settle_all", _whatever_the_claim(TableJobs.settle_all))
    lines: list[int] = []

    def register(runtime: Runtime) -> None:
        Script("work", [work(3)]).add_to(runtime, timeout=4, backoff=[1])

    @given(simulations(register, faults=Faults(hang=0.2), stretches=12))
    @hypothesis.settings(settings, max_examples=50)
    def only_the_current_claim_ends_a_job(sim: Simulation) -> None:
        with sim:
            sim.runtime.jobs.queue("work")
            sim.run(minutes=5)
            lines.append(len(sim.log.splitlines()))
            sim.check()

    with pytest.raises(Violation, match="with chance=Choices"):
        only_the_current_claim_ends_a_job()

    assert lines[-1] < 40


def _whatever_the_claim(settle_all: Any) -> Any:
    """Settle by the job's id alone, as if claims had no numbers."""

    def sabotaged(self: TableJobs, ends: Any) -> Any:
        return settle_all(self, [(self.get((job.id,)).get(job.id, job), *rest) for job, *rest in ends])

    return sabotaged


@given(simulations(lambda runtime: None))
@hypothesis.settings(settings, max_examples=3)
def test_a_simulation_that_was_drawn_is_not_entered_yet(sim: Simulation) -> None:
    with sim:
        job = sim.runtime.jobs.queue("nobody")
        sim.check()

        assert sim.runtime.jobs.get(job).state == "queued"


@given(st.lists(st.integers(0, 255), max_size=8))
def test_the_same_choices_decide_the_same(stretches: list[int]) -> None:
    one, two = Choices(stretches, 0.3), eval(repr(Choices(stretches, 0.3)))

    assert [one.random() for _ in range(300)] == [two.random() for _ in range(300)]
    assert [one.choice("abc") for _ in range(9)] == [two.choice("abc") for _ in range(9)]
    assert one.getrandbits(96) == two.getrandbits(96)


def test_in_a_calm_stretch_no_fault_strikes_and_the_rest_is_calm() -> None:
    choices = Choices([0, 7], floor=0.3)

    first = [choices.random() for _ in range(20)]
    second = [choices.random() for _ in range(22)]
    rest = [choices.random() for _ in range(5000)]

    assert min(first) >= 0.3
    assert second == [chance.random() for chance in [random.Random(7)] for _ in range(22)]
    assert min(rest) >= 0.3
    assert max(rest) > 0.99


def test_a_calm_simulation_reaches_no_fault_however_likely_they_are() -> None:
    faults = Faults(crash_actor=0.2, store_error=0.2, kill_process=0.1, hang=0.1)
    with Simulation(paying(Counter()), chance=Choices([], floor=0.6), faults=faults) as sim:
        sim.runtime.jobs.queue("pay")
        sim.run(hours=6)

        assert not sim.reached
        sim.check()


def test_what_hypothesis_prints_can_be_given_to_a_simulation() -> None:
    def register(runtime: Runtime) -> None:
        """Nothing."""

    assert (
        repr(Simulation(register, chance=Choices([0, 3, 0, 0], 0.25)))
        == "Simulation(register, chance=Choices([0, 3], floor=0.25))"
    )
