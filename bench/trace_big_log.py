"""How long each question to `lamplighter trace` takes on a big log, and how many lines a second the audit reads.

    python bench/trace_big_log.py [--gigabytes 1] [--level debug] [--rounds 5]

The log is that of a real run, told again and again as the next lives of a runtime on the same store: with jobs, times,
numbers and revisions of its own each time, between other lines of its host's. The last life is cut off in its middle,
so that jobs are open there. Each question is asked once to warm the file up, then so many rounds; medians are printed,
of the whole command from its start to its end. On a machine that does other work, the processors' time says more.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import structlog
from lamplighter import Job, Runtime, configure_logging
from lamplighter.history.log_files.lines import line_of
from lamplighter.history.replay.replay import sum_of

JOBS = 5_000
"""Of one life."""

BATCH = 50
"""Jobs that are queued at once."""

HOST_LINES = 3
"""That the host writes for each job, beside those of Lamplighter's."""

POLL_SECONDS = 0.05

WRITE_BYTES = 1 << 20

Said = dict[str, Any]


def real_run(folder: Path, level: str) -> list[Said]:
    """Every line of a run with jobs that succeed, fail once, sleep and come from a schedule."""
    path = folder / "run.log"
    logging.getLogger("pykka").setLevel(logging.INFO)
    configure_logging(path, console=False, level=level)
    runtime, host = Runtime(folder / "jobs.db"), structlog.get_logger()
    runtime.jobs.add_handler("send-mail", lambda job: None, concurrency=4)
    runtime.jobs.add_handler("fetch", fetch, concurrency=2, max_attempts=3, backoff=[0.0])
    runtime.jobs.add_handler("tidy", lambda job: None)
    runtime.scheduler.add("tidy", "@every 1s")
    with runtime:
        for first in range(0, JOBS, BATCH):
            batch = range(first, first + BATCH)
            runtime.jobs.queue_many([("fetch" if n % 25 == 0 else "send-mail", {"n": n}) for n in batch])
            for n in batch:
                for part in range(HOST_LINES):
                    host.info("request.served", path=f"/mails/{n}/{part}", status=200)
            while (counts := runtime.jobs.counts())["queued"] + counts["running"] > 2 * BATCH:
                time.sleep(POLL_SECONDS / 10)
        while (counts := runtime.jobs.counts())["queued"] + counts["running"]:
            time.sleep(POLL_SECONDS)
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def fetch(job: Job) -> None:
    """A job that fails at first."""
    if job.attempt == 1:
        raise ConnectionError("reset by peer")


def lives(run: list[Said]) -> Iterator[list[bytes]]:
    """The lines of one life after another."""
    slots = [move["t"] for said in run for move in said.get("moves", ()) if "t" in move]
    # So the first slot of a life follows the last of the one before, and none passes that nobody accounts for.
    seconds = float(int(max(slots) - min(slots)) + 1)
    encode = msgspec.json.Encoder().encode
    number = 0
    while True:
        yield [encode(_later(said, number, number * seconds)) + b"\n" for said in run]
        number += 1


def _later(said: Said, number: int, seconds: float) -> Said:
    told = dict(said)
    for name in ("ts", "slot", "run_at"):
        if name in told:
            told[name] = round(told[name] + seconds, 6)
    for name in ("job_id", "corr"):
        if name in told:
            told[name] = _id(told[name], number, seconds)
    for name in ("boot", "of", "told_by"):
        if name in told:
            told[name] = f"{number:04x}{told[name][4:]}"
    if "boot_no" in told:
        told["boot_no"] += number
    if "moves" in told:
        told["at"] = round(told["at"] + seconds, 6)
        told["moves"] = [_moved(move, number, seconds) for move in told["moves"]]
        told["crc"] = sum_of(line_of(told))
    return told


def _moved(move: Said, number: int, seconds: float) -> Said:
    told = {**move, **({"j": _id(move["j"], number, seconds)} if "j" in move else {})}
    return told | {key: round(move[key] + seconds, 6) for key in ("u", "t", "l", "w") if key in move}


def _id(text: str, number: int, seconds: float) -> str:
    """A job's id in another life; one that its slot gave it follows the slot."""
    schedule, dash, slot = text.rpartition("-")
    if dash:
        return f"{schedule}-{float(slot) + seconds:g}" if "." in slot else f"{schedule}-{int(slot) + int(seconds)}"
    return f"{number:06x}{text[6:]}"


def write(path: Path, run: list[Said], size: int) -> tuple[int, list[bytes]]:
    """Lives until the log has about this size, and half a life; how many lines it has, and those of the half."""
    count, written = 0, 0
    with path.open("wb", buffering=WRITE_BYTES) as out, closing(lives(run)) as told:
        for life in told:
            whole = written + sum(map(len, life)) < size
            kept = life if whole else life[: len(life) // 2]
            out.writelines(kept)
            count, written = count + len(kept), written + sum(map(len, kept))
            if not whole:
                return count, kept
    raise AssertionError("expected lives without an end")


def seconds_of(arguments: Sequence[str]) -> tuple[float, float]:
    """How long a run of the command takes, its start included, and how much of the processors' time."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "lamplighter", *arguments], stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SystemExit(f"expected lamplighter {' '.join(arguments)} to exit with 0, got: {done.returncode}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def questions(half: list[bytes]) -> dict[str, list[str]]:
    """All that can be asked, about jobs and instants at the end of the log, and in its middle."""
    said = [msgspec.json.decode(line) for line in half]
    job_id = next(one["job_id"] for one in said if one["event"] == "job.done")
    schedule = next(one["schedule"] for one in said if one["event"] == "schedule.added")
    return {
        "JOB_ID": [job_id],
        "--corr": ["--corr", job_id],
        "--schedule": ["--schedule", schedule],
        "--actor handler": ["--actor", "handler:fetch"],
        "--actor broker": ["--actor", "broker"],
        "--at the end": ["--at", str(said[-1]["ts"])],
    }


def main() -> None:
    """Make the log, ask, and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gigabytes", type=float, default=1.0)
    options.add_argument("--level", choices=("debug", "info"), default="debug")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = real_run(folder, given.level)
        log = folder / "big.log"
        count, half = write(log, run, int(given.gigabytes * (1 << 30)))
        print(f"{log.stat().st_size / 1e9:.2f} GB, {count:,} lines at {given.level}, the host's among them")
        asked = questions(half)
        if given.level == "info":
            # Lives and deaths of healthy actors stand at debug.
            asked = {name: arguments for name, arguments in asked.items() if not name.startswith("--actor")}
        asked["--at the middle"] = ["--at", str((run[0]["ts"] + msgspec.json.decode(half[-1])["ts"]) / 2)]
        for name, arguments in asked.items():
            seconds_of(["trace", *arguments, str(log)])
            runs = [seconds_of(["trace", *arguments, str(log)]) for _ in range(given.rounds)]
            print(f"trace {name:16} {told(runs)}")
        runs = [seconds_of(["audit", str(log)]) for _ in range(given.rounds)]
        rate = count / statistics.median(used for _, used in runs)
        print(f"audit {told(runs)}; {rate:,.0f} lines a second of processor")


def told(runs: list[tuple[float, float]]) -> str:
    """Medians, and the span of the first."""
    seconds = [seconds for seconds, _ in runs]
    used = statistics.median(used for _, used in runs)
    return f"{statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), {used:.2f} s of processor"


if __name__ == "__main__":
    main()
