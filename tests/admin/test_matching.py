"""All jobs that match, for whoever acts on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobFailed, Runtime
from lamplighter.admin.inspectors import inspector_at, readable_file
from lamplighter.admin.matching import failed_alike, matching
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery


def test_between_one_look_for_jobs_and_the_next_the_log_of_the_store_can_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep kept a reader open for as long as it went on: the log grew with each write batch of everybody."""
    monkeypatch.setattr("lamplighter.stores.sqlite.rows.READ_AHEAD", 1)
    path, runtime = tmp_path / "jobs.db", Runtime(tmp_path / "jobs.db")

    @runtime.jobs.handler("mail", max_attempts=1)
    def mail(job: Any) -> None:
        raise ValueError("no mailbox")

    with runtime:
        for number in range(2):
            with pytest.raises(JobFailed):
                runtime.jobs.join(runtime.jobs.queue("mail", number))
    with inspector_at(str(path)) as inspector:
        (group,) = inspector.errors().groups
    store = readable_file(str(path), "list")
    dead = JobQuery(states=(JobState.DEAD,))
    finds: list[Callable[[], Iterator[Sequence[str]]]] = [
        partial(matching, store, dead),
        partial(failed_alike, store, "mail", group.id, group.last_seen + 1),
    ]
    for find in finds:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            # A reader of a log that is empty is in nobody's way.
            writer.execute("update lamplighter_store set last_no = last_no + 1")
            pages = find()
            found = [*next(pages)]
            writer.execute("update lamplighter_store set last_no = last_no + 1")
            is_busy, left, _ = writer.execute("pragma wal_checkpoint(truncate)").fetchone()
        found += [job_id for ids in pages for job_id in ids]

        assert (is_busy, left, len(found)) == (0, 0, 2)
