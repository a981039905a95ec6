"""Other ways into a log than a job: a schedule's slots, an actor's lives, all that descends from one root."""

from __future__ import annotations

from collections.abc import Sequence

from ...rules.wording import brief, clock, span
from ..log_files.fields import Said
from ..log_files.lines import Unread
from ..log_files.search import find, in_order, needles_of
from .hops import with_hops
from .sentences import Entry, entry_of

ENDS = frozenset({"job.done", "job.dead", "job.doomed", "job.cancelled"})
OF_HANDLERS = frozenset({"lane.abandoned", "lane.returned", "handler.halted"})
CHANGES = (b"schedule.added", b"schedule.changed")
ACCOUNTS = frozenset({"slot.fired", "slot.caught_up", "slot.skipped"})


def trace_schedule(
    paths: Sequence[str], named: str, *, processes: int = 1, unread: Unread | None = None
) -> list[Entry]:
    """Why each slot of a schedule did or did not fire, and what became of its job.

    Args:
        named: its id, or its key.
        unread: is told which logs are cut short, here and below.

    Raises:
        UsageError: a log cannot be read.
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
        """Slots of one schedule have jobs of the same ids in each store that it is in."""
        return stores.get(said.get("boot")), said.get("job_id")

    births = {job_of(said): said for said in lines if said.get("event") == "job.queued"}
    ends = {
        job_of(said): {**said, "queued": births.get(job_of(said), {}).get("ts")}
        for said in lines
        if said.get("event") in ENDS
    }
    fired = {job_of(said) for said in lines if said.get("event") in ("slot.fired", "slot.caught_up")}
    entries = []
    for said in lines:
        event = str(said.get("event"))
        if event.startswith("schedule.") or event in ACCOUNTS or event == "slot.taken":
            entries.append(_with_end(entry_of(said), ends.get(job_of(said))))
        elif "slot" in said and job_of(said) not in fired and event in ("job.queued", *ENDS):
            # The slot's own line is one at debug. At info, the end of its job is the first line about it.
            fired.add(job_of(said))
            entries.append(_slot_by_job(said, ends.get(job_of(said))))
    return entries


def _ids_by_key(said: Said, key: str) -> list[object]:
    """The schedules that a line says have this key: one of its own, or the moves of a turn."""
    moves = [move for move in said.get("moves") or () if isinstance(move, dict) and move.get("key") == key]
    own = [said.get("schedule")] if said.get("key") == key else []
    return [*own, *(move.get("s") for move in moves)]


def schedules_in(paths: Sequence[str]) -> dict[str, str]:
    """The schedules that these logs tell of, and of each whose it is: an id alone says that to nobody.

    Raises:
        UsageError: a log cannot be read.
    """
    again = [path for path in paths if path != "-"]
    found = in_order(
        [said for said in find(again, CHANGES) if said.get("event") in ("schedule.added", "schedule.changed")]
    )
    return {
        str(said.get("schedule")): ", ".join(str(said[name]) for name in ("key", "job_name", "when") if name in said)
        for said in found
    }


def trace_actor(paths: Sequence[str], name: str, *, processes: int = 1, unread: Unread | None = None) -> list[Entry]:
    """An actor's starts, deaths and restarts, and its hung threads.

    Raises:
        UsageError: a log cannot be read.
    """
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


def trace_root(paths: Sequence[str], corr: str, *, processes: int = 1, unread: Unread | None = None) -> list[Entry]:
    """Everything that descends from a call of the application or a slot: its jobs, and those that these have queued.

    Raises:
        UsageError: a log cannot be read.
    """
    hits = list(find(paths, needles_of(corr), hosts_too=True, processes=processes, unread=unread))
    # A line of the ledger carries no root: its moves are those of jobs that descend from it by other lines.
    jobs = {corr, *(said["job_id"] for said in hits if said.get("corr") == corr and "job_id" in said)}
    found = [
        said
        for said in with_hops(hits, lambda move: move.j in jobs)
        if corr in (said.get("corr"), said.get("message_corr")) or said.get("job_id") in jobs
    ]
    entries = []
    for said in in_order(found):
        entry = entry_of(said)
        job = said.get("job_id")
        about = "" if job is None else f"[{said.get('job_name', '')} {job}] "
        entries.append(Entry(at=entry.at, who=entry.who, says=about + entry.says, tone=entry.tone, said=said))
    return entries


def _is_of(said: Said, schedule: str) -> bool:
    # A line that names only the job carries the schedule in the id that the slot gave it.
    return said.get("schedule") == schedule or (
        said.get("event") in ENDS and _is_named_after(str(said.get("job_id")), schedule)
    )


def _is_named_after(job_id: str, schedule: str) -> bool:
    return job_id.rpartition("-")[0] == schedule


def _with_end(entry: Entry, end: Said | None) -> Entry:
    if end is None or "job_id" not in end or entry.said.get("event") not in ("slot.fired", "slot.caught_up"):
        return entry
    return Entry(at=entry.at, who=entry.who, says=f"{entry.says}; {_end(end)}", tone=entry.tone, said=entry.said)


def _slot_by_job(said: Said, end: Said | None) -> Entry:
    entry = entry_of(said)
    became = _end(end) if end is not None else "it has not ended"
    says = f"slot {clock(said['slot'])} fired as job {said.get('job_id')}; {became}"
    return Entry(at=entry.at, who=entry.who, says=says, tone="good" if end is not None else "plain", said=said)


def _end(end: Said) -> str:
    queued, at = end.get("queued"), end.get("ts")
    took = f" {span(at - queued)} after it was queued" if queued is not None and at is not None else ""
    reason = brief(end.get("reason") or "")
    return f"the job is {end.get('to')}{took}" + (f" ({reason})" if reason else "")
