"""What became of one job, from logs alone: every step, the waits between, and what got in its way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import Any

from ...log.events import EVENTS
from ...messages.jobs import ENDED
from ...rules.lifecycle import MOVES, QUIET
from ..audit.job_replay import UNKNOWN
from ..audit.report import many
from ..log_files.fields import Said
from ..log_files.files import is_plain
from ..log_files.search import find, in_order, needles_of
from .sentences import Entry, entry_of, span, who_says
from .waiting import why_unfinished

LAST_SEQ = 1 << 62
"""The place of what a boot has not said among its lines: after them."""

CONTEXT = (b"actor.crashed", b".recovered")
"""What may touch a job without naming it."""

CONTEXT_EVENTS = frozenset({"actor.crashed", "runtime.recovered", "turn.recovered"})

RECOVERIES = ("runtime.recovered", "turn.recovered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Biography:
    """What became of a job.

    Attributes:
        job_id: the job.
        title: one line: what it is, how it ended, how long it took.
        entries: all that happened to it, in order.
        gaps: how often something is missing from its chain of states.
    """

    job_id: str
    title: str
    entries: tuple[Entry, ...]
    gaps: int


def biography(paths: Sequence[str], job_id: str, *, processes: int = 1) -> Biography | None:
    """Tell a job's life; None when no line is about it.

    Args:
        processes: how many may search a log that is a plain file.

    Raises:
        UsageError: a log cannot be read.
    """
    plain = [path for path in paths if is_plain(path)]
    others = [path for path in paths if path not in plain]
    needles = needles_of(job_id)
    hits = chain(
        find(plain, needles, hosts_too=True, processes=processes),
        find(others, [*needles, *CONTEXT], hosts_too=True),
    )
    found = [said for said in hits if said.get("job_id") == job_id or said.get("event") in CONTEXT_EVENTS]
    own = [said for said in found if said.get("job_id") == job_id]
    recoveries = [said for said in found if said.get("event") in RECOVERIES]
    told = [one for said in recoveries for one in _told(said, job_id, {line.get("rev") for line in own})]
    if not own and not told:
        return None
    # What happened around it is looked for only while it lived.
    known = {(said["source"], said["offset"]) for said in found}
    around = find(plain, CONTEXT, within=_lifetime(in_order(own + told)), processes=processes)
    found += [said for said in around if (said["source"], said["offset"]) not in known]
    lives = [(store, in_order(lines)) for store, lines in _by_store(paths, own + told, found).items()]
    title = _title(job_id, lives[0][1])
    entries, gaps = [], 0
    for store, lines in lives:
        if len(lives) > 1:
            title = f"job {job_id}: {len(lives)} jobs of this id, each in a store of its own"
            says = f"in {store}: {_title(job_id, lines)}"
            entries.append(Entry(at=None, who="", says=says, tone="plain", begins=True))
        hops, missing = _chain(in_order(lines + _touching(found, lines, job_id)))
        entries, gaps = [*entries, *hops], gaps + missing
    if len(lives) == 1:
        entries += why_unfinished(paths, lives[0][1], processes=processes)
    return Biography(job_id=job_id, title=title, entries=tuple(entries), gaps=gaps)


def _by_store(paths: Sequence[str], lines: list[Said], around: list[Said]) -> dict[str, list[Said]]:
    """A job's lines by the store that their boots have named: one id may be a job in each of several."""
    boots = {str(said["boot"]) for said in lines if "boot" in said}
    if len(boots) < 2:
        return {"": lines}
    store_of: dict[str, str] = {}
    names: dict[tuple[str, str], str] = {}
    for said in find([path for path in paths if path != "-"], [b"runtime.started"]):
        if said.get("event") == "runtime.started" and "store" in said:
            store, store_id = said["store"], said.get("store_id")
            name = f"{store} of boot {said['boot']}" if store == ":memory:" else store
            if store_id is not None:
                # The first id goes with what boots without one have named.
                is_taken = name in names.values()
                name = names.setdefault((store, store_id), f"{name} (store {store_id})" if is_taken else name)
            store_of[said["boot"]] = name
    for said in around:
        if "dead_boot" in said and said.get("boot") in store_of:
            store_of.setdefault(said["dead_boot"], store_of[said["boot"]])
    if len({store_of[boot] for boot in boots if boot in store_of}) < 2:
        return {"": lines}
    lives: dict[str, list[Said]] = {}
    store = ""
    for said in lines:
        # What the host has written belongs to the line before it.
        store = store_of.get(said["boot"], "an unknown store") if "boot" in said else store
        lives.setdefault(store, []).append(said)
    return lives


def _told(recovery: Said, job_id: str, known: set[Any]) -> Iterator[Said]:
    """The steps of the job that a recovery has logged and that the dead boot had not logged itself."""
    for deed in recovery.get("told") or ():
        rev, event, told_id = (*deed, None, None, None)[:3]
        if (
            told_id == job_id
            and isinstance(rev, int)
            and rev not in known
            and isinstance(event, str)
            and event in MOVES
        ):
            boot = recovery.get("dead_boot", recovery["boot"])
            yield {
                "event": event,
                "job_id": job_id,
                "rev": rev,
                "to": MOVES[event][1].value,
                "boot": boot,
                "seq": LAST_SEQ,
                "untold": True,
                "source": recovery["source"],
                "offset": recovery["offset"],
            }


def _lifetime(lines: list[Said]) -> tuple[float, float]:
    """From its first line to its last; a job that has not ended may still be touched by anything."""
    times = [said["ts"] for said in lines if said.get("ts")]
    state = next((said["to"] for said in reversed(lines) if "to" in said), None)
    return min(times, default=0.0), math.inf if state in ("queued", "running") else max(times, default=math.inf)


def _touching(found: list[Said], lines: list[Said], job_id: str) -> list[Said]:
    """Deaths of actors and boots that held the job, or that its own messages caused."""
    first, last = _lifetime(lines)
    names = {f"handler:{said['job_name']}" for said in lines if "job_name" in said}
    corrs = {said["corr"] for said in lines if "corr" in said} | {job_id}
    boots = {said.get("boot") for said in lines}
    touching = []
    for said in found:
        event, within = said.get("event"), first <= said.get("ts", first) <= last
        if event == "actor.crashed" and said.get("boot") in boots:
            ours = said.get("child") in names or said.get("child") == "broker"
            if (ours and within) or said.get("message_corr") in corrs:
                touching.append(said)
        elif (event == "runtime.recovered" and said.get("dead_boot") in boots and within) or (
            event == "turn.recovered" and within and said.get("boot") in boots
        ):
            touching.append(said)
    return touching


def _chain(lines: list[Said]) -> tuple[list[Entry], int]:
    """The entries of a job's lines, with what only sums tell put in, and what is missing named."""
    loud = any(said.get("event") in QUIET and not said.get("untold") for said in lines)
    entries: list[Entry] = []
    state: str | None = None
    trail: list[int] = []
    rev, gaps = 0, 0
    queued_at: float | None = None
    holder: Said = {}
    for said in lines:
        event = said.get("event")
        if "seq" in said and "rev" in said and event not in EVENTS:
            # A step of a newer version: it stands where it says.
            state, trail, rev = said.get("to", UNKNOWN), [*trail, said["rev"]], said["rev"]
        elif "seq" in said and event in MOVES and "rev" in said and "child" not in said:
            hidden = _hidden(said, trail)
            entries = _placed(entries, hidden)
            if hidden:
                state = said.get("from")
            if event == "job.queued" and state in ENDED and said.get("from") is None:
                says = "a new life: the job had been removed, and its id was free again"
                entries.append(Entry(at=None, who="", says=says, tone="quiet"))
                state, trail = None, []
            between = None if said.get("untold") or said.get("from") == state else _between(state, said, rev, holder)
            if between is not None:
                gaps += between.tone == "bad"
                entries.append(between)
            state, rev = said.get("to"), said["rev"]
            holder = said if state == "running" else {}
            trail = [*trail, rev] if event in QUIET else []
        entry = entry_of(_in_queue_since(said, queued_at))
        queued_at = said.get("ts") if said.get("to") == "queued" else queued_at
        if not loud and said.get("times"):
            # Beside what is only summed up, the instant of the turn is the one to show, not that of the line.
            entry = replace(entry, at=said["times"][-1])
        if said.get("untold"):
            says = f"{entry.says} (never said by the dead; its recovery tells it)"
            entry = Entry(at=None, who=who_says(said), says=says, tone="warning", said=said)
        entries.append(entry)
    return entries if loud else _timed(entries), gaps


def _in_queue_since(said: Said, queued_at: float | None) -> Said:
    """A claim whose wait is no longer than the job was in the queue: one that was interrupted keeps when it was due."""
    if said.get("event") != "job.claimed" or queued_at is None or not {"waited", "ts"} <= said.keys():
        return said
    return {**said, "waited": min(said["waited"], max(0.0, said["ts"] - queued_at))}


def _placed(entries: list[Entry], hidden: list[Entry]) -> list[Entry]:
    """What a line sums up goes before what was said about it meanwhile, and after the last change of state."""
    at = len(entries)
    while hidden and at and "to" not in entries[at - 1].said:
        at -= 1
    timed = []
    for group in (hidden, entries[at:]):
        latest = 0.0
        for entry in group:
            # What says no time stays behind what it stands behind.
            latest = entry.at or latest
            timed.append((latest, entry))
    return [*entries[:at], *(entry for _, entry in sorted(timed, key=itemgetter(0)))]


def _timed(entries: list[Entry]) -> list[Entry]:
    """Instants of turns and times of lines together: a line is written a little after its turn."""
    latest = math.inf
    timed: list[Entry] = []
    for entry in reversed(entries):
        latest = min(latest, math.inf if entry.at is None else entry.at)
        timed.append(replace(entry, at=None if entry.at is None else latest))
    return timed[::-1]


def _hidden(said: Said, trail: list[int]) -> list[Entry]:
    """Steps that a line sums up and that have no line of their own: the log is not one at debug."""
    revs, times = said.get("revs") or (), said.get("times") or ()
    own = [(rev, at) for rev, at in zip(revs[:-1], times, strict=False) if rev not in trail]
    # Counted back from the state that the line came from, quiet steps take turns.
    back = said.get("from")
    steps: list[Entry] = []
    for index in range(len(own) - 1, -1, -1):
        rev, at = own[index]
        born = back == "queued" and index == 0 and not trail and _is_birth(said, len(revs))
        word = "claimed" if back == "running" else "queued" if born else "put back"
        says = f"{word} (revision {rev}; only summed up)"
        steps.append(
            Entry(at=at, who="", says=says, tone="quiet", said={"rev": rev, "ts": at, "summed_up_by": said["rev"]})
        )
        back = "queued" if back == "running" else "running"
    return steps[::-1]


def _is_birth(said: Said, steps: int) -> bool:
    """Whether what a line sums up begins with the job's birth: then its claims are all that there ever were."""
    quiet = steps - 1 - (said.get("from") == "running")
    return quiet % 2 == 1 and said.get("claim_no") == (steps - 1) // 2


def _delivered_again(holder: Said) -> Entry:
    says = (
        f"delivered again by the server: boot {str(holder.get('boot'))[:6]}, which had claim {holder.get('claim_no')}, "
        "has died or lost its connection"
    )
    return Entry(at=None, who="", says=says, tone="warning", said={"boot_was": holder.get("boot")})


def _between(state: str | None, said: Said, rev: int, holder: Said) -> Entry | None:
    """What is to be said where a line does not begin where the last one ended."""
    if state == UNKNOWN:
        return None
    if not rev:
        says = "its life began before these logs"
        return None if said.get("from") is None else Entry(at=None, who="", says=says, tone="quiet")
    if said.get("redeliveries") and state == "running":
        return _delivered_again(holder)
    says = (
        f"SOMETHING IS MISSING between revisions {rev} and {said['rev']}: "
        f"it was {state}, and the next line says from {said.get('from')}"
    )
    return Entry(at=None, who="", says=says, tone="bad", said={"after_rev": rev, "before_rev": said["rev"]})


def _title(job_id: str, lines: list[Said]) -> str:
    moves = [said for said in lines if said.get("event") in MOVES and "to" in said]
    name = next((said["job_name"] for said in lines if "job_name" in said), "?")
    if not moves:
        return f"job {job_id} ({name})"
    last = moves[-1]
    times = [at for said in moves for at in (*(said.get("times") or ()), said.get("ts")) if at is not None]
    took = f" after {span(max(times) - min(times))}" if len(times) > 1 else ""
    known = [said for said in moves if "claim_no" in said]
    counts = f", {many(known[-1]['claim_no'], 'claim')}, attempt {known[-1].get('attempt', 0)}" if known else ""
    return f"job {job_id} ({name}): {last['to']}{took}{counts}"
