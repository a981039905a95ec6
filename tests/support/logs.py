"""What tests of the log share: a root logger without pytest's handlers, scripts of their own, files with torn lines."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPT_SECONDS_MAX = 60


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Without pytest's handlers on the root logger: they raise what a host's own would only report."""
    root = logging.getLogger()
    pytests, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = pytests + root.handlers


def run_script(text: str, folder: Path) -> str:
    """What a Python script prints, run in a folder in a process of its own."""
    (folder / "script.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return ran.stdout


def whole_and_torn(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines of a log that are whole, and how many are not."""
    whole, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            torn += 1
    return whole, torn
