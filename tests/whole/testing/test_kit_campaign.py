"""A campaign tells what it has run, and what it has not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lamplighter import UsageError
from lamplighter.testing.simulation.campaign import CHUNK_SEEDS, Summary, campaign


def run(scenario: Any, seeds: Any, **options: Any) -> Summary:
    *_, summary = campaign(scenario, seeds, workers=2, **options)
    return summary


def dies_at(*seeds: int) -> Any:
    def scenario(seed: int) -> Counter[str]:
        if seed in seeds:
            os.kill(os.getpid(), signal.SIGKILL)
        return Counter(run=1)

    return scenario


def test_all_seeds_are_run_and_what_they_reached_is_added_up() -> None:
    summary = run(lambda seed: Counter(even=1 - seed % 2, odd=seed % 2), range(2 * CHUNK_SEEDS + 1))

    assert (summary.seeds, summary.not_run, summary.failures) == (2 * CHUNK_SEEDS + 1, [], [])
    assert summary.reached == {"even": CHUNK_SEEDS + 1, "odd": CHUNK_SEEDS}


def test_the_processor_time_of_all_chunks_is_added_up() -> None:
    def scenario(seed: int) -> Counter[str]:
        until = time.process_time() + 0.002
        while time.process_time() < until:
            pass
        return Counter()

    used = [summary.cpu_seconds for summary in campaign(scenario, range(3 * CHUNK_SEEDS), workers=1)]

    assert all(number * 0.002 * CHUNK_SEEDS <= seconds for number, seconds in enumerate(used, start=1)), used


@pytest.mark.parametrize(("failures_max", "seeds"), [(CHUNK_SEEDS, CHUNK_SEEDS), (CHUNK_SEEDS + 1, 2 * CHUNK_SEEDS)])
def test_a_campaign_ends_with_the_chunk_of_the_last_failure_that_is_wanted(failures_max: int, seeds: int) -> None:
    def scenario(seed: int) -> Counter[str]:
        raise ValueError

    *_, summary = campaign(scenario, range(3 * CHUNK_SEEDS), workers=1, failures_max=failures_max)

    assert (summary.seeds, len(summary.failures)) == (seeds, seeds)


def test_a_worker_that_dies_names_its_seed_and_its_chunk_which_counts_as_not_run() -> None:
    summary = run(dies_at(CHUNK_SEEDS + 7), range(3 * CHUNK_SEEDS))

    (failure,) = summary.failures
    assert failure.seed == CHUNK_SEEDS + 7
    assert "died with exit code -9" in failure.says
    assert f"the seeds {CHUNK_SEEDS} to {2 * CHUNK_SEEDS - 1}" in failure.says
    assert summary.not_run == list(range(CHUNK_SEEDS, 2 * CHUNK_SEEDS))
    assert (summary.seeds, summary.reached["run"]) == (2 * CHUNK_SEEDS, 2 * CHUNK_SEEDS)


@pytest.mark.parametrize(
    ("count", "named"), [(3, "8, 6, 4"), (8, "8, 6, 4, 2, 0, -2, -4, -6"), (9, "8, 6, 4, 2, 0, -2, -4, -6 and 1 more")]
)
def test_a_worker_that_dies_names_seeds_that_do_not_follow_one_another(count: int, named: str) -> None:
    (failure,) = run(dies_at(6), range(8, 8 - 2 * count, -2)).failures

    assert failure.seed == 6
    assert failure.says == f"its worker died with exit code -9; not run, or not known, are the seeds {named}"


@pytest.mark.parametrize("answer", [None, 7, True])
def test_a_scenario_that_does_not_return_what_it_reached_is_a_usage_error(answer: Any) -> None:
    def scenario(seed: int) -> Any:
        return answer

    with pytest.raises(UsageError, match=rf"expected scenario\(seed\) to return what it reached.*got: {answer!r}"):
        run(scenario, range(3))


def test_a_scenario_that_raises_a_usage_error_fails_at_that_seed_and_the_others_run() -> None:
    def scenario(seed: int) -> Counter[str]:
        if seed == 1:
            raise UsageError("wrong")
        return Counter()

    summary = run(scenario, range(3))

    (failure,) = summary.failures
    assert (failure.seed, summary.seeds) == (1, 3)
    # Whoever reads it sees where it was raised, which nobody needs to know of a violation.
    first, *_, raised, last = failure.says.splitlines()
    assert (first, raised.strip(), last) == (
        "Traceback (most recent call last):",
        'raise UsageError("wrong")',
        "lamplighter.errors.UsageError: wrong",
    )


def test_workers_of_a_campaign_that_is_given_up_do_not_stay() -> None:
    def scenario(seed: int) -> Any:
        if seed >= CHUNK_SEEDS:
            time.sleep(60)
        return None

    began = time.monotonic()
    with pytest.raises(UsageError):
        run(scenario, range(2 * CHUNK_SEEDS))

    assert time.monotonic() - began < 30


def simulate(folder: Path, *options: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command on the scenario of `mine.py`."""
    command = [sys.executable, "-m", "lamplighter", "simulate", "mine:scenario", "--workers", "1", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=check)


COUNTS = """
from collections import Counter
from lamplighter.testing.simulation.verdict import Violation

REACH = {reach}

def scenario(seed):
    if seed == 5:
        raise Violation("five is broken")
    counts = Counter({{"even": 1 - seed % 2, "odd": seed % 2, "seventh": 1_000 * (seed == 7)}})
    return +counts
"""

BROKEN = """seed 5: five is broken
  again: lamplighter simulate mine:scenario --first 5 --seeds 1

"""
MISSED = "never reached: nothing\n"
SEVEN = "  seventh       1,000\n  even              1\n  odd               1\n"


@pytest.mark.parametrize(
    ("first", "seeds", "reach", "code", "says"),
    [
        (4, 3, ["even", "nothing"], 1, f"{BROKEN}{MISSED}  even           2\n3 simulations, 1 broke a promise"),
        (4, 3, ["even"], 1, f"{BROKEN}  even           2\n3 simulations, 1 broke a promise"),
        (6, 2, ["nothing", "even"], 1, f"{MISSED}{SEVEN}2 simulations, 0 broke a promise"),
        (6, 2, ["even", "odd", "seventh"], 0, f"{SEVEN}2 simulations, 0 broke a promise"),
    ],
)
def test_the_command_tells_all_that_a_campaign_broke_missed_and_reached(
    tmp_path: Path, first: int, seeds: int, reach: list[str], code: int, says: str
) -> None:
    (tmp_path / "mine.py").write_text(COUNTS.format(reach=reach))

    began = time.monotonic()
    ran = simulate(tmp_path, "--first", str(first), "--seeds", str(seeds))
    lasted = time.monotonic() - began

    told, _, speed = ran.stdout.rpartition("; ")
    assert (ran.returncode, told) == (code, says)
    (seconds,) = re.fullmatch(r"(\d+) s, [\d.]+ a second and core\n", speed).groups()  # type: ignore[union-attr]
    assert int(seconds) <= lasted + 1


def test_the_command_has_as_many_workers_as_was_said(tmp_path: Path) -> None:
    workers = (os.cpu_count() or 1) + 1
    text = f"""
    import multiprocessing
    from collections import Counter

    MEET = multiprocessing.get_context("fork").Barrier({workers})

    def scenario(seed):
        if seed % {CHUNK_SEEDS} == 0:
            MEET.wait(20)
        return Counter()
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(text))

    ran = simulate(tmp_path, "--seeds", str(workers * CHUNK_SEEDS), "--workers", str(workers))

    assert (ran.returncode, ran.stdout.partition("; ")[0]) == (
        0,
        f"{workers * CHUNK_SEEDS} simulations, 0 broke a promise",
    )


@pytest.mark.parametrize("option", ["--seeds", "--workers"])
def test_a_campaign_of_nothing_is_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "mine.py").write_text(COUNTS.format(reach=[]))

    ran = simulate(tmp_path, option, "0")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "expected --seeds and --workers to be 1 or more" in ran.stderr


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return None", "expected scenario(seed) to return what it reached, as `simulation.reached`, got: None"),
        ("os.kill(os.getpid(), 9)", "3 seeds were not run, or what became of them is not known"),
    ],
)
def test_the_command_says_so_too(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(f"import os\n\ndef scenario(seed):\n    {body}\n")

    ran = simulate(tmp_path, "--seeds", "3")

    assert ran.returncode != 0
    assert says in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_the_command_says_how_far_it_is_where_there_is_no_terminal(tmp_path: Path) -> None:
    total = 20 * CHUNK_SEEDS
    (tmp_path / "mine.py").write_text("from collections import Counter\n\ndef scenario(seed):\n    return Counter()\n")

    ran = simulate(tmp_path, "--seeds", str(total), check=True)

    tenths = [f"{n * total // 10:,} of {total:,} simulations, 0 broke a promise" for n in range(1, 11)]
    assert ran.stderr.splitlines() == tenths


def test_the_command_tells_what_broke_while_the_rest_still_runs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    text = f"""
    from collections import Counter

    def scenario(seed):
        assert seed != 3, "broken"
        if seed == {CHUNK_SEEDS}:
            open("go").read()
        return Counter()
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(text))
    seeds = ["--seeds", str(CHUNK_SEEDS + 1), "--workers", "1"]
    command = [sys.executable, "-m", "lamplighter", "simulate", "mine:scenario", *seeds]

    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline().startswith("seed 3: ")
        (tmp_path / "go").write_text("")
        rest = ran.stdout.read()
        assert "seed 3: " not in rest
        assert f"{CHUNK_SEEDS + 1} simulations, 1 broke a promise" in rest

    assert ran.returncode == 1
