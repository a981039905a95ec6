"""A move of a job as the log tells it, the place that it leads to, and the lines that belong to each turn."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...log.events import EVENTS
from ...messages.jobs import ENDED
from ...rules.lifecycle import MOVES, QUIET
from ..log_files.lines import Line, LoggedMove
from .findings import Findings, Kind

TURNS_KEPT_MAX = 64

WAITING_LINES_MAX = 4_096
"""Lines of a boot whose turn is not logged yet: logs may be given in any order."""

UNHEARD_MIN = 5
"""So many lines of one kind, all missing: the log's configuration leaves them out."""

SLOT = re.compile(r"\d+(\.\d+)?")

KIND_OF = {
    **{
        event: event.removeprefix("job.")
        for event, kind in EVENTS.items()
        if "turn" in kind.fields and event.startswith(("job.", "schedule.", "name."))
    },
    "slot.fired": "queued",
    "slot.caught_up": "queued",
    "slot.skipped": "skipped",
    "slot.taken": "taken",
}
"""The kind of the move that a line with its turn's number is about."""

LOUD = {event.removeprefix("job."): event for event in MOVES if event not in QUIET}

SLOT_OUTCOMES = {"slot.fired": ("fired", "late"), "slot.caught_up": ("caught_up",)}
"""How a slot may have fired that one of these tells of."""

Subject = tuple[str, str]


class TurnLines:
    """The lines of one boot.

    Attributes:
        unheard: how many lines of a kind are missing, where all of them are.
        of_no_turn: the first line about a move that has no turn number.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._turns: OrderedDict[int, dict[Subject, list[LoggedMove]] | Sequence[LoggedMove]] = OrderedDict()
        self._waiting: dict[int, list[Line]] = {}
        self._waiting_lines = 0
        self._expected: dict[tuple[int, str, str], Line] = {}
        self._said: Counter[str] = Counter()
        self.unheard: Counter[str] = Counter()
        self.of_no_turn: Line | None = None

    def told(self, turn: int, moves: Sequence[LoggedMove], line: Line, *, is_own: bool) -> None:
        """The ledger has a turn, or a part of it; `is_own` if its own boot logs it, whose other lines follow."""
        if is_own:
            for move in moves:
                if move.k in LOUD:
                    self._expected[turn, move.k, move.j] = line
        known = self._turns.get(turn)
        self.remember(turn, moves if known is None else [*_flat(known), *moves])

    def remember(self, turn: int, moves: Sequence[LoggedMove]) -> None:
        self._turns[turn] = moves
        if len(self._turns) > TURNS_KEPT_MAX:
            self._turns.popitem(last=False)
        waiting = self._waiting.pop(turn, ())
        self._waiting_lines -= len(waiting)
        for line in waiting:
            self.check(line)

    def knows(self, turn: int) -> bool:
        return turn in self._turns

    def differs(self, turn: int, moves: Sequence[LoggedMove], *, is_whole: bool) -> bool:
        """Whether a repeated turn differs, as far as it is remembered."""
        known = _flat(self._turns.get(turn, moves))
        return (is_whole and len(known) != len(moves)) or any(move not in known for move in moves)

    def excuse(self, turn: int, job_id: str | None = None) -> None:
        """The lines of this turn, or of one job in it, may not have been written."""
        for key in [key for key in self._expected if key[0] == turn and job_id in (None, key[2])]:
            del self._expected[key]

    def check(self, line: Line) -> None:
        kind, turn = KIND_OF.get(line.event), line.turn
        if turn is None and line.event in MOVES:
            self.of_no_turn = self.of_no_turn or line
        if kind is None or turn is None or (kind == "taken" and line.job_id is None):
            # A slot that another runtime accounted for first is an accepted line, and changes nothing.
            return
        is_of_job = kind in AFTER or line.event.startswith("job.")
        subject = (line.job_id if is_of_job else line.schedule or line.job_name) or ""
        if self._expected.pop((turn, kind, subject), None) is not None:
            self._said[kind] += 1
        moves = self._turns.get(turn)
        if moves is None:
            if self._waiting_lines < WAITING_LINES_MAX:
                self._waiting.setdefault(turn, []).append(line)
                self._waiting_lines += 1
            return
        if not isinstance(moves, dict):
            moves = self._turns[turn] = _by_subject(moves)
        found = moves.get((kind, subject), ())
        wrong = [next(_differences(line, move), None) for move in found]
        if not wrong or None not in wrong:
            says = wrong[0] if wrong else f"turn {turn} of boot {line.boot} tells of no such thing"
            self._findings.say("told otherwise", f"{line.event} of {subject or 'nothing'}: {says}", line)

    def finish(self, last_turn: int, *, is_over: bool) -> Iterator[tuple[int, str, str, Line]]:
        """Missing lines whose turn is logged: (turn, kind, job id, the ledger's line)."""
        for (turn, kind, job_id), line in self._expected.items():
            if turn == last_turn and not is_over:
                # The boot may have been killed between the two.
                continue
            if not self._said[kind] and sum(1 for key in self._expected if key[1] == kind) >= UNHEARD_MIN:
                self.unheard[kind] += 1
            else:
                yield turn, kind, job_id, line

    def waiting(self) -> Iterator[tuple[int, Line]]:
        for turn, lines in self._waiting.items():
            yield turn, lines[0]


def _flat(known: dict[Subject, list[LoggedMove]] | Sequence[LoggedMove]) -> list[LoggedMove]:
    return [move for moves in known.values() for move in moves] if isinstance(known, dict) else list(known)


def _by_subject(moves: Sequence[LoggedMove]) -> dict[Subject, list[LoggedMove]]:
    found: dict[Subject, list[LoggedMove]] = {}
    for move in moves:
        found.setdefault((move.k, move.j or move.s or move.n), []).append(move)
    return found


def _differences(line: Line, move: LoggedMove) -> Iterator[str]:
    pairs: list[tuple[str, object, object]] = [("job_name", line.job_name, move.n or line.job_name)]
    if line.event in MOVES:
        pairs += [("claim_no", line.claim_no, move.c), ("attempt", line.attempt, move.a)]
        if line.event != "job.done" or line.outcome is not None:
            # A done move tells how its attempt ended: its line has no outcome, unless somebody edited it.
            pairs.append(("outcome", line.outcome, move.o))
        if line.event in ("job.failed", "job.dead"):
            pairs.append(("boot_was", line.boot_was, move.b))
        pairs += [("redeliveries", line.redeliveries or 0, move.p)]
        if move.u is not None or line.event in ("job.failed", "job.snoozed", "job.requeued"):
            pairs.append(("run_at", line.run_at, move.u))
    if line.event in SLOT_OUTCOMES and line.outcome not in SLOT_OUTCOMES[line.event]:
        pairs.append(("outcome", line.outcome, line.event.removeprefix("slot.")))
    if line.event in ("job.queued", "slot.fired", "slot.caught_up"):
        pairs += [("schedule", line.schedule, move.s), ("slot", line.slot, move.t)]
    elif line.schedule is not None and line.job_id is not None and line.slot is not None:
        pairs.append(("slot", slot_named_by(line.job_id, line.schedule), line.slot))
    if line.event in ("job.queued", "job.replaced"):
        pairs += [("digest", line.digest, move.d), ("then_of", line.then_of, move.q), ("until", line.until, move.until)]
    if line.event == "job.claimed":
        pairs += [("group", line.group, move.g), ("of_group", line.of_group, move.z)]
        pairs += [("limit", line.limit, move.e), ("rate", line.rate, move.rate)]
    if line.event == "job.reprioritized":
        pairs.append(("priority", line.priority, move.priority))
    if line.event == "job.done":
        pairs.append(("then", line.then, move.x))
    if line.event in MOVES:
        pairs += [("parents", line.parents, move.m), ("steps", line.steps, move.steps), ("step", line.step, move.step)]
    if line.event in ("job.doomed", "job.cancelled"):
        pairs.append(("fate_of", line.fate_of, str(move.y[0][0]) if move.y else None))
    if line.event in ("job.stepped", "job.signalled"):
        pairs += [("step", line.step, move.step), ("digest", line.digest, move.d)]
    if line.event == "job.stepped":
        pairs.append(("claim_no", line.claim_no, move.c))
    if line.event in ("schedule.added", "schedule.changed"):
        pairs += [("when", line.when, move.when), ("timezone", line.timezone, move.tz)]
    if line.event == "name.paused":
        pairs.append(("until", line.until, move.u))
    if line.event == "name.limited":
        pairs.append(("limit", line.limit, move.x))
    if line.event == "slot.taken":
        pairs.append(("slot", line.slot, move.t))
    if line.event == "slot.skipped":
        pairs += [("slot", line.slot, move.t), ("last", line.last, move.l), ("count", line.count, move.x)]
    if move.by is not None or move.why is not None:
        pairs += [("by", line.by, move.by), ("via", line.via, move.via)]
        # Where nobody gave a reason for a job's move, the line has the move's own, which no ledger has.
        if move.why is not None or line.event not in MOVES:
            pairs.append(("reason", line.reason, move.why))
    elif line.event != "slot.skipped":
        pairs.append(("by", line.by, None))
    for field, said, told in pairs:
        if said != told:
            yield f"expected {field} {told}, as the ledger has it, got: {said}"


def slot_named_by(job_id: str, schedule: str) -> float | None:
    name, _, slot = job_id.rpartition("-")
    return float(slot) if name == schedule and SLOT.fullmatch(slot) else None


AFTER = {event.removeprefix("job."): after.value for event, (_, after) in MOVES.items()}

BEFORE = {event.removeprefix("job."): before for event, (before, _) in MOVES.items()}

ANY_BOOT = ""
"""The boot of a move that any boot may have made."""

OTHERS_KEPT_MAX = 8
"""Places of one job from which its server may have gone on."""


class ReplayedMove(NamedTuple):
    move: LoggedMove
    boot: str
    at: float
    line: Line


@dataclass(slots=True)
class ReplayedJob:
    """Where a job stands, by the log.

    Attributes:
        boot: the boot that holds it, while it runs.
        step: its last move; None if only its later moves are known.
        digest: the hash of its data, if that is known.
        waits_for: how many others it waits for; None if no line has it.
        end: its last end: (move number, state).
        others: where it stood before, newest first, if its server may have gone on from there.
        is_deferred: whether its handler has returned, so that it needs its boot no more.
    """

    state: str | None
    move_no: int
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
        """Whether an unlogged requeue has queued it: then its last move is its end."""
        return self.step.move.k == "requeued" or (self.state == "queued" and AFTER[self.step.move.k] in ENDED)


class Tangle(NamedTuple):
    """A job of a server that was delivered again, or whose moves are no single row."""

    start: ReplayedJob | None
    steps: list[ReplayedMove]

    @property
    def moves(self) -> Iterator[LoggedMove]:
        yield from () if self.start is None else (self.start.step.move,)
        yield from (step.move for step in self.steps)


class DoubtfulMove(NamedTuple):
    """Something that cannot be, unless a process died before it had logged its last turn.

    Attributes:
        by: the boot whose one unlogged move would explain it, or `ANY_BOOT`; None if none would.
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
"""The possible outcomes of an attempt that a move ends."""

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
    match move.k:
        case "requeued":
            return 0
        case "done":
            return attempt + (move.f == "running")
        case "failed" | "dead":
            return attempt + (move.o != "interrupted")
    return attempt


def places_of(job: ReplayedJob) -> tuple[ReplayedJob, ...]:
    """Every place of a job by now. A claim may be lost, and its moves be logged all the same."""
    bare = ReplayedJob(job.state, job.move_no, job.claim_no, job.attempt, job.name, job.boot, job.step)
    return (bare, *job.others)[:OTHERS_KEPT_MAX]
