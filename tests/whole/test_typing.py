"""What type checkers see of an application that uses Lamplighter: its mistakes, and nothing where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..support.package_files import ROOT, package_files

FOLDER = Path(__file__).parent / "typing"
PLANTED = 33

Errors = dict[int, list[str]]
"""By line."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application, and the package beside it: checkers do not follow an editable install."""
    folder = tmp_path_factory.mktemp("application")
    for path in [*package_files(), ROOT / "py.typed"]:
        copy = folder / "lamplighter" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for path in FOLDER.glob("*.py"):
        shutil.copy(path, folder)
    return folder


def checked(folder: Path, *command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, check=False, capture_output=True, text=True
    ).stdout


def by_mypy(folder: Path, file: str) -> Errors:
    """What mypy --strict says of a file."""
    said = checked(folder, "mypy", "--strict", "--output", "json", "--config-file", "", file)
    found: Errors = {}
    for line in map(json.loads, filter(None, said.splitlines())):
        if line["severity"] == "error":
            assert line["file"] == file, line
            found.setdefault(line["line"], []).append(line["message"])
    return found


def by_pyright(folder: Path, file: str) -> Errors:
    """What pyright says of a file."""
    said = json.loads(checked(folder, "pyright", "--outputjson", "--pythonpath", sys.executable, file))
    assert said["summary"]["filesAnalyzed"] == 1
    found: Errors = {}
    for one in said["generalDiagnostics"]:
        if one["severity"] in ("error", "warning"):
            found.setdefault(one["range"]["start"]["line"] + 1, []).append(one["message"])
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_each_planted_mistake_is_found_and_nothing_else(installed: Path, check: Callable[[Path, str], Errors]) -> None:
    lines = (FOLDER / "mistakes.py").read_text(encoding="utf-8").splitlines()
    planted = {number for number, line in enumerate(lines, 1) if "# mistake:" in line}

    found = check(installed, "mistakes.py")

    assert len(planted) == PLANTED
    assert {number: lines[number - 1] for number in planted - found.keys()} == {}
    assert {number: said for number, said in found.items() if number not in planted} == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", ["uses.py", "untyped.py"])
@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_nothing_is_found_where_all_is_right(installed: Path, check: Callable[[Path, str], Errors], file: str) -> None:
    assert check(installed, file) == {}
