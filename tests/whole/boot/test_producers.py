"""Runtimes that do not work, or take only the jobs of some names."""

from __future__ import annotations

from pathlib import Path

from ...boot.test_producers import producer, rows
from ...faults.kit import Host

__all__ = ["producer"]
"""Fixtures that both halves of these tests use."""


def test_a_producer_buries_whoever_was_killed_and_leaves_no_file_of_theirs(producer, recorder, tmp_path):
    with Host("stopped.py", tmp_path / "jobs.db", "hangs", folder=tmp_path) as host:
        job = producer.jobs.queue("work")
        host.expect("started")
        ((socket,),) = rows(tmp_path / "jobs.db", f"select hint from lamplighter_boots where pid = {host.pid}")
        assert Path(socket).is_socket()
        host.kill()

        buried = recorder.wait_for("runtime.recovered")

    assert (buried["dead_pid"], producer.jobs.get(job).state) == (host.pid, "queued")
    assert not Path(socket).exists()
    assert not list((tmp_path / "jobs.db-boots").glob(f"{buried['dead_boot']}*"))
