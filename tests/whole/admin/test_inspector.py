"""What is going on in a store, as somebody sees it who has no runtime: on files that real runtimes work on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.admin.inspector import Inspector, inspector_at
from lamplighter.cli.main import main
from lamplighter.environment.process import state_of

from ...faults.kit import Host, eventually


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def inspector(file: str) -> Iterator[Inspector]:
    with inspector_at(file) as one:
        yield one


def test_a_process_that_hangs_is_seen_and_its_jobs_can_be_looked_at(tmp_path: Path, file, inspector, capsys):
    with Host("stopped.py", file, "hangs", folder=tmp_path) as host:
        with Runtime(file) as rt:
            job = rt.jobs.queue("work")
        assert host.expect("started") == [job.id]
        host.signal(signal.SIGSTOP)
        eventually(lambda: state_of(host.pid) == "stopped", what="it was stopped")

        seen = inspector.overview()

        assert seen.health.status == "red"
        assert f"a signal or a debugger has stopped process {host.pid}" in seen.health.reasons[0]
        (reason,) = inspector.why(job.id)
        assert (reason.code, "which does not answer" in reason.sentence) == ("running", True)
        assert f"has stopped process {host.pid}" in str(inspector.job(job.id).output_unheard)
        main(["jobs", "show", job.id, "--store", file])
        assert "what the attempt that runs has logged is not known: boot" in capsys.readouterr().out
        host.signal(signal.SIGCONT)
