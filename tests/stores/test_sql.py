"""The SQL that we write: what the sqlite3 module of some supported Python warns of, or will refuse, is not in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BESIDE = ("tests", "docs", "build")

NUMBERED = re.compile(r"\?\d")
"""A parameter such as `?1`: where its value comes in a sequence, the first releases of Python 3.12 warn."""

SQL = re.compile(r"\b(select|insert|update|delete|pragma|with)\b", re.IGNORECASE)

USES_EVERYTHING = """
import lamplighter
from lamplighter import Runtime

with Runtime("jobs.db") as runtime:
    jobs = runtime.jobs
    job = jobs.queue("work", 1)
    jobs.list(), jobs.list("work", "queued", 5, job), jobs.counts(), jobs.counts("work"), jobs.attempts(job)
    runtime.scheduler.list(), jobs.get(job), jobs.cancel(job), jobs.requeue(job), jobs.mark_done(job.id)
print("quiet")
"""


def statements(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            yield node.lineno, node.value


def test_no_statement_has_numbered_parameters() -> None:
    folders = (path for path in ROOT.iterdir() if path.name[0] != "." and path.name not in BESIDE)
    paths = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]

    numbered = [
        f"{path.relative_to(ROOT)}:{line}" for path in paths for line, text in statements(path) if NUMBERED.search(text)
    ]

    assert len(paths) > 50
    assert numbered == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python's sqlite3 warns of nothing")
def test_every_call_works_where_warnings_are_errors(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", USES_EVERYTHING],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ran.stdout, ran.returncode) == ("quiet\n", 0), ran.stderr
