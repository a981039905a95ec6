"""The resources of this process, and the state of another one, as far as the system tells."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..messages.views import ProcessView

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals by which a service manager or a terminal stops a service, often each of its processes at once."""

ProcessState = Literal["running", "stopped", "gone"]
"""`stopped` by a signal or a debugger."""

STOPPED = "Tt"
"""Linux' names for the states of a stopped process (proc_pid_stat(5))."""

GONE = "ZXx"
"""Linux' names for the states of a process that has ended."""

COMMAND_CHARACTERS_MAX, COMMAND_WORDS_MAX = 200, 3
"""How much of a process's command is shown."""

SECRET_SIGNS = ("://", "@", "=")
"""Marks of words that may contain a password."""


def measured() -> ProcessView:
    # Imported only here: checking another process does not need it.
    from ..messages.views import ProcessView

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return ProcessView(
        rss_bytes=_rss_bytes(),
        threads=_count("/proc/self/task"),
        descriptors=_count("/dev/fd"),
        descriptors_max=None if limit == resource.RLIM_INFINITY else limit,
    )


def state_of(pid: int) -> ProcessState | None:
    """The state of a process on this machine; None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The program's name, in brackets, may contain anything.
            state = file.read().rpartition(") ")[2][:1]
    except FileNotFoundError:
        return "gone" if os.path.exists("/proc/self/stat") else None
    except OSError:
        return None
    return "stopped" if state in STOPPED else "gone" if state in GONE else "running"


def command_of(pid: int) -> str:
    """The program of a process and its first arguments, without words that may contain a password. Empty where the
    system does not say.
    """
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = [word for word in file.read(COMMAND_CHARACTERS_MAX).split("\0") if word]
    except OSError:
        return ""
    told = [word for word in words[:COMMAND_WORDS_MAX] if not any(sign in word for sign in SECRET_SIGNS)]
    return " ".join([os.path.basename(told[0]), *told[1:]]) if told else ""


def _rss_bytes() -> int | None:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def _count(folder: str) -> int | None:
    try:
        return len(os.listdir(folder))
    except OSError:
        return None
