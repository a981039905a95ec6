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
FILES = ("mistakes.py", "uses.py", "untyped.py")
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


def by_mypy(folder: Path) -> dict[str, Errors]:
    """What mypy --strict says of each file."""
    said = checked(folder, "mypy", "--strict", "--output", "json", "--config-file", "", *FILES)
    found: dict[str, Errors] = {file: {} for file in FILES}
    for line in map(json.loads, filter(None, said.splitlines())):
        if line["severity"] == "error":
            found[line["file"]].setdefault(line["line"], []).append(line["message"])
    return found


def by_pyright(folder: Path) -> dict[str, Errors]:
    """What pyright says of each file."""
    said = json.loads(checked(folder, "pyright", "--outputjson", "--pythonpath", sys.executable, *FILES))
    assert said["summary"]["filesAnalyzed"] == len(FILES)
    found: dict[str, Errors] = {file: {} for file in FILES}
    for one in said["generalDiagnostics"]:
        if one["severity"] in ("error", "warning"):
            line = one["range"]["start"]["line"] + 1
            found[Path(one["file"]).name].setdefault(line, []).append(one["message"])
    return found


@pytest.fixture(scope="module", params=[by_mypy, by_pyright])
def errors(request: pytest.FixtureRequest, installed: Path) -> dict[str, Errors]:
    """What a checker says of each file: of all in one run, because each run reads the package again."""
    check: Callable[[Path], dict[str, Errors]] = request.param
    return check(installed)


@pytest.mark.timeout(300)
def test_each_planted_mistake_is_found_and_nothing_else(errors: dict[str, Errors]) -> None:
    lines = (FOLDER / "mistakes.py").read_text(encoding="utf-8").splitlines()
    planted = {number for number, line in enumerate(lines, 1) if "# mistake:" in line}

    found = errors["mistakes.py"]

    assert len(planted) == PLANTED
    assert {number: lines[number - 1] for number in planted - found.keys()} == {}
    assert {number: said for number, said in found.items() if number not in planted} == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", ["uses.py", "untyped.py"])
def test_nothing_is_found_where_all_is_right(errors: dict[str, Errors], file: str) -> None:
    assert errors[file] == {}
