"""The file of a store that is open: deleted, moved away, replaced, cleaned of what lies beside it; and many readers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from ....stores.sqlite.test_store_files import beside


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def test_a_fork_changes_nothing_of_what_the_file_is_taken_for(runtime, path):
    rt = runtime()

    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    assert rt.jobs.queue("mail").state.value == "queued"
    assert rt.health().reasons == ("no living runtime has a handler for 'mail', and 1 of its jobs wait",)


def in_another_program(path, script):
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=True, timeout=60)


LOOK = """
    import contextlib, sqlite3, sys
    with contextlib.closing(sqlite3.connect(sys.argv[1])) as db:
        db.execute("select count(*) from lamplighter_jobs").fetchone()
"""


def test_a_host_that_reads_its_own_file_keeps_the_log_that_it_commits_to(runtime, path):
    # Its close has dropped SQLite's locks, so the other program believes to be the last on the file.
    rt = runtime()
    rt.jobs.queue("mail", id="before")
    log = os.stat(beside(path, "-wal"))

    path.read_bytes()
    in_another_program(path, LOOK)

    assert os.path.samestat(os.stat(beside(path, "-wal")), log)
    assert rt.jobs.queue("mail", id="after").state.value == "queued"
    rt.stop()
    assert not beside(path, "-wal").exists()


def test_a_host_that_reads_the_memory_that_it_shares_is_not_taken_for_gone(runtime, path):
    # Who believes to be the first on the file cuts that memory to nothing: the host died of a bus error.
    rt = runtime()
    rt.jobs.queue("mail")

    beside(path, "-shm").read_bytes()

    in_another_program(
        path,
        """
        import fcntl, sys
        with open(sys.argv[1] + "-shm", "rb+") as shared:
            try:
                fcntl.lockf(shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)  # as SQLite asks whether it is the first
            except BlockingIOError:
                sys.exit(0)
        sys.exit("nobody has the file open")
        """,
    )


def test_a_runtime_that_stops_writes_nothing_over_what_others_stored_in_a_new_log(runtime, path):
    rt = runtime()
    rt.stop()
    rt.start()
    for number in range(100):
        rt.jobs.queue("mail", "x" * 500, id=f"ours-{number}")
    for suffix in ("-wal", "-shm"):
        os.unlink(beside(path, suffix))

    in_another_program(
        path,
        """
        import sys
        from lamplighter import Runtime
        with Runtime(sys.argv[1]) as runtime:
            for number in range(100):
                runtime.jobs.queue("mail", "y" * 500, id=f"theirs-{number}")
        """,
    )
    rt.stop()

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        theirs = db.execute("select count(*) from lamplighter_jobs where id like 'theirs-%'").fetchone()
    assert theirs == (100,)


def test_a_child_that_outlives_its_host_does_not_keep_the_log(path):
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST_WITH_A_CHILD), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdout.readline() == b"forked\n"
    host.kill()
    host.wait(timeout=60)

    in_another_program(path, LOOK)

    assert not beside(path, "-wal").exists()
    host.communicate(timeout=60)  # the end of its input is what the child waits for


HOST_WITH_A_CHILD = """
    import logging, os, sys
    logging.getLogger("lamplighter").setLevel(100)
    from lamplighter import Runtime
    with Runtime(sys.argv[1]) as runtime:
        runtime.jobs.queue("mail")
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        runtime.jobs.queue("mail")
        print("forked", flush=True)
        runtime.wait()
"""

MANY = """
    import logging, resource, sys, threading
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    logging.getLogger("lamplighter").setLevel(100)
    from lamplighter import Runtime
    runtime = Runtime(sys.argv[1])
    errors, together = [], threading.Barrier(200)

    def read():
        together.wait()
        try:
            for _ in range(5):
                runtime.jobs.get("held")
                runtime.jobs.counts()
        except Exception as error:
            errors.append(error)

    with runtime:
        runtime.jobs.queue("mail", id="held")
        threads = [threading.Thread(target=read) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(errors, runtime.jobs.get("held").state.value, *runtime.health().reasons)
"""


def test_two_hundred_threads_may_read_where_few_files_may_be_open(path):
    script = textwrap.dedent(MANY)

    said = subprocess.check_output([sys.executable, "-c", script, str(path)], text=True, timeout=60)

    assert said.strip() == "[] queued no living runtime has a handler for 'mail', and 1 of its jobs wait"
