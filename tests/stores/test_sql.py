"""The SQL that we write: what the sqlite3 module of some supported Python warns of, or will refuse, is not in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BESIDE = ("tests", "docs", "build")

NUMBERED = re.compile(r"\?\d")
"""A parameter such as `?1`: where its value comes in a sequence, the first releases of Python 3.12 warn."""

SQL = re.compile(r"\b(select|insert|update|delete|pragma|with)\b", re.IGNORECASE)


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
