"""What the kit says when it is asked for what cannot be: a `UsageError`, at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Runtime, UsageError
from lamplighter.testing import Inline, ManualTime, Simulation


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.data)


CALLS: list[Callable[[Simulation], Any]] = [
    lambda sim: sim.runtime,
    lambda sim: sim.runtimes,
    lambda sim: sim.path,
    lambda sim: sim.run(days=1),
    lambda sim: sim.run(until=lambda: True),
    lambda sim: sim.settle(),
    lambda sim: sim.check(),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_a_simulation_does_before_its_with_is_refused_and_does_not_hang(call: Callable[[Simulation], Any]) -> None:
    with pytest.raises(UsageError, match=r"expected `with Simulation\(register, seed=0\) as \.\.\.:`.* got it before"):
        call(Simulation(register))


@pytest.mark.parametrize("call", CALLS)
def test_what_a_simulation_does_after_its_with_is_refused(call: Callable[[Simulation], Any]) -> None:
    with Simulation(register) as sim:
        pass

    with pytest.raises(UsageError, match=r"expected `with Simulation\(register, seed=0\) as \.\.\.:`.* got it after"):
        call(sim)


def test_what_a_simulation_was_can_be_read_after_it() -> None:
    with Simulation(register) as sim:
        sim.run(minutes=1)

    assert "runtime.started" in sim.log
    assert (sim.now - sim.now).total_seconds() == 0
    assert sim.reached == {}


def test_a_simulation_is_entered_once() -> None:
    with Simulation(register) as sim:
        pass

    with pytest.raises(UsageError, match=r"expected a new Simulation\(register, seed=0\)"), sim:
        pass


def test_a_simulation_within_its_own_with_is_not_entered_again_and_goes_on() -> None:
    with Simulation(register) as sim:
        with pytest.raises(UsageError, match="expected a new"):
            sim.__enter__()
        assert sim.runtime.jobs.join(sim.runtime.jobs.queue("work", 7)).result == 7


def test_a_runtime_that_was_kept_says_that_its_simulation_is_over() -> None:
    with Simulation(register) as sim:
        runtime = sim.runtime

    with pytest.raises(UsageError, match="got it after its end"):
        runtime.jobs.queue("work")


@pytest.mark.parametrize(
    "call",
    [
        lambda app: app.runtime,
        lambda app: app.jobs,
        lambda app: app.scheduler,
        lambda app: app.drain(),
        lambda app: app.advance(days=1),
    ],
)
def test_an_inline_is_used_within_its_with(call: Callable[[Inline], Any]) -> None:
    with pytest.raises(UsageError, match=r"expected `with Inline\(register\) as \.\.\.:`.* got it before"):
        call(Inline(register))
    with Inline(register) as app:
        pass
    with pytest.raises(UsageError, match=r"expected `with Inline\(register\) as \.\.\.:`.* got it after"):
        call(app)


@pytest.mark.parametrize("kit", [Simulation, Inline])
def test_jobs_are_no_function_that_registers_handlers(kit: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="expected register to be a function that adds handlers"):
        kit(Runtime(":memory:").jobs)


@pytest.mark.parametrize("processes", [0, -1, 1.5, True, "2"])
def test_a_simulation_has_one_process_or_more(processes: Any) -> None:
    with pytest.raises(UsageError, match="expected processes to be 1 or more, got:"):
        Simulation(register, processes=processes)


@pytest.mark.parametrize("given", [{"days": -3}, {"hours": 1, "seconds": -3601}, {"seconds": math.nan}])
def test_time_does_not_go_back(given: dict[str, float]) -> None:
    with Simulation(register) as sim, pytest.raises(UsageError, match="time only goes forward"):
        sim.run(**given)
    with Inline(register) as app, pytest.raises(UsageError, match="time only goes forward"):
        app.advance(**given)


def test_time_goes_on_for_ever_only_until_something_holds() -> None:
    with Simulation(register) as sim:
        with pytest.raises(UsageError, match="time only goes forward, got: inf"):
            sim.run(seconds=math.inf)
        job = sim.runtime.jobs.queue("work", delay=3600)
        assert sim.run(seconds=math.inf, until=lambda: sim.runtime.jobs.get(job).state == "done")


@pytest.mark.parametrize("seconds", [-5, math.nan])
def test_manual_time_advances_and_only_steps_back(seconds: float) -> None:
    time = ManualTime()
    before = time.now

    with pytest.raises(UsageError, match=r"`step` can go back"):
        time.advance(seconds)

    assert time.now == before
