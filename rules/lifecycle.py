"""The fate of a job: every ending goes through here.

`judge` is pure: it decides, and the store records its verdict in one fenced statement. The table of legal moves is here
because both the store and the readers of the log must agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import Cancel, Discard, Retry, Snooze, UsageError, shown
from ..messages.jobs import FAILED_END, Instant, JobRecord, JobState, Seconds
from ..messages.outcomes import Backoff, Outcome, OutcomeKind, Policy, Verdict
from .codec import valid_text


def class_names(cls: type) -> tuple[str, ...]:
    """The qualified names of an error's class and of its bases, the nearest first."""
    return tuple(map(_name, cls.__mro__))


def is_tried_again(error_classes: Sequence[str], retry_on: frozenset[str] | None, discard_on: frozenset[str]) -> bool:
    """Whether another attempt may succeed after an error, by its handler's options. An error without a class was not
    raised by the handler: its thread has died, for instance.

    Args:
        error_classes: as `class_names` has them. The nearest that stands in one of the other two decides.
        retry_on: None for all that `discard_on` does not name.
        discard_on: errors that would recur.
    """
    for name in error_classes:
        if name in discard_on:
            return False
        if retry_on is not None and name in retry_on:
            return True
    return retry_on is None or not error_classes


def check_exceptions(value: Any, what: str) -> frozenset[str] | None:
    """The names of one exception class, or of several; None for None.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return None
    classes = value if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    for cls in classes:
        if not isinstance(cls, type) or not issubclass(cls, BaseException):
            raise UsageError(f"expected {what} to be an exception class, or a tuple of some, got: {shown(value)}")
        if issubclass(cls, (Cancel, Discard, Retry, Snooze)):
            raise UsageError(
                f"expected {what} to name errors, got: {cls.__name__}, which says itself what becomes of its job"
            )
    return frozenset(map(_name, classes))


def _name(cls: type) -> str:
    module = cls.__module__
    return valid_text(cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}")


INTERRUPTION_WINDOW_SECONDS = 72 * 3600.0
"""Only interruptions within this window count against a job."""

SUSPECT_INTERRUPTIONS = 2
"""From this many blamed interruptions on, a job is a suspect: a runtime runs one suspect at a time."""

SNOOZED = "snoozed for"
"""The beginning of the reason of a snoozed job."""

AWAITS = "waits for signal "
"""The beginning of the reason of a job that waits for a signal, whose name follows."""

SNOOZE_SECONDS_MIN = 0.1
"""The shortest snooze of a job whose last run snoozed, too: a handler may go on so, as no attempts are counted."""

MOVES: dict[str, tuple[frozenset[str | None], JobState]] = {
    "job.queued": (frozenset({None}), JobState.QUEUED),
    "job.replaced": (frozenset({"queued"}), JobState.QUEUED),
    "job.freed": (frozenset({"queued"}), JobState.QUEUED),
    "job.woken": (frozenset({"queued"}), JobState.QUEUED),
    "job.reprioritized": (frozenset({"queued"}), JobState.QUEUED),
    "job.claimed": (frozenset({"queued"}), JobState.RUNNING),
    "job.done": (frozenset({"running", "queued"}), JobState.DONE),
    "job.failed": (frozenset({"running"}), JobState.QUEUED),
    "job.snoozed": (frozenset({"running"}), JobState.QUEUED),
    "job.released": (frozenset({"running"}), JobState.QUEUED),
    "job.dead": (frozenset({"running"}), JobState.DEAD),
    "job.doomed": (frozenset({"queued"}), JobState.DEAD),
    "job.cancelled": (frozenset({"queued", "running"}), JobState.CANCELLED),
    "job.requeued": (frozenset({"queued", "running", "done", "dead", "cancelled"}), JobState.QUEUED),
}
"""Every legal transition: its event, the possible states before, the state after."""

QUIET = frozenset({"job.queued", "job.replaced", "job.freed", "job.woken", "job.claimed", "job.released"})
"""The events whose lines are at debug. The others are at info or above."""


def is_suspect(job: JobRecord, now: Instant) -> bool:
    """Whether a job has killed its process so often that it runs alone among suspects."""
    return (job.suspect_until or 0.0) > now


def awaited_signal(job: JobRecord) -> str | None:
    """The name of the signal that a job waits for, if it waits for one."""
    reason = job.reason or ""
    return reason.removeprefix(AWAITS) if job.state == JobState.QUEUED and reason.startswith(AWAITS) else None


def done_without_result(why: str) -> Outcome:
    """The outcome of a job whose work is done, but whose result cannot be kept."""
    return Outcome(kind=OutcomeKind.SUCCEEDED, reason=f"its result is lost: {why}")


def judge(
    job: JobRecord, outcome: Outcome, policy: Policy, now: Instant, *, earlier_interruptions: int, chance: float
) -> Verdict:
    """The fate of a job whose claim has ended.

    Args:
        job: the job as it was claimed.
        policy: the handler's; the job's own `max_attempts` wins over it.
        now: the wall time of the turn.
        earlier_interruptions: blamed interruptions of this job within `INTERRUPTION_WINDOW_SECONDS` before this one.
        chance: a random number in [0, 1), for the jitter of the back-off.
    """
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return Verdict(state=JobState.DONE, event="job.done", reason=outcome.reason, attempt=job.attempt + 1)
        case OutcomeKind.DISCARDED:
            return Verdict(state=JobState.DEAD, event="job.dead", reason=outcome.reason, attempt=job.attempt + 1)
        case OutcomeKind.CANCELLED:
            return Verdict(state=JobState.CANCELLED, event="job.cancelled", reason=outcome.reason, attempt=job.attempt)
        case OutcomeKind.SNOOZED:
            is_again = (job.reason or "").startswith(SNOOZED)
            seconds = max(outcome.seconds, SNOOZE_SECONDS_MIN) if is_again else outcome.seconds
            why = f"{SNOOZED} {seconds:g} s" if outcome.signal is None else f"{AWAITS}{outcome.signal}"
            return _again(job, "job.snoozed", outcome.reason or why, job.attempt, now + seconds)
        case OutcomeKind.FAILED | OutcomeKind.TIMED_OUT:
            return _judge_failure(job, outcome, policy, now, chance)
        case OutcomeKind.INTERRUPTED:
            return _judge_interruption(job, outcome, policy, now, earlier_interruptions)
        case OutcomeKind.DEFERRED:
            raise ValueError("a deferred claim has not ended; there is nothing to judge")


def fate(parents: Iterable[tuple[str, int]]) -> JobState:
    """The fate of a job that has waited for others, once the last of them has ended: QUEUED if it is ready to start;
    DONE if nobody needs it, as none of those has failed whose failure it was to follow; otherwise the end that it
    shares with a parent that is not done, DEAD if one is dead.

    Args:
        parents: the state of each, and its `any_end`.
    """
    ends = list(parents)
    missed = {state for state, any_end in ends if not any_end and state != JobState.DONE}
    if missed:
        return JobState.DEAD if JobState.DEAD in missed else JobState.CANCELLED
    watched = {state for state, any_end in ends if any_end == FAILED_END}
    return JobState.DONE if watched == {JobState.DONE} else JobState.QUEUED


def backoff_seconds(backoff: Backoff | Sequence[Seconds], attempt: int, chance: float) -> Seconds:
    """Seconds to wait after the failed attempt number `attempt` (1 is the first)."""
    if not isinstance(backoff, Backoff):
        return float(backoff[min(attempt, len(backoff)) - 1])
    # The exponent is bounded because 2.0**1024 overflows, and a job may have any number of attempts.
    wait = min(backoff.max, backoff.first * backoff.factor ** min(attempt - 1, 64))
    return wait * (1.0 - backoff.jitter * chance)


def _judge_failure(job: JobRecord, outcome: Outcome, policy: Policy, now: Instant, chance: float) -> Verdict:
    attempt = job.attempt + 1
    attempts_max = job.max_attempts if job.max_attempts is not None else policy.max_attempts
    how = "timed out" if outcome.kind is OutcomeKind.TIMED_OUT else "failed"
    reason = f"{how} in attempt {attempt} of {attempts_max}"
    if attempt >= attempts_max:
        return Verdict(state=JobState.DEAD, event="job.dead", reason=reason, attempt=attempt)
    if not is_tried_again(outcome.error_classes, policy.retry_on, policy.discard_on):
        reason = f"failed in attempt {attempt} of {attempts_max}, and {outcome.error_classes[0]} is not tried again"
        return Verdict(state=JobState.DEAD, event="job.dead", reason=reason, attempt=attempt)
    wait = backoff_seconds(policy.backoff, attempt, chance) if outcome.wait is None else outcome.wait
    return _again(job, "job.failed", reason, attempt, now + wait)


def _again(job: JobRecord, event: str, reason: str, attempt: int, run_at: Instant) -> Verdict:
    """The job is queued again, and as suspect as it was."""
    return Verdict(
        state=JobState.QUEUED,
        event=event,
        reason=reason,
        attempt=attempt,
        run_at=run_at,
        interruptions=job.interruptions,
        suspect_until=job.suspect_until,
        must_begin=bool(job.must_begin),
    )


def _judge_interruption(job: JobRecord, outcome: Outcome, policy: Policy, now: Instant, earlier: int) -> Verdict:
    blamed = outcome.blamed and bool(job.counts_attempt)
    interruptions = earlier + blamed
    if blamed and interruptions >= policy.interruptions_max:
        hours = INTERRUPTION_WINDOW_SECONDS / 3600
        reason = f"poison: interrupted {interruptions} times within {hours:g} h; last: {outcome.reason}"
        return Verdict(
            state=JobState.DEAD, event="job.dead", reason=reason, attempt=job.attempt, interruptions=interruptions
        )
    suspect = blamed and interruptions >= SUSPECT_INTERRUPTIONS
    return Verdict(
        state=JobState.QUEUED,
        event="job.failed",
        reason=f"interrupted: {outcome.reason}",
        attempt=job.attempt,
        run_at=min(job.run_at, now),
        interruptions=interruptions,
        suspect_until=now + INTERRUPTION_WINDOW_SECONDS if suspect else job.suspect_until,
        # Even a prefetched job may have been started when its process died. Its next claim must be one that can be
        # blamed.
        must_begin=bool(job.must_begin) or outcome.blamed,
    )
