"""What completes the commands in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from lamplighter.cli.completion import SHELLS
from lamplighter.cli.main import SUBCOMMANDS, main


@pytest.mark.parametrize("shell", SHELLS)
def test_every_subcommand_is_completed_in_every_shell(shell, capsys) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert [name for name in SUBCOMMANDS if name not in script] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_the_subcommands_of_a_group_and_their_options(capsys) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    words = "jobs w"
    asks = f'\nCOMP_WORDS=(lamplighter {words}); COMP_CWORD=2; _shtab_lamplighter {words}; echo "${{COMPREPLY[@]}}"'

    ran = subprocess.run(["bash", "-c", script + asks], capture_output=True, text=True, check=True, timeout=30)

    assert ran.stdout.split() == ["why"]


def test_without_its_extra_completion_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "bash"]) == 2
    assert "lamplighter[cli]" in capsys.readouterr().err
