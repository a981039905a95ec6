"""The jobs that hang together. Imported where it is called: most processes that run jobs read no graph."""

from __future__ import annotations

import json

from ...messages.queries import GraphJob, GraphRows
from .database import Database

# A row is a job, or a root whose descendants are to be read: once, however many of them are found.
GRAPH = """
  with recursive found(job, root) as (
    select no, null from lamplighter_jobs where id = :id
    union select null, j.corr from found f join lamplighter_jobs j on j.no = f.job
    union select j.no, null from found f join lamplighter_jobs j indexed by lamplighter_jobs_children
      on j.corr = f.root and j.corr <> j.id
    union select j.no, null from found f join lamplighter_jobs j on j.id = f.root
    union select l.parent, null from found f join lamplighter_links l on l.child = f.job
    union select l.child, null from found f join lamplighter_links l indexed by lamplighter_links_parent
      on l.parent = f.job
    limit :rows
  )
  select job from found where job is not null limit :most
"""


def graph_numbers(connection: Database, job_id: str, most: int) -> list[int]:
    """The numbers of the jobs of a graph, at most so many; those of parents that retention has removed among them."""
    found = connection.execute(GRAPH, {"id": job_id, "rows": 2 * most, "most": most})
    return [row[0] for row in found]


def graph(connection: Database, job_id: str, most: int) -> GraphRows:
    numbers = graph_numbers(connection, job_id, most + 1)
    some = (json.dumps(numbers[:most]),)
    members = "(select value from json_each(?))"
    jobs = f"select no, id, name, state, corr, waits from lamplighter_jobs where no in {members} order by no"
    tied = f"select child, parent, any_end from lamplighter_links where child in {members} order by child, place"
    return GraphRows(
        list(map(GraphJob._make, connection.execute(jobs, some))),
        connection.execute(tied, some).fetchall(),
        len(numbers) > most,
    )
