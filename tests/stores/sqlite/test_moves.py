"""Moves that are made together are those that would have been made one by one."""

from __future__ import annotations

import random

import pytest
from lamplighter.messages.jobs import JobState
from lamplighter.messages.outcomes import Outcome, OutcomeKind
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.job_rows import HELD_BY, _update_together
from lamplighter.stores.tables.moves import TOGETHER_MIN
from lamplighter.stores.tables.open_turn import OpenTurn

from support.conformance.kit import DONE, FAILED, NOW, RETRY, SUCCEEDED, claim_in, new, put, take

TOGETHER_MAX = OpenTurn.together_max
JOBS = 2 * TOGETHER_MAX + TOGETHER_MIN


def running(store, jobs=JOBS):
    """Jobs that run, of which each other was claimed in advance."""
    put(store, *(new(f"j{number}", data=str(number)) for number in range(jobs)))
    return take(store, NOW, begun=jobs // 2, prefetched=jobs)


def rows(store):
    with store.turn("b", NOW) as turn:
        return turn.connection.execute("select * from lamplighter_jobs order by no").fetchall()


def ends_of(jobs, chance):
    """How claims end, some of them twice, some that are not current, and some that have never been."""
    ends = []
    for job in jobs:
        outcome = Outcome(kind=OutcomeKind.SUCCEEDED, result=str(chance.randrange(3)))
        end = (outcome, DONE) if chance.randrange(12) else (FAILED, RETRY._replace(run_at=NOW + 5))
        fault = chance.randrange(30)
        seen = job._replace(claim_no=2) if fault == 0 else job._replace(state="done") if fault == 1 else job
        seen = job._replace(boot="another") if fault == 3 else seen
        ends += [(seen, *end)] * (2 if fault == 2 else 1)
    return ends


@pytest.mark.parametrize("seed", range(12))
def test_ends_that_are_settled_together_are_as_if_one_by_one(tmp_path, seed):
    found = []
    for name in ("together", "one by one"):
        store = SqliteStore(str(tmp_path / f"{name}.db"), new_id=lambda: "one")
        store.open()
        chance = random.Random(seed)
        ends = ends_of(running(store), chance)
        with store.turn("b", NOW + 1) as turn:
            settled = turn.jobs.settle_all(ends) if name == "together" else [turn.jobs.settle(*end) for end in ends]
        found.append((settled, turn.transitions, turn.did, rows(store)))
        store.close()

    assert found[0] == found[1]


def test_what_is_settled_is_what_is_stored(store):
    ends = [(job, SUCCEEDED._replace(result=job.data), DONE) for job in running(store)]

    with store.turn("b", NOW + 1) as turn:
        settled = turn.jobs.settle_all(ends)

    assert [tuple(job) for job in settled] == rows(store)
    assert [job.result for job in settled] == [str(number) for number in range(JOBS)]


def test_many_moves_are_few_statements(store):
    put(store, *(new(f"j{number}") for number in range(TOGETHER_MAX)))
    said = []
    with store.turn("b", NOW) as turn:
        turn.connection.set_trace_callback(said.append)
        claimed = [one.job for one in claim_in(turn, begun=1, prefetched=TOGETHER_MAX)]
        turn.jobs.settle_all([(job, SUCCEEDED, DONE) for job in claimed])
        turn.connection.set_trace_callback(None)

    assert len(claimed) == TOGETHER_MAX
    assert len([one for one in said if one.startswith("update lamplighter_jobs")]) == 2


def test_no_bound_value_decides_how_jobs_are_found():
    """SQLite makes a statement anew for each value of such a one, which takes longer than the moves."""
    query = _update_together(("state", "move_no"), ("move_no",), JobState.RUNNING, 3)

    # No index has that expression.
    assert "?" not in query.partition("where")[2].replace(HELD_BY, "")
