"""What schedules cost: memory, adding, waiting, firing.

    python bench/schedules.py [--schedules 100000] [--seconds 20] [add memory idle neighbour due]

add: how many a second `add_many` takes, when many share an expression and when each has its own.
memory: bytes of each schedule, beyond its data, as Python counts them and as the system does.
idle: processor time and wake-ups of a runtime that waits, without schedules and with many that are not due.
neighbour: the same beside another process that works on the file.
due: a hundred fire each second, among many that do not: how long after its slot each job starts.

Each measurement runs in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lamplighter import Job, Runtime

Adding = dict[str, Any]

SHARED_EXPRESSIONS = 60
DUE_EACH_SECOND = 100
SETTLE_SECONDS = 3.0
"""After an act, before the waiting is measured."""

NEIGHBOUR_PAUSE_SECONDS = 0.02
"""Between two jobs of a busy neighbour."""


def quiet_runtime(path: Path) -> Runtime:
    """A runtime whose log nobody hears."""
    logger = logging.getLogger("bench.off")
    logger.setLevel(logging.CRITICAL)
    return Runtime(path, logger=logger)


def shared(number: int) -> Adding:
    """Not due while this runs; a few expressions for all."""
    return {"name": "later", "when": f"{number % SHARED_EXPRESSIONS} 3 1 1 *", "key": f"k{number}"}


def own(number: int) -> Adding:
    """Not due while this runs; hardly two have the same expression."""
    minute, hour, day = number % 60, number // 60 % 24, number // 1440 % 28 + 1
    return {"name": "later", "when": f"{number // 40320} {minute} {hour} {day} 1 *", "key": f"k{number}"}


def many(count: int, make: Callable[[int], Adding]) -> list[Adding]:
    """The arguments of so many."""
    return [make(number) for number in range(count)]


def resident_bytes() -> int:
    """Of this process, as the system counts."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wake_ups() -> int:
    """How often a thread of this process has waited for something and gone on."""
    switches = 0
    for status in Path("/proc/self/task").glob("*/status"):
        lines = status.read_text().splitlines()
        switches += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return switches


def waiting_costs(seconds: float) -> tuple[float, float]:
    """Per cent of a core, and wake-ups a second, of a process that is left alone."""
    gc.collect()
    time.sleep(SETTLE_SECONDS)
    # Reading the clocks and the counters wakes a thread too, once.
    cpu, woken, began = time.process_time(), wake_ups(), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    return 100 * (time.process_time() - cpu) / took, (wake_ups() - woken) / took


def measure_add(folder: Path, count: int, seconds: float) -> Iterator[str]:
    """Schedules a second."""
    for label, make in (("share expressions", shared), ("have their own", own)):
        wanted = many(count, make)
        with quiet_runtime(folder / f"{make.__name__}.db") as runtime:
            began = time.perf_counter()
            cpu = time.process_time()
            runtime.scheduler.add_many(wanted)
            cpu = time.process_time() - cpu
            took = time.perf_counter() - began
            began = time.perf_counter()
            runtime.scheduler.add_many(wanted)
            again = time.perf_counter() - began
        began = time.perf_counter()
        with runtime:
            started = time.perf_counter() - began
        yield (
            f"add_many of {count} that {label}: {count / took:,.0f} a second ({1e6 * cpu / count:.0f} us of processor "
            f"time each), again {count / again:,.0f}; "
            f"a start that declares them {count / started:,.0f}"
        )


def measure_memory(folder: Path, count: int, seconds: float) -> Iterator[str]:
    """Bytes of each schedule."""
    for durable in (False, True):
        for make in (shared, own):
            for traced in (False, True):
                path = folder / f"{make.__name__}-{durable}-{traced}.db"
                yield in_a_process(_memory_of, path, count, make, durable, traced)


def _memory_of(path: Path, count: int, make: Callable[[int], Adding], durable: bool, traced: bool) -> str:
    with quiet_runtime(path) as runtime:
        for first in range(2):
            runtime.scheduler.add_many([{**make(first), "durable": durable, "key": f"warm {first}"}])
        time.sleep(SETTLE_SECONDS)
        gc.collect()
        if traced:
            tracemalloc.start()
        before = resident_bytes()
        step = 10_000
        for first in range(0, count, step):
            runtime.scheduler.add_many(
                {**make(number), "durable": durable} for number in range(first, min(first + step, count))
            )
        time.sleep(SETTLE_SECONDS)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] if traced else resident_bytes() - before
    how = "by tracemalloc" if traced else "resident"
    kind = "durable" if durable else "declared"
    return f"{count} {kind} schedules, {make.__name__} expressions: {grown / count:,.0f} bytes each, {how}"


def measure_idle(folder: Path, count: int, seconds: float) -> Iterator[str]:
    """What waiting costs."""
    for number in (0, count):
        yield in_a_process(_idle, folder / f"idle-{number}.db", number, seconds)


def _idle(path: Path, count: int, seconds: float) -> str:
    with quiet_runtime(path) as runtime:
        runtime.scheduler.add_many(many(count, shared))
        cpu, woken = waiting_costs(seconds)
    return f"idle with {count} schedules: {cpu:.3f} % of a core, {woken:.1f} wake-ups a second"


def measure_neighbour(folder: Path, count: int, seconds: float) -> Iterator[str]:
    """What waiting costs beside a process that works."""
    for number, busy in ((count, False), (0, True), (count, True)):
        path = folder / f"beside-{number}-{busy}.db"
        stop = multiprocessing.get_context("spawn").Event()
        neighbour = multiprocessing.get_context("spawn").Process(target=_neighbour, args=(path, busy, stop))
        neighbour.start()
        try:
            yield in_a_process(_beside, path, number, busy, seconds)
        finally:
            stop.set()
            neighbour.join()


def _neighbour(path: Path, busy: bool, stop: Any) -> None:
    with quiet_runtime(path) as runtime:
        runtime.jobs.add_handler("work", print)
        runtime.jobs.pause("work")
        while not stop.wait(NEIGHBOUR_PAUSE_SECONDS):
            if busy:
                runtime.jobs.queue("work")


def _beside(path: Path, count: int, busy: bool, seconds: float) -> str:
    with quiet_runtime(path) as runtime:
        runtime.scheduler.add_many(many(count, shared))
        cpu, woken = waiting_costs(seconds)
    kind = "a busy" if busy else "an idle"
    return f"beside {kind} process, with {count} schedules: {cpu:.3f} % of a core, {woken:.1f} wake-ups a second"


def measure_due(folder: Path, count: int, seconds: float) -> Iterator[str]:
    """How late jobs start."""
    yield in_a_process(_due, folder / "due.db", count, seconds)


def _due(path: Path, count: int, seconds: float) -> str:
    late: list[float] = []
    fired: list[float] = []
    enough = threading.Event()
    wanted = int(DUE_EACH_SECOND * seconds)

    def started(job: Job) -> None:
        late.append(time.time() - job.slot.timestamp())
        if len(late) >= wanted:
            enough.set()

    with quiet_runtime(path) as runtime:
        runtime.jobs.add_handler("now", started, concurrency=8)
        runtime.scheduler.add_many(many(count, shared))
        time.sleep(SETTLE_SECONDS)
        runtime.subscribe(lambda event: fired.append(event["ts"] - event["slot"]), events=["slot.fired"])
        runtime.scheduler.add_many(
            {"name": "now", "when": "* * * * * *", "key": f"due {number}"} for number in range(DUE_EACH_SECOND)
        )
        cpu, began = time.process_time(), time.perf_counter()
        enough.wait(seconds * 10)
        share = 100 * (time.process_time() - cpu) / (time.perf_counter() - began)
    return (
        f"{DUE_EACH_SECOND} due each second among {count}: slot to job start {_quantiles(late)}, "
        f"slot to line of its firing {_quantiles(fired)}; {share:.0f} % of a core"
    )


def _quantiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"p50 {1000 * statistics.median(ordered):.1f} ms, p99 {1000 * p99:.1f} ms, most {1000 * ordered[-1]:.1f} ms"


def in_a_process(fn: Callable[..., Any], *args: Any) -> Any:
    """What a function gives in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(fn, args)


MEASUREMENTS = {
    "add": measure_add, "memory": measure_memory, "idle": measure_idle, "neighbour": measure_neighbour,
    "due": measure_due,
}  # fmt: skip


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurements", nargs="*", metavar="measurement", help=", ".join(MEASUREMENTS))
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    unknown = set(given.measurements) - MEASUREMENTS.keys()
    if unknown:
        parser.error(f"expected measurements among {', '.join(MEASUREMENTS)}, got: {', '.join(sorted(unknown))}")
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores")
    for name in given.measurements or MEASUREMENTS:
        with tempfile.TemporaryDirectory() as folder:
            for line in MEASUREMENTS[name](Path(folder), given.schedules, given.seconds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
