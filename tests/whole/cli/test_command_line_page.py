"""docs/command-line.md tells the truth: each of its commands runs on the store that the page makes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from lamplighter.cli.main import main

from ...cli.test_command_line_page import COMMANDS, TEXT

MAKES = re.search(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    assert MAKES is not None
    (folder / "app.py").write_text(MAKES[1])
    subprocess.run([sys.executable, "app.py"], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "app.db"


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_of_the_page_shows_what_the_page_shows(store, monkeypatch, capsys, command, shown) -> None:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(store))

    assert main(shlex.split(command)[1:]) == 0

    printed = capsys.readouterr().out.splitlines()
    told = shown.splitlines()
    assert [_words(line) for line in printed[: len(told)]] == [_words(line) for line in told]


def _words(line: str) -> list[str]:
    """What a line says, without what is another one each time: how long, by which id, in which folder."""
    line = re.sub(r"/\S*/app\.db", "app.db", line)
    line = re.sub(r"(in )?\b\d[\d.]* (?:[mµ]?s|min|h|d)\b(?: \d+ (?:s|min|h)\b)?( ago)?", "TIME", line)
    line = re.sub(r"\S+/app\.py", "app.py", line)
    return re.sub(r"^[0-9a-f]{10} ", "ID ", line).split()
