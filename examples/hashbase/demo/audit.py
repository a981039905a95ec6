"""What the log lines alone say: the biography of a job, and whether anything was lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lamplighter.rules.lifecycle import MOVES

from .life import Line

ENDS = ("job.done", "job.dead", "job.cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold.

    Attributes:
        what: in words.
        holds: whether it does.
        found: what was looked at, or what is wrong.
    """

    what: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A line of a biography.

    Attributes:
        at: seconds since the first one.
        after: seconds since the one before.
        line: the log line.
    """

    at: float
    after: float
    line: Line


def biography(lines: Iterable[Line], job_id: str) -> list[Step]:
    """Tells a job's life, from the lines that name it and those of a runtime that found its process dead."""
    own = [line for line in lines if line.get("job_id") == job_id or _tells_of(line, job_id)]
    own.sort(key=lambda line: (line["life"], line.get("ts", 0.0)))
    steps: list[Step] = []
    for line in own:
        first, before = (own[0]["ts"], own[len(steps) - 1]["ts"]) if steps else (line["ts"], line["ts"])
        steps.append(Step(at=line["ts"] - first, after=line["ts"] - before, line=line))
    return steps


def _tells_of(line: Line, job_id: str) -> bool:
    return "told_by" in line and any(move.get("j") == job_id for move in line["moves"])


def ended(lines: Iterable[Line]) -> set[str]:
    """The jobs that have ended."""
    return {move.job_id for move in _moves(lines) if move.event in ENDS}


def audit(lines: Sequence[Line], accepted: Sequence[str], stored: Sequence[dict[str, Any]]) -> list[Check]:
    """Says whether anything was lost.

    Args:
        lines: of all lives.
        accepted: the id of each job that `queue` returned for.
        stored: what the store holds at the end.
    """
    moves = _moves(lines)
    return [
        _each_ended_once(moves, accepted),
        _turns(lines, moves),
        _chains(moves),
        _fences(lines, moves),
        _numbers(lines),
        _store_agrees(moves, stored),
        _no_errors(lines),
    ]


@dataclass(frozen=True, slots=True)
class _Move:
    event: str
    job_id: str
    number: int
    before: str | None
    claim_no: int


def _ledger(lines: Iterable[Line]) -> dict[tuple[str, int, int], Line]:
    """Each turn, by whose it was and its number. What a killed life committed and could not say, the next one tells."""
    turns: dict[tuple[str, int, int], Line] = {}
    for line in lines:
        if line["event"] == "turn.committed":
            turns.setdefault((line.get("of", line["boot"]), line["turn"], line.get("part", 1)), line)
    return turns


def _moves(lines: Iterable[Line]) -> list[_Move]:
    """Every move of a job, those of one job in the order of their numbers."""
    told = [move for line in _ledger(lines).values() for move in line["moves"] if "j" in move]
    moves = [_Move(f"job.{move['k']}", move["j"], move["r"], move.get("f"), move.get("c", 0)) for move in told]
    return sorted(moves, key=lambda move: move.number)


def _each_ended_once(moves: Sequence[_Move], accepted: Sequence[str]) -> Check:
    ends = Counter(move.job_id for move in moves if move.event in ENDS)
    wrong = {job_id: ends[job_id] for job_id in accepted if ends[job_id] != 1}
    strange = ends.keys() - set(accepted)
    found = f"{len(accepted)} accepted, {ends.total()} ended" if not wrong else f"ends by job: {wrong}"
    return Check(what="every accepted job ended, and once", holds=not wrong and not strange, found=found)


def _turns(lines: Iterable[Line], moves: Sequence[_Move]) -> Check:
    """Turns are numbered by their boot and moves by their job, so one that is missing shows."""
    ledger = _ledger(lines)
    numbers: dict[str, set[int]] = defaultdict(set)
    for boot, turn, _ in ledger:
        numbers[boot].add(turn)
    gaps = [boot for boot, turns in numbers.items() if turns != set(range(1, max(turns) + 1))]
    jobs: dict[str, list[int]] = defaultdict(list)
    for move in moves:
        jobs[move.job_id].append(move.number)
    gaps += [job_id for job_id, counted in jobs.items() if counted != list(range(1, len(counted) + 1))]
    told = sum("told_by" in line for line in ledger.values())
    found = f"{len(ledger)} turns of {len(numbers)} lives, {told} told afterwards"
    if gaps:
        found += f"; missing of {', '.join(gaps[:3])}"
    return Check(what="every turn and every move is accounted for", holds=not gaps and bool(moves), found=found)


def _chains(moves: Sequence[_Move]) -> Check:
    state: dict[str, str] = {}
    wrong: list[str] = []
    for move in moves:
        before = state.get(move.job_id)
        allowed, after = MOVES[move.event]
        if before not in allowed or move.before != before:
            wrong.append(f"move {move.number}: {move.event} of {move.job_id} from {before}")
        state[move.job_id] = after.value
    found = f"{len(moves)} moves of {len(state)} jobs" if not wrong else "; ".join(wrong[:3])
    return Check(what="every move is legal and begins where the last one ended", holds=not wrong, found=found)


def _fences(lines: Iterable[Line], moves: Sequence[_Move]) -> Check:
    claims: dict[str, int] = defaultdict(int)
    stale: set[str] = set()
    for move in moves:
        if move.event == "job.claimed":
            claims[move.job_id] = max(claims[move.job_id], move.claim_no)
        elif move.event in ENDS and move.claim_no < claims[move.job_id]:
            stale.add(move.job_id)
    said = {(line["job_id"], line["claim_no"]) for line in lines if line["event"] in ENDS}
    stale |= {job_id for job_id, claim_no in said if claim_no < claims[job_id]}
    fenced = sum(line["event"] == "job.fenced" for line in lines)
    found = f"{sum(claims.values())} claims, {fenced} stale ending refused" if not stale else ", ".join(sorted(stale))
    return Check(what="no ending was taken from a stale claim", holds=not stale, found=found)


def _numbers(lines: Iterable[Line]) -> Check:
    by_boot: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        if "seq" in line:
            by_boot[line["boot"]].append(line["seq"])
    wrong = [boot for boot, numbers in by_boot.items() if numbers != list(range(1, len(numbers) + 1))]
    found = " and ".join(str(len(numbers)) for numbers in by_boot.values()) + " lines"
    return Check(what="the lines of each boot are numbered without a gap", holds=not wrong, found=found)


def _store_agrees(moves: Sequence[_Move], stored: Sequence[dict[str, Any]]) -> Check:
    by_log = {move.job_id: MOVES[move.event][1].value for move in moves}
    by_store = {job["id"]: job["state"] for job in stored}
    states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(by_store.values()).items()))
    found = states if by_log == by_store else f"log: {by_log}, store: {by_store}"
    return Check(what="log and store say the same of every job", holds=by_log == by_store, found=found)


def _no_errors(lines: Iterable[Line]) -> Check:
    errors = [line["event"] for line in lines if line.get("level") == "error" and line["event"] != "job.dead"]
    return Check(what="nothing else went wrong", holds=not errors, found=", ".join(errors) or "no other error lines")
