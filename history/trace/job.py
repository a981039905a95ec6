"""The life of one job, from logs alone: every step, the waits between, and what got in its way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ...messages.jobs import ENDED
from ...rules.lifecycle import MOVES
from ...rules.wording import many, span
from ..log_files.files import is_plain
from ..log_files.lines import Said, Unread
from ..log_files.search import find, in_order, needles_of
from .held_up import Key, logs_of, waits_told, why_unfinished
from .others import with_hops
from .sentences import Entry, entry_of, who_says

CONTEXT = (b"actor.crashed", b".recovered")
"""Events that may touch a job without naming it."""

CONTEXT_EVENTS = frozenset({"actor.crashed", "runtime.recovered", "turn.recovered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Biography:
    """The life of a job.

    Attributes:
        title: one line: the job, its end, its duration.
        gaps: how often something is missing from its chain of states.
    """

    job_id: str
    title: str
    entries: tuple[Entry, ...]
    gaps: int


def biography(
    paths: Sequence[str], job_id: str, *, processes: int = 1, unread: Unread | None = None
) -> Biography | None:
    """A job's life; None when no line is about it.

    Args:
        processes: how many may search a log that is a plain file.
        unread: notes which logs are cut short.
    """
    plain = [path for path in paths if is_plain(path)]
    others = [path for path in paths if path not in plain]
    needles = needles_of(job_id)
    hits = chain(
        find(plain, needles, hosts_too=True, processes=processes, unread=unread),
        find(others, [*needles, *CONTEXT], hosts_too=True, unread=unread),
    )
    found = [
        said for said in hits if said.get("job_id") == job_id or "moves" in said or said.get("event") in CONTEXT_EVENTS
    ]
    context = [said for said in found if said.get("event") in CONTEXT_EVENTS]
    own = [said for said in with_hops(found, lambda move: move.j == job_id) if said.get("job_id") == job_id]
    if not own:
        return None
    # Events around it are looked for only while it lived.
    known = {(said["source"], said["offset"]) for said in context}
    around = find(plain, CONTEXT, within=_lifetime(in_order(own)), processes=processes)
    context += [said for said in around if (said["source"], said["offset"]) not in known]
    lives = [(store, in_order(lines)) for store, lines in _by_store(paths, own).items()]
    title = _title(job_id, lives[0][1])
    entries, gaps = [], 0
    for store, lines in lives:
        if len(lives) > 1:
            title = f"job {job_id}: {len(lives)} jobs of this id, each in a store of its own"
            says = f"in {store}: {_title(job_id, lines)}"
            entries.append(Entry(at=None, who="", says=says, tone="plain", begins=True))
        logs = logs_of(paths, [*lines, *found], processes)
        waits = waits_told(logs, [*lines, *found], job_id)
        hops, missing = _chain(in_order(lines + _touching(context, lines, job_id)), waits)
        entries, gaps = [*entries, *hops], gaps + missing
        if len(lives) == 1:
            entries += why_unfinished(logs, lines)
    return Biography(job_id=job_id, title=title, entries=tuple(entries), gaps=gaps)


def _by_store(paths: Sequence[str], lines: list[Said]) -> dict[str, list[Said]]:
    """A job's lines by store: one id may be a job in each of several."""
    store_of = {str(said["boot"]): str(said["store_id"]) for said in lines if {"boot", "store_id"} <= said.keys()}
    ids = list(dict.fromkeys(store_of.values()))
    if len(ids) < 2:
        return {"": lines}
    names = dict.fromkeys(ids, "")
    for said in find([path for path in paths if path != "-"], [b"runtime.started"]):
        if said.get("store_id") in names and "store" in said:
            names[said["store_id"]] = said["store"]
    same = len(set(names.values())) < len(ids)
    shown = {one: f"{name} (store {one})" if name and same else name or f"store {one}" for one, name in names.items()}
    lives: dict[str, list[Said]] = {}
    store = shown[ids[0]]
    for said in in_order(lines):
        # A line of the application belongs to the line before it.
        store = shown.get(store_of.get(str(said.get("boot")), ""), store)
        lives.setdefault(store, []).append(said)
    return lives


def _lifetime(lines: list[Said]) -> tuple[float, float]:
    """From its first line to its last; anything may still affect an unfinished job."""
    times = [said["ts"] for said in lines if said.get("ts")]
    state = next((said["to"] for said in reversed(lines) if "to" in said), None)
    return min(times, default=0.0), math.inf if state in ("queued", "running") else max(times, default=math.inf)


def _touching(found: list[Said], lines: list[Said], job_id: str) -> list[Said]:
    """Deaths of actors and boots that held the job, or that its own messages caused."""
    first, last = _lifetime(lines)
    names = {f"handler:{said['job_name']}" for said in lines if "job_name" in said}
    root_ids = {said["corr"] for said in lines if "corr" in said} | {job_id}
    boots = {said.get("boot") for said in lines}
    holders = {said.get("boot") for said in lines if said.get("event") in ("job.claimed", "job.started")}
    touching = []
    for said in found:
        event, within = said.get("event"), first <= said.get("ts", first) <= last
        if event == "actor.crashed" and said.get("boot") in boots:
            ours = said.get("child") in names or said.get("child") == "broker"
            if (ours and within) or said.get("message_corr") in root_ids:
                touching.append(said)
        elif (event == "runtime.recovered" and said.get("dead_boot") in holders and within) or (
            event == "turn.recovered" and within and said.get("boot") in boots
        ):
            touching.append(said)
    return touching


def _chain(lines: list[Said], waits: Mapping[Key, str]) -> tuple[list[Entry], int]:
    """The entries of a job's lines, with the gaps named; `waits` are sentences by the moves that ended the waits."""
    entries: list[Entry] = []
    state: str | None = None
    move_no, gaps = 0, 0
    queued_at: float | None = None
    holder: Said = {}
    for said in lines:
        if "rev" in said and said.get("event") in MOVES:
            if said["event"] == "job.queued" and state in ENDED:
                says = "a new life: the job had been removed, and its id was free again"
                entries.append(Entry(at=None, who="", says=says, tone="quiet"))
                state, move_no = None, 0
            between = _between(state, said, move_no, holder)
            if between is not None:
                gaps += between.tone == "bad"
                entries.append(between)
            state, move_no = said.get("to"), said["rev"]
            holder = said if state == "running" else {}
        entry = entry_of(_in_queue_since(said, queued_at))
        waited = waits.get((str(said.get("boot")), said.get("turn", 0), said.get("rev", 0)))
        if waited is not None:
            entry = replace(entry, says=f"{entry.says}; {waited}")
        if said.get("to") == "queued":
            came_back = said["event"] == "job.released" or said.get("outcome") == "interrupted"
            queued_at = said.get("line_ts") or said.get("ts") if came_back else None
        if said.get("untold"):
            # An operator has no log, and is no dead runtime.
            is_act, by = said["untold"] == "operator", f"told by boot {str(said.get('told_by'))[:6]}"
            says = f"{entry.says} ({by if is_act else f'perhaps not said by the dead; {by}'})"
            entry = Entry(at=entry.at, who=who_says(said), says=says, tone="plain" if is_act else "warning", said=said)
        entries.append(entry)
    return entries, gaps


def _in_queue_since(said: Said, queued_at: float | None) -> Said:
    """A claim that came without a wait since the job was put back: such a job keeps its `run_at`, and `waited` counts
    from it.

    Args:
        queued_at: when it was put back, if it was.
    """
    if said.get("event") != "job.claimed" or queued_at is None or not {"waited", "ts"} <= said.keys():
        return said
    at: float = said.get("line_ts") or said["ts"]
    return {**said, "waited": min(said["waited"], max(0.0, at - queued_at))}


def _between(state: str | None, said: Said, move_no: int, holder: Said) -> Entry | None:
    """The sentence for a move that does not follow the one before it."""
    if not move_no:
        says = "its life began before these logs, or in the log of another process"
        return None if said["rev"] == 1 else Entry(at=None, who="", says=says, tone="quiet")
    if said.get("redeliveries") and state == "running":
        boot = holder.get("boot")
        had = f"boot {str(boot)[:6]}, which had claim {holder.get('claim_no')}, has died or lost its connection"
        says = f"delivered again by the server: {had}"
        return Entry(at=None, who="", says=says, tone="warning", said={"boot_was": boot})
    if said["rev"] == move_no + 1 + said.get("redeliveries", 0) and said.get("from") == state:
        return None
    says = (
        f"SOMETHING IS MISSING between moves {move_no} and {said['rev']}: "
        f"it was {state}, and the next line says from {said.get('from')}"
    )
    return Entry(at=None, who="", says=says, tone="bad", said={"after_rev": move_no, "before_rev": said["rev"]})


def _title(job_id: str, lines: list[Said]) -> str:
    moves = [said for said in lines if said.get("event") in MOVES and "to" in said]
    name = next((said["job_name"] for said in lines if "job_name" in said), "?")
    if not moves:
        return f"job {job_id} ({name})"
    last = moves[-1]
    times = [said["ts"] for said in moves if said.get("ts") is not None]
    took = f" after {span(max(times) - min(times))}" if len(times) > 1 else ""
    counts = f", {many(last['claim_no'], 'claim')}, attempt {last.get('attempt', 0)}" if "claim_no" in last else ""
    return f"job {job_id} ({name}): {last['to']}{took}{counts}"
