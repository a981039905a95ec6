"""Subcommands with subcommands of their own."""

from __future__ import annotations

import argparse

import pytest
from lamplighter.cli import main as command
from lamplighter.cli.options import Subcommand, declare_group
from lamplighter.errors import StoreUnavailable, UsageError


class Group:
    """What stands in the place of a subcommand's module."""

    def __init__(self) -> None:
        self.ran: list[argparse.Namespace] = []

    def declare(self, parser: argparse.ArgumentParser) -> object:
        return declare_group(parser, "Things.", {"list": Subcommand("show them", [self._declare], self._run)})

    def _declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*")
        parser.add_argument("--json", action="store_true")

    def _run(self, arguments: argparse.Namespace) -> int:
        self.ran.append(arguments)
        match arguments.words:
            case ["unreachable"]:
                raise StoreUnavailable("away")
            case ["wrong"]:
                raise UsageError("wrong")
        return 0


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    made = Group()
    monkeypatch.setitem(command.SUBCOMMANDS, "things", "look at things")
    monkeypatch.setattr(command.importlib, "import_module", lambda name, package=None: made)
    return made


def test_options_may_stand_between_the_arguments_of_a_subcommand_of_a_group(group):
    assert command.main(["things", "list", "one", "--json", "two"]) == 0

    assert (group.ran[0].words, group.ran[0].json) == (["one", "two"], True)


@pytest.mark.parametrize("words", [["things"], ["things", "lst"]])
def test_a_group_without_one_of_its_subcommands_says_which_there_are(group, capsys, words):
    assert command.main(words) == 2
    assert "list" in capsys.readouterr().err or words == ["things"]


@pytest.mark.parametrize(("word", "code"), [("unreachable", 3), ("wrong", 2)])
def test_a_store_that_cannot_be_reached_is_told_from_arguments_without_sense(group, word, code):
    assert command.main(["things", "list", word]) == code
