"""The reasons that keep a due job from being claimed, and the number of due jobs that a claim looks at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

PRIORITIES_MAX = 32
"""A claim looks at so many priorities of waiting jobs in turn. With more priorities, it goes by time."""

CLAIMABLE = """
    and (expires_at is null or expires_at > :now)
    and (suspect_until is null or suspect_until <= :now)
    and rev > 0
    and (not one_at_a_time or not exists (
      select 1 from lamplighter_jobs r where r.schedule = lamplighter_jobs.schedule and r.state = 'running'))
"""


def priorities(connection: sqlite3.Connection, highest: str, name: str) -> Iterator[int]:
    """The priorities of some rows of a name, highest first: one index seek each.

    Args:
        highest: SQL for the highest of the rows of `:name`; each next seek adds a condition.
    """
    found = connection.execute(highest, {"name": name}).fetchone()[0]
    while found is not None:
        yield found
        found = connection.execute(f"{highest} and priority < :than", {"name": name, "than": found}).fetchone()[0]
