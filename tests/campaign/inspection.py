"""What a campaign looks at besides the audit: promises that the log of any one job cannot show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from operator import itemgetter
from typing import Any
from unittest.mock import patch

import msgspec
from application import FOLLOWED, GROUPED, PARTS, PARTS_RATE
from lamplighter import Runtime
from lamplighter.messages.boots import LedgerTurn
from lamplighter.messages.jobs import JobRecord
from lamplighter.rules.lifecycle import MOVES
from lamplighter.stores.sqlite import store
from lamplighter.stores.tables.turn import TableTurn
from lamplighter.testing.simulation.simulation import Simulation, Violation

Lines = Sequence[dict[str, Any]]
"""As `lines_of` gives them."""

Moves = list[dict[str, Any]]
"""As `moves_of` gives them."""

Order = dict[tuple[str, int], int]
"""By boot and turn, as `stored_turns` gives them."""

PART = re.compile(r"\.\d+\.\d+(~\d+)?$")
"""What the id of a part adds to that of the job that it follows."""

NUMBERED = re.compile(r"j(\d+)|last-\d")
"""The ids of the host's jobs, whose numbers are their data; the others that have parts have an even one."""

FAIR_MIN = 0.98
"""Of Jain's index, which is 1 where all have as much."""

RATE_EXACT_SECONDS = 1e-4
"""Instants are not compared any closer."""

NOTHING_BACK = "the runtime could not give its jobs back as it stopped"
"""The reason in the line of a boot that stops."""


def check_log(moves: Moves, one_waits: str) -> None:
    """Limits, keys and times, over the moves of all jobs in the order of their turns.

    Args:
        one_waits: a schedule with overlap="queue_one".
    """
    slow: dict[str, str] = {}
    keys: dict[tuple[str, str], str] = {}
    key_of: dict[str, tuple[str, str]] = {}
    singles: set[str] = set()
    for move in moves:
        job_id, to, name = move["job_id"], move["to"], move["job_name"]
        if name == "single":
            (singles.add if to == "running" else singles.discard)(job_id)
            assert len(singles) <= 1, f"{singles} run at once, and only one may: {move}"
        if job_id.startswith(f"{one_waits}-"):
            slow[job_id] = to
            assert list(slow.values()).count("running") <= 1, f"two of overlap=queue_one run at once: {move}"
        assert move.get("waited", 0.0) >= 0.0, f"a job was started before it was due: {move}"
        if "unique_key" in move:
            key_of[job_id] = (name, move["unique_key"])
        if job_id in key_of:
            holder = keys.setdefault(key_of[job_id], job_id)
            assert to not in ("queued", "running") or holder == job_id, f"{holder} holds the key of {move}"
            if to in ("done", "dead", "cancelled") and holder == job_id:
                del keys[key_of[job_id]]


def check_parts(moves: Moves) -> Counter[str]:
    """Each job that is done by its handler has the parts that it has said, every other has none, by their ids.

    How many jobs have had parts, and how often a claim has ended otherwise of one that would have had them.
    """
    due, born, reached = Counter[str](), Counter[str](), Counter[str]()
    for move in moves:
        job_id = move["job_id"]
        if move["job_name"] == "part" and move["event"] == "job.queued":
            born[PART.sub("", job_id)] += 1
        has_parts = (
            move["job_name"] in FOLLOWED and (number := NUMBERED.fullmatch(job_id)) and not int(number[1] or 2) % 2
        )
        if has_parts and move["from"] == "running" and move["event"] != "job.released":
            is_done = move["event"] == "job.done"
            due[job_id] += PARTS * is_done
            reached["has parts" if is_done else "drops its parts"] += 1
    wrong = {job_id: (due[job_id], born[job_id]) for job_id in due.keys() | born if due[job_id] != born[job_id]}
    assert not wrong, f"jobs with how many parts they should have, and have: {wrong}"
    return reached


def check_groups(moves: Moves) -> Counter[str]:
    """No more of a group run at once than may, over all processes. How often as many did."""
    group_of: dict[str, tuple[str, str]] = {}
    running: dict[tuple[str, str], set[str]] = {}
    reached = Counter[str]()
    for move in moves:
        job_id = move["job_id"]
        if job_id in group_of:
            running[group_of[job_id]].discard(job_id)
        if move["event"] != "job.claimed" or "group" not in move or move["job_name"] not in GROUPED:
            continue
        group = group_of[job_id] = (move["job_name"], move["group"])
        running.setdefault(group, set()).add(job_id)
        most = GROUPED[move["job_name"]]
        assert len(running[group]) <= most, f"{running[group]} of one group run at once, and {most} may: {move}"
        reached["a full group"] += len(running[group]) == most
    return reached


def check_shares(moves: Moves, tenants: Mapping[str, int]) -> None:
    """Groups start as many jobs each while all of them have some, however many more one has.

    Args:
        tenants: how many jobs each group had, in whose ids it stands first.
    """
    least = min(tenants.values())
    claimed = (move["job_id"] for move in moves if move["event"] == "job.claimed" and move["job_id"].startswith("of-"))
    # What was claimed in advance and put back is claimed again.
    starts = islice(dict.fromkeys(claimed), least * len(tenants))
    shares = Counter(job_id.split("-")[1] for job_id in starts)
    index = shares.total() ** 2 / (len(tenants) * sum(share * share for share in shares.values()))
    assert index >= FAIR_MIN, (
        f"Jain's index of the starts of groups is {index:.3f}, and at least {FAIR_MIN} is fair: {shares}"
    )


def check_rate(lines: Lines) -> Counter[str]:
    """No more parts are started in any stretch of time than their rate says, while the clock goes as it should.

    How often as many were as it allows.
    """
    starts: list[float] = []
    most, reached = PARTS_RATE.limit + PARTS_RATE.burst - 1, Counter[str]()
    for line in lines:
        if line["event"] == "clock.jumped":
            starts.clear()
        if line["event"] != "turn.committed" or "told_by" in line:
            continue
        started = [move for move in line["moves"] if move["k"] == "claimed" and move["n"] == "part"]
        starts += [line["at"]] * len(started)
        within = [at for at in starts if 0.0 <= line["at"] - at < float(PARTS_RATE.per) - RATE_EXACT_SECONDS]
        assert len(within) <= most, f"{len(within)} parts started within {PARTS_RATE.per} s, and {most} may: {line}"
        reached["as fast as may be"] += bool(started) and len(within) == most
        starts = within
    return reached


@contextmanager
def stored_turns() -> Iterator[Order]:
    """In which order turns are stored while the block lasts, in whichever process of the simulation.

    The log does not tell: a process may be held up between its commit and its line while others go on, or die there
    and be told of later, and the clock may be set back meanwhile. In a simulation nothing else happens from the end of
    a turn's writing to its commit. One that is rolled back leaves its number to the next turn of its boot.
    """
    order: Order = {}
    places = count()
    seal = TableTurn.seal

    def recorded(turn: TableTurn) -> None:
        before = turn.number
        seal(turn)
        if turn.number is not None and turn.number != before:
            order[turn.boot, turn.number] = next(places)

    direct = store.seal_births

    def recorded_directly(*args: Any) -> LedgerTurn:
        did = direct(*args)
        order[did.boot, did.turn] = next(places)
        return did

    with patch.object(TableTurn, "seal", recorded), patch.object(store, "seal_births", recorded_directly):
        yield order


def moves_of(lines: Lines, order: Order) -> Moves:
    """Every change of state as the ledger tells it, with what its own line says besides, in the order of the turns.

    Raises:
        KeyError: a turn is told that was not stored.
    """
    beside = lines_of_moves(lines)
    turns = {
        (order[boot, line["turn"]], line.get("part", 1)): (boot, line)
        for line in lines
        if line["event"] == "turn.committed"
        for boot in (line.get("of", line["boot"]),)
    }
    moves = []
    for _, (boot, line) in sorted(turns.items(), key=itemgetter(0)):
        turn = line["turn"]
        for move in line["moves"]:
            event = f"job.{move['k']}"
            if event in MOVES:
                own = beside.get((boot, turn, event, move["j"]), {})
                said = {"job_id": move["j"], "job_name": move["n"], "to": MOVES[event][1].value, "event": event}
                said |= {
                    "from": move.get("f"),
                    "rev": move["r"],
                    "parents": move.get("m", 0),
                    "named": move.get("y", ()),
                }
                moves.append({**own, **said})
    return moves


def lines_of(text: str) -> list[dict[str, Any]]:
    """The lines that are Lamplighter's own."""
    return [msgspec.json.decode(line) for line in text.split("\n") if '"seq"' in line]


def lines_of_moves(lines: Lines) -> dict[tuple[str, int, str, str | None], dict[str, Any]]:
    """The lines about one move each, by boot, turn, event and job."""
    return {
        (line["boot"], line["turn"], line["event"], line.get("job_id")): line
        for line in lines
        if "turn" in line and line["event"] in MOVES
    }


def check_lines(lines: Lines) -> None:
    """Each move that a boot has told in the ledger has a line of its own besides. A campaign logs at debug."""
    said = lines_of_moves(lines)
    untold = [
        (line["boot"], line["turn"], event, move["j"])
        for line in lines
        if line["event"] == "turn.committed" and "told_by" not in line
        for move in line["moves"]
        if (event := f"job.{move['k']}") in MOVES
    ]
    untold = [one for one in untold if one not in said]
    assert not untold, f"moves without a line of their own: {untold[:3]}"


def check_pauses(lines: Lines) -> None:
    """No job of a paused name is claimed. In one process's log the lines lie in the order of the commits."""
    paused: set[str] = set()
    for line in lines:
        match line["event"]:
            case "name.paused":
                paused.add(line["job_name"])
            case "name.resumed":
                paused.discard(line["job_name"])
            case "runtime.started":
                # What the last turn of a killed boot did is told without its pauses.
                paused.clear()
            case "job.claimed":
                assert line["job_name"] not in paused, f"a job of a paused name was claimed: {line}"


def check_stops(lines: Lines, copied: Lines = ()) -> int:
    """A boot that has stopped has said so once, and left no job behind for others to take back. How many have.

    Args:
        copied: the log as it was when the copy was taken that was put back later. A boot that ran then is in the copy
            with its jobs, however well it has stopped since.
    """
    said = Counter((line["event"], line["boot"]) for line in lines)
    for event in ("runtime.stopping", "runtime.stopped"):
        again = [boot for (what, boot), times in said.items() if what == event and times > 1]
        assert not again, f"said {event} more than once: {again}"
    stopped = {boot for event, boot in said if event == "runtime.stopped"}
    stopped -= gave_nothing_back(lines) | running_at_the_end_of(copied)
    for line in lines:
        if line["event"] == "runtime.recovered" and line["jobs"]:
            assert line["dead_boot"] not in stopped, f"a boot has stopped and left jobs behind: {line}"
    return len(stopped)


def gave_nothing_back(lines: Lines) -> set[str]:
    """The boots that stopped while the store was away, or no broker lived. To whoever comes next they have died."""
    return {line["boot"] for line in lines if line.get("reason") == NOTHING_BACK}


def killed_stops(lines: Lines) -> set[str]:
    """The boots that had said that they stop, and have died before they had."""
    return {line["dead_boot"] for line in lines if line["event"] == "runtime.recovered" and "stopping" in line}


def running_at_the_end_of(lines: Lines) -> set[str]:
    """The boots that have started and not stopped, though they may have died."""
    said = {(line["event"], line["boot"]) for line in lines}
    return {boot for event, boot in said if event == "runtime.started" and ("runtime.stopped", boot) not in said}


def check_store(runtime: Runtime, lines: Lines, *, deaths: int) -> None:
    """Why the dead are dead. Nobody is poison where no process has died, nor for what a requeue has forgiven."""
    forgiven = {line["job_id"]: line["claim_no"] for line in lines if line["event"] == "job.requeued"}
    if any(line["event"] == "store.went_back" for line in lines):
        # A restored copy may know nothing of a requeue that the log tells.
        forgiven = {}
    for job in runtime.jobs.list(limit=1000):
        # What nobody is blamed for is not among the attempts.
        excused = [attempt for attempt in runtime.jobs.attempts(job) if "while it stopped" in (attempt.error or "")]
        assert not excused, f"blamed for the end of a boot that had said that it stops: {excused}"
    for job in runtime.jobs.list(state="dead", limit=1000):
        since = forgiven.get(job.id, 0)
        attempts = [attempt for attempt in runtime.jobs.attempts(job) if attempt.claim_no > since]
        blamed = sum(attempt.outcome == "interrupted" and attempt.begun for attempt in attempts)
        failed = sum(attempt.outcome in ("failed", "timed_out", "discarded") for attempt in attempts)
        if (job.reason or "").startswith("poison"):
            assert deaths > 0, f"poison though no process died: {describe(job.record)}"
            assert blamed >= 3, f"poison after {blamed} begun claims that were interrupted: {describe(job.record)}"
        else:
            assert failed >= job.record.attempt, f"{failed} attempts failed: {describe(job.record)}"


def describe(job: JobRecord) -> str:
    """A job in one line."""
    return f"{job.id} ({job.name}) {job.state}, attempt {job.attempt}, claim {job.claim_no}: {job.reason}"


def comes_to_nothing(simulation: Simulation, wrong: Callable[[], object], seconds: float, what: str) -> None:
    """Without faults, what is wrong is right again within so many seconds."""
    try:
        simulation.settle(until=lambda: not wrong(), seconds=seconds)
    except Violation as error:
        raise Violation(f"{what}: {wrong()}") from error
