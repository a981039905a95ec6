"""The ending of a claim, its handler's policy, and the verdict."""

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
    """The ending of a claim.

    Attributes:
        result: JSON text, of a success.
        reason: one line for people.
        error, traceback: the handler's exception, already formatted (an exception object would keep frames alive).
        seconds: how long a snoozed job sleeps, or how long a deferred claim may last (0: for ever).
        blamed: whether an interruption may be the job's own fault. A shutdown never is.
        error_classes: the qualified names of the exception's class and its bases, the nearest first. Empty where the
            attempt failed of something else.
        wait: of a failure, the handler's own delay of the next attempt.
        then: of a success, the follow-ups that the same turn queues. One without an id has "": that turn gives it one.
        signal: of a snooze, the signal that ends it before its time.
        log: JSON text of the last lines of `job.log`, each with its instant and level.
        progress: JSON text of a last report that the store may not have yet.
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
    signal: str | None = None
    log: str | None = None
    progress: str | None = None


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
    """The options of the claim's handler that `judge` needs.

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
        state: the state after it.
        event: the name of its event.
        run_at: when it is due again, if it is queued.
        attempt: the counted attempts from now on.
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
