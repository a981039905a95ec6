"""What the log lines alone say: the biography of a job, and whether anything was lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
    return any(job_id == move.job_id for _, move in _told(line))


def ended(lines: Iterable[Line]) -> set[str]:
    """The jobs that have ended."""
    return {move.job_id for move in _moves(lines).values() if move.event in ENDS}


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
        _revisions(lines, moves),
        _chains(moves),
        _fences(lines),
        _numbers(lines),
        _store_agrees(moves, stored),
        _no_errors(lines),
    ]


@dataclass(frozen=True, slots=True)
class _Move:
    event: str
    job_id: str
    before: str | None


def _moves(lines: Iterable[Line]) -> dict[int, _Move]:
    """Every transition by its revision. What a killed life committed and could not say, the next one has told."""
    moves: dict[int, _Move] = {}
    for line in lines:
        for rev, move in _told(line):
            moves.setdefault(rev, move)
        if "rev" in line:
            moves[line["rev"]] = _Move(line["event"], line["job_id"], line.get("from"))
    return dict(sorted(moves.items()))


def _told(line: Line) -> Iterator[tuple[int, _Move]]:
    """What a line tells of moves that were committed and not said, with their revisions.

    Of a move that ends several the revisions of all follow its job; a slot that was skipped has no revision at all.
    """
    for rev, event, subject, *_ in line.get("told", ()):
        if rev is not None:
            yield rev, _Move(event, subject, None)


def _each_ended_once(moves: dict[int, _Move], accepted: Sequence[str]) -> Check:
    ends = Counter(move.job_id for move in moves.values() if move.event in ENDS)
    wrong = {job_id: ends[job_id] for job_id in accepted if ends[job_id] != 1}
    strange = ends.keys() - set(accepted)
    found = f"{len(accepted)} accepted, {ends.total()} ended" if not wrong else f"ends by job: {wrong}"
    return Check(what="every accepted job ended, and once", holds=not wrong and not strange, found=found)


def _revisions(lines: Iterable[Line], moves: dict[int, _Move]) -> Check:
    said = [line["rev"] for line in lines if "rev" in line]
    missing = sorted(set(range(1, max(moves, default=0) + 1)) - moves.keys())
    told = len(moves.keys() - set(said))
    twice = len(said) - len(set(said))
    found = f"1 to {max(moves, default=0)}: {len(set(said))} logged, {told} told afterwards"
    if missing or twice:
        found += f"; missing {missing}, {twice} said twice"
    return Check(what="every revision is accounted for", holds=not missing and not twice and bool(moves), found=found)


def _chains(moves: dict[int, _Move]) -> Check:
    state: dict[str, str] = {}
    wrong: list[str] = []
    for rev, move in moves.items():
        before = state.get(move.job_id)
        allowed, after = MOVES[move.event]
        if before not in allowed or move.before not in (None, before):
            wrong.append(f"rev {rev}: {move.event} of {move.job_id} from {before}")
        state[move.job_id] = after.value
    found = f"{len(moves)} moves of {len(state)} jobs" if not wrong else "; ".join(wrong[:3])
    return Check(what="every move is legal and begins where the last one ended", holds=not wrong, found=found)


def _fences(lines: Iterable[Line]) -> Check:
    claims: dict[str, int] = defaultdict(int)
    ends: dict[str, int] = {}
    fenced = 0
    for line in lines:
        if line["event"] == "job.claimed":
            claims[line["job_id"]] = max(claims[line["job_id"]], line["claim_no"])
        elif line["event"] in ENDS:
            ends[line["job_id"]] = line["claim_no"]
        fenced += line["event"] == "job.fenced"
    stale = [job_id for job_id, claim_no in ends.items() if claim_no < claims[job_id]]
    found = f"{sum(claims.values())} claims, {fenced} stale ending refused" if not stale else ", ".join(stale)
    return Check(what="no ending was taken from a stale claim", holds=not stale, found=found)


def _numbers(lines: Iterable[Line]) -> Check:
    by_boot: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        if "seq" in line:
            by_boot[line["boot"]].append(line["seq"])
    wrong = [boot for boot, numbers in by_boot.items() if numbers != list(range(1, len(numbers) + 1))]
    found = " and ".join(str(len(numbers)) for numbers in by_boot.values()) + " lines"
    return Check(what="the lines of each boot are numbered without a gap", holds=not wrong, found=found)


def _store_agrees(moves: dict[int, _Move], stored: Sequence[dict[str, Any]]) -> Check:
    by_log = {move.job_id: MOVES[move.event][1].value for move in moves.values()}
    by_store = {job["id"]: job["state"] for job in stored}
    states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(by_store.values()).items()))
    found = states if by_log == by_store else f"log: {by_log}, store: {by_store}"
    return Check(what="log and store say the same of every job", holds=by_log == by_store, found=found)


def _no_errors(lines: Iterable[Line]) -> Check:
    errors = [line["event"] for line in lines if line.get("level") == "error" and line["event"] != "job.dead"]
    return Check(what="nothing else went wrong", holds=not errors, found=", ".join(errors) or "no other error lines")
