"""Other ways into a log than a job: a schedule's slots, an actor's lives, all that descends from one root."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ...rules.lifecycle import MOVES
from ...rules.wording import brief, clock, span
from ..log_files.lines import LoggedMove, Said, Unread
from ..log_files.search import find, in_order, needles_of, subject_of
from .sentences import Entry, entry_of

LAST_SEQ = 1 << 62
"""The place of lines of other boots about a boot among its own: after them."""

NAMES = {
    "j": "job_id",
    "n": "job_name",
    "r": "rev",
    "f": "from",
    "o": "outcome",
    "u": "run_at",
    "s": "schedule",
    "t": "slot",
    "d": "digest",
    "p": "redeliveries",
    "b": "boot_was",
    "q": "then_of",
    "x": "then",
    "m": "parents",
    "step": "step",
    "steps": "steps",
    "until": "until",
    "by": "by",
    "via": "via",
    "why": "reason",
}

OF_JOBS = frozenset({*MOVES, "job.stepped", "job.signalled", "job.deferred"})


def with_hops(found: Iterable[Said], wanted: Callable[[LoggedMove], bool]) -> list[Said]:
    """Lines, and in the place of the ledger's the moves of jobs that are wanted, each once.

    A line about a move of the same turn is one with it.
    """
    lines = list(found)
    own: dict[tuple[Any, ...], Said] = {}
    for said in lines:
        if said.get("event") in OF_JOBS:
            own.setdefault(subject_of(said), said)
    hops: dict[tuple[Any, ...], Said] = {}
    joined: set[tuple[Any, ...]] = set()
    for said in lines:
        for move, hop in _hops(said):
            if not wanted(move):
                continue
            place = subject_of(hop)
            beside = own.get(place)
            if beside is not None:
                joined.add(place)
                # The ledger's order: the more detailed lines of a turn take the place of its moves.
                hop |= {**beside, "seq": hop["seq"], "ts": hop["ts"], "line_ts": beside.get("ts", hop["ts"])}
                hop.pop("told_by", None)
                hop.pop("untold", None)
            key = (*place, move.r)
            known = hops.get(key)
            if known is None or ("told_by" in known and "told_by" not in hop):
                hops[key] = hop
    rest = [said for said in lines if "moves" not in said and subject_of(said) not in joined]
    return [*rest, *hops.values()]


def is_of_ledger(said: Said) -> bool:
    """Whether a line is the ledger's: then it has a checksum."""
    return said.keys() >= {"boot", "turn", "moves", "crc"}


def moves_told(said: Said) -> Iterator[LoggedMove]:
    """The moves that a line of the ledger tells, without unreadable ones."""
    for raw in said["moves"]:
        try:
            move = msgspec.convert(raw, LoggedMove)
        except msgspec.MsgspecError:
            continue
        yield move


def _hops(said: Said) -> Iterator[tuple[LoggedMove, Said]]:
    if not is_of_ledger(said):
        return
    is_told = "told_by" in said
    common: Said = {
        name: said[name]
        for name in ("boot", "seq", "ts", "turn", "actor", "incarnation", "source", "offset", "store_id", "beside_ts")
        if name in said
    }
    moves = list(moves_told(said))
    if is_told:
        # Only an operator names its way (`via`). Some moves of its turn follow from its act, as the wake of a job does.
        untold = "operator" if any(move.via for move in moves) else "dead"
        common |= {"boot": said.get("of", said["boot"]), "seq": LAST_SEQ, "told_by": said["told_by"], "untold": untold}
        common["ts"] = said.get("at", said.get("ts", 0.0))
    for move in moves:
        event = f"job.{move.k}"
        if event in OF_JOBS and move.j:
            hop = {name: value for key, name in NAMES.items() if (value := getattr(move, key)) is not None}
            if move.y and event != "job.freed":
                hop["fate_of"] = str(move.y[0][0])
            hop |= {"claim_no": move.c, "event": event}
            if event in MOVES:
                hop |= {"attempt": move.a, "to": MOVES[event][1].value}
            else:
                # It is no move of its job, and has no number among them.
                del hop["rev"]
            yield move, {**hop, **common}


ENDS = frozenset({"job.done", "job.dead", "job.doomed", "job.cancelled"})
OF_HANDLERS = frozenset({"lane.abandoned", "lane.returned", "handler.halted"})
CHANGES = (b"schedule.added", b"schedule.changed")
FIRED = ("slot.fired", "slot.caught_up")
ACCOUNTS = frozenset({*FIRED, "slot.skipped"})


def trace_schedule(
    paths: Sequence[str], named: str, *, processes: int = 1, unread: Unread | None = None
) -> list[Entry]:
    """Why each slot of a schedule did or did not fire, and the fate of its job.

    Args:
        named: its id, or its key.
        unread: notes which logs are cut short, here and below.
    """
    again = [path for path in paths if path != "-"]
    ids = {schedule for said in find(again, needles_of(named)) for schedule in _ids_by_key(said, named)}
    schedule = str(next(iter(ids), named))
    found = list(find(paths, [*needles_of(schedule), *needles_of(f"{schedule}-")], processes=processes, unread=unread))
    lines = in_order(
        [
            said
            for said in with_hops(found, lambda move: move.s == schedule or _is_named_after(move.j, schedule))
            if _is_of(said, schedule)
        ]
    )
    stores = {said["boot"]: said["store_id"] for said in lines if {"boot", "store_id"} <= said.keys()}

    def job_of(said: Said) -> tuple[object, object]:
        """The identity of a job: slots of one schedule have jobs of the same ids in each store."""
        return stores.get(said.get("boot")), said.get("job_id")

    births = {job_of(said): said for said in lines if said.get("event") == "job.queued"}
    ends = {
        job_of(said): {**said, "queued": births.get(job_of(said), {}).get("ts")}
        for said in lines
        if said.get("event") in ENDS
    }
    fired = {job_of(said) for said in lines if said.get("event") in FIRED}
    entries = []
    for said in lines:
        event = str(said.get("event"))
        if event.startswith("schedule.") or event in ACCOUNTS or event == "slot.taken":
            entry, end = entry_of(said), ends.get(job_of(said))
            if end is not None and "job_id" in end and event in FIRED:
                entry = replace(entry, says=f"{entry.says}; {_end(end)}")
            entries.append(entry)
        elif "slot" in said and job_of(said) not in fired and event in ("job.queued", *ENDS):
            # The slot's own line is one at debug. At info, the end of its job is the first line about it.
            fired.add(job_of(said))
            end = ends.get(job_of(said))
            became = "it has not ended" if end is None else _end(end)
            says = f"slot {clock(said['slot'])} fired as job {said.get('job_id')}; {became}"
            entries.append(replace(entry_of(said), says=says, tone="plain" if end is None else "good"))
    return entries


def _ids_by_key(said: Said, key: str) -> list[object]:
    """The schedules that have this key, by a line of their own or by the moves of a turn."""
    moves = [move for move in said.get("moves") or () if isinstance(move, dict) and move.get("key") == key]
    own = [said.get("schedule")] if said.get("key") == key else []
    return [*own, *(move.get("s") for move in moves)]


def schedules_in(paths: Sequence[str]) -> dict[str, str]:
    """The schedules in these logs, each with its name for people."""
    again = [path for path in paths if path != "-"]
    found = in_order(
        [said for said in find(again, CHANGES) if said.get("event") in ("schedule.added", "schedule.changed")]
    )
    return {
        str(said.get("schedule")): ", ".join(str(said[name]) for name in ("key", "job_name", "when") if name in said)
        for said in found
    }


def trace_actor(paths: Sequence[str], name: str, *, processes: int = 1, unread: Unread | None = None) -> list[Entry]:
    """An actor's starts, deaths and restarts, and its hung threads."""
    keys = [f'"child":{space}"{name}"'.encode() for space in ("", " ")]
    if name == "supervisor":
        keys.append(b"supervisor.restarted")
    kind, _, job_name = name.partition(":")
    if kind == "handler":
        keys += [f'"{event}"'.encode() for event in sorted(OF_HANDLERS)]
    found = [
        said
        for said in find(paths, keys, processes=processes, unread=unread)
        if said.get("child") == name
        or (name, said["event"]) == ("supervisor", "supervisor.restarted")
        or (kind == "handler" and said.get("job_name") == job_name and said["event"] in OF_HANDLERS)
    ]
    return [entry_of(said) for said in in_order(found)]


def trace_root(paths: Sequence[str], root_id: str, *, processes: int = 1, unread: Unread | None = None) -> list[Entry]:
    """Everything that descends from a call of the application or a slot: its jobs, and those that these have queued."""
    hits = list(find(paths, needles_of(root_id), hosts_too=True, processes=processes, unread=unread))
    # A line of the ledger carries no root: other lines show which of its jobs descend from it.
    jobs = {root_id, *(said["job_id"] for said in hits if said.get("corr") == root_id and "job_id" in said)}
    found = [
        said
        for said in with_hops(hits, lambda move: move.j in jobs)
        if root_id in (said.get("corr"), said.get("message_corr")) or said.get("job_id") in jobs
    ]
    entries = []
    for said in in_order(found):
        entry = entry_of(said)
        job = said.get("job_id")
        about = "" if job is None else f"[{said.get('job_name', '')} {job}] "
        entries.append(replace(entry, says=about + entry.says))
    return entries


def _is_of(said: Said, schedule: str) -> bool:
    # A line that names only the job carries the schedule in the id that the slot gave it.
    return said.get("schedule") == schedule or (
        said.get("event") in ENDS and _is_named_after(str(said.get("job_id")), schedule)
    )


def _is_named_after(job_id: str, schedule: str) -> bool:
    return job_id.rpartition("-")[0] == schedule


def _end(end: Said) -> str:
    queued, at = end.get("queued"), end.get("ts")
    took = f" {span(at - queued)} after it was queued" if queued is not None and at is not None else ""
    reason = brief(end.get("reason") or "")
    return f"the job is {end.get('to')}{took}" + (f" ({reason})" if reason else "")
