"""Somebody outside of any runtime acts on its store: it is done, it is told by whom, and the proof is whole."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.admin.operator import Operator

from ...admin.test_operator import rows
from ...faults.kit import Host, eventually, stand_still


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def ada(store: Path) -> Operator:
    return Operator(store, by="ada", via="cli")


def test_a_process_that_hangs_can_be_acted_upon_and_tells_it_when_it_goes_on(tmp_path: Path, store, ada):
    """At 3 a.m.: the application does not answer, and its jobs are to be stopped."""
    with Host("stopped.py", store, "hangs", folder=tmp_path) as host:
        with Runtime(store) as rt:
            job = rt.jobs.queue("work")
        assert host.expect("started") == [job.id]
        stand_still(host.process, store)
        cancelled = ada.cancel(job.id, reason="it hangs")
        host.signal(signal.SIGCONT)
        eventually(lambda: rows(store, "select 1 from lamplighter_boots where kind = 'operator'") == [], what="it told")

    assert cancelled.state == "cancelled"
