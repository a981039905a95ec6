"""Removal of jobs, by retention or on request, with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

from ...messages.jobs import Instant, JobRecord, JobState
from ..ports import GoneParent
from . import links, steps
from .open_turn import FREEING, OpenTurn

PRUNE = """
  with gone as materialized (
    select no from lamplighter_jobs j where {which} and rev > 0
      and (select 1 from lamplighter_links l join lamplighter_jobs c on c.no = l.child
           where l.parent = j.no and c.state <> 'done' order by l.child desc limit 1) is null
    order by ended_at limit :batch /*pg for update skip locked */)
  delete from lamplighter_jobs where no in (select no from gone)
  returning no, id, name, state, rev
"""
"""The newest child is looked at first: it probably ends last."""

OF_STATE = "state = :state and ended_at < :before"
OF_NUMBERS = (
    "no in (select value from json_each(:numbers)) and ended_at < case when state = 'dead' then :dead else :done end"
)


def prune(turn: OpenTurn, done_before: Instant, dead_before: Instant, batch: int) -> int:
    """Remove at most a batch of jobs that ended before the given instants.

    A parent stays as long as the store has a child of it that is not done: the child may still run, or be requeued. So
    a chain goes from its end: after each removed job its parents are looked at again.
    """
    pruned = 0
    values: dict[str, object] = {"dead": dead_before, "done": done_before}
    for state in (JobState.DONE, JobState.CANCELLED, JobState.DEAD):
        which = OF_STATE
        values |= {
            "state": state,
            "before": dead_before if state == JobState.DEAD else done_before,
            "batch": batch - pruned,
        }
        while rows := turn.connection.execute(PRUNE.format(which=which), values).fetchall():
            which = OF_NUMBERS
            numbers = str(_clear_up_after(turn, list(map(GoneParent._make, rows))))
            pruned += len(rows)
            values |= {"numbers": numbers, "batch": batch - pruned}
    return pruned


def forget(turn: OpenTurn, job: JobRecord) -> None:
    turn.gate(FREEING)
    with turn.forgetting():
        turn.connection.execute("delete from lamplighter_jobs where no = ?", (job.row_id,))
        _clear_up_after(turn, [GoneParent(job.row_id, job.id, job.name, job.state, job.move_no)])


def _clear_up_after(turn: OpenTurn, gone: Sequence[GoneParent]) -> list[int]:
    if any(job.row_id == turn.last_no for job in gone):
        # No later job may reuse the last number.
        turn.connection.execute("update lamplighter_store set last_no = ?", (turn.last_no,))
    turn.connection.executemany("delete from lamplighter_attempts where job_id = ?", [(job.id,) for job in gone])
    steps.remove(turn, [job.row_id for job in gone])
    return links.cut(turn.connection, gone)
