"""A kept step of a job, a signal to one, and the messages that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

from .jobs import UNATTRIBUTED, Attribution, Claim, Instant, Seconds
from .mail import Reply

WAIT, SIGNAL = "wait:", "signal:"
"""The beginnings of the names of two steps that a wait keeps: when it ends at the latest, and what has ended it. The
latter is kept by no claim if it is a signal, and by the claim that found the time to be over if it is none.
"""


class NoSignal(Enum):
    """The type of `NO_SIGNAL`, which is false."""

    NO_SIGNAL = "NO_SIGNAL"

    def __bool__(self) -> bool:
        return False


NO_SIGNAL: Final = NoSignal.NO_SIGNAL
"""The value of a wait whose time is over."""


class StepRecord(NamedTuple):
    """A step as the store keeps it; `result` is JSON text, `claim_no` the claim that kept it."""

    name: str
    result: str
    claim_no: int
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStep:
    """A step of a job, as the store keeps it until the job is done.

    Attributes:
        name: of the step.
        result: what its function has returned, as JSON has it.
        claim_no: by which claim of the job it was kept.
        at: when, in UTC.
    """

    name: str
    result: Any
    claim_no: int
    at: datetime


@dataclass(frozen=True, slots=True)
class StepMark:
    """A step as people see it, without its result; `bytes` is the length of the result's JSON text."""

    name: str
    bytes: int
    claim_no: int
    at: Instant


class StepsSeen(NamedTuple):
    """The steps of a job in a view.

    Attributes:
        kept: how many there are.
        newest: some of them, the oldest of these first.
    """

    kept: int
    newest: Sequence[StepMark]


class KeepStep(NamedTuple):
    """Keep the result of a step. Answered with the JSON text that is kept under its name.

    Attributes:
        claim: the claim whose function has reached it.
        took: how long the step's function has run.
    """

    claim: Claim
    name: str
    result: str
    took: Seconds
    reply: Reply | None


class SendSignal(NamedTuple):
    """Keep a signal for a job, and wake the job if it waits for that. `data` is JSON text."""

    job_id: str
    name: str
    data: str
    reply: Reply | None
    who: Attribution = UNATTRIBUTED
