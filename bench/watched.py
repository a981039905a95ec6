"""What does it cost a runtime that three browsers look at it? It drains jobs with nobody looking, and with three that
each follow the page's stream and read a page again whenever it says so, in turn: by its own processor time, and by the
clock, which on two cores is also that of the server and the browsers.

python bench/watched.py [--jobs 10000] [--rounds 7]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import uvicorn
from lamplighter.web import STEER, Visitor, dashboard

PAGES = ("/", "/jobs", "/runtimes")
"""What the three look at."""

WORKER = """
import sys, time
from lamplighter import Runtime
runtime = Runtime(sys.argv[1])
runtime.jobs.add_handler("work", lambda job: None)
with runtime:
    began, clock = time.process_time(), time.perf_counter()
    runtime.jobs.queue_many([("work", None) for _ in range(int(sys.argv[2]))])
    while runtime.jobs.counts()["queued"]:
        runtime.jobs.join(runtime.jobs.queue("work"))
    print(time.process_time() - began, time.perf_counter() - clock)
"""


class Browser(threading.Thread):
    """Follows the stream, and reads its page again as often as that says so."""

    def __init__(self, port: int, page: str) -> None:
        super().__init__(daemon=True)
        self.reads = 0
        self._port = port
        self._page = page
        self.start()

    def run(self) -> None:
        """Until the server leaves."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            stream = self._get("/live")
            for line in stream:
                if line.startswith(b"event: stale"):
                    self._get(self._page).read()
                    self.reads += 1

    def _get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", path)
        return connection.getresponse()


@contextlib.contextmanager
def looked_at(store: Path) -> Iterator[list[Browser]]:
    """For as long as the block lasts, three browsers on a store."""
    site = dashboard(store, who=lambda request: Visitor("bench", STEER))
    config = uvicorn.Config(site.asgi, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield [Browser(listening.getsockname()[1], page) for page in PAGES]
    server.should_exit = True
    thread.join()


class Drain(NamedTuple):
    """How many seconds a process takes for its jobs: of the processor, and by the clock."""

    processor: float
    clock: float


def drained(store: Path, jobs: int) -> Drain:
    """What a process takes for so many jobs."""
    command = [sys.executable, "-P", "-c", WORKER, str(store), str(jobs)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Drain(*map(float, said))


def measured(folder: Path, jobs: int, rounds: int) -> Iterator[tuple[Drain, Drain, int]]:
    """Drains with nobody looking, and with three who look, and how many pages these have read; now the one is first,
    now the other.
    """
    for number in range(rounds):
        drains: dict[bool, Drain] = {}
        reads = 0
        for is_watched in (number % 2 == 1, number % 2 == 0):
            store = folder / f"{number}-{is_watched}.db"
            drained(store, 1)
            with looked_at(store) if is_watched else contextlib.nullcontext([]) as browsers:
                drains[is_watched] = drained(store, jobs)
            reads += sum(browser.reads for browser in browsers)
        yield drains[False], drains[True], reads


def ratios(drains: Sequence[tuple[Drain, Drain, int]]) -> Drain:
    """How many times as much three who look make it: the median of the pairs."""
    return Drain(*(median(watched[at] / alone[at] for alone, watched, _ in drains) for at in range(len(Drain._fields))))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drains = list(measured(Path(folder), given.jobs, given.rounds))
    print(f"pages read: {', '.join(str(reads) for _, _, reads in drains)}")
    for at, (says, ratio) in enumerate(ratios(drains)._asdict().items()):
        alone, watched = (median(one[of][at] for one in drains) for of in (0, 1))
        print(f"{says}: {alone:.2f} s with nobody looking, {watched:.2f} s with three; {ratio:.3f} times in a pair")


if __name__ == "__main__":
    main()
