"""A kept step of a job, and the message that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from .jobs import Claim, Instant, Seconds
from .mail import Reply


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


class StepMark(NamedTuple):
    """A step as people see it: with the size of its result, without the result."""

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
