"""Simulations whose schedule Hypothesis draws, so that a run that fails shrinks to one in which little happens.

    @given(simulations(register, faults=Faults(crash_handler=0.1)))
    @settings(deadline=None, phases=PHASES)
    def test_an_invoice_is_sent_once(sim):
        with sim:
            sim.run(hours=1)
            sim.check()

Each decision of a run drawn for itself would be far too many. Drawn are stretches of decisions, each by one small
number: 0 is a calm stretch, in which no fault strikes, and any other is the seed of a wild one. So what shrinks away is
every stretch in which nothing happened that the failure needs.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Self

from ...api.runtime import Runtime
from ...errors import UsageError, missing_extra
from .faults import Faults
from .simulation import Simulation

try:
    from hypothesis import Phase, currently_in_test_context, settings
    from hypothesis import strategies as st
except ImportError as error:
    raise missing_extra("hypothesis", "simulations that shrink", "testing") from error

PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
"""The phases of Hypothesis. Up to Python 3.11 it explains a failure by tracing with `sys.settrace`; what the
interpreter notes of that is not kept apart for each greenlet, and it has been seen to hang."""

STRETCHES = 48
"""How many stretches are drawn; after them it stays calm."""

STRETCH_DECISIONS, STRETCH_GROWTH = 20, 1.1
"""How long the first stretch is, and how much longer each is than the one before: early ones can be told apart."""

SEEDS_MAX = 255
"""How many ways there are for a stretch to be wild."""

FLOOR_MAX = 0.99
"""Decisions of a calm stretch are never below the chance of a fault, but leave room for a choice of who runs next."""


class Choices(random.Random):
    """The decisions of chance in a simulation, as numbers that can shrink, be printed, and be given again.

    Args:
        stretches: one number for each stretch of decisions: 0 for a calm one, otherwise a seed.
        floor: decisions of calm stretches are at least this, so that no fault strikes.
    """

    def __new__(cls, stretches: Sequence[int] = (), floor: float = 0.0) -> Choices:
        # random.Random itself would take the arguments for a seed.
        return super().__new__(cls)

    def __init__(self, stretches: Sequence[int] = (), floor: float = 0.0) -> None:
        super().__init__(0)
        self.stretches = list(stretches)
        while self.stretches and self.stretches[-1] == 0:
            self.stretches.pop()
        self.floor = floor
        self._calm = random.Random(0)
        self._wild: random.Random | None = None
        self._number = -1
        self._left = 0

    def __repr__(self) -> str:
        return f"Choices({self.stretches}, floor={self.floor:g})"

    def random(self) -> float:
        if self._left == 0:
            self._number += 1
            self._left = int(STRETCH_DECISIONS * STRETCH_GROWTH ** min(self._number, STRETCHES))
            seed = self.stretches[self._number] if self._number < len(self.stretches) else 0
            self._wild = random.Random(seed) if seed else None
        self._left -= 1
        if self._wild is not None:
            return self._wild.random()
        return self.floor + (1.0 - self.floor) * self._calm.random()


def simulations(
    register: Callable[[Runtime], object] | Runtime,
    *,
    faults: Faults = Faults(),  # noqa: B008 (frozen)
    stretches: int = STRETCHES,
    **options: Any,
) -> st.SearchStrategy[Simulation]:
    """A strategy of simulations that are not entered yet: a test says `with sim:`.

    Args:
        register, faults, options: as `Simulation` takes them.
        stretches: how many stretches of decisions may be wild. Fewer shrink faster.
    """
    chances = [value for field in fields(faults) if isinstance(value := getattr(faults, field.name), float)]
    floor = min(FLOOR_MAX, sum(chances))

    def simulation(drawn: list[int]) -> Simulation:
        return _Drawn(register, chance=Choices(drawn, floor), faults=faults, **options)

    return st.lists(st.integers(0, SEEDS_MAX), min_size=stretches, max_size=stretches).map(simulation)


class _Drawn(Simulation):
    """A simulation that Hypothesis has drawn."""

    def __enter__(self) -> Self:
        now = settings.default if currently_in_test_context() else None
        if sys.version_info < (3, 12) and now is not None and Phase.explain in now.phases:
            raise UsageError(
                "expected settings(phases=PHASES), with PHASES from lamplighter.testing.simulation.shrinking, got "
                "Phase.explain too: before Python 3.12 it traces by sys.settrace, which hangs where greenlets switch"
            )
        return super().__enter__()
