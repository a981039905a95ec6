"""Boots: those that have died are buried, and their jobs taken back; this one says farewell."""

from __future__ import annotations

from ..messages.jobs import Seconds
from ..messages.mail import Declare
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..stores.ports import BootRecord, Deed
from . import schedules as slots
from .outbox import Membership
from .state import BrokerState, Renewal
from .step import TurnContext

UNTRACED_SECONDS_MAX = 6.0
"""A boot of which nothing has told for so long is dead: one that lives makes its lock file anew when it next looks."""


def renew(context: TurnContext, renewal: Renewal) -> None:
    """The first turn of a runtime that has become another boot: the store gets to know it, and what its host declares.

    What the boot before it held has no row any more, if it had one: it goes back with all that nobody can take back.
    """
    context.turn.forget_boot(renewal.boot_was)
    context.turn.register(renewal.record)
    context.say("runtime.started", **renewal.about)
    slots.declare(context, Declare(schedules=tuple(renewal.schedules), reply=None))
    context.out.hint = True


def recover(context: TurnContext, told: tuple[Deed, ...]) -> None:
    """The first thing a broker does: say what was stored and not told, take back what nobody can hold any more."""
    own = next((boot for boot in context.turn.boots() if boot.boot == context.state.boot), None)
    if own is not None and own.turn != told:
        context.turn.untold.extend(own.turn)
        context.say("turn.recovered", told=list(own.turn))
    bury_dead(context)
    known = {context.state.boot, *(boot.boot for boot in context.others)}
    context.out.known = known
    living = {name.partition(":")[2] for name in context.state.unreconciled}
    for job in context.turn.open_claims(context.state.boot):
        if job.name not in living and not job.deferred:
            context.interrupt(job, "its HandlerActor is gone")


def bury_dead(context: TurnContext) -> None:
    """Find out who lives, and take back the jobs of those who do not."""
    boots = [boot for boot in context.turn.boots() if boot.boot != context.state.boot]
    untraced: dict[str, Seconds] = {}
    living = [boot for boot in boots if _lives(context.state, boot.boot, untraced)]
    context.out.membership = Membership(living, untraced)
    for dead in boots:
        # Whoever removes the row does the work; the transaction lets only one do it.
        if dead not in living and context.turn.forget_boot(dead.boot):
            _bury(context, dead)
    for job in context.turn.orphans():
        # Whose process may well live, as that of a boot which was taken for dead: no job is to blame.
        context.interrupt(job, f"its boot {job.boot} is not on the store any more")


def _lives(state: BrokerState, boot: str, untraced: dict[str, Seconds]) -> bool:
    """Whether another boot counts as alive. One that has lost its lock file has some time to make it anew."""
    alive = state.presence.is_alive(boot)
    if alive is not None:
        return alive
    now = state.age()
    since = untraced[boot] = state.untraced.get(boot, now)
    return now - since < UNTRACED_SECONDS_MAX


def farewell(context: TurnContext) -> None:
    """The boot ends: interrupt what it still holds."""
    context.out.drains = True
    for job in context.turn.open_claims(context.state.boot):
        context.interrupt(job, "the runtime stopped")


def _bury(context: TurnContext, dead: BootRecord) -> None:
    jobs = context.turn.open_claims(dead.boot)
    reason = f"the process of boot {dead.boot} (pid {dead.pid}) died"
    context.turn.untold.extend(dead.turn)
    context.say("runtime.recovered", dead_boot=dead.boot, dead_pid=dead.pid, jobs=len(jobs), told=list(dead.turn))
    for job in jobs:
        maximum = job.interruptions_max or context.state.limits.interruptions_max
        # A claim whose handler has returned had no lane: its process's death cannot be its doing.
        outcome = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not job.deferred)
        context.settle(job, outcome, Policy(interruptions_max=maximum))
    context.out.buried.append(dead)
