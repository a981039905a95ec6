"""A move of a job as the log tells it, the place that it leads to, and whether its attempts follow the ones before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...messages.jobs import ENDED
from ...rules.lifecycle import MOVES
from ..log_files.lines import Line, LoggedMove
from .findings import Kind

AFTER = {event.removeprefix("job."): after.value for event, (_, after) in MOVES.items()}
"""The state that each kind of move leads to."""

BEFORE = {event.removeprefix("job."): before for event, (before, _) in MOVES.items()}

ANY_BOOT = ""
"""Instead of the name of one."""

OTHERS_KEPT_MAX = 8
"""Places of one job from which its server may have gone on."""


class ReplayedMove(NamedTuple):
    """A move of a job, with whose turn it was, when, and which line tells it."""

    move: LoggedMove
    boot: str
    at: float
    line: Line


@dataclass(slots=True)
class ReplayedJob:
    """Where a job stands, by what the log tells of it.

    Attributes:
        boot: who holds it, while it runs.
        step: its last move; None of one of which only its later moves are known.
        digest: the hash of its data, if that is known.
        waits_for: how many others it waits for; None if nobody has told that.
        end: its last end: by which of its moves, and the state.
        others: where it stood before, newest first, if its server may have gone on from there.
        is_deferred: whether its handler has returned, so that it needs its boot no more.
    """

    state: str | None
    rev: int
    claim_no: int
    attempt: int
    name: str
    boot: str
    step: ReplayedMove
    digest: str | None = None
    waits_for: int | None = None
    end: tuple[int, str] | None = None
    others: tuple[ReplayedJob, ...] = ()
    is_deferred: bool = False

    @property
    def is_requeued(self) -> bool:
        """Whether it is queued by a requeue, which nobody need have told: then its last move is that which it ended
        by.
        """
        return self.step.move.k == "requeued" or (self.state == "queued" and AFTER[self.step.move.k] in ENDED)


class Tangle(NamedTuple):
    """A job of a server that was delivered again, or whose moves are no single row.

    Attributes:
        start: the first place of the job that is remembered.
        steps: its later moves, in the order in which they were read.
    """

    start: ReplayedJob | None
    steps: list[ReplayedMove]

    @property
    def moves(self) -> Iterator[LoggedMove]:
        """All that are remembered."""
        yield from () if self.start is None else (self.start.step.move,)
        yield from (step.move for step in self.steps)


class DoubtfulMove(NamedTuple):
    """Something that cannot be, unless a process died before it had told its last turn.

    Attributes:
        by: the boot of which one untold move would explain it, or `ANY_BOOT`; None if none would.
    """

    kind: Kind
    says: str
    step: ReplayedMove
    before: ReplayedMove | None
    by: str | None


OUTCOMES: dict[str, frozenset[str | None]] = {
    "done": frozenset({"succeeded", None}),
    "snoozed": frozenset({"snoozed"}),
    "failed": frozenset({"failed", "timed_out", "interrupted"}),
    "dead": frozenset({"failed", "timed_out", "interrupted", "discarded"}),
    "cancelled": frozenset({"cancelled", None}),
}
"""How an attempt may have ended that a move tells the end of."""

NO_OUTCOME: frozenset[str | None] = frozenset({None})


def wrong_attempt(attempts: int, move: LoggedMove) -> str | None:
    """Why a move cannot follow so many attempts; None when it can."""
    attempt = attempt_after(attempts, move)
    if move.a != attempt:
        return f"expected {move.k} to say attempt {attempt}, got: {move.a}"
    if move.o not in OUTCOMES.get(move.k, NO_OUTCOME):
        return f"{move.k} cannot be the end of an attempt that has {move.o or 'no outcome'}"
    return None


def attempt_after(attempt: int, move: LoggedMove) -> int:
    """The attempts that a move must tell, after so many."""
    match move.k:
        case "requeued":
            return 0
        case "done":
            return attempt + (move.f == "running")
        case "failed" | "dead":
            return attempt + (move.o != "interrupted")
    return attempt


def places_of(job: ReplayedJob) -> tuple[ReplayedJob, ...]:
    """Where a job has stood by now. A claim may be lost, and what it has done be told all the same."""
    bare = ReplayedJob(job.state, job.rev, job.claim_no, job.attempt, job.name, job.boot, job.step)
    return (bare, *job.others)[:OTHERS_KEPT_MAX]
