"""Which part of a turn each kind of mail is for."""

from __future__ import annotations

from typing import Any

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
    Expect,
    Farewell,
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
    Requeue,
    RequeueMany,
    Retire,
    Tick,
)
from ..messages.steps import KeepStep
from . import boots, claims, jobs, schedules, steps
from .retention import Retention
from .turn_context import TurnContext


def handle(context: TurnContext, body: Any, retention: Retention) -> Any:
    """Do what a message asks for, and return the answer for its sender.

    Raises:
        LamplighterError: it is refused.
        TypeError: the JobBroker does not hear such messages.
    """
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
            return steps.keep_step(context, body)
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
        case Farewell():
            return boots.interrupt_own(context)
        case Drain():
            boots.drain(context)
        case Expect():
            context.out.expected.append(body)
        case Housekeep():
            retention.prune(context)
        case CheckDue() | ClockJumped() | QuietSwitched():
            pass
        case other:
            raise TypeError(f"the JobBroker does not hear {type(other).__name__}")
    return None
