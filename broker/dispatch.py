"""Maps each kind of mail to its part of a turn."""

from __future__ import annotations

from typing import Any

from ..errors import LamplighterError, StoreUnavailable
from ..messages.mail import (
    CancelJob,
    CancelMany,
    Capacity,
    CheckDue,
    ClockJumped,
    Declare,
    Down,
    Drain,
    Ended,
    Forget,
    ForgetJob,
    GiveBack,
    Housekeep,
    Limit,
    MarkDone,
    Pause,
    PauseSchedule,
    Progressed,
    Queue,
    QuietSwitched,
    ReleaseClaims,
    Reply,
    Requeue,
    RequeueMany,
    Retire,
    Tick,
    WatchExternalCommit,
)
from ..messages.steps import KeepStep, SendSignal
from . import boots, claims, jobs, schedules
from .alarms import Retention
from .turn_context import PASSED_ON, TurnContext


class HalfDone(Exception):
    """A message was refused with `refusal` after it had changed its turn, so the turn must not be stored."""

    def __init__(self, refusal: LamplighterError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def apply(context: TurnContext, body: Any, retention: Retention) -> None:
    """Carry out a message and answer its sender. A message that is refused changes nothing.

    This needs no savepoint: a message refused after a write fails the whole turn, which rolls back the store and drops
    the outbox. Each message of the turn is then tried alone.

    Raises:
        HalfDone: the message is refused, and has changed the turn.
        LamplighterError: nobody waits for an answer, or the store is unavailable.
    """
    # As `reply_of` does, without its call: each message passes here.
    reply: Reply | None = getattr(body, "reply", None)
    writes_before = context.turn.writes
    if reply is not None and reply.cancelled():
        return
    try:
        value = handle(context, body, retention)
    except LamplighterError as refusal:
        if reply is None or isinstance(refusal, StoreUnavailable):
            raise
        if context.turn.writes != writes_before:
            raise HalfDone(refusal) from refusal
        context.out.replies.append((reply, None, refusal))
    else:
        if reply is not None and value is not PASSED_ON:
            context.out.replies.append((reply, value, None))
    context.collect()


def handle(context: TurnContext, body: Any, retention: Retention) -> Any:
    """Carry out a message and return the answer for its sender. A LamplighterError refuses it."""
    match body:
        case Queue():
            return jobs.queue(context, body)
        case Ended():
            return claims.ended(context, body)
        case Capacity():
            return claims.hear_capacity(context, body)
        case GiveBack():
            return claims.give_back(context, body)
        case Progressed():
            return claims.progressed(context, body)
        case KeepStep():
            return jobs.keep_step(context, body)
        case SendSignal():
            # Imported where it is needed: most applications send none.
            from .signals import signal

            return signal(context, body)
        case Tick():
            return schedules.tick(context, body)
        case MarkDone():
            return jobs.mark_done(context, body)
        case Requeue():
            return jobs.requeue(context, body)
        case RequeueMany():
            return jobs.requeue_many(context, body)
        case CancelJob():
            return jobs.cancel(context, body)
        case CancelMany():
            return jobs.cancel_many(context, body)
        case ForgetJob():
            return jobs.forget(context, body)
        case Pause():
            return jobs.pause(context, body)
        case Limit():
            return jobs.limit(context, body)
        case Declare():
            return schedules.declare(context, body)
        case Forget():
            return schedules.forget(context, body)
        case Retire():
            return schedules.retire(context, body)
        case PauseSchedule():
            return schedules.pause(context, body)
        case Down():
            return claims.down(context, body)
        case ReleaseClaims():
            return boots.interrupt_own(context)
        case Drain():
            boots.drain(context)
        case WatchExternalCommit():
            context.out.expected.append(body)
        case Housekeep():
            retention.prune(context)
        case CheckDue() | ClockJumped() | QuietSwitched():
            pass
        case other:
            raise TypeError(f"the JobBroker does not hear {type(other).__name__}")
    return None
