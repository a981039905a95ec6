"""What a server cannot tell is said in a word that fits what was asked for, before anybody connects to it."""

from __future__ import annotations

import pytest
from lamplighter import NotSupported
from lamplighter.cli.main import main
from lamplighter.web import STEER, Visitor, dashboard

NOBODY = "amqp://ada:s3cr3t@127.0.0.1:1/none"
"""Where nobody listens: whoever connected would say so."""


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ("stats", "no sums of what became of jobs are kept: look at the server's own, or read the log"),
        ("stats mail --by time --json", "no sums of what became of jobs are kept"),
        ("export tallies --csv", "no sums of what became of jobs are kept"),
        ("export jobs --json", "dead jobs (lamplighter jobs list --state dead --json): of all that was, the log tells"),
        ("export slots --csv", "of all that was, the log tells"),
        ("jobs cancel --where state:queued --yes", "cancel by its id what runs"),
        ("jobs requeue --where state:dead --yes", "requeue dead ones by their ids, or with lamplighter errors requeue"),
        ("web", "there is no page of one: look with lamplighter top, names, runtimes, errors and jobs"),
        ("web --steer", "and by the server's own management page"),
        ("mcp", "a model cannot look at one: give it what lamplighter names, runtimes, errors and jobs print"),
    ],
)
def test_what_a_server_cannot_tell_is_refused_with_what_to_do(words, instead, monkeypatch, capsys):
    monkeypatch.setenv("LAMPLIGHTER_STORE", NOBODY)

    assert main(words.split()) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lamplighter: this store keeps queues, no table of jobs: ")
    assert instead in said.err
    assert "s3cr3t" not in said.err


def test_a_page_of_a_server_is_refused_when_it_is_made():
    with pytest.raises(NotSupported, match="there is no page of one: look with lamplighter top"):
        dashboard(NOBODY, who=lambda request: Visitor("ada", STEER))
