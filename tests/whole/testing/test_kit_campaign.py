"""A campaign tells what it has run, and what it has not."""

from __future__ import annotations

import os
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


def test_a_worker_that_dies_names_its_seed_and_its_chunk_which_counts_as_not_run() -> None:
    summary = run(dies_at(CHUNK_SEEDS + 7), range(3 * CHUNK_SEEDS))

    (failure,) = summary.failures
    assert failure.seed == CHUNK_SEEDS + 7
    assert "died with exit code -9" in failure.says
    assert f"the seeds {CHUNK_SEEDS} to {2 * CHUNK_SEEDS - 1}" in failure.says
    assert summary.not_run == list(range(CHUNK_SEEDS, 2 * CHUNK_SEEDS))
    assert (summary.seeds, summary.reached["run"]) == (2 * CHUNK_SEEDS, 2 * CHUNK_SEEDS)


def test_a_worker_that_dies_names_seeds_that_do_not_follow_one_another() -> None:
    (failure,) = run(dies_at(8), [3, 8, 1]).failures

    assert failure.seed == 8
    assert "the seeds 3, 8, 1" in failure.says


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

    assert [failure.seed for failure in summary.failures] == [1]
    assert summary.seeds == 3


def test_workers_of_a_campaign_that_is_given_up_do_not_stay() -> None:
    def scenario(seed: int) -> Any:
        if seed >= CHUNK_SEEDS:
            time.sleep(60)
        return None

    began = time.monotonic()
    with pytest.raises(UsageError):
        run(scenario, range(2 * CHUNK_SEEDS))

    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return None", "expected scenario(seed) to return what it reached, as `simulation.reached`, got: None"),
        ("os.kill(os.getpid(), 9)", "3 seeds were not run, or what became of them is not known"),
    ],
)
def test_the_command_says_so_too(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(f"import os\n\ndef scenario(seed):\n    {body}\n")
    command = [sys.executable, "-m", "lamplighter", "simulate", "mine:scenario", "--seeds", "3", "--workers", "1"]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode != 0
    assert says in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_the_command_says_how_far_it_is_where_there_is_no_terminal(tmp_path: Path) -> None:
    total = 20 * CHUNK_SEEDS
    (tmp_path / "mine.py").write_text("from collections import Counter\n\ndef scenario(seed):\n    return Counter()\n")
    command = [
        sys.executable,
        "-m",
        "lamplighter",
        "simulate",
        "mine:scenario",
        "--seeds",
        str(total),
        "--workers",
        "1",
    ]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

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
        assert f"{CHUNK_SEEDS + 1} simulations, 1 broke a promise" in ran.stdout.read()

    assert ran.returncode == 1
