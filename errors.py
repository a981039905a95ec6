"""The errors, and whose fault each is.

Three families: the caller's (`UsageError` and the unknowns), the world's (`StoreUnavailable` and its kin), and the four
exceptions that a handler raises on purpose (`Cancel`, `Discard`, `Retry`, `Snooze`). Every message says what was
expected, what came and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SHOWN_CHARACTERS_MAX = 200
"""How much of what came an error shows."""


class LamplighterError(Exception):
    """The base of every error that this library raises."""


class UsageError(LamplighterError, ValueError):
    """The caller asked for something that cannot be. Nothing was stored."""


class MissingExtra(UsageError, ImportError):
    """An optional package is not installed; an `ImportError` for whoever asks whether it is."""


class NotStarted(LamplighterError):
    """The runtime is not running here: not started yet, stopped, or started before a fork in the parent process."""


class UnknownJob(UsageError, LookupError):
    """No job with this id is in the store: it never was, or retention has removed it."""


class UnknownHandler(UsageError, LookupError):
    """No handler with this id is registered in this runtime."""


class UnknownSchedule(UsageError, LookupError):
    """No schedule with this id is active."""


class StaleClaim(LamplighterError):
    """The attempt no longer holds its job: it timed out, was requeued, cancelled, or taken over after a crash."""


class SignalRefused(LamplighterError):
    """A signal comes too late: its job has ended, another signal of its name came first, or the time to wait for it is
    over. Nothing was stored.
    """


class KeyTaken(LamplighterError):
    """Another unfinished job holds this job's unique key."""


class NotSupported(LamplighterError):
    """The store in use cannot do this; the message says what to do instead."""


class JobFailed(LamplighterError):
    """A job that was waited for is dead or cancelled: it has no result.

    Attributes:
        job: the job as it ended: `job.reason` says why, `job.error` and `job.traceback` what its handler raised.
    """

    def __init__(self, message: str, job: Any) -> None:
        super().__init__(message)
        self.job = job


class ResultLost(LamplighterError):
    """A job is done, and what its handler returned could not be kept; the message says why. The work is done all the
    same, so do not queue it again for this.
    """


class RuntimeFailed(LamplighterError):
    """The supervisor gave up: a part that the runtime cannot do without kept crashing. Your application goes on."""


class StoreError(LamplighterError):
    """The store cannot be used at all, and waiting will not help. Or a RabbitMQ has refused a job, for instance because
    its queue is full by policy; the text says which.
    """


class StoreCorrupt(StoreError):
    """The file is not a SQLite database, or it is damaged."""


class SchemaTooNew(StoreError):
    """The store was written by a newer Lamplighter. Nothing was changed."""


class StoreGone(StoreError):
    """The store's file was deleted, moved or replaced while it was open; or a server has lost the tables or a right.
    Nothing was stored; the message says what helps.
    """


class StoreUnavailable(LamplighterError):
    """The store did not answer in time: locked, full, or away. It heals by itself; call again with the same ids.

    Attributes:
        job_ids: the ids of the jobs that were to be queued, in the order of the call; empty if it queued none. They may
            still have been stored: queue again with these ids, which changes nothing the second time.
    """

    def __init__(self, message: str, job_ids: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.job_ids = tuple(job_ids or ())

    @property
    def job_id(self) -> str | None:
        """The id of the job that was to be queued, if it was one: queue again with `id=error.job_id`."""
        return self.job_ids[0] if len(self.job_ids) == 1 else None


DISCARDED = "discarded by its handler"
"""The reason of a `Discard` that gives none."""


class Discard(Exception):
    """Raise it in a handler: the job is dead at once, with this reason, and is not retried. A person should look at it.

    The traceback of the error that it was raised from, or while that was handled, is kept with the job.
    """

    def __init__(self, reason: str = DISCARDED) -> None:
        super().__init__(reason)
        self.reason = reason


CANCELLED = "cancelled by its handler"
"""The reason of a `Cancel` that gives none."""


class Cancel(Exception):
    """Raise it in a handler: the job is not needed any more. It ends as cancelled, with this reason.

    That is no failure: it is not retried, no attempt is used, and nobody is alarmed.
    """

    def __init__(self, reason: str = CANCELLED) -> None:
        super().__init__(reason)
        self.reason = reason


class Snooze(Exception):
    """Raise it in a handler: the job runs again after `seconds`, a number or a timedelta, and no attempt is used."""

    def __init__(self, seconds: Any) -> None:
        self.seconds = check_seconds(seconds, "Snooze(seconds)")
        super().__init__(f"snoozed for {self.seconds:g} s")


class AwaitsSignal(Snooze):
    """`Job.wait` raises it: the job runs again when the signal has been sent, or after `seconds`."""

    def __init__(self, seconds: float, signal: str) -> None:
        super().__init__(seconds)
        self.signal = signal


RETRIED = "tried again as its handler asked for"
"""The reason of a `Retry` that gives none."""


class Retry(Exception):
    """Raise it in a handler: this attempt has failed, and the next one comes after `seconds`, a number or a timedelta,
    instead of the back-off.

    It is an attempt like any other: after the last one the job is dead. `retry_on` and `discard_on` do not concern it.
    """

    def __init__(self, seconds: Any, reason: str = RETRIED) -> None:
        self.seconds = check_seconds(seconds, "Retry(seconds)")
        self.reason = reason
        super().__init__(reason)


def check_seconds(value: Any, what: str, *, least: float = 0.0) -> float:
    """A duration as seconds: a finite number or a timedelta."""
    # Imported only here, as below: a health check loads this module, and needs none of them.
    from datetime import timedelta

    from .messages.jobs import SECONDS_MAX

    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not least <= seconds <= SECONDS_MAX:
        raise UsageError(
            f"expected {what} to be a number of seconds or a timedelta, {least:g} or more and at most a century, "
            f"got: {shown(value)}"
        )
    return float(seconds)


REFUSALS = {
    kind.__name__: kind for kind in (NotStarted, NotSupported, StaleClaim, StoreUnavailable, UnknownJob, UsageError)
}
"""By its name, what a child process raises anew that its parent has refused to do for it; of others the base of all."""


def shown(value: object) -> str:
    """A value as an error message shows it: cut if it is long, and in some way also if its own `repr` raises."""
    try:
        text = repr(value)
    except Exception as error:
        if isinstance(value, int):
            # Python does not write one of thousands of digits.
            return f"an {type(value).__name__} of too many digits"
        return f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}..."


def missing_extra(package: str, purpose: str, extra: str) -> MissingExtra:
    """The error that says what to install.

    Args:
        package: as people call it.
        extra: the name of the group of packages that has it.
    """
    return MissingExtra(f"expected {package} for {purpose}, got none installed; pip install 'lamplighter[{extra}]'")


def listed(items: Iterable[str]) -> str:
    """Several things in a sentence, the last behind an `and`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def alike(text: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Which of what is known somebody may have meant, the closest first."""
    import difflib

    return difflib.get_close_matches(text, list(known), n=most)
