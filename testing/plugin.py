"""The pytest plugin: simulations as a fixture, over several seeds, with the line that repeats a failure.

It is loaded with pytest wherever Lamplighter is installed. So it imports nothing of the kit before a test asks for it,
and uses nothing that an older pytest lacks: there it must at least not be in the way of other tests.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..api.runtime import Runtime
    from .simulation.simulation import Simulation

SEEDS = 3
"""How many seeds a test runs with, unless told otherwise: more than one, so that a seed is known to matter."""

LOG_LINES_SHOWN = 30
"""How much of a simulation's log a failure shows."""

LINE_CHARACTERS_MAX = 500
"""How much of a line it shows."""

_SIMULATIONS = "_lamplighter_simulations"
"""The attribute of a test that holds what its fixture has made. `pytest.StashKey` is of pytest 7."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lamplighter", "Lamplighter's simulations")
    group.addoption(
        "--lamplighter-seeds",
        type=_count,
        default=SEEDS,
        metavar="N",
        help=f"run each test that uses lamplighter_sim with the seeds 0 to N - 1 (default: {SEEDS})",
    )
    group.addoption(
        "--lamplighter-seed",
        type=_seed,
        default=None,
        metavar="S",
        help="run them with this one seed instead",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Called by pytest: one test for each seed."""
    if "lamplighter_seed" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--lamplighter-seed")
    seeds = range(metafunc.config.getoption("--lamplighter-seeds")) if one is None else [one]
    metafunc.parametrize("lamplighter_seed", list(seeds), ids=[f"seed{seed}" for seed in seeds], indirect=True)


@pytest.fixture
def lamplighter_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run, for whatever else a test leaves to chance."""
    return int(request.param)


@pytest.fixture
def lamplighter_sim(request: pytest.FixtureRequest, lamplighter_seed: int) -> Iterator[Callable[..., Simulation]]:
    """Makes simulations that have begun, and are checked and closed when the test has returned.

    Call it with the function that adds handlers and schedules, and with the options of `Simulation`; the seed is
    pytest's.
    """
    made: list[Simulation] = []
    setattr(request.node, _SIMULATIONS, made)

    def make(register: Callable[[Runtime], object] | Runtime, **options: Any) -> Simulation:
        from .simulation.simulation import Simulation

        made.append(Simulation(register, **{"seed": lamplighter_seed, **options}).__enter__())
        return made[-1]

    yield make
    for simulation in reversed(made):
        simulation.__exit__(None, None, None)


# Wrappers of the old kind, because the new one is of pluggy 1.2.
@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, None]:
    """Called by pytest: a check that fails makes the test fail, not its teardown."""
    outcome = yield
    if outcome.excinfo is not None:
        return
    try:
        for simulation in _simulations_of(pyfuncitem):
            simulation.check()
    except BaseException as error:
        _fail(outcome, error)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Called by pytest: says how to see a failure again, and what went before."""
    outcome = yield
    if outcome.excinfo is not None:
        return
    report = outcome.get_result()
    if report.failed and hasattr(item, _SIMULATIONS):
        report.sections.append(("lamplighter: to repeat", _repeat(item)))
        for simulation in _simulations_of(item):
            lines = simulation.log.splitlines()
            title = f"lamplighter: the last {min(len(lines), LOG_LINES_SHOWN)} of {len(lines)} lines of {simulation}"
            shown = (line[:LINE_CHARACTERS_MAX] for line in lines[-LOG_LINES_SHOWN:])
            report.sections.append((title, "\n".join(shown)))


def _simulations_of(item: pytest.Item) -> list[Simulation]:
    return getattr(item, _SIMULATIONS, [])


def _fail(outcome: Any, error: BaseException) -> None:
    """Make an error the outcome of a hook; one that a wrapper of the old kind raises is not passed on properly."""
    if hasattr(outcome, "force_exception"):
        outcome.force_exception(error)
    else:
        outcome._excinfo = (type(error), error, error.__traceback__)


def _repeat(item: pytest.Item) -> str:
    """The command that runs this test again, with this seed."""
    spec = getattr(item, "callspec", None)
    seed = spec.params["lamplighter_seed"] if spec is not None else None
    # Not by the number of parameters: an older pytest keeps some of them elsewhere.
    alone = spec is not None and spec.id == f"seed{seed}"
    name = item.nodeid.rpartition("[")[0] if alone else item.nodeid
    return f"pytest {shlex.quote(name)} --lamplighter-seed={seed}"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected how many seeds, 1 or more, got: {text!r}")
    return int(text)


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a seed, which is a whole number, got: {text!r}") from None
