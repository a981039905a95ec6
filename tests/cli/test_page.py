"""Tables and fields, on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest
from lamplighter.cli.page import Page

ROWS = [["mail", ("dead", "bad"), "12"], ["resize-images", "queued", "7"]]
HEADS = ["NAME", "STATE", "JOBS"]


class Terminal(io.StringIO):
    """What a program writes to that a person sees."""

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_columns_of_plain_text(capsys):
    Page().table(HEADS, ROWS, right=["JOBS"])

    assert capsys.readouterr().out.splitlines() == [
        "NAME           STATE   JOBS",
        "mail           dead      12",
        "resize-images  queued     7",
    ]


@pytest.mark.parametrize(("color", "has_colours"), [("auto", True), ("never", False)])
def test_a_table_on_a_terminal_has_colours_unless_nobody_wants_them(monkeypatch, color, has_colours):
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    Page(color).table(HEADS, ROWS)

    assert "resize-images" in terminal.getvalue()
    assert ("\x1b[1;31m" in terminal.getvalue()) == has_colours


def test_colours_can_be_asked_for_in_a_pipe(capsys):
    Page("always").table(HEADS, ROWS)

    assert "\x1b[1;31m" in capsys.readouterr().out


@pytest.mark.parametrize("color", ["auto", "always"])
def test_nothing_in_a_table_acts_on_the_terminal(capsys, color):
    Page(color).table(["A"], [["\x1b[2Jx[bold]y"]])
    Page(color).fields([("a", "\x1b[2J")])

    assert "\x1b[2J" not in capsys.readouterr().out


def test_of_one_thing_the_fields_that_have_a_text_are_shown(capsys):
    Page().fields([("id", "j1"), ("error", ""), ("data", "{\n}")])

    assert capsys.readouterr().out.splitlines() == ["id    j1", "data  {", "      }"]
