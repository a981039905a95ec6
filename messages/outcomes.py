"""How a claim ended, what the policy says about it, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .jobs import Instant, JobState, NewJob, Seconds


class OutcomeKind(StrEnum):
    """The ways in which a claim ends, and `DEFERRED`: the handler has returned, the claim lives on."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SNOOZED = "snoozed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    DEFERRED = "deferred"


class Outcome(NamedTuple):
    """How a claim ended.

    Attributes:
        result: JSON text, of a success.
        reason: one line for people.
        error, traceback: what the handler raised, already formatted (an exception object would keep frames alive).
        seconds: how long a snoozed job sleeps, or how long a deferred claim may last (0: for ever).
        blamed: whether an interruption may be the job's own doing. A shutdown never is.
        error_classes: of what the handler raised, the qualified names of its class and of those that it extends, the
            nearest first. Empty where the attempt failed of something else.
        wait: of a failure, how long the next attempt waits, where the handler has said it.
        then: of a success, the jobs that are to be queued in the turn that records it. One that was given no id has "":
            it gets one of the job's own in that turn.
    """

    kind: OutcomeKind
    result: str | None = None
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    seconds: Seconds = 0.0
    blamed: bool = False
    error_classes: tuple[str, ...] = ()
    wait: Seconds | None = None
    then: tuple[NewJob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off between attempts.

    Attributes:
        first: seconds before the second attempt.
        factor: each wait is this many times the one before.
        max: no wait is longer, in seconds.
        jitter: up to this share of the wait is taken off at random, so that a herd spreads.
    """

    first: Seconds = 1.0
    factor: float = 2.0
    max: Seconds = 3600.0
    jitter: float = 0.1


class Policy(NamedTuple):
    """The facts that `judge` needs about the handler that ran the claim.

    Attributes:
        retry_on, discard_on: the qualified names of the exception classes that are, and are not, tried again.
            `retry_on` is None for all.
    """

    max_attempts: int = 20
    backoff: Backoff | Sequence[Seconds] = Backoff()
    interruptions_max: int = 3
    retry_on: frozenset[str] | None = None
    discard_on: frozenset[str] = frozenset()


class Verdict(NamedTuple):
    """The fate of a job after a claim on it has ended.

    Attributes:
        state: the state it moves to.
        event: the name of the event that tells the move.
        run_at: when it is due again, if it is queued.
        attempt: the attempts counted from now on.
        interruptions: blamed interruptions within the window, this one included.
        suspect_until: set when the job may be what kills its process.
        must_begin: whether the next claim must be one for an idle lane, not one in advance.
    """

    state: JobState
    event: str
    reason: str | None
    attempt: int
    run_at: Instant | None = None
    interruptions: int = 0
    suspect_until: Instant | None = None
    must_begin: bool = False
