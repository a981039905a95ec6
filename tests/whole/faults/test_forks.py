"""Handlers and hosts that fork: what a forked child does is not the job's, and no child outlives its host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...faults.kit import Host, eventually
from .test_process_lanes import is_alive


@pytest.fixture
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host whose handlers fork, on the kind of lane that the test asks for."""
    with Host("forks.py", tmp_path / "jobs.db", request.param, folder=tmp_path) as host:
        host.expect("started")
        yield host


@pytest.mark.parametrize("host", ["thread", "task", "process"], indirect=True)
def test_a_forked_child_that_comes_out_of_a_handler_ends_and_says_nothing_of_the_job(host: Host) -> None:
    for number, (how, code) in enumerate({"returns": 0, "raises": 1, "leaves": 3}.items()):
        host.say(f"queue forks f{number} {how}")
        host.say(f"join f{number}")

        assert " ".join(host.expect("ended")) == f"f{number}: the forked child left with {code}"
    assert "in the forked child" in host.errors()


@pytest.mark.parametrize("host", ["thread", "task", "process"], indirect=True)
def test_a_forked_child_cannot_queue_for_its_job_and_is_heard_to_its_last_line(host: Host) -> None:
    host.say("queue leaves l1")

    assert host.expect("refused") == ["NotStarted"]
    host.say("join l1")
    assert host.expect("ended") == ["itself"]
    assert "no more" in host.errors()


@pytest.mark.parametrize("host", ["process"], indirect=True)
def test_a_child_ends_with_its_host_though_the_host_had_not_read_all_of_its_words(host: Host, tmp_path: Path) -> None:
    """The socket is then reset, and comes to no end of file."""
    host.say(f"queue stays s1 {tmp_path}/go")
    (child,) = host.expect("ready")
    host.signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    host.expect("logged")

    host.kill()

    eventually(lambda: not is_alive(int(child)), 5.0, what="the death of the child")


@pytest.mark.parametrize("host", ["process"], indirect=True)
def test_a_child_ends_with_its_host_though_a_fork_of_the_host_holds_its_socket(host: Host, tmp_path: Path) -> None:
    host.say(f"queue stays s1 {tmp_path}/go")
    (child,) = host.expect("ready")
    host.say("fork")
    host.expect("forked")

    # Not what it has forked, which holds its end of the test's pipe too.
    os.kill(host.pid, signal.SIGKILL)

    eventually(lambda: not is_alive(int(child)), 5.0, what="the death of the child")


def test_a_child_imports_what_its_host_can_and_nothing_from_its_current_folder(tmp_path: Path) -> None:
    app, anywhere = tmp_path / "app", tmp_path / "anywhere"
    app.mkdir()
    anywhere.mkdir()
    (anywhere / "queue.py").write_text("raise SystemExit('the current folder was imported from')")
    (app / "tasks.py").write_text("import os\ndef work(job): return os.environ.get('PYTHONPATH')")
    (app / "main.py").write_text(
        textwrap.dedent(
            f"""
            import os, tasks
            from lamplighter import Runtime
            runtime = Runtime({str(tmp_path / "app.db")!r})
            runtime.jobs.add_handler("work", tasks.work, isolation="process", max_attempts=1)
            with runtime:
                result = runtime.jobs.join(runtime.jobs.queue("work"), timeout=30).result
            print("as the host's" if result == os.environ.get("PYTHONPATH") else result)
            """
        )
    )
    host = subprocess.run([sys.executable, app / "main.py"], cwd=anywhere, capture_output=True, text=True, check=False)

    assert (host.returncode, host.stdout) == (0, "as the host's\n"), host.stderr
