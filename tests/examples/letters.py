"""What the tests of the example applications share, which all send letters."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..support.web_server import WebServer

EXAMPLES = Path(__file__).parents[2] / "examples"

DEPLOY_SECONDS_MAX = 10.0
"""How long old code may still run, though its job alone would take minutes."""


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


def begun(server: WebServer, job: str) -> Any:
    """A job that has said how far it is."""
    return server.until(f"/jobs/{job}", lambda found: (found["progress"] or {}).get("done", 0) >= 1)


def done(server: WebServer, job: str) -> Any:
    """A job that has ended well."""
    return server.until(f"/jobs/{job}", lambda found: found["state"] == "done")
