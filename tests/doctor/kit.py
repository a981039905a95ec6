"""Stores with something wrong, workers in processes of their own, and what the doctor says."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lamplighter.doctor.diagnosis import Diagnosis
from lamplighter.doctor.examining import chosen, evidence_at, examine
from lamplighter.stores.sqlite.store import SqliteStore

PATIENCE = 15.0
"""Seconds that a runtime on a busy machine may take to answer."""

HOUR, DAY = 3600.0, 86400.0

WORKER = """
    import sys
    from lamplighter import Runtime

    runtime = Runtime(sys.argv[1])

    @runtime.jobs.handler("work")
    def work(job):
        print("working", flush=True)
        job.sleep(600)

    with runtime:
        print("started", flush=True)
        sys.stdin.read()
"""


def found(path: Path | str, check: str, **options: Any) -> list[Diagnosis]:
    """What one check finds."""
    with evidence_at(str(path), **{"timeout": PATIENCE, **options}) as seen:
        return list(examine(seen, chosen([check])).findings)


def told(check: str, **facts: Any) -> list[tuple[str, str, str]]:
    """What one check says of a place where nothing is known but these facts: level, evidence, remedy."""
    condition = SimpleNamespace(unreached=None, moved_to=lambda: None, parts=("database", "queues", "table"))
    seen = SimpleNamespace(at=0.0, address="a server", unread=None, condition=condition, **facts)
    return [(one.level, one.evidence, one.remedy) for one in examine(seen, chosen([check])).findings]


def levels(findings: list[Diagnosis]) -> list[str]:
    """How bad each is."""
    return [one.level for one in findings]


def new_store(path: Path) -> Path:
    """A store on which nobody is."""
    with contextlib.closing(SqliteStore(str(path))) as store:
        store.open()
    return path


def change(path: Path, *statements: str, **values: Any) -> None:
    """Change a store by hand."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, values)


def value(path: Path, query: str) -> Any:
    """One value that is in a store."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchone()[0]


@contextlib.contextmanager
def program(text: str, *arguments: object, says: str = "started") -> Iterator[subprocess.Popen[str]]:
    """A process that runs a program, from when it says that word; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_for(process, says)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], says: str) -> None:
    """Wait until a process says a word."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == says:
            return
    raise AssertionError(f"the process has ended, and has not said {says!r}")


def stop(process: subprocess.Popen[str]) -> None:
    """Have a process stand still, as a person does with Ctrl-Z."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
