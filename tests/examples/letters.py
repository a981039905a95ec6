"""What the tests of the example applications share, which all send letters."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..faults.kit import rows
from ..support.web_server import WebServer

EXAMPLES = Path(__file__).parents[2] / "examples"

OLD_SECONDS_MAX = 20.0
"""How long the old code may still run. It is a second or two on a machine that has nothing else to do."""


def copy(example: str, folder: Path) -> Path:
    """A copy of an example, which a test may change."""
    ignored = shutil.ignore_patterns("__pycache__", "*.db*", "instance")
    return Path(shutil.copytree(EXAMPLES / example, folder / "app", ignore=ignored))


def deploy(folder: Path) -> None:
    """New code, which says in its results that it is new."""
    replace(folder / "letters.py", '"pid": os.getpid()', '"pid": os.getpid(), "code": "new"')


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def check_handed_over(server: WebServer, job: str, store: Path) -> None:
    """Once the old code has ended: the new one goes on with a job, which the old one has given back in its drain."""
    before = server.get(f"/jobs/{job}")["progress"]["done"]
    further = server.until(f"/jobs/{job}", lambda found: found["progress"]["done"] > before)
    assert (further["state"], further["attempt"]) == ("running", 1)
    assert rows(store, "select outcome from lamplighter_attempts") == []


def begun(server: WebServer, job: str) -> Any:
    """A job that has said how far it is."""
    return server.until(f"/jobs/{job}", lambda found: (found["progress"] or {}).get("done", 0) >= 1)


def done(server: WebServer, job: str) -> Any:
    """A job that has ended well."""
    return server.until(f"/jobs/{job}", lambda found: found["state"] == "done")
