"""docs/command-line.md tells the truth: each of its commands runs on the store that the page makes."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from lamplighter.cli.main import ALIASES, _declared, _parsed

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
TEXT = PAGE.read_text(encoding="utf-8")
CONSOLES = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHOWN = [re.split(r"^\$ ", one, flags=re.MULTILINE)[1:] for one in CONSOLES]
COMMANDS = [tuple(text.split("\n", 1)) for texts in SHOWN for text in texts if text.startswith("lamplighter ")]


def test_the_page_names_every_code_of_a_job_that_waits_or_runs() -> None:
    from typing import get_args

    from lamplighter.admin.why import Code

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
