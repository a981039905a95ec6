"""What completes the commands in a shell."""

from __future__ import annotations

import sys

import pytest
from lamplighter.cli.completion import SHELLS
from lamplighter.cli.main import SUBCOMMANDS, main


@pytest.mark.parametrize("shell", SHELLS)
def test_every_subcommand_is_completed_in_every_shell(shell, capsys) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert [name for name in SUBCOMMANDS if name not in script] == []


def test_without_its_extra_completion_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "bash"]) == 2
    assert "lamplighter[cli]" in capsys.readouterr().err
