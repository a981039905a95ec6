"""Jobs that leave the store: by retention, or because somebody has one forgotten; and what there is of them besides."""

from __future__ import annotations

from collections.abc import Sequence

from ...messages.jobs import Instant, JobRecord
from . import links, steps
from .open_turn import OpenTurn


def prune(turn: OpenTurn, states: Sequence[str], before: Instant, batch: int) -> int:
    """Remove at most a batch of jobs that had ended in these states before. One that others wait for, or have, is kept
    as long as one of these is.
    """
    pruned = 0
    for state in states:
        gone = turn.connection.execute(
            """delete from lamplighter_jobs where no in (
                 select no from lamplighter_jobs j where state = ? and ended_at < ? and rev > 0
                   and not exists (select 1 from lamplighter_links where parent = j.no)
                 order by ended_at limit ?)
               returning no, id""",
            (state, before, batch - pruned),
        ).fetchall()
        _clear_up_after(turn, gone)
        pruned += len(gone)
    return pruned


def forget(turn: OpenTurn, job: JobRecord) -> None:
    """Remove a job, with its attempts."""
    # Whoever has a job forgotten may have promised somebody that its data are gone: SQLite is to write zeros over them,
    # which not every build of it does by itself.
    ((was,),) = turn.connection.execute("pragma secure_delete").fetchall()
    turn.connection.execute("pragma secure_delete = on")
    turn.connection.execute("delete from lamplighter_jobs where no = ?", (job.no,))
    _clear_up_after(turn, [(job.no, job.id)])
    turn.connection.execute(f"pragma secure_delete = {was}")


def _clear_up_after(turn: OpenTurn, gone: Sequence[tuple[int, str]]) -> None:
    """Remove what else there is of jobs that were removed: (no, id)."""
    if any(no == turn.last_no for no, _ in gone):
        # No other job may get the number of the last.
        turn.connection.execute("update lamplighter_store set last_no = ?", (turn.last_no,))
    turn.connection.executemany("delete from lamplighter_attempts where job_id = ?", [row[1:] for row in gone])
    links.cut(turn.connection, [no for no, _ in gone])
    steps.remove(turn, [no for no, _ in gone])
