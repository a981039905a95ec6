"""What completes the commands in a shell."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from lamplighter.cli.main import main


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_the_subcommands_of_a_group_and_their_options(capsys) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    words = "jobs w"
    asks = f'\nCOMP_WORDS=(lamplighter {words}); COMP_CWORD=2; _shtab_lamplighter {words}; echo "${{COMPREPLY[@]}}"'

    ran = subprocess.run(["bash", "-c", script + asks], capture_output=True, text=True, check=True, timeout=30)

    assert ran.stdout.split() == ["why"]
