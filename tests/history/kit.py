"""Real logs for the tests of what reads them, and ways to spoil them."""

from __future__ import annotations

import functools
import json
import logging
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from lamplighter import Discard, Job, JobFailed, Runtime, Snooze
from lamplighter.history.audit.audit import Audit
from lamplighter.history.audit.report import Report
from lamplighter.history.audit.store_view import StoreView

HOST = Path(__file__).parent / "hosts" / "talker.py"
WAIT_SECONDS_MAX = 30.0

Said = dict[str, Any]


class Run(NamedTuple):
    """A run of a runtime: what it has logged, and the store that it has left."""

    lines: tuple[Said, ...]
    store: Path


def logger_to(path: Path, level: str) -> Any:
    """A host's structlog logger that writes JSON lines into a file."""
    out = path.open("a", buffering=1)
    return structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=repr)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )


def clean_run(level: str = "debug") -> Run:
    """A little of everything, once for all tests of a file."""
    return _clean_run(level)


@functools.cache
def _clean_run(level: str) -> Run:
    folder = Path(tempfile.mkdtemp(prefix="lamplighter-tests-"))
    fired: queue.SimpleQueue[Said] = queue.SimpleQueue()
    rt = Runtime(folder / "jobs.db", logger=logger_to(folder / "log", level))
    rt.subscribe(fired.put, events=["slot.fired"])
    rt.jobs.add_handler("good", lambda job: job.log.info("a line of the host's"), concurrency=2)
    rt.jobs.add_handler("bad", lambda job: 1 / 0, max_attempts=2, backoff=[0.0])
    rt.jobs.add_handler("hopeless", hopeless)
    rt.jobs.add_handler("sleepy", sleepy)
    rt.scheduler.add("good", "@every 1s")
    with rt:
        jobs = [rt.jobs.queue("good") for _ in range(6)]
        for job in (*jobs, rt.jobs.queue("sleepy")):
            rt.jobs.join(job, timeout=WAIT_SECONDS_MAX)
        for name in ("bad", "hopeless"):
            try:
                rt.jobs.join(rt.jobs.queue(name), timeout=WAIT_SECONDS_MAX)
            except JobFailed:
                continue
        rt.jobs.requeue(jobs[0])
        rt.jobs.join(jobs[0], timeout=WAIT_SECONDS_MAX)
        # Others follow, so that at info its revision is one that no line has told yet.
        rt.jobs.queue("nobody", delay=3600)
        rt.jobs.cancel(rt.jobs.queue("nobody"))
        rt.jobs.mark_done(rt.jobs.queue("nobody"))
        rt.jobs.join(fired.get(timeout=WAIT_SECONDS_MAX)["job_id"], timeout=WAIT_SECONDS_MAX)
    return Run(tuple(json.loads(line) for line in (folder / "log").open()), folder / "jobs.db")


def hopeless(job: Job) -> None:
    """Dies at once."""
    raise Discard("no hope")


_slept: set[str] = set()


def sleepy(job: Job) -> None:
    """Snoozes once."""
    if job.id not in _slept:
        _slept.add(job.id)
        raise Snooze(0.0)


def audited(lines: Iterable[Said], store: Path | None = None) -> Report:
    """The audit of these lines, as they follow one another."""
    audit = Audit()
    view = None if store is None else StoreView(store)
    for line in lines:
        if "seq" in line:
            audit.feed(line)
    return audit.finish(view)


def kinds(report: Report) -> list[str]:
    """The kinds of what was found."""
    return [finding.kind for finding in report.findings]


def without(lines: Sequence[Said], *indexes: int) -> list[Said]:
    """All lines but these."""
    return [line for index, line in enumerate(lines) if index not in indexes]


def changed(lines: Sequence[Said], index: int, **fields: Any) -> list[Said]:
    """All lines, one of them with other fields; None removes one."""
    line = {key: value for key, value in {**lines[index], **fields}.items() if value is not None}
    return [*lines[:index], line, *lines[index + 1 :]]


def index_of(lines: Sequence[Said], event: str, **fields: Any) -> int:
    """Where the first line of this event stands that carries these fields."""
    return next(
        index
        for index, line in enumerate(lines)
        if line["event"] == event and all(line.get(key) == value for key, value in fields.items())
    )


def write_log(path: Path, lines: Iterable[Said]) -> Path:
    """Lines as a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Talker:
    """A host in a process of its own that does a little of everything until it is killed or told to stop."""

    def __init__(self, store: Path, log: Path, level: str, prefix: str) -> None:
        with store.with_suffix(".stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HOST), str(store), str(log), level, prefix],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def started(self) -> None:
        """Wait until its runtime runs."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._close()

    def stop(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(WAIT_SECONDS_MAX) == 0
        self._close()

    def _close(self) -> None:
        self.process.wait(WAIT_SECONDS_MAX)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
