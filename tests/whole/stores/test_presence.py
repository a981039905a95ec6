"""Who counts as alive on a store's file, whatever befalls the lock file, its folder and its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from ...stores.test_presence import place

__all__ = ["place"]
"""Fixtures that both halves of these tests use."""


FORKS = """
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        signal.pause()
"""

STARTS = """
    code = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
"""

HOST = """
    import os, signal, sys
    from pathlib import Path
    from lamplighter.stores.presence import FilePresence
    FilePresence(Path(sys.argv[1])).enter("one")
    {}
    signal.pause()
"""


@pytest.mark.parametrize("has_child", [FORKS, STARTS], ids=["forked", "started anew"])
def test_a_child_does_not_keep_its_dead_parent_alive(place, tmp_path, has_child):
    script = textwrap.dedent(HOST.format(has_child.strip()))
    host = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "jobs.db-boots")],
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(host.stdout.readline())
    while_both_live = place.is_alive("one")

    host.kill()
    host.wait()

    assert (while_both_live, place.is_alive("one")) == (True, False)
    os.kill(child, signal.SIGKILL)
    host.stdout.close()


FORKS_WHILE_ENTERING = """
    import os, sys, threading
    from pathlib import Path
    from lamplighter.stores import locks
    from lamplighter.stores import presence

    taking, go, forked, statuses = threading.Event(), threading.Event(), threading.Event(), []
    taken = locks.take

    def take(descriptor):
        taking.set()
        go.wait()
        return taken(descriptor)

    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(len(presence._own))
        forked.set()
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    locks.take = take
    entering = threading.Thread(target=presence.FilePresence(Path(sys.argv[1])).enter, args=("one",))
    forking = threading.Thread(target=fork)
    entering.start()
    taking.wait()
    forking.start()
    too_early = forked.wait(0.05)
    go.set()
    entering.join()
    forking.join()
    print(too_early, statuses, len(presence._own))
"""


def test_a_fork_waits_until_a_lock_that_is_being_taken_is_known(tmp_path):
    """In a process of its own: whatever else a process has makes its forks wait too."""
    script = textwrap.dedent(FORKS_WHILE_ENTERING)

    said = subprocess.check_output([sys.executable, "-c", script, str(tmp_path / "boots")], text=True, timeout=60)

    assert said.strip() == "False [0] 1"
