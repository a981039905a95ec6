"""Rows of `lamplighter_links`: which jobs wait for which others.

A job waits as long as one of its links is open: `met` is null until the parent has come to an end that a turn has
counted. `lamplighter_parents_to_check` has the parents whose ends, or requeues, were not passed on to their children
yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...messages.jobs import ENDED, JobParent, JobRecord
from ..ports import DependencyStatus, GoneParent
from .database import Database, Statements
from .job_rows import in_batches, listed

TIE = """
  insert into lamplighter_links (child, place, parent, any_end, met)
  select ?, ?, no, ?, case when rev > 0 and (state = 'done' or state = 'dead' or state = 'cancelled') then state end
  from (select no, state, rev from lamplighter_jobs where id = ? /*pg for share */) as parent
"""
"""A parent of the same call may be a job that was found by its unique key, and that another turn is about to end."""

TIE_BESIDE = TIE.replace("/*pg for share */", "")
"""In an application's own transaction, which keeps no job from ending. `CLOSE` follows in a turn."""

CLOSE = """
  update lamplighter_links set met = coalesce((
    select state from lamplighter_jobs
    where no = lamplighter_links.parent and rev > 0 and (state = 'done' or state = 'dead' or state = 'cancelled')),
    (select state from lamplighter_gone_parents where no = lamplighter_links.parent))
  where child = ? and met is null
"""
"""The parents of a job that an application's own transaction stored: its links are examined for the first time. A
parent may have been removed just before the commit."""

PARENTS_KEPT = """select 1 from lamplighter_jobs where no in (select parent from lamplighter_links where child = ?)
                  order by no /*pg for share */"""
"""Before `CLOSE`: a parent may be about to end in a turn that has looked for children before this one was stored."""

PARENTS_FREE = PARENTS_KEPT.replace("for share", "for share skip locked")

PARENTS_THERE = """select count(*) from lamplighter_jobs
                   where no in (select parent from lamplighter_links where child = ?)"""

# Without these hints SQLite would scan all links of a child.
IS_OPEN = "select 1 from lamplighter_links indexed by lamplighter_links_open where child = ? and met is null limit 1"

FIRST_OPEN = """select parent from lamplighter_links indexed by lamplighter_links_open
                where child = ? and met is null limit ?"""

UNKNOWN = "select id from lamplighter_jobs where id in ({places}) order by no /*pg for share */"
"""None of them ends, or is removed, until the transaction has: its children are stored with what they are now."""

RIPEN = """insert into lamplighter_parents_to_check (parent) values (?)
           on conflict (parent) do update set child = 0, place = 0"""

HAS_CHILDREN = "select 1 from lamplighter_links where parent = ? limit 1"

# `p` is the parent in the store, `g` a removed one.
PARENTS = """lamplighter_links l left join lamplighter_jobs p on p.no = l.parent
             left join lamplighter_gone_parents g on g.no = l.parent"""

FATED = f"""select coalesce(p.id, g.id), l.met from {PARENTS}
           where l.child = ? and l.any_end = 0 and (l.met = 'dead' or l.met = 'cancelled')
           order by l.met desc, l.place limit 1"""
"""A dead parent decides before a cancelled one."""

COUNT_OPEN = """select count(*) from lamplighter_links indexed by lamplighter_links_open
                where child = ? and met is null"""


def tie(connection: Statements, child_no: int, parents: Sequence[JobParent], query: str = TIE) -> None:
    rows = [(child_no, place, parent.any_end, parent.job_id) for place, parent in enumerate(parents, start=1)]
    connection.executemany(query, rows)


def unknown(connection: Statements, job_ids: Collection[str]) -> list[str]:
    found = {row[0] for row in in_batches(connection, UNKNOWN, job_ids)}
    return [job_id for job_id in job_ids if job_id not in found]


def ripen(connection: Database, parent_no: int) -> bool:
    """Note that all children of a job, if any, are to be examined."""
    if connection.execute(HAS_CHILDREN, (parent_no,)).fetchone() is None:
        return False
    connection.execute(RIPEN, (parent_no,))
    return True


def may_be_kept(connection: Database, child_no: int) -> bool:
    """Whether nobody else is about to change a parent of a job. Nobody does then before the transaction has ended."""
    free = connection.execute(PARENTS_FREE, (child_no,)).fetchall()
    return len(free) == int(connection.execute(PARENTS_THERE, (child_no,)).fetchone()[0])


def is_open(connection: Database, child_no: int) -> bool:
    return connection.execute(IS_OPEN, (child_no,)).fetchone() is not None


def count(connection: Database, child_no: int) -> int:
    return int(connection.execute("select count(*) from lamplighter_links where child = ?", (child_no,)).fetchone()[0])


def parent_ids(connection: Database, child_no: int) -> list[str]:
    query = f"select coalesce(p.id, g.id) from {PARENTS} where l.child = ? order by l.place"
    return [row[0] for row in connection.execute(query, (child_no,))]


def child_of(connection: Database, parent_no: int) -> str | None:
    """The id of one job that waits for this one, or has."""
    query = """select id from lamplighter_jobs where no = (
                 select child from lamplighter_links where parent = ? order by child limit 1)"""
    row = connection.execute(query, (parent_no,)).fetchone()
    return None if row is None else str(row[0])


def cut(connection: Database, gone: Sequence[GoneParent]) -> list[int]:
    """Remove the links of removed jobs; keep what their children need. Returns the numbers of the parents."""
    if connection.execute("select 1 from lamplighter_links limit 1").fetchone() is None:
        return []
    let_go: list[tuple[int]] = []
    for job in gone:
        let_go += connection.execute("delete from lamplighter_links where child = ? returning parent", (job.row_id,))
    connection.executemany(
        """delete from lamplighter_gone_parents as gone
           where no = ? and not exists (select 1 from lamplighter_links where parent = gone.no)""",
        let_go,
    )
    connection.executemany(
        """insert into lamplighter_gone_parents (no, id, name, state, rev)
           select :row_id, :id, :name, :state, :move_no
           where exists (select 1 from lamplighter_links where parent = :row_id)""",
        [job._asdict() for job in gone],
    )
    connection.executemany("delete from lamplighter_parents_to_check where parent = ?", [(job.row_id,) for job in gone])
    return [parent for (parent,) in let_go]


def parents(connection: Database, child_no: int, after: int, limit: int) -> Sequence[JobRecord]:
    query = f"""select {listed(JobRecord._fields, "j.")}
               from lamplighter_links l join lamplighter_jobs j on j.no = l.parent
               where l.child = ? and l.place > ? order by l.place limit ?"""
    return list(map(JobRecord._make, connection.execute(query, (child_no, after, limit))))


def gone_parents(connection: Database, child_no: int, limit: int) -> Sequence[GoneParent]:
    query = """select g.no, g.id, g.name, g.state, g.rev
               from lamplighter_links l join lamplighter_gone_parents g on g.no = l.parent
               where l.child = ? order by l.place limit ?"""
    return list(map(GoneParent._make, connection.execute(query, (child_no, limit))))


def children(connection: Database, parent_no: int, limit: int) -> Sequence[JobRecord]:
    query = f"""select distinct {listed(JobRecord._fields, "j.")}
               from lamplighter_links l join lamplighter_jobs j on j.no = l.child
               where l.parent = ? order by j.no limit ?"""
    return list(map(JobRecord._make, connection.execute(query, (parent_no, limit))))


def awaited(connection: Database, child_no: int, most: int) -> DependencyStatus:
    open_ones = int(connection.execute(COUNT_OPEN, (child_no,)).fetchone()[0])
    first = f"select id from lamplighter_jobs where no in ({FIRST_OPEN}) order by no"
    ids = [row[0] for row in connection.execute(first, (child_no, most))] if open_ones else []
    fated = connection.execute(FATED, (child_no,)).fetchone()
    return DependencyStatus(count(connection, child_no), open_ones, ids, fated)


def has_ended(job: JobRecord) -> bool:
    return job.is_counted and job.state in ENDED
