"""`lamplighter simulate`: runs a scenario with many seeds, and says what they broke and what they reached."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .application import load

if TYPE_CHECKING:
    from ..testing.simulation.campaign import Summary

REACHED_SHOWN_MAX = 60


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run SCENARIO(seed) for many seeds, on all cores. It runs one simulation, checks it, and returns "
        "what it reached; the module's REACH names what a campaign must reach. Exit code 1 if a seed broke a promise, "
        "or something was never reached."
    )
    parser.add_argument("scenario", metavar="MODULE:SCENARIO")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (one a core)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    scenario, reach = _found(arguments.scenario)
    if arguments.seeds < 1 or arguments.workers < 1:
        raise UsageError("expected --seeds and --workers to be 1 or more")
    from ..testing.simulation.campaign import Summary, campaign

    seeds = range(arguments.first, arguments.first + arguments.seeds)
    began, summary = time.perf_counter(), Summary()
    with _progress(arguments.seeds) as show:
        told = 0
        for summary in campaign(scenario, seeds, workers=arguments.workers):
            show(summary)
            # Told at once: the rest may take hours.
            for failure in summary.failures[told:]:
                print(
                    f"seed {failure.seed}: {failure.says}\n  again: lamplighter simulate {arguments.scenario} "
                    f"--first {failure.seed} --seeds 1\n",
                    flush=True,
                )
            told = len(summary.failures)
    missed = summary.missed(reach)
    for name in missed:
        print(f"never reached: {name}")
    _tell(summary, time.perf_counter() - began)
    return 1 if summary.failures or missed else 0


def _found(name: str) -> tuple[Any, Sequence[str]]:
    """The scenario, and what its module wants to be reached."""
    home, function = load(name, "MODULE:SCENARIO, a function of one seed")
    return function, getattr(home, "REACH", ())


def _tell(summary: Summary, seconds: float) -> None:
    reached = sorted(summary.reached.items(), key=lambda item: (-item[1], item[0]))[:REACHED_SHOWN_MAX]
    width = max((len(name) for name, _ in reached), default=0)
    for name, count in reached:
        print(f"  {name:<{width}}  {count:>10,}")
    if summary.not_run:
        print(f"{len(summary.not_run):,} seeds were not run, or what became of them is not known")
    print(
        f"{summary.seeds:,} simulations, {len(summary.failures)} broke a promise; {seconds:.0f} s, "
        f"{summary.per_core_second:.1f} a second and core"
    )


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Summary], None]]:
    """A bar on a terminal that rich can draw one on; where there is no terminal, a line after each tenth."""
    if not sys.stderr.isatty():
        yield _by_tenths(total)
        return
    try:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda summary: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda summary: bar.update(
            task, completed=summary.seeds, description=f"{len(summary.failures)} broke a promise"
        )


def _by_tenths(total: int) -> Callable[[Summary], None]:
    tenths = 0

    def show(summary: Summary) -> None:
        nonlocal tenths
        before, tenths = tenths, summary.seeds * 10 // total
        if tenths > before:
            broke = f"{len(summary.failures)} broke a promise"
            print(f"{summary.seeds:,} of {total:,} simulations, {broke}", file=sys.stderr, flush=True)

    return show
