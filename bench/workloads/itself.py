"""What Lamplighter costs before it does anything and while somebody looks, and how fast its simulation is."""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import big_store
import looking
import pages
import simulations
import tallying
import watched
from packaging.requirements import Requirement

from .base import Bench, Figures, Workload

IMPORT_TIMES = 7
SIMULATIONS = 60
CALIBRATION_LOOPS = 2_000_000
WATCHED_JOBS, WATCHED_ROUNDS = 10_000, 7
TALLIED_JOBS, TALLIED_ROUNDS = 25, 400

IMPORTS = """
import time, {known}
began = time.process_time()
from lamplighter import Runtime
print((time.process_time() - began) * 1000)
"""


def importing(bench: Bench) -> Figures:
    """The processor's time of the import with which an application begins, in fresh interpreters, the least of several:
    what the package depends on is imported first for `import_beyond_ms`.

    `import lamplighter` alone would say nothing: each name of the package is imported when it is asked for first.

    The bytecode is there before, as after an installation. Compiling takes twice as long as importing, and that is
    what would be measured in a checkout where `PYTHONDONTWRITEBYTECODE` is set.
    """
    times, bytecode = max(1, bench.size.of(IMPORT_TIMES)), bench.folder / "bytecode"
    direct, everything = dependencies("lamplighter")
    modules = [name for name, packages in importlib.metadata.packages_distributions().items() if direct & {*packages}]
    with_all, beyond = (
        # The first writes the bytecode.
        min([_import_ms(known, bytecode) for _ in range(1 + times)][1:])
        for known in ("sys", ", ".join(modules))
    )
    return {
        "import_ms": with_all,
        "import_beyond_ms": beyond,
        "dependencies_direct": len(direct),
        "dependencies_all": len(everything),
    }


def _import_ms(known: str, bytecode: Path) -> float:
    code = IMPORTS.format(known=known)
    # Set but empty, it counts as not set.
    surroundings = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""}
    run = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    return float(run.stdout)


def dependencies(package: str) -> tuple[set[str], set[str]]:
    """The packages that it needs itself, and all that are installed with them."""
    direct = _requirements(package)
    found, to_look_at = set(direct), list(direct)
    while to_look_at:
        new = _requirements(to_look_at.pop()) - found
        found |= new
        to_look_at.extend(new)
    return direct, found


def _requirements(package: str) -> set[str]:
    found = (Requirement(text) for text in importlib.metadata.requires(package) or ())
    return {one.name.lower() for one in found if one.marker is None or one.marker.evaluate({"extra": ""})}


def simulating(bench: Bench) -> Figures:
    """Sixty jobs, two handlers, every fault, audited; and as many of them as this machine does in a million loops."""
    before = _calibration_seconds()
    number = bench.size.of(SIMULATIONS)
    seconds = simulations.simulate(number)
    loop = (before + _calibration_seconds()) / 2
    return {"per_second": number / seconds, "per_calibration": number / seconds * loop}


def looking_at(bench: Bench) -> Figures:
    """The command on a file of two million jobs: the processor's time, next to that of a Python that does nothing."""
    path, rounds = bench.folder / "jobs.db", max(1, bench.size.of(looking.ROUNDS))
    big_store.fill(path, bench.size.of(big_store.JOBS))

    def starts(command: str) -> float:
        return looking.cost_of(command, path, rounds).starts

    return {
        "help_starts": starts(looking.HELP),
        "health_starts": starts(looking.HEALTH),
        "slowest_starts": max(map(starts, looking.commands(path))),
    }


def paging(bench: Bench) -> Figures:
    """The page over the same file: what each of its pages costs the server's processor."""
    path = bench.folder / "jobs.db"
    big_store.fill(path, bench.size.of(big_store.JOBS))
    _, nothing = looking.timed(looking.NOTHING, path)
    slowest = max(processor for _, _, processor, _ in pages.costs(path))
    return {"slowest_page_ms": slowest, "slowest_starts": slowest / nothing}


def watching(bench: Bench) -> Figures:
    """What it costs a worker that three browsers look at its store, next to nobody looking."""
    jobs, rounds = bench.size.of(WATCHED_JOBS), max(1, bench.size.of(WATCHED_ROUNDS))
    processor, clock = watched.ratios(list(watched.measured(bench.folder, jobs, rounds)))
    return {"watched_ratio": processor, "watched_clock_ratio": clock}


def counting(bench: Bench) -> Figures:
    """Jobs one by one, counted for whoever looks at sums of them, next to the same uncounted."""
    pairs = tallying.measured(bench.folder, TALLIED_JOBS, max(1, bench.size.of(TALLIED_ROUNDS)))
    return {"tallied_ratio": statistics.median(pair.counted / pair.uncounted for pair in pairs)}


def _calibration_seconds() -> float:
    """The processor's time for a plain loop, so that a slower machine is not taken for slower code."""
    used, total = time.process_time(), 0
    for number in range(CALIBRATION_LOOPS):
        total += number & 7
    return time.process_time() - used


WORKLOADS = (
    Workload(id="import", title="from lamplighter import Runtime", run=importing),
    Workload(id="looking", title="a command on two million jobs", run=looking_at, when="long"),
    Workload(id="pages", title="the page on two million jobs", run=paging, when="long"),
    Workload(id="watched", title="10,000 jobs while three browsers look", run=watching),
    Workload(id="tallied", title="jobs one by one, counted", run=counting),
    Workload(id="simulation", title="simulations of 60 jobs", run=simulating),
)
