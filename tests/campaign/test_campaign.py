"""A small share of the campaign, and that its planted bugs are where they were, with the tests that notice them."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from lamplighter.testing import Simulation
from lamplighter.testing.simulation.faults import LEAP_SECONDS
from mutants import MUTANTS, PAGE, ROOT, SEEDS_MAX
from workload import REACH, keep_firing, scenario

SEEDS = 6
"""So many reach all of `SOON_REACHED`, and five do not. tests/whole/campaign runs more, in processes of their own."""

SOON_REACHED = ("kill_process", "crash_actor", "commit_unknown", "job.fenced", "runtime.recovered", "turn.recovered")


def test_the_first_seeds_break_no_promise():
    reached = sum(map(scenario, range(SEEDS)), Counter())

    assert [name for name in SOON_REACHED if not reached[name]] == []
    assert not {name for name in SOON_REACHED if name not in REACH}


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
