"""Refuses other processes to the tests outside of tests/whole: all of `make test` runs in the process of the tests."""

from __future__ import annotations

import multiprocessing.util
import sys
from typing import Any

STARTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen", "multiprocessing.spawn"}
"""The audit events of what starts a process, and one of our own, since multiprocessing has none for its spawn."""


class Guard:
    """Hears of every start of a process.

    Attributes:
        is_closed: whether a start is refused.
        refused: what has been refused since somebody last emptied it. A thread of the test may have got the error.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self.refused: list[str] = []
        spawn = multiprocessing.util.spawnv_passfds

        def audited(path: Any, args: Any, *rest: Any) -> Any:
            sys.audit("multiprocessing.spawn", path, args)
            return spawn(path, args, *rest)

        multiprocessing.util.spawnv_passfds = audited
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.is_closed and event in STARTS:
            self.refused.append(
                "expected that a test outside of tests/whole starts no process, "
                f"got {event}{args!r:.200}: move it to the same folder of tests/whole"
            )
            raise RuntimeError(self.refused[-1])
