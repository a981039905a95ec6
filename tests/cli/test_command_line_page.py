"""docs/command-line.md tells the truth: each of its commands runs on the store that the page makes."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from lamplighter.cli.main import ALIASES, _declared, _parsed, main

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
TEXT = PAGE.read_text(encoding="utf-8")
MAKES = re.search(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CONSOLES = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHOWN = [re.split(r"^\$ ", one, flags=re.MULTILINE)[1:] for one in CONSOLES]
COMMANDS = [tuple(text.split("\n", 1)) for texts in SHOWN for text in texts if text.startswith("lamplighter ")]


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


def test_the_page_names_every_code_of_a_job_that_waits_or_runs() -> None:
    from typing import get_args

    from lamplighter.admin.wait_context import Code

    ended = {"done", "dead", "cancelled"}
    assert {code for code in get_args(Code) if f"`{code}`" not in TEXT} - ended == set()


def test_the_page_shows_commands_at_all() -> None:
    assert len(COMMANDS) > 12


ROOT = PAGE.parents[1]
WRITTEN = re.compile(
    r"^(?: {4}|\$ )?(?:[A-Z_]+=\S+ |ExecStart=)*(?:\S*/)?lamplighter ([a-z-].*)$|`lamplighter ([a-z-][^`]*)`",
    re.MULTILINE,
)
"""A command in a block of code, with or without a prompt, or in a line of text."""

SHELL = {"|", "||", "&&", "&", ";", ">", ">>", "2>&1", "#", "\\"}
"""Where the words of a command end."""


def written() -> Iterator[tuple[str, str]]:
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/coming-from/*.md"))):
        for found in WRITTEN.finditer(page.read_text(encoding="utf-8")):
            yield page.name, found[1] or found[2]


@pytest.mark.parametrize(("page", "command"), list(dict.fromkeys(written())))
def test_each_command_of_any_page_has_options_and_arguments_that_there_are(page, command, capsys) -> None:
    command = re.sub(r"^\w+", lambda first: ALIASES.get(first[0], first[0]), command)
    words = list(takewhile(lambda word: word not in SHELL, shlex.split(command, comments=True)))

    with contextlib.suppress(SystemExit):
        _parsed(*_declared(), words)

    # In the midst of a sentence a command may stand without what it needs.
    said = capsys.readouterr().err
    assert "required: " in said or not said
