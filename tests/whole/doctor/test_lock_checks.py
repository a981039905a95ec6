"""Who keeps the write lock, and who keeps the log: real processes that do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lamplighter.admin.inspector import readable_table
from lamplighter.doctor.evidence import Evidence
from lamplighter.doctor.examining import chosen, examine
from lamplighter.environment.clock import SystemClock
from lamplighter.stores.sqlite import shared_memory as lock_holder
from lamplighter.stores.sqlite.condition import FileCondition
from lamplighter.stores.sqlite.control_client import FileControlClient

from ...doctor.kit import change, found, new_store, program, stop

WRITES = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("begin immediate")
    print("started", flush=True)
    sys.stdin.read()
"""

READS = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("begin")
    connection.execute("select count(*) from lamplighter_jobs").fetchone()
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_a_stopped_process_that_keeps_the_write_lock_is_named(path):
    with program(WRITES, path) as process:
        stop(process)

        (finding,) = found(path, "store.lock")

    assert finding.level == "error"
    assert f"process {process.pid} (python" in finding.evidence
    assert ", stopped by a signal or a debugger) has kept the write lock for" in finding.evidence
    assert f"kill -CONT {process.pid}" in finding.remedy


def test_who_keeps_the_write_lock_and_runs_is_watched_for_two_seconds_first(path):
    waited: list[float] = []
    with program(WRITES, path) as process:
        store = readable_table(str(path), "list")
        clock = SystemClock()
        seen = Evidence(
            str(path),
            now=clock.now,
            wait=waited.append,
            store=store,
            client=FileControlClient(str(path)),
            condition=FileCondition(str(path), clock.monotonic),
        )

        (finding,) = examine(seen, chosen(["store.lock"])).findings
        store.close()

    assert (finding.level, round(sum(waited), 2)) == ("error", 2.0)
    assert f"process {process.pid} (python" in finding.evidence


def test_a_write_lock_of_whom_the_system_does_not_name_is_seen_to_be_held(path, monkeypatch, tmp_path):
    monkeypatch.setattr(lock_holder, "LOCKS", tmp_path / "none")
    with program(WRITES, path):
        (finding,) = found(path, "store.lock")

    assert finding.level == "error"
    assert finding.evidence.startswith("somebody keeps the write lock, and this system does not tell who")


def test_a_reader_that_keeps_the_log_from_being_copied_is_named(path, runtime):
    runtime()
    with program(READS, path) as process:
        change(path, "create table host (x)", "insert into host values (zeroblob(12000000))")

        (finding,) = found(path, "store.wal")

    assert finding.level == "warning"
    assert finding.evidence.startswith(f"process {process.pid} (python")
    assert "keeps the log from being copied" in finding.evidence


WRITES_ON = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("create table theirs (blob)")
    for _ in range(7):
        connection.execute("insert into theirs values (zeroblob(10000000))")
    if sys.argv[2] == "copied":
        connection.execute("pragma wal_checkpoint (passive)")
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("end", "level", "says"),
    [
        ("waits", "warning", r"6\d\.\d MiB wait in the log to be copied into the database"),
        ("copied", "note", r"the log takes 6\d\.\d MiB on the disk, and all but 0 bytes .+"),
    ],
)
def test_a_log_that_has_grown_though_nobody_reads_on_is_told(path, end, level, says):
    with program(WRITES_ON, path, end):
        (finding,) = found(path, "store.wal")

    assert finding.level == level
    assert re.fullmatch(says, finding.evidence)
