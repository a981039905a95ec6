"""Why a job has not ended, as far as a log shows it: its name is paused, it is delayed, nobody has a handler for it, or
other jobs hold all worker threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ...rules.wording import attributed, many, span
from ..log_files.fields import Said
from ..log_files.search import find, in_order
from ..replay.findings import named
from .held_up import StoreLogs, named_parents, still_open
from .sentences import Entry
from .snapshot import Snapshot, snapshot

NEEDLES = (b'"name.', b'"handler.', b'"actor.quarantined', b'"actor.restarted')

EVENTS_OF_NAMES = frozenset(
    {"name.paused", "name.resumed", "name.parked", "handler.added", "handler.removed", "handler.halted"}
)
"""Events about the progress of the jobs of a name."""

PAUSES = ("name.paused", "name.resumed")

FATES = frozenset({"actor.quarantined", "actor.restarted", "handler.halted"})
"""Events that tell whether the handlers of a name take jobs; the last one counts."""

LINKING = frozenset({"job.queued", "job.requeued", "job.freed"})
"""Events that tell whether a job waits for others; the last one counts."""

SILENT_SECONDS_MIN = 1.0
"""A boot that has said nothing for so long, when others have, is worth a look."""


def why_unfinished(logs: StoreLogs, lines: Sequence[Said]) -> list[Entry]:
    """The sentences about a job that waits or runs when its log ends.

    Args:
        lines: the job's own, in order.

    Raises:
        UsageError: a log cannot be read.
    """
    again = logs.paths
    moves = [said for said in lines if "to" in said]
    if not again or not moves or moves[-1]["to"] not in ("queued", "running"):
        return []
    seen = snapshot(again, math.inf)
    name = next((said["job_name"] for said in lines if "job_name" in said), None)
    child = f"handler:{name}"
    found = list(find(again, NEEDLES, processes=logs.processes))
    about = [
        said
        for said in in_order(list(found))
        if (said.get("job_name") == name and said.get("event") in EVENTS_OF_NAMES) or said.get("child") == child
    ]
    paused = _pause(found, about, name)
    if lines[-1].get("event") == "job.deferred":
        return [Entry(at=None, who="", says="when these logs end, it waits to be marked done", tone="warning")]
    reasons = _running(seen, moves[-1]) if moves[-1]["to"] == "running" else _queued(seen, logs, lines, about, paused)
    return [Entry(at=None, who="", says=f"when these logs end, {says}", tone="warning") for says in reasons]


def _running(seen: Snapshot, last: Said) -> Iterator[str]:
    boot = str(last.get("boot"))
    since = max(0.0, seen.last - seen.spoke.get(boot, seen.last))
    if boot in seen.bereft:
        yield f"it belongs to boot {boot[:6]}, which lost another job to a redelivery and has said nothing since"
    elif boot in seen.boots:
        silent = f", which has said nothing for {span(since)}" if since >= SILENT_SECONDS_MIN else ""
        yield f"it runs on boot {boot[:6]} (pid {seen.boots[boot]}){silent}"
    elif boot in seen.gone:
        yield f"it runs on boot {boot[:6]}, which has ended and has not given it back"


def _pause(found: Sequence[Said], about: Sequence[Said], name: str | None) -> Said | None:
    """The last line about a pause of a name: by the ledger, in which those who have no log are told too, or in
    a log that has none, by a line.
    """
    told = [
        {**move, "ts": said.get("at", said.get("ts", 0.0)), "event": move["k"]}
        for said in found
        for move in said.get("moves", ())
        if isinstance(move, dict) and move.get("k") in PAUSES and move.get("n") == name
    ]
    if told:
        return max(told, key=lambda said: said["ts"])
    return next((said for said in reversed(about) if said["event"] in PAUSES), None)


def _queued(
    seen: Snapshot, logs: StoreLogs, lines: Sequence[Said], about: Sequence[Said], paused: Said | None
) -> Iterator[str]:
    name = next((said["job_name"] for said in lines if "job_name" in said), "?")
    if paused is not None and paused["event"] == "name.paused" and paused.get("u", math.inf) > seen.last:
        told = attributed(paused.get("ts"), by=paused.get("by"), until=paused.get("u"), reason=paused.get("why"))
        yield f"{name} is paused{told}"
    parents = _parents(lines)
    if parents:
        yield _waits_for(parents, named_parents(lines), logs)
        return
    run_at = next((said["run_at"] for said in reversed(lines) if "run_at" in said), 0.0)
    if run_at > seen.last:
        yield f"it is not due for {span(run_at - seen.last)}"
        return
    handlers = {
        (said.get("boot"), said.get("handler")): said
        for said in about
        if said["event"] == "handler.added" and said.get("boot") in seen.boots
    }
    if not handlers and any(
        said["event"] in ("handler.added", "job.parked", "name.parked") for said in (*about, *lines)
    ):
        yield f"no runtime that lives has a handler for {name}"
    fates = {said.get("boot"): said for said in about if said["event"] in FATES and said.get("boot") in seen.boots}
    for boot, said in fates.items():
        if said["event"] != "actor.restarted":
            yield f"the handlers of {name} on boot {str(boot)[:6]} are {said['event'].partition('.')[2]}"
    yield from _full(seen, name, lines, list(handlers.values()))


def _parents(lines: Sequence[Said]) -> int:
    """How many jobs one waits for, by its own lines; 0 if none, or if it was freed."""
    last = next((said for said in reversed(lines) if said.get("event") in LINKING), None)
    return 0 if last is None or last["event"] == "job.freed" else int(last.get("parents") or 0)


def _waits_for(parents: int, known: Sequence[str], logs: StoreLogs) -> str:
    """Which others a job waits for.

    Args:
        parents: how many it has waited for when it was queued.
        known: which these are, where lines at debug name them.
    """
    if len(known) != parents:
        return f"it waits for some of {many(parents, 'job')}, which only lines at debug name"
    still = still_open(logs, known)
    # All have ended where the log ends before the turn that frees it.
    return f"it waits for {len(still):,} of {many(parents, 'job')}" + (f": {named(still)}" if still else "")


def _full(seen: Snapshot, name: str, lines: Sequence[Said], handlers: Sequence[Said]) -> Iterator[str]:
    """Which jobs hold all places that there are."""
    group = next((said["group"] for said in lines if "group" in said), None)
    if group is not None and handlers and all("concurrency_per_group" in said for said in handlers):
        limit = min(said["concurrency_per_group"] for said in handlers)
        yield f"its group {group} may have {limit} running (concurrency_per_group)"
    held = [held.job_id for held in seen.held if held.job_name == name]
    if handlers and all("rate" in said for said in handlers):
        yield f"{name} may start {handlers[-1]['rate']} (rate)"
    total = min((said["concurrency_total"] for said in handlers if "concurrency_total" in said), default=math.inf)
    places = sum(said.get("concurrency", 1) for said in handlers)
    if not held or len(held) < min(total, places):
        return
    limit = f"concurrency_total={total}" if total <= places else f"{many(places, 'lane')} in all"
    yield f"{name} has {limit}, held by {'job' if len(held) == 1 else 'jobs'} {named(held)}"
