"""Real processes for the fault tests: started, read line by line, killed; and the oracle inside the database itself."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

HOSTS = Path(__file__).parent / "hosts"
TORTURE = os.environ.get("LAMPLIGHTER_TORTURE") == "1"
"""Whether the full counts were asked for (`make torture`)."""

SECONDS_MAX = 600.0 if TORTURE else 30.0
"""The longest that anything here is waited for before a test fails."""


def count(few: int, full: int) -> int:
    """A count that suits `make test-all`, or the full one of `make torture`."""
    return full if TORTURE else few


def now_in(seconds: float) -> float:
    """A deadline."""
    return time.monotonic() + seconds


class Ended(Exception):
    """The process has ended, or its line did not come in time."""


class Host:
    """A host application in a process of its own, that says in lines what it does and takes lines as orders."""

    def __init__(self, script: str, *arguments: object, folder: Path, within: tuple[str, ...] = ()) -> None:
        """`within` is a command that runs another one, without a process of its own."""
        self._errors = folder / f"{Path(script).name}.stderr"
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*within, sys.executable, str(HOSTS / script), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                # A group of its own, so that what it has forked ends with the test too.
                start_new_session=True,
            )
        self.pid = self.process.pid
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self._lines.put(line[:-1])
        self._lines.put(None)

    def line(self, deadline: float | None = None) -> str:
        """The next line.

        Raises:
            queue.Empty: none came before the deadline.
            Ended: the process has ended.
        """
        until = now_in(SECONDS_MAX) if deadline is None else deadline
        line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        if line is None:
            self._lines.put(None)
            raise Ended(f"the host ended: {self.process.wait()}; {self.errors()[-3000:]}")
        return line

    def expect(self, word: str, seconds: float = SECONDS_MAX) -> list[str]:
        """Read until a line begins with this word; the rest of its words."""
        deadline = now_in(seconds)
        while True:
            try:
                first, *rest = self.line(deadline).split(" ")
            except queue.Empty:
                raise Ended(f"no {word!r} within {seconds} s; {self.errors()[-3000:]}") from None
            if first == word:
                return rest

    def lines_until(self, deadline: float, *, last: str | None = None) -> list[str]:
        """Every line that comes before the deadline, or until the last word, or until the process ends."""
        lines: list[str] = []
        while last is None or not lines or lines[-1].split(" ")[0] != last:
            try:
                lines.append(self.line(deadline))
            except (queue.Empty, Ended):
                break
        return lines

    def drain(self) -> list[str]:
        """After the process has ended: every line that it had said."""
        self._reader.join(SECONDS_MAX)
        return self.lines_until(now_in(SECONDS_MAX))

    def say(self, line: str) -> None:
        """Give an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        self.process.send_signal(number)

    def kill(self) -> list[str]:
        """SIGKILL; what it had said and nobody had read."""
        self.process.kill()
        self.process.wait(SECONDS_MAX)
        return self.drain()

    def end(self) -> int:
        """Close its orders and wait until it has ended by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(SECONDS_MAX)

    def errors(self) -> str:
        """What it has written to its standard error."""
        return self._errors.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(SECONDS_MAX)
        self._reader.join(SECONDS_MAX)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def eventually(check: Callable[[], bool], seconds: float = SECONDS_MAX, *, what: str = "it") -> None:
    """Look again and again until it is so."""
    pause, deadline = threading.Event(), now_in(seconds)
    while not check():
        assert time.monotonic() < deadline, f"{what} did not become true within {seconds} s"
        pause.wait(0.01)


def stand_still(process: subprocess.Popen[str], store: Path) -> None:
    """SIGSTOP, at a moment when the process is in no turn: one that was stopped within would stop all that write, and
    what it has stored by then another would see only after its death.
    """
    with contextlib.closing(sqlite3.connect(store, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        connection.execute("rollback")


def rows(store: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    """Read the store with a plain connection."""
    connection = sqlite3.connect(store, timeout=SECONDS_MAX)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def check_endings(store: Path, ids: set[str]) -> None:
    """Every one of these jobs is done, exactly once, by the claim that held it; and the file is sound."""
    assert rows(store, "pragma integrity_check") == [("ok",)]
    states = dict(rows(store, "select id, state from lamplighter_jobs"))
    lost = {job_id: states.get(job_id) for job_id in ids if states.get(job_id) != "done"}
    assert not lost, f"{len(lost)} accepted jobs are not done: {dict(list(lost.items())[:10])}"
    endings = rows(store, "select id, claim_no, settled_no, before, after from seen_endings")
    ended = Counter(str(ending[0]) for ending in endings)
    twice = {job_id: times for job_id, times in ended.items() if times != 1}
    assert not twice, f"ended more than once: {dict(list(twice.items())[:10])}"
    assert ids <= ended.keys()
    wrong = [ending for ending in endings if ending[1] != ending[2] or ending[4] != "done" or ending[3] != "running"]
    assert not wrong, f"ended by no claim that held it: {wrong[:10]}"


def check_slots(store: Path) -> None:
    """No slot has fired twice."""
    twice = rows(
        store,
        """select schedule, slot, count(*) from lamplighter_jobs where slot is not null
           group by schedule, slot having count(*) > 1""",
    )
    assert not twice
    orphans = rows(
        store,
        """select slot from lamplighter_slots where outcome in ('fired', 'late', 'caught_up')
           and job_id not in (select id from lamplighter_jobs)""",
    )
    assert not orphans, f"slots that fired and have no job: {orphans}"
