"""Which boots live, by the advisory locks that their sessions hold.

A lock ends when the server sees the end of its session. That is at once where a process was killed, and after seconds
where a machine or the network was lost. But a session also ends without its process: after a restart of the server
every lock is free until the runtimes are back. So a free lock is a death only where the process is known to be gone, or
after a while, during which the session that looks was there itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ...environment.process import state_of
from ...errors import StoreError, StoreUnavailable
from ..presence import Presence

if TYPE_CHECKING:
    from ...messages.jobs import Seconds
    from .watcher import Channel, Watcher

STORE = "'lamplighter_store'::regclass::oid::int4"
"""The first key of a store's advisory locks, as of its channel."""

LOOK_SECONDS = 0.5
"""For how long it is known from one look who lives."""

FREE_SECONDS = 3.0
"""For how long a lock must have been free, in every look meanwhile."""

GAP_SECONDS = 2.5
"""After so long without a look, a lock may have been taken and released unseen. A broker looks once a second."""

SESSION_SECONDS = 15.0
"""How long the session that looks must have been there. Until then others may be on their way back to the server."""

LOOK = """
select boot, pid, hint, hashtext(boot)::oid in (
    select objid from pg_locks
    where locktype = 'advisory' and classid = 'lamplighter_store'::regclass and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
)
from lamplighter_boots where kind <> 'operator'
"""
"""Each boot's process and machine, and whether its lock is held. A collision of hashes only delays a burial."""


class PostgresPresence(Presence):
    """A `Presence`.

    Args:
        channel: of the boot that enters; None for somebody who only looks.
    """

    is_sole = False

    def __init__(self, watcher: Watcher, channel: Channel | None = None) -> None:
        self._watcher = watcher
        self._channel = channel
        self._machine = this_machine()
        self._alive: dict[str, bool] = {}
        self._free_since: dict[str, Seconds] = {}
        self._looked_at = -GAP_SECONDS
        self._lock = threading.Lock()

    def enter(self, boot: str) -> None:
        assert self._channel is not None, "only a runtime enters"
        self._watcher.hold(self._channel)

    def keep(self, boot: str) -> None:
        if not self._watcher.is_held(boot):
            self.enter(boot)

    def leave(self, boot: str, *, stays: bool = False) -> None:
        self._watcher.let_go(boot, stays=stays)

    def is_alive(self, boot: str) -> bool | None:
        """None for a boot without a row. While nobody can look, all others live."""
        with self._lock:
            now = self._watcher.monotonic()
            if boot not in self._alive or now >= self._looked_at + LOOK_SECONDS:
                try:
                    self._look(now)
                except (StoreUnavailable, StoreError):
                    self._alive, self._free_since = {}, {}
                    return True
            return self._alive.get(boot)

    def _look(self, now: Seconds) -> None:
        rows = self._watcher.ask(LOOK)
        is_sure = self._watcher.age >= SESSION_SECONDS
        before = self._free_since if now < self._looked_at + GAP_SECONDS else {}
        self._free_since = {boot: before.get(boot, now) for boot, _, _, is_held in rows if not is_held}
        self._looked_at = now
        self._alive = {
            boot: is_held
            or not (
                has_ended(pid, machine, self._machine) or (is_sure and now >= self._free_since[boot] + FREE_SECONDS)
            )
            for boot, pid, machine, is_held in rows
        }


def has_ended(pid: int, machine: str | None, here: str) -> bool:
    """Whether a boot without a lock is dead for sure: its row says so (None), or its process was here, and is gone."""
    return machine is None or (machine == here != "" and is_gone(pid))


def this_machine() -> str:
    """This start of this machine, and this namespace of processes in it; empty where the system does not tell."""
    with contextlib.suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{started} {os.readlink('/proc/self/ns/pid')}"
    return ""


def is_gone(pid: int) -> bool:
    """Whether there is no such process. A system may hide the files of other users' processes, but not that they are
    there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return state_of(pid) == "gone"
