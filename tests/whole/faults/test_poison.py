"""A job that kills its process each time: it alone is dead, with its evidence, and all others end."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...faults.kit import Ended, Host, rows


@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_a_job_that_kills_its_process_ends_alone_as_poison_and_all_others_are_done(tmp_path: Path, how: str) -> None:
    store, deaths = tmp_path / "jobs.db", 0
    while True:
        with Host("poison.py", store, how, folder=tmp_path) as host:
            said: list[list[str]] = []
            try:
                while not said or said[-1][0] != "idle":
                    said.append(host.line().split(" ", 3))
            except Ended:
                deaths += 1
                assert deaths <= 3, f"more lives than interruptions_max: {rows(store, 'select * from seen_endings')}"
                continue
            assert host.end() == 0
            break
    assert deaths == 3
    dead = [line for line in said if line[0] == "dead"]
    assert [line[1] for line in dead] == ["poison-4"]
    assert dead[0][2] == "3"
    assert dead[0][3].startswith("poison: interrupted 3 times")
    attempts = [line for line in said if line[0] == "attempt"]
    assert [line[1:3] for line in attempts] == [["interrupted", "True"]] * 3
    assert len({line[3].split(" ")[0] for line in attempts}) == 3, "three boots are the evidence"
    states = rows(store, "select state, count(*) from lamplighter_jobs group by state order by state")
    assert states == [("dead", 1), ("done", 100)]
    twice = rows(store, "select id, count(*) from seen_endings group by id having count(*) > 1")
    assert not twice
