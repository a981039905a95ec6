"""The first thing in a turn, before anything is found to be due or expired: wall time may have been stepped."""

from __future__ import annotations

from ..environment.clock import Clock
from ..messages.clock_steps import Stepped
from ..messages.jobs import Seconds
from ..messages.mail import Wake
from .turn_context import TurnContext


def keep_time(context: TurnContext, clock: Clock, *, is_first: bool) -> None:
    """Correct what a step of the clock has shifted, and log it. `ClockJumped` is only a hint: it may die with a broker.
    `is_first`: nobody in this process has observed the clock before this turn.
    """
    clock.notice()
    steps = tuple(context.state.inputs.steps)
    delta = sum(steps)
    # Read the clock here, while nobody else is in a turn: a process that had read it before a step would undo another's
    # correction of that step.
    made_good = context.turn.keep_time(clock.reading(), may_have_gone_back=is_first or delta < 0)
    if made_good is None and delta == 0:
        return
    seconds, jobs, schedules = made_good or Stepped(None, 0, 0)
    context.out.steps = len(steps)
    far = delta or seconds
    if not (far or jobs or schedules):
        # The first turn since the machine was started has compared the clocks already, and found no step.
        return
    if schedules:
        context.turn.note({"k": "recounted", "x": schedules})
    context.say("clock.jumped", delta=_rounded(far), jobs=jobs, schedules=schedules)
    context.forget_next_due()
    context.tell("scheduler", Wake(reload=True))


def _rounded(seconds: Seconds | None) -> Seconds | None:
    return None if seconds is None else round(seconds, 3)
