"""Hosts that a workload needs beside its own process, each started as `python bench/hosts.py WHAT FILE ...`.

They say on standard output what they have done, a line of JSON each time, and obey lines on standard input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lamplighter import Job, LamplighterError, Runtime
from measuring import idle_for, resident_bytes
from peers.variants import silent

FILL_BATCH_JOBS = 5_000
PRODUCERS = 8


class Host:
    """Such a process, for who started it."""

    def __init__(self, what: str, file: Path | str, *arguments: float) -> None:
        command = [sys.executable, __file__, what, str(file), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line: str) -> None:
        """Tell it to go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next thing that it says.

        Raises:
            RuntimeError: it ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"expected {self.process.args} to say something, but it ended: {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def fill(file: str, jobs: int) -> None:
    """Queue so many jobs, and end."""
    with Runtime(file, logger=silent()) as runtime:
        for first in range(0, jobs, FILL_BATCH_JOBS):
            runtime.jobs.queue_many(
                [("nothing", number) for number in range(first, min(first + FILL_BATCH_JOBS, jobs))]
            )
    _say(queued=jobs)


def hold(file: str, jobs: int) -> None:
    """Have so many jobs in flight, and wait to be killed."""
    running = 0
    all_of_them = threading.Event()

    async def wait_for_ever(job: Job) -> None:
        nonlocal running
        running += 1
        if running == jobs:
            all_of_them.set()
        await asyncio.Event().wait()

    runtime = Runtime(file, logger=silent()).start()
    runtime.jobs.add_handler("nothing", wait_for_ever, concurrency=jobs)
    runtime.jobs.queue_many([("nothing", number) for number in range(jobs)])
    all_of_them.wait()
    _say(running=runtime.jobs.counts("nothing")["running"])
    threading.Event().wait()


def mate(file: str, seconds: float) -> None:
    """Queue from several threads and work, at the same time, for so many seconds from when it is told to begin."""
    ran, queued, refused = 0, [0] * PRODUCERS, 0
    until = 0.0

    def nothing(job: Job) -> None:
        nonlocal ran
        if time.perf_counter() < until:
            ran += 1

    def produce(place: int) -> None:
        nonlocal refused
        while time.perf_counter() < until:
            try:
                runtime.jobs.queue("nothing", place)
                queued[place] += 1
            except LamplighterError:
                refused += 1

    locked: list[dict[str, Any]] = []
    runtime = Runtime(file, logger=silent()).start()
    runtime.subscribe(locked.append, events=["store.unavailable"])
    runtime.jobs.add_handler("nothing", nothing)
    _say(ready=True)
    sys.stdin.readline()
    until = time.perf_counter() + seconds
    threads = [threading.Thread(target=produce, args=(place,)) for place in range(PRODUCERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _say(ran=ran, queued=sum(queued), refused=refused, locked=len(locked))
    sys.stdin.readline()


def sit(file: str, seconds: float) -> None:
    """Do nothing, with a handler, and say what that costs each time that it is asked."""
    with Runtime(file, logger=silent()) as runtime:
        runtime.jobs.add_handler("nothing", lambda job: None)
        _say(ready=True)
        while sys.stdin.readline():
            _say(**idle_for(seconds), resident_mb=resident_bytes() / 1e6)


def drain(url: str, _: float) -> None:
    """Work off what is queued, and say how much that was each time that it is asked."""
    ran = 0

    def nothing(job: Job) -> None:
        nonlocal ran
        ran += 1

    with Runtime(url, logger=silent()) as runtime:
        runtime.jobs.add_handler("nothing", nothing)
        _say(ready=True)
        while sys.stdin.readline():
            _say(ran=ran)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    WHAT = {"fill": fill, "hold": hold, "mate": mate, "sit": sit, "drain": drain}
    number = float(sys.argv[3])
    WHAT[sys.argv[1]](sys.argv[2], int(number) if number.is_integer() else number)  # type: ignore[operator]
