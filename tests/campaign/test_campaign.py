"""A share of the campaign, and that it can be trusted: a seed gives the same run again, and planted bugs are caught."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mutants
import pytest
import steps_workload
from lamplighter.testing import Simulation
from lamplighter.testing.simulation.campaign import campaign
from lamplighter.testing.simulation.faults import LEAP_SECONDS
from mutants import MUTANTS, PAGE, ROOT, SEEDS_MAX, Mutant, hunt
from workload import REACH, keep_firing, scenario

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("LAMPLIGHTER_SEEDS", "20"))
"""How many seeds `make test` runs; `make simulate SEEDS=n` runs more, and also looks at what they reach."""

SOON_REACHED = ("kill_process", "crash_actor", "commit_unknown", "job.fenced", "runtime.recovered", "turn.recovered")

LAST_ATTEMPT = "if attempt >= attempts_max"

ONE_LOG = """
import hashlib, sys
from workload import Host, simulation_of
for seed in (3, 11, 17):
    with simulation_of(seed, Host(seed)) as simulation:
        simulation.run(minutes=1)
        print(seed, hashlib.sha256(simulation.log.encode()).hexdigest(), len(simulation.log))
"""


@pytest.mark.timeout(600 + SEEDS)
def test_no_seed_breaks_a_promise():
    *_, summary = campaign(scenario, range(SEEDS))

    assert [f"seed {failure.seed}: {failure.says}" for failure in summary.failures] == []
    assert summary.seeds == SEEDS
    assert summary.missed(SOON_REACHED) == []
    assert not {name for name in SOON_REACHED if name not in REACH}


@pytest.mark.timeout(600)
def test_no_seed_of_the_campaign_of_steps_breaks_a_promise():
    *_, summary = campaign(steps_workload.scenario, range(6))

    assert [f"seed {failure.seed}: {failure.says}" for failure in summary.failures] == []
    assert summary.missed(steps_workload.REACH) == []


def test_the_same_seed_gives_the_same_log_byte_for_byte_whatever_the_hash_seed():
    logs = {
        subprocess.run(
            [sys.executable, "-c", ONE_LOG],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }

    assert len(logs) == 1
    assert len({line.split()[1] for line in logs.pop().splitlines()}) == 3


def test_what_fires_after_a_clock_has_gone_back_counts():
    """A clock was a year ahead when the campaign began to wait for slots, and all that fired were before that."""

    def register(runtime):
        runtime.jobs.add_handler("tick", lambda job: None)
        runtime.scheduler.add("tick", "* * * * *")

    with Simulation(register) as simulation:
        simulation.run(seconds=90)
        simulation.step_clock(LEAP_SECONDS)
        simulation.run(seconds=1)
        simulation._world.after(1.0, lambda: simulation.step_clock(-LEAP_SECONDS))

        keep_firing(simulation)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_finds_the_place_where_it_is_planted(mutant):
    found = [(ROOT / file).read_text("utf-8").count(old) for file, old, _ in mutant.changes]

    assert found == [1] * len(mutant.changes)


@pytest.mark.parametrize("nodeid", sorted({nodeid for mutant in MUTANTS for nodeid in mutant.test.split()}))
def test_the_test_that_notices_a_mutant_is_there(nodeid):
    file, *names = nodeid.partition("[")[0].split("::")
    text = (ROOT / file).read_text("utf-8")

    # What a class takes from the conformance suite stands there.
    suite = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "support" / "conformance").glob("*.py"))
    assert all(re.search(rf"(def|class) {name}\b", text + suite) for name in names)


def test_the_page_of_mutants_tells_of_each_that_it_was_caught():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)[2:]
    by = {name: caught for _, name, caught in rows}

    assert {(promise, name) for promise, name, _ in rows} == {(mutant.promise, mutant.name) for mutant in MUTANTS}
    assert {mutant.name for mutant in MUTANTS if mutant.test} == {name for name in by if by[name] == "a test"}
    assert all(int(seeds.split()[0]) <= SEEDS_MAX for seeds in by.values() if seeds != "a test")


@pytest.mark.parametrize(
    ("new", "test", "told"),
    [
        (LAST_ATTEMPT + " + 1", "test_the_last_failure_is_fatal_and_the_jobs_own_limit_wins", "a test"),
        (LAST_ATTEMPT, "test_the_last_failure_is_fatal_and_the_jobs_own_limit_wins", "SURVIVED"),
        (LAST_ATTEMPT + " + 1", "test_that_nobody_has_written", "COULD NOT RUN"),
        ("not python", "test_the_last_failure_is_fatal_and_the_jobs_own_limit_wins", "COULD NOT RUN"),
    ],
)
def test_a_mutant_is_caught_by_its_test_if_that_runs_and_fails(new, test, told):
    mutant = Mutant("", "", "rules/lifecycle.py", LAST_ATTEMPT, new, test=f"tests/rules/test_lifecycle.py::{test}")

    caught = hunt(mutant)

    assert (caught.told, caught.by is None) == (told, told != "a test")


def test_a_mutant_whose_seeds_cannot_run_has_not_survived_them(capsys, monkeypatch):
    unimportable = Mutant("", "it", "rules/lifecycle.py", LAST_ATTEMPT, "not python")
    monkeypatch.setattr(mutants, "MUTANTS", [unimportable])

    assert mutants.main(["it"]) == 1

    said = capsys.readouterr().out
    assert "COULD NOT RUN it\n" in said
    assert "SyntaxError" in said
    assert "SURVIVED" not in said
    assert "| could not run |" in mutants.page([hunt(unimportable)], {})


@pytest.mark.timeout(300)
def test_a_bug_that_is_planted_in_the_fence_is_caught():
    (fence,) = [mutant for mutant in MUTANTS if mutant.name == "an ending is stored by its job alone"]

    caught = hunt(fence)

    assert caught.by is not None
    assert "told twice" in caught.says or "disagreement with the store" in caught.says
