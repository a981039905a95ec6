"""A step of a job whose result is kept, and the message that has it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from .jobs import Claim, Instant, Seconds
from .mail import Reply


class StepRecord(NamedTuple):
    """A step as the store keeps it.

    Attributes:
        name: of the step, among those of its job.
        result: JSON text of what its function has returned.
        claim_no: by which claim of the job it was kept.
        at: when.
    """

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
    """A step as people see it: how large its result is, and not what it is."""

    name: str
    bytes: int
    claim_no: int
    at: Instant


class StepsSeen(NamedTuple):
    """How far a job has come, as far as somebody looks.

    Attributes:
        kept: how many of its steps are.
        newest: some of them, the oldest of these first.
    """

    kept: int
    newest: Sequence[StepMark]


class KeepStep(NamedTuple):
    """Keep the result of a step. Answered with the JSON text that is kept under its name.

    Attributes:
        claim: whose function has come to it.
        took: how long the step's function has run.
    """

    claim: Claim
    name: str
    result: str
    took: Seconds
    reply: Reply | None
