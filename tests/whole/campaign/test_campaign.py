"""A share of the campaign, and that it can be trusted: a seed gives the same run again, and planted bugs are caught."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mutants
import pytest
import steps_workload
from lamplighter.testing.simulation.campaign import campaign
from mutants import MUTANTS, Mutant, hunt
from workload import scenario

from ...campaign.test_campaign import SOON_REACHED

CAMPAIGN = Path(mutants.__file__).parent

SEEDS = int(os.environ.get("LAMPLIGHTER_SEEDS", "60"))
"""How many seeds `make test-whole` runs; `make simulate SEEDS=n` runs more, and also looks at what they reach."""

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


@pytest.mark.timeout(600)
def test_no_seed_of_the_campaign_of_steps_breaks_a_promise():
    *_, summary = campaign(steps_workload.scenario, range(6))

    assert [f"seed {failure.seed}: {failure.says}" for failure in summary.failures] == []
    assert summary.missed(steps_workload.REACH) == []


def test_the_same_seed_gives_the_same_log_byte_for_byte_whatever_the_hash_seed():
    logs = {
        subprocess.run(
            [sys.executable, "-c", ONE_LOG],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(CAMPAIGN)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }

    assert len(logs) == 1
    assert len({line.split()[1] for line in logs.pop().splitlines()}) == 3


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
