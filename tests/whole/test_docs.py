"""The documentation tells the truth: its code runs, its links lead somewhere, its tables are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..test_docs import PAGES, name_of

PAGE_SECONDS_MAX = 280
"""A page takes some seconds, and that of the test kit twenty: on a busy machine it has taken two minutes."""

pytestmark = pytest.mark.timeout(300)

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script_of(page: Path) -> str:
    """The page's code, each line where the page has it, so that a traceback points into the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))], ids=name_of)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = dict(os.environ)
    if "DATABASE_URL" in page.read_text("utf-8"):
        environment["DATABASE_URL"] = request.getfixturevalue("postgres_server").url
    script = tmp_path / f"page_{page.stem.lower()}.py"
    script.write_text(script_of(page), encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS_MAX,
        check=False,
    )

    assert ran.returncode == 0, f"{name_of(page)} (line numbers are the page's):\n{ran.stderr[-4000:]}"
