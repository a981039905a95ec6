"""A handler whose writes and whose job's end commit together: each effect exactly once, whenever it is killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ...faults.kit import Host, count, now_in, rows


@pytest.mark.timeout(1800)
def test_an_effect_that_commits_with_its_jobs_end_happens_exactly_once(tmp_path: Path) -> None:
    store, jobs, kills = tmp_path / "jobs.db", count(150, 5_000), count(5, 60)
    seed = random.randrange(2**32)
    chance, per_life = random.Random(seed), jobs // kills
    for _ in range(kills):
        with Host("exact.py", store, jobs, folder=tmp_path) as host:
            host.expect("queued")
            for _ in range(chance.randrange(per_life)):
                if host.line().startswith("idle"):
                    break
            # The next instants lie around a commit.
            host.lines_until(now_in(chance.uniform(0.0, 0.01)), last="idle")
            host.kill()
    with Host("exact.py", store, jobs, folder=tmp_path) as host:
        host.expect("idle")
        assert host.end() == 0
    assert rows(store, "pragma integrity_check") == [("ok",)]
    states = rows(store, "select state, count(*) from lamplighter_jobs group by state")
    assert states == [("done", jobs)], f"seed {seed}"
    effects = rows(store, "select count(*), count(distinct job_id) from host_effects")
    assert effects == [(jobs, jobs)], f"seed {seed}"
    wrong = rows(
        store,
        """select job_id from host_effects join lamplighter_jobs on id = job_id
           where token <> id || ':' || claim_no or settled_no <> claim_no""",
    )
    assert not wrong, "an effect of a claim that did not finish its job"
    twice = rows(store, "select id from seen_endings group by id having count(*) > 1")
    assert not twice
