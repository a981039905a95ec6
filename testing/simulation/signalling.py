"""Signals to the processes of a simulation: they come in bursts, and into one another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...api.runtime import Runtime
from ...environment.process import STOP_SIGNALS
from ...errors import RuntimeFailed
from ...messages.jobs import Seconds
from .virtual_scheduler import VirtualScheduler

SIGNALS_MAX = 6
"""The most of one burst."""

BURST_SECONDS_MAX = 6.0
"""How long a burst lasts at most; as long as most stops."""

AT_ONCE_SHARE = 0.5
"""How many signals of a burst come with its first, so that one falls into the handling of another."""


def burst(world: VirtualScheduler, send: Callable[[int], object]) -> None:
    """Have signals sent, the first of them now."""
    chance = world.chance
    for number in range(chance.randint(1, SIGNALS_MAX)):
        is_first = number == 0 or chance.random() < AT_ONCE_SHARE
        delay = 0.0 if is_first else chance.uniform(0.0, BURST_SECONDS_MAX)
        world.after(delay, partial(send, chance.choice(STOP_SIGNALS)))


def serve(runtime: Runtime, drain: Seconds, *, work: bool) -> bool:
    """The main thread of a service. Returns whether it was stopped; one that has given up tells its `on_failure`."""
    try:
        runtime.run(drain, work=work)
    except RuntimeFailed:
        return False
    return True
