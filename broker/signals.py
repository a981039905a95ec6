"""Signals to jobs: in a turn, and in an application's own transaction. Loaded where one is sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import SignalRefused
from ..messages.jobs import ENDED, JobRecord
from ..messages.steps import SendSignal, StepRecord
from ..rules.capabilities import needed
from ..rules.lifecycle import awaited_signal
from ..rules.signals import signalled
from ..rules.validation import unknown_job
from ..stores.ports import HostTurn
from .turn_context import TurnContext


def signal(context: TurnContext, body: SendSignal) -> None:
    """Keep a signal for a job, and wake the job if it waits for that.

    Raises:
        SignalRefused: it comes too late.
    """
    job, steps = context.known(body.job_id), needed(context.turn.steps, "signals")
    kept = sent_in_time(job, body, partial(steps.send, job, body.name, body.data))
    if kept is None:
        return
    told, line = signalled(job, kept, body.who)
    context.turn.note(told)
    context.say("job.signalled", **line)
    if awaited_signal(job) == body.name:
        needed(context.turn.queued, "signals").wake(job, body.name)


def sent_in_time(job: JobRecord, body: SendSignal, send: Callable[[], tuple[StepRecord, bool]]) -> StepRecord | None:
    """Keep a signal by `send`; None if it has been sent before. Raises SignalRefused if it comes too late."""
    if job.state in ENDED:
        raise SignalRefused(
            f"job {job.id} is {job.state}, and takes no signal {body.name!r}; a requeue has it run again"
        )
    kept, is_new = send()
    if is_new:
        return kept
    if kept.claim_no > 0:
        raise SignalRefused(f"the time in which job {job.id} has waited for signal {body.name!r} is over")
    if kept.result != body.data:
        raise SignalRefused(
            f"job {job.id} has signal {body.name!r} already, with other data: the first one counts, and nothing of "
            "this one is stored"
        )
    return None


def signal_by_host(signal: SendSignal, turn: HostTurn) -> int | None:
    """Send a signal in the application's transaction. Returns which move of the job will wake it, if any.

    Raises:
        UnknownJob: it is not in the store.
        SignalRefused: the signal comes too late.
    """
    job = turn.find(signal.job_id)
    if job is None:
        raise unknown_job(signal.job_id)
    with turn.wholly():
        kept = sent_in_time(job, signal, partial(turn.send, job, signal.name, signal.data, signal.who))
    is_awaited = kept is not None and awaited_signal(job) == signal.name
    return abs(job.move_no) + 1 if is_awaited else None
