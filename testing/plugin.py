"""The pytest plugin: simulations as a fixture, over several seeds, with the line that repeats a failure.

It is loaded with pytest wherever Lamplighter is installed. So it imports nothing of the kit before a test asks for it.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..runtime import Runtime
    from .simulation import Simulation

SEEDS = 3
"""How many seeds a test runs with, unless told otherwise: more than one, so that a seed is known to matter."""

LOG_LINES_SHOWN = 30
"""How much of a simulation's log a failure shows."""

LINE_CHARACTERS_MAX = 500
"""How much of a line it shows."""

_SIMULATIONS: pytest.StashKey[list[Simulation]] = pytest.StashKey()

pytest.register_assert_rewrite(
    "lamplighter.testing.conformance",
    "lamplighter.testing.conformance_claims",
    "lamplighter.testing.conformance_jobs",
    "lamplighter.testing.conformance_schedules",
    "lamplighter.testing.conformance_turns",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called by pytest."""
    group = parser.getgroup("lamplighter", "Lamplighter's simulations")
    group.addoption(
        "--lamplighter-seeds", type=_count, default=SEEDS, metavar="N",
        help=f"run each test that uses lamplighter_sim with the seeds 0 to N - 1 (default: {SEEDS})",
    )  # fmt: skip
    group.addoption(
        "--lamplighter-seed", type=int, default=None, metavar="S", help="run them with this one seed instead",
    )  # fmt: skip


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
    request.node.stash[_SIMULATIONS] = made

    def make(boot: Callable[[Runtime], object], **options: Any) -> Simulation:
        from .simulation import Simulation

        made.append(Simulation(boot, **{"seed": lamplighter_seed, **options}).__enter__())
        return made[-1]

    yield make
    for simulation in reversed(made):
        simulation.__exit__(None, None, None)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Called by pytest: a check that fails makes the test fail, not its teardown."""
    result = yield
    for simulation in pyfuncitem.stash.get(_SIMULATIONS, ()):
        simulation.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Called by pytest: says how to see a failure again, and what went before."""
    report = yield
    if report.failed and _SIMULATIONS in item.stash:
        report.sections.append(("lamplighter: to repeat", _repeat(item)))
        for simulation in item.stash[_SIMULATIONS]:
            lines = simulation.log.splitlines()
            title = f"lamplighter: the last {min(len(lines), LOG_LINES_SHOWN)} of {len(lines)} lines of {simulation}"
            shown = (line[:LINE_CHARACTERS_MAX] for line in lines[-LOG_LINES_SHOWN:])
            report.sections.append((title, "\n".join(shown)))
    return report


def _repeat(item: pytest.Item) -> str:
    """The command that runs this test again, with this seed."""
    spec = getattr(item, "callspec", None)
    seed = spec.params["lamplighter_seed"] if spec is not None else None
    alone = spec is not None and len(spec.params) == 1
    name = item.nodeid.rpartition("[")[0] if alone else item.nodeid
    return f"pytest {shlex.quote(name)} --lamplighter-seed={seed}"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got: {text}")
    return number
