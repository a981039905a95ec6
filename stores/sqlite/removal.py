"""Jobs that leave the store: by retention, or because somebody has one forgotten; and what there is of them besides."""

from __future__ import annotations

from collections.abc import Sequence

from ...messages.jobs import Instant, JobRecord, JobState
from ..ports import GoneParent
from . import links, steps
from .open_turn import OpenTurn


def prune(turn: OpenTurn, done_before: Instant, dead_before: Instant, batch: int) -> int:
    """Remove at most a batch of jobs that had ended before: of dead ones before the one instant, else the other.

    A parent stays as long as a child may still read it: one that has not ended, or that has not ended as done and is
    itself kept, as somebody may requeue it. The newest child is looked at first: it probably ends last.
    """
    pruned = 0
    for state in (JobState.DONE, JobState.CANCELLED, JobState.DEAD):
        before = dead_before if state == JobState.DEAD else done_before
        gone = turn.connection.execute(
            """delete from lamplighter_jobs where no in (
                 select no from lamplighter_jobs j where state = ?1 and ended_at < ?2 and rev > 0
                   and (select 1 from lamplighter_links l join lamplighter_jobs c on c.no = l.child
                        where l.parent = j.no and c.state <> 'done'
                          and (c.ended_at is null or c.ended_at >= iif(c.state = 'dead', ?4, ?3))
                        order by l.child desc limit 1) is null
                 order by ended_at limit ?5)
               returning no, id, name, state, rev""",
            (state, before, done_before, dead_before, batch - pruned),
        ).fetchall()
        _clear_up_after(turn, [GoneParent._make(row) for row in gone])
        pruned += len(gone)
    return pruned


def forget(turn: OpenTurn, job: JobRecord) -> None:
    """Remove a job, with its attempts."""
    # The one who has a job forgotten may have promised somebody that its data are gone: SQLite is to write zeros over
    # them, which not every build of it does by itself.
    ((was,),) = turn.connection.execute("pragma secure_delete").fetchall()
    turn.connection.execute("pragma secure_delete = on")
    turn.connection.execute("delete from lamplighter_jobs where no = ?", (job.no,))
    _clear_up_after(turn, [GoneParent(job.no, job.id, job.name, job.state, job.rev)])
    turn.connection.execute(f"pragma secure_delete = {was}")


def _clear_up_after(turn: OpenTurn, gone: Sequence[GoneParent]) -> None:
    """Remove what else there is of jobs that were removed."""
    if any(job.no == turn.last_no for job in gone):
        # No other job may get the number of the last.
        turn.connection.execute("update lamplighter_store set last_no = ?", (turn.last_no,))
    turn.connection.executemany("delete from lamplighter_attempts where job_id = ?", [(job.id,) for job in gone])
    links.cut(turn.connection, gone)
    steps.remove(turn, [job.no for job in gone])
