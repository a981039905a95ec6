"""The cost of one plain job in calls, files and switches of threads, from `queue()` to `join()`; and of the page `/`.

    python bench/calls.py

These are counts, not times: on one version of Python they are the same on every machine, so the tests hold them to
the bounds of bounds.toml. Only functions of the package are counted, in a runtime that is warm: the main thread queues,
one worker thread runs the handler, and events at info go to a file.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from lamplighter import Runtime, configure_logging
from lamplighter.environment import Environment
from lamplighter.environment.replies import may_stand_in
from lamplighter.web import STEER, Visitor, dashboard
from lamplighter.web.faces.http import Request

PACKAGE = "lamplighter."
WARM_UP = 50
JOBS = 300
PAGES = 20
JOIN_SECONDS_MAX = 30.0


class Cost(NamedTuple):
    """The cost of one job.

    Attributes:
        calls: how often a function of the package was called.
        files: in how many of its files.
        switches: how often another thread went on than the one before.
        page: calls for the page `/` of a store with one job name, once the doctor's findings are kept.
    """

    calls: int
    files: int
    switches: int
    page: int = 0


class Recorder:
    """Notes each call of a function of the package, in order, with its thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile function, see `sys.setprofile`."""
        # By the name of the module: where an environment or this file lies in the folder does not matter, and what a
        # dataclass generates counts for the file of its class.
        if event == "call" and (module := frame.f_globals.get("__name__", "")).startswith(PACKAGE):
            self.calls.append((threading.get_ident(), module))

    def cost(self) -> Cost:
        """The cost of the calls since the last time."""
        calls, self.calls = self.calls, []
        threads = [thread for thread, _ in calls]
        switches = sum(one != other for one, other in pairwise(threads))
        return Cost(len(calls), len({module for _, module in calls}), switches)


def one_job(folder: Path) -> Cost:
    """The least of several jobs for each figure: a job may meet a look that the runtime takes now and then."""
    recorder = Recorder()
    threading.setprofile(recorder.profile)
    try:
        configure_logging(folder / "app.log", console=False, level="info")
        runtime = Runtime(folder / "app.db", environment=Environment(may_stand_in=_may_stand_in))
        runtime.jobs.add_handler("nothing", lambda job: None)
        with runtime:
            site = dashboard(runtime, who=lambda request: Visitor("bench", STEER))
            request = Request(method="GET", path="/", headers={"host": "here"})
            page = _least(lambda: site.answer(request), recorder, PAGES).calls
            queue = partial(runtime.jobs.queue, "nothing")
            job = _least(lambda: runtime.jobs.join(queue(), timeout=JOIN_SECONDS_MAX), recorder, JOBS)
            return job._replace(page=page)
    finally:
        threading.setprofile(None)
        for handler in logging.getLogger("lamplighter").handlers[:]:
            logging.getLogger("lamplighter").removeHandler(handler)
            handler.close()


def _may_stand_in() -> bool:
    """As without this counter: a thread with a profiler does no actor's work, and that is another road."""
    profiler = sys.getprofile()
    sys.setprofile(None)
    try:
        return may_stand_in()
    finally:
        sys.setprofile(profiler)


def _least(run: Callable[[], object], recorder: Recorder, times: int) -> Cost:
    for _ in range(WARM_UP):
        run()
    costs = []
    sys.setprofile(recorder.profile)
    try:
        for _ in range(times):
            recorder.calls.clear()
            run()
            costs.append(recorder.cost())
    finally:
        sys.setprofile(None)
    return Cost(*(min(figures) for figures in zip(*costs, strict=True)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for figure, number in one_job(Path(name))._asdict().items():
            print(figure, number)
