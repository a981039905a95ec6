"""The end of a forked child that returns from a handler's function.

The child ends as a program would. Its copy of the lane is of no use: the job goes on in the process that has forked,
and the child would wait for a next job for ever.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback as tracebacks
from collections.abc import Callable

FLUSH_SECONDS_MAX = 1.0
"""How long a forked child waits for its streams: a thread that is not here may have held their locks at the fork."""


def end_fork(error: BaseException | None, leave: Callable[[int], None]) -> None:
    """End a forked child that has returned from a handler's function, or raised an error out of it.

    Args:
        leave: ends the process with an exit code, running nothing else of it.
    """
    code, words = _meaning(error)
    with contextlib.suppress(BaseException):
        # It does not write to sys.stderr, whose lock a thread may have held at the fork.
        os.write(2, words.encode(errors="backslashreplace"))
    with contextlib.suppress(BaseException):
        flushing = threading.Thread(target=_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS_MAX)
    leave(code)


def _meaning(error: BaseException | None) -> tuple[int, str]:
    """The exit code, and what a program says that ends so."""
    match error:
        case None | SystemExit(code=None):
            return 0, ""
        case SystemExit(code=int(code)):
            return code & 0xFF, ""
        case SystemExit(code=said):
            return 1, f"{said}\n"
    try:
        return 1, "".join(tracebacks.format_exception(error))
    except BaseException:
        return 1, "a forked child of a handler ended by an error that cannot be described\n"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
