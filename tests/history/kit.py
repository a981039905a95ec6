"""Real logs for the tests of what reads them, and ways to spoil them."""

from __future__ import annotations

import functools
import json
import logging
import queue
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
from lamplighter import Discard, Job, JobFailed, Runtime, Snooze
from lamplighter.history.audit.audit import Audit, Report
from lamplighter.history.audit.store_check import StoreView
from lamplighter.history.log_files.lines import line_of
from lamplighter.history.replay.logged_moves import LOUD
from lamplighter.history.replay.replay import sum_of

from ..faults.kit import rows, stand_still

HOST = Path(__file__).parent / "hosts" / "talker.py"
WAIT_SECONDS_MAX = 30.0

Said = dict[str, Any]

BESIDES = {"o": "outcome", "u": "run_at", "b": "boot_was", "x": "then", "m": "parents", "steps": "steps"}
"""What a line about a move calls what the ledger tells besides."""


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


def sealed(line: Said) -> Said:
    """A line of the ledger with the checksum that it needs to be believed, unless it has one."""
    if line.get("event") != "turn.committed" or line.get("crc") is not None:
        return line
    try:
        one = line_of(line)
    except msgspec.MsgspecError:
        return line
    return {**line, "crc": sum_of(one)}


def audited(lines: Iterable[Said], store: Path | None = None) -> Report:
    """The audit of these lines, as they follow one another."""
    audit = Audit()
    view = None if store is None else StoreView(store)
    for line in lines:
        if "seq" in line:
            audit.feed(sealed(line))
    return audit.finish(view)


def kinds(report: Report) -> list[str]:
    """The kinds of what was found."""
    return [finding.kind for finding in report.findings]


def without(lines: Sequence[Said], *indexes: int) -> list[Said]:
    """All lines but these."""
    return [line for index, line in enumerate(lines) if index not in indexes]


def changed(lines: Sequence[Said], index: int, **fields: Any) -> list[Said]:
    """All lines, one of them with other fields and no checksum; None removes one."""
    line = {key: value for key, value in {**lines[index], "crc": None, **fields}.items() if value is not None}
    return [*lines[:index], line, *lines[index % len(lines) + 1 :]]


def index_of(lines: Sequence[Said], event: str, **fields: Any) -> int:
    """Where the first line of this event stands that carries these fields."""
    return next(
        index
        for index, line in enumerate(lines)
        if line["event"] == event and all(line.get(key) == value for key, value in fields.items())
    )


def write_log(path: Path, lines: Iterable[Said]) -> Path:
    """Lines as a file."""
    path.write_text("".join(json.dumps(sealed(line)) + "\n" for line in lines))
    return path


class Story:
    """Lines as a runtime would write them, told by hand; several on one store share the counts of its jobs' moves."""

    def __init__(self, boot: str = "b1", number: int = 1, *, among: Story | None = None, store: str = "s") -> None:
        self.boot, self.number, self.store = boot, number, store
        self.lines: list[Said] = []
        self.seq, self.turns = 0, 0
        self.revs: dict[str, int] = {} if among is None else among.revs
        self.said("runtime.started", store="/srv/jobs.db", store_id=store, boot_no=number, beside=[], host="one", pid=1)
        self.said("actor.started", child="broker", child_incarnation=1)

    def said(self, event: str, **fields: Any) -> Story:
        """Add a line."""
        self.seq += 1
        self.lines.append({"event": event, "ts": 1000.0 + self.seq, "boot": self.boot, "seq": self.seq, **fields})
        return self

    def turn(self, *moves: Said, **fields: Any) -> Story:
        """Add the ledger's line of a turn."""
        self.turns += 1
        line = {"store_id": self.store, "boot_no": self.number, "turn": self.turns, "at": 1001.0 + self.seq}
        self.said("turn.committed", v=1, **{**line, "moves": list(moves), **fields})
        for move in moves:
            if move["k"] in LOUD:
                self.said(
                    LOUD[move["k"]],
                    job_id=move["j"],
                    job_name=move["n"],
                    claim_no=move["c"],
                    attempt=move["a"],
                    turn=self.lines[-1]["turn"],
                    **{name: move[key] for key, name in BESIDES.items() if key in move},
                    **({"fate_of": move["y"][0][0]} if "y" in move else {}),
                )
        return self

    def hop(self, kind: str, before: str | None, claim_no: int, attempt: int, job: str = "j", **keys: Any) -> Said:
        """The next move of a job."""
        self.revs[job] = self.revs.get(job, 0) + 1
        told: Said = {"k": kind, "j": job, "n": "n", "r": self.revs[job]}
        if before is not None:
            told |= {"f": before, "c": claim_no, "a": attempt}
        if kind in ("failed", "requeued"):
            told["u"] = 1.0
        if before == "running" and kind in ("done", "failed", "dead"):
            told["o"] = "succeeded" if kind == "done" else "failed"
        return {**told, **keys}

    def move(self, kind: str, before: str | None, claim_no: int, attempt: int, job: str = "j", **keys: Any) -> Story:
        """A turn with one move."""
        return self.turn(self.hop(kind, before, claim_no, attempt, job, **keys))

    def done(self, job: str = "j") -> Story:
        """The short life of a job."""
        self.move("queued", None, 0, 0, job).move("claimed", "queued", 1, 0, job)
        return self.move("done", "running", 1, 1, job)

    def tell(self, of: Story | str, turn: int, *moves: Said, number: int | None = None, **fields: Any) -> Story:
        """Tell a turn that another boot, or an earlier broker, may not have said."""
        boot, boot_no = (of, number) if isinstance(of, str) else (of.boot, of.number)
        line = {"store_id": self.store, "boot_no": boot_no, "turn": turn, "of": boot, "told_by": self.boot}
        return self.said("turn.committed", v=1, **{**line, "at": 1001.0 + self.seq, "moves": list(moves), **fields})

    def bury(self, dead: Story, *moves: Said) -> Story:
        """Find another boot dead."""
        return self.turn({"k": "buried", "b": dead.boot, "x": dead.turns, "no": dead.number}, *moves)

    def stop(self) -> Story:
        """Stop."""
        return self.said("runtime.stopped", interrupted=0, turn=self.turns)


def on_rabbit(boot: str, store: str = "server", among: Story | None = None) -> Story:
    """A boot on a RabbitMQ: there boots have no numbers."""
    story = Story(boot, store=store, among=among)
    story.number = None  # type: ignore[assignment]
    story.lines[0] = {**story.lines[0], "store": "amqp://localhost:5672/jobs"}
    for field in ("boot_no", "beside"):
        del story.lines[0][field]
    return story


def told(*stories: Story) -> list[Said]:
    """Their lines, without what is not there."""
    lines = [line for story in stories for line in story.lines]
    return [{key: value for key, value in line.items() if value is not None} for line in lines]


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

    def kill_at_work(self, store: Path) -> None:
        """SIGKILL, at an instant at which it runs a job."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            stand_still(self.process, store)
            if rows(store, "select count(*) from lamplighter_jobs where state = 'running'") != [(0,)]:
                break
            assert time.monotonic() < deadline, "it runs no job"
            self.process.send_signal(signal.SIGCONT)
        self.kill()

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
