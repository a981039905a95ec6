"""The part of a turn for boots: takes back claims of dead ones, registers a renewed one, interrupts at the end."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages.boots import OPERATOR, BootRecord
from ..messages.jobs import JobRecord, Seconds
from ..messages.mail import CheckDue, Declare
from . import schedules
from .boot_registration import Renewal, place_of
from .claims import store_names
from .outbox import Membership
from .state import BrokerState
from .turn_context import TurnContext

ACTS_TOLD_MAX = 10
"""How many operators' acts one turn logs: the row keeps them until logged, and each may have moved hundreds of jobs."""

UNTRACED_SECONDS_MAX = 6.0
"""A boot whose lock file is missing for this long is dead: a living one recreates its file at its next look."""


def renew(context: TurnContext, renewal: Renewal) -> None:
    """The first turn of a runtime that has become another boot: store its row and its declared schedules.

    The previous boot's row is removed, so its claims are orphans, which are taken back like those of dead boots.
    """
    context.turn.boots.forget((renewal.boot_was,))
    others = context.turn.boots.all()
    boot_no = context.turn.boots.register(renewal.record)
    context.say("runtime.started", **renewal.about, **place_of(boot_no, others))
    schedules.declare(context, Declare(schedules=tuple(renewal.schedules), reply=None))
    context.out.hint = True


def recover(context: TurnContext, logged: int) -> None:
    """A broker's first stage: log what was stored after the turn `logged`, and take back claims that nobody holds."""
    own = next((boot for boot in context.turn.boots.all() if boot.boot == context.state.boot), None)
    if own is not None and own.turn > logged:
        context.turn.unlogged.extend(own.unlogged)
        context.say("turn.recovered", turn=own.turn)
    bury_dead(context)
    known = {context.state.boot, *(boot.boot for boot in context.others)}
    context.out.known = known
    living = {name.partition(":")[2] for name in context.state.unreconciled}
    open_claims = context.turn.jobs.open_claims(context.state.boot)
    gone = [job for job in open_claims if job.name not in living and not job.deferred]
    context.interrupt(gone, "its HandlerActor is gone")


def bury_dead(context: TurnContext) -> None:
    boots = [boot for boot in context.turn.boots.all() if boot.boot != context.state.boot]
    acts, runtimes = (
        [boot for boot in boots if boot.kind == OPERATOR],
        [boot for boot in boots if boot.kind != OPERATOR],
    )
    untraced: dict[str, Seconds] = {}
    hidden: list[str] = []
    living = [boot for boot in runtimes if _lives(context.state, boot, untraced, hidden)]
    lost = [boot.boot for boot in runtimes if boot not in living]
    held = context.turn.jobs.held_beside(lost)
    context.out.membership = Membership(living, untraced, hidden, is_whole=not (acts[ACTS_TOLD_MAX:] or held))
    if acts:
        # More acts may be left, and a store may have to record that these are logged.
        context.tell("broker", CheckDue())
    # The boot that removes the row does the work; the transaction lets only one do it.
    told = [act.boot for act in acts[:ACTS_TOLD_MAX]]
    removed = context.turn.boots.forget([*told, *(boot for boot in lost if boot not in held)])
    for act in acts:
        if act.boot in removed:
            _tell_act(context, act)
    orphans: dict[str | None, list[JobRecord]] = {}
    for job in context.turn.jobs.orphans():
        orphans.setdefault(job.boot, []).append(job)
    for dead in runtimes:
        if dead.boot in removed:
            _bury(context, dead, orphans.pop(dead.boot, []))
    for boot, jobs in orphans.items():
        # The process may well live, if its boot was declared dead by mistake, so no job is to blame.
        context.interrupt(jobs, f"its boot {boot} is not on the store any more")


def _lives(state: BrokerState, boot: BootRecord, untraced: dict[str, Seconds], hidden: list[str]) -> bool:
    """A boot without its lock file has time to recreate it; one whose lock file may not be opened here may live."""
    alive = state.presence.is_alive(boot.boot)
    if alive is not None:
        return alive
    if (why := state.presence.hidden(boot.boot)) is not None:
        hidden.append(f"nobody can know here whether boot {boot.boot} (pid {boot.pid} on {boot.host}) lives: {why}")
        return True
    now = state.monotonic()
    since = untraced[boot.boot] = state.untraced.get(boot.boot, now)
    return now - since < UNTRACED_SECONDS_MAX


def drain(context: TurnContext) -> None:
    """The boot begins to stop: it claims nothing more, and a boot that finds it dead later blames none of its jobs."""
    context.out.drains = True
    store_names(context)
    context.turn.boots.note_stop(context.state.boot)


def interrupt_own(context: TurnContext) -> None:
    context.out.drains = True
    context.interrupt(context.turn.jobs.open_claims(context.state.boot), "the runtime stopped")


def _tell_act(context: TurnContext, operator: BootRecord) -> None:
    """Log an act from outside of any runtime, which no runtime's turn could log.

    If the store does not know that the operator's turn was committed, the act has no number and an unknown outcome.
    """
    moves = [move for turn in operator.unlogged for move in turn.moves]
    own = [move for move in moves if "via" in move]
    who = own[0] if own else {}
    is_known = operator.turn > 0
    if is_known:
        context.turn.unlogged.extend(operator.unlogged)
    context.turn.note({"k": "acted", "b": operator.boot, "x": operator.turn, "no": operator.boot_no})
    context.say(
        "operator.acted",
        operator=operator.boot,
        by=who.get("by"),
        via=who.get("via"),
        reason=who.get("why"),
        action=", ".join(dict.fromkeys(str(move["k"]) for move in own or moves)),
        told=len(moves) if is_known else 0,
        unknown=None if is_known else len(moves),
        turn=operator.turn,
    )


def _bury(context: TurnContext, dead: BootRecord, jobs: Sequence[JobRecord]) -> None:
    # A service manager kills a process that does not stop in time, whatever job it runs.
    is_stopping = dead.stopping
    reason = f"the process of boot {dead.boot} (pid {dead.pid}) died" + (" while it stopped" if is_stopping else "")
    context.turn.unlogged.extend(dead.unlogged)
    context.turn.note({"k": "buried", "b": dead.boot, "x": dead.turn, "no": dead.boot_no})
    context.say(
        "runtime.recovered",
        dead_boot=dead.boot,
        dead_pid=dead.pid,
        jobs=len(jobs),
        turn=dead.turn,
        stopping=is_stopping or None,
    )
    context.blame(jobs, reason, blamed=not is_stopping)
    context.out.buried.append(dead)
