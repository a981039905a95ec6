"""What `health()` and `tree()` answer: a runtime at one instant, for people and for monitoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A lane that did not heed its signal, and where its code is."""

    job_id: str
    job_name: str
    lane: int
    why: str
    seconds: float
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a runtime does its work.

    Attributes:
        status: `green`; `yellow` when something is lost that heals by itself; `red` when a person must act.
        reasons: why it is not green.
        abandoned: lanes that were given up and still run.
        log_dropped, subscriber_dropped, subscriber_failures: what was not written or not delivered.
    """

    status: Literal["green", "yellow", "red"]
    reasons: tuple[str, ...]
    boot: str | None
    abandoned: tuple[Abandoned, ...] = ()
    log_dropped: int = 0
    subscriber_dropped: int = 0
    subscriber_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorView:
    """One actor of the tree.

    Attributes:
        mailbox: messages that wait; `oldest_seconds` is how long the first of them has.
        busy_seconds: how long it has been at its current message.
        jobs: ids of the jobs it runs.
    """

    name: str
    incarnation: int
    status: str
    mailbox: int
    oldest_seconds: float | None
    busy_seconds: float | None
    jobs: tuple[str, ...]
    restarts_in_window: int
    last_crash: str | None
