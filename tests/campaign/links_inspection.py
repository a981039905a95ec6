"""What a campaign looks at of jobs that wait for others, besides the audit."""

from __future__ import annotations

from collections import Counter
from typing import Any

from inspection import Moves, describe
from lamplighter import Job, Runtime
from lamplighter.messages.jobs import ENDED, FAILED_END
from lamplighter.rules.lifecycle import fate
from lamplighter.stores.tables.links import PARENTS


def check_links(moves: Moves) -> Counter[str]:
    """Who waits for others starts after they have ended as it wants, and shares a fate that one of them has.

    How often jobs were freed, doomed, cancelled with another, and revived.
    """
    stands: dict[str, tuple[int, str]] = {}
    waiting: dict[str, int] = {}
    more: dict[str, list[list[Any]]] = {}
    reached = Counter[str]()
    for move in moves:
        job_id, event, named = move["job_id"], move["event"], move["named"]
        if event in ("job.queued", "job.requeued"):
            waiting[job_id] = move["parents"]
            reached["revived"] += event == "job.requeued" and bool(move["parents"])
        elif event == "job.claimed":
            assert not waiting.get(job_id), f"claimed, though it waits for others: {move}"
        elif event == "job.freed" or named:
            reached[f"{event.removeprefix('job.')} by parents"] += 1
            for parent, move_no, *any_end in (*more.pop(job_id, ()), *named):
                assert stands.get(parent, (0, ""))[0] == move_no, f"{parent} is at {stands.get(parent)}: {move}"
                state = stands[parent][1]
                is_wanted = state in ENDED if any_end else state == "done"
                if any_end == [FAILED_END] and event != "job.freed":
                    # It was not needed: the other is done.
                    is_wanted = state != "done"
                assert is_wanted == (event == "job.freed"), f"{parent} is {state}: {move}"
            waiting[job_id] = 0
        stands[job_id] = (move["rev"], move["to"])
    return reached


def check_fates(runtime: Runtime) -> None:
    """In the end nobody waits for what has ended, nor shares a fate that its parents have not any more."""
    for job in runtime.jobs.list(limit=10_000):
        if not job.record.is_linked:
            continue
        ends = ends_of(runtime, job)
        if job.waits:
            assert not all(state in ENDED for state, _ in ends), f"left waiting by {ends}: {describe(job.record)}"
        elif job.record.state in ENDED:
            wanted = "cancelled" if fate(ends) == "done" else fate(ends)
            assert wanted == job.record.state, f"its parents are {ends}: {describe(job.record)}"


def ends_of(runtime: Runtime, job: Job) -> list[tuple[str, int]]:
    """The states of those that a job waits for, and which end of each will do."""
    query = f"select coalesce(p.state, g.state), l.any_end from {PARENTS} where l.child = ?"
    with runtime.current_boot.get().store._reading() as reader:  # type: ignore[attr-defined]
        return reader.execute(query, (job.record.row_id,)).fetchall()
