"""Boots: those that have died are buried, and their jobs taken back; this one says farewell."""

from __future__ import annotations

from ..messages.mail import Declare
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..stores.ports import BootRecord, Deed, Turn
from . import schedules as slots
from .step import Renewal, Step


def renew(step: Step, renewal: Renewal) -> None:
    """The first turn of a runtime that has become another boot: the store gets to know it, and what its host declares.

    What the boot before it held has no row any more, if it had one: it goes back with all that nobody can take back.
    """
    step.turn.forget_boot(renewal.boot_was)
    step.turn.register(renewal.record)
    step.say("runtime.started", **renewal.about)
    slots.declare(step, Declare(schedules=tuple(renewal.schedules), reply=None))
    step.out.hint = True


def recover(step: Step, told: tuple[Deed, ...]) -> None:
    """The first thing a broker does: say what was stored and not told, take back what nobody can hold any more."""
    own = next((boot for boot in step.turn.boots() if boot.boot == step.desk.boot), None)
    if own is not None and own.turn != told:
        step.turn.untold.extend(own.turn)
        step.say("turn.recovered", told=list(own.turn))
    bury_dead(step)
    known = {step.desk.boot, *(boot.boot for boot in step.desk.others)}
    step.out.after.append(lambda: step.desk.presence.tidy(known))
    living = {name.partition(":")[2] for name in step.desk.unreconciled}
    for job in step.turn.open_claims(step.desk.boot):
        if job.name not in living and not job.deferred:
            step.interrupt(job, "its HandlerActor is gone")


def bury_dead(step: Step) -> None:
    """Find out who lives, and take back the jobs of those who do not."""
    desk = step.desk
    boots = [boot for boot in step.turn.boots() if boot.boot != desk.boot]
    living = [boot for boot in boots if desk.lives(boot.boot)]
    desk.others = living
    desk.untraced = {boot.boot: desk.untraced[boot.boot] for boot in living if boot.boot in desk.untraced}
    step.out.after.append(lambda: setattr(desk, "roll_call", False))
    for dead in boots:
        # Whoever removes the row does the work; the transaction lets only one do it.
        if dead not in living and step.turn.forget_boot(dead.boot):
            _bury(step, dead)
    for job in step.turn.orphans():
        # Whose process may well live, as that of a boot which was taken for dead: no job is to blame.
        step.interrupt(job, f"its boot {job.boot} is not on the store any more")


def farewell(step: Step) -> None:
    """The boot ends: interrupt what it still holds."""
    step.desk.draining = True
    for job in step.turn.open_claims(step.desk.boot):
        step.interrupt(job, "the runtime stopped")


def leave(turn: Turn, boot: str, told: tuple[Deed, ...]) -> list[BootRecord]:
    """Let the others forget a boot whose actors have stopped; they are given back.

    One that holds a claim, or has not told all that it did, stays for them to find: whoever buries it does both.
    """
    boots = turn.boots()
    own = next((one for one in boots if one.boot == boot), None)
    if own is not None and own.turn == told and not turn.open_claims(boot):
        turn.forget_boot(boot)
    return [one for one in boots if one.boot != boot]


def _bury(step: Step, dead: BootRecord) -> None:
    jobs = step.turn.open_claims(dead.boot)
    reason = f"the process of boot {dead.boot} (pid {dead.pid}) died"
    step.turn.untold.extend(dead.turn)
    step.say("runtime.recovered", dead_boot=dead.boot, dead_pid=dead.pid, jobs=len(jobs), told=list(dead.turn))
    for job in jobs:
        maximum = job.interruptions_max or step.desk.limits.interruptions_max
        # A claim whose handler has returned had no lane: its process's death cannot be its doing.
        outcome = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not job.deferred)
        step.settle(job, outcome, Policy(interruptions_max=maximum))
    step.out.after.append(lambda: step.desk.presence.bury(dead))
