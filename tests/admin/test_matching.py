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
from lamplighter.admin.inspector import inspector_at, readable_table
from lamplighter.admin.matching import actionable, counted, failed_alike, matching
from lamplighter.admin.views import Amount
from lamplighter.errors import UsageError
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery


def test_between_one_look_for_jobs_and_the_next_the_log_of_the_store_can_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep kept a reader open for as long as it went on: the log grew with each write batch of everybody."""
    monkeypatch.setattr("lamplighter.stores.tables.rows.READ_AHEAD", 1)
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
    store = readable_table(str(path), "list")
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


ASKED = 1_000.0
JOBS_OF_STATES = {
    "requeue": [("done",), ("dead", "cancelled"), ("done", "dead", "cancelled")],
    "cancel": [("queued",), ("running",), ("queued", "running")],
}


@pytest.mark.parametrize("until", [None, ASKED - 1, ASKED, ASKED + 1])
@pytest.mark.parametrize("ended", [None, ASKED - 1, ASKED, ASKED + 1])
@pytest.mark.parametrize("action", ["requeue", "cancel"])
def test_an_act_is_on_what_was_there_and_had_ended_when_it_was_asked_for(
    action: Any, until: float | None, ended: float | None
) -> None:
    for names in JOBS_OF_STATES[action]:
        states = tuple(map(JobState, names))
        query = JobQuery(states=states, queued_until=until, ended_until=ended)

        found = actionable(query, action, ASKED)

        assert (found.states, found.queued_until) == (states, min(until or ASKED, ASKED))
        assert found.ended_until == (min(ended or ASKED, ASKED) if action == "requeue" else ended)


@pytest.mark.parametrize(
    ("action", "states"),
    [("requeue", ()), ("cancel", ()), ("requeue", ("dead", "queued")), ("cancel", ("queued", "done"))],
)
def test_an_act_on_jobs_that_it_would_find_again_is_refused(action: Any, states: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"expected a search with state:.* to {action} what it finds"):
        actionable(JobQuery(states=tuple(map(JobState, states))), action, ASKED)


@pytest.mark.parametrize("pages", [[2, 2], [4], [1, 1, 1, 1], [0, 4, 0]])
@pytest.mark.parametrize(("most", "count", "is_capped"), [(5, 4, False), (4, 4, False), (3, 3, True)])
def test_jobs_are_counted_up_to_a_bound_and_not_beyond(
    monkeypatch: pytest.MonkeyPatch, pages: list[int], most: int, count: int, is_capped: bool
) -> None:
    monkeypatch.setattr("lamplighter.admin.matching.COUNTED_MAX", most)

    assert counted(["x"] * size for size in pages) == Amount(count=count, is_capped=is_capped)


def test_of_failures_of_a_name_those_of_one_group_are_found_that_had_died_by_then(
    runtime: Any, recorder: Any, tmp_path: Path
) -> None:
    rt = runtime()
    for name in ("mail", "letter"):
        rt.jobs.add_handler(name, _fails, max_attempts=1)
    first = [rt.jobs.queue(name, why).id for name in ("mail", "letter") for why in ("no mailbox", "other")]
    recorder.wait_for("job.dead", count=4)
    asked_at = rt.boot.clock.now()
    later = rt.jobs.queue("mail", "no mailbox")
    recorder.wait_for("job.dead", job_id=later.id)
    rt.stop()
    with inspector_at(str(tmp_path / "jobs.db")) as inspector:
        group = next(one.id for one in inspector.errors("mail").groups if "mailbox" in one.error)
    store = readable_table(str(tmp_path / "jobs.db"), "list")

    assert [job_id for ids in failed_alike(store, "mail", group, asked_at) for job_id in ids] == first[:1]


def _fails(job: Any) -> None:
    raise ValueError(job.data)
