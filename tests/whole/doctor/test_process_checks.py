"""What processes say of themselves: what makes each check fire, and what keeps it silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from lamplighter.messages.views import RuntimeView
from lamplighter.stores.sqlite.control_client import FileControlClient

from ...doctor.kit import PATIENCE, WORKER, found, levels, new_store, program, stop
from ...doctor.test_process_checks import ALL

CROWDED = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    from lamplighter import Runtime

    with Runtime(sys.argv[1]):
        files = [open("/dev/null") for _ in range(70)]
        print("started", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


@pytest.mark.parametrize("check", [*ALL, "names.differ"])
def test_what_a_stopped_runtime_would_say_is_unknown(path, check):
    with program(WORKER, path) as process:
        stop(process)

        assert levels(found(path, check, timeout=0.2)) == ["unknown"]


def test_a_process_that_has_most_of_its_files_open_is_told(path):
    with program(CROWDED, path):
        boot = FileControlClient(str(path)).found()[0].boot
        used = FileControlClient(str(path), PATIENCE).ask(boot, "view", RuntimeView).process

        (finding,) = found(path, "process")

    assert finding.level == "warning"
    assert f"boot {boot} " in finding.evidence
    assert "of 100 files open" in finding.evidence
    assert used.descriptors_max == 100
