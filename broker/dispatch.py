"""Maps each kind of mail to its part of a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..environment.replies import answer_all, reply_of
from ..errors import LamplighterError, StoreGone, StoreUnavailable
from ..messages import mail as messages
from ..messages.mail import Mail, Reply
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
        if reply is None or isinstance(refusal, StoreUnavailable | StoreGone):
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
    kind = type(body)
    if kind is messages.Housekeep:
        retention.prune(context)
        return None
    if kind not in HANDLERS:
        raise TypeError(f"the JobBroker does not hear {kind.__name__}")
    return HANDLERS[kind](context, body)


def _signal(context: TurnContext, body: SendSignal) -> Any:
    # Imported where it is needed: most applications send none.
    from .signals import signal

    return signal(context, body)


def _nothing(context: TurnContext, body: object) -> None:
    """The message only has the broker take a turn."""


HANDLERS: Mapping[type, Callable[[TurnContext, Any], Any]] = {
    messages.Queue: jobs.queue,
    messages.Ended: claims.ended,
    messages.Capacity: claims.hear_capacity,
    messages.GiveBack: claims.give_back,
    messages.Progressed: claims.progressed,
    KeepStep: jobs.keep_step,
    SendSignal: _signal,
    messages.Tick: schedules.tick,
    messages.MarkDone: jobs.mark_done,
    messages.Requeue: jobs.requeue,
    messages.RequeueMany: jobs.requeue_many,
    messages.CancelJob: jobs.cancel,
    messages.CancelMany: jobs.cancel_many,
    messages.Reprioritize: jobs.reprioritize,
    messages.ForgetJob: jobs.forget,
    messages.Pause: jobs.pause,
    messages.Limit: jobs.limit,
    messages.Declare: schedules.declare,
    messages.Forget: schedules.forget,
    messages.Retire: schedules.retire,
    messages.PauseSchedule: schedules.pause,
    messages.Died: claims.died,
    messages.ReleaseClaims: lambda context, body: boots.interrupt_own(context),
    messages.Drain: lambda context, body: boots.drain(context),
    messages.WatchExternalCommit: lambda context, body: context.out.expected.append(body),
    messages.CheckDue: _nothing,
    messages.ClockJumped: _nothing,
    messages.QuietSwitched: _nothing,
}


HINTS = (messages.ClockJumped, messages.Drain, messages.Housekeep)
"""One message of these kinds is as good as several."""


def still_wanted(mails: Sequence[Mail]) -> list[Mail]:
    """The mail without messages whose senders no longer wait, or that a later message supersedes, as one about a job's
    progress. No accepted message is dropped, though an unwritable store may keep mail for a whole night.
    """
    said: set[Any] = set()
    kept: list[Mail] = []
    for mail in reversed(mails):
        if given_up(mail.body) or isinstance(mail.body, messages.CheckDue):
            continue
        if isinstance(mail.body, messages.Ended):
            endings = tuple(one for one in mail.body.endings if one.claim.key not in said)
            said.update(one.claim.key for one in endings)
            if endings:
                kept.append(mail._replace(body=mail.body._replace(endings=endings)))
            continue
        subject = _subject(mail.body)
        if subject is None or subject not in said:
            kept.append(mail)
            said.add(subject)
    return kept[::-1]


def refuse_callers(mails: Sequence[Mail], error: LamplighterError) -> list[Mail]:
    """Refuse the messages that await an answer, and return the rest."""
    answer_all((reply, None, error) for mail in mails if (reply := reply_of(mail.body)) is not None)
    return [mail for mail in mails if reply_of(mail.body) is None]


def may_wait_apart(body: object) -> bool:
    """Whether later messages may be handled before this one: a caller that waits for its answer sends nothing else
    meanwhile, and the store compares an ending with its claim, and a tick with its schedule.
    """
    return isinstance(body, messages.Ended | messages.Tick) or reply_of(body) is not None


def given_up(body: object) -> bool:
    """Whether the sender no longer waits for its answer; the message is then skipped."""
    reply = reply_of(body)
    return reply is not None and reply.cancelled()


def _subject(body: object) -> Any:
    """The subject of which only the newest message counts, such as a job's progress; None if every message counts."""
    match body:
        case messages.Progressed():
            return messages.Progressed, body.key
        case messages.Tick():
            return messages.Tick, body.schedule_id
        case messages.Capacity():
            return messages.Capacity, body.name, body.incarnation
        case messages.WatchExternalCommit():
            return messages.WatchExternalCommit, body.key
        case _:
            return type(body) if isinstance(body, HINTS) else None
