"""Tables and fields, on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
import sys

import pytest
from lamplighter.cli.page import Page, ago

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


ID = "694d1e1a06b0000000003df3ccc2"
JOB_HEADS = ["id", "name", "state", "what", "attempt", "queued", "due", "took"]
JOBS = [
    [ID, "com.example.billing.invoices.reminders.weekly.of.late.payers", ("queued", "plain"), "parked", "0", "1 s ago"],
    [
        ID,
        "mail",
        ("dead", "bad"),
        ("ValueError: no mailbox for ada@example.com, says the server", "bad"),
        "3",
        "2 d ago",
    ],
]


@pytest.fixture(params=[True, False], ids=["rich", "plain"])
def shown_within(request, monkeypatch):
    """Lines of a table on a terminal of so many columns."""

    def shown(columns, heads, rows, right=()):
        monkeypatch.setattr(sys, "stdout", terminal := Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        if not request.param:
            monkeypatch.setitem(sys.modules, "rich.console", None)
        Page("never").table(heads, rows, right=right)
        return [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in terminal.getvalue().splitlines()]

    return shown


def test_within_80_columns_ids_are_cut_and_a_reason_takes_several_lines(shown_within):
    rows = [[*row, "1 s ago", ""] for row in JOBS]

    assert shown_within(80, JOB_HEADS, rows, right=["attempt", "took"]) == [
        "id            name                     state   what                    attempt",
        "694d1e1a…cc2  com.example.bil….payers  queued  parked                        0",
        "694d1e1a…cc2  mail                     dead    ValueError: no mailbox        3",
        "                                               for ada@example.com,",
        "                                               says the server",
    ]


def test_a_terminal_that_knows_no_escape_sequences_has_its_own_width(monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")

    Page().table(JOB_HEADS, [[*row, "", ""] for row in JOBS])

    assert max(len(line.rstrip()) for line in terminal.getvalue().splitlines()) <= 40


def test_within_40_columns_there_are_the_columns_that_matter_most(shown_within):
    rows = [[*row, "1 s ago", "2 ms"] for row in JOBS]

    assert shown_within(40, JOB_HEADS, rows, right=["attempt", "took"]) == [
        "id        name        state   what",
        "694d1…c2  com.ex…ers  queued  parked",
        "694d1…c2  mail        dead    ValueError",
        "                              : no",
        "                              mailbox …",
    ]


def test_no_width_takes_a_number_away_while_a_detail_is_left(shown_within):
    rows = [["mail", "12", "2 s ago", "here", "99"]]

    shown = [
        shown_within(columns, ["name", "done", "last", "where", "dead"], rows, ["done", "dead"]) for columns in (29, 24)
    ]

    assert shown[0] == ["name  done  last     dead", "mail    12  2 s ago    99"]
    assert shown[1] == ["name  done  dead", "mail    12    99"]


def test_one_long_name_leaves_the_numbers_of_all_names(shown_within):
    heads = ["name", "ready", "running", "lanes", "boots", "what"]
    rows = [[JOBS[0][1], "10,000+", "0", "", "1", ""], ["mail", "1", "2", "", "1", ("no handler", "warning")]]

    assert shown_within(60, heads, rows, right=heads[1:5]) == [
        "name                       ready  running  boots  what",
        "com.example.bil….payers  10,000+        0      1",
        "mail                           1        2      1  no handler",
    ]


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


@pytest.mark.parametrize(
    ("instant", "says"), [(None, ""), (70.0, "30 s ago"), (100.0, "0 µs ago"), (100.5, "in 500 ms")]
)
def test_an_instant_is_told_by_how_far_it_is(instant, says):
    assert ago(100.0, instant) == says
