"""Who is alive: a boot is, for as long as its process holds a lock on a file of its own beside the store.

A POSIX record lock goes with its process, is not inherited by a fork, and cannot be mistaken for another's: so a
stopped or slow process is never robbed, and a reused pid never trusted. One trap is kept away from: closing *any*
descriptor of the file drops the lock (https://man7.org/linux/man-pages/man2/fcntl_locking.2.html), so the file of a
boot of this very process is never opened a second time.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class Presence(Protocol):
    """Injected, as time is: the simulation decides who is alive."""

    def enter(self, boot: str) -> None:
        """Be alive as this boot from now on."""

    def leave(self, boot: str) -> None:
        """Be no longer."""

    def is_alive(self, boot: str) -> bool:
        """Whether a boot lives."""

    def bury(self, boot: str) -> None:
        """Remove what a dead boot has left."""


OWN: dict[tuple[int, str], int] = {}
"""(pid, lock file) to descriptor, of every boot of this process. A forked child finds none of its own here."""


class FilePresence:
    """Lock files in a folder beside the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def enter(self, boot: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(boot)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        OWN[os.getpid(), str(path)] = descriptor

    def leave(self, boot: str) -> None:
        descriptor = OWN.pop((os.getpid(), str(self._path(boot))), None)
        if descriptor is not None:
            self.bury(boot)
            os.close(descriptor)

    def is_alive(self, boot: str) -> bool:
        path = self._path(boot)
        if (os.getpid(), str(path)) in OWN:
            return True
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            # No descriptor to be had, say. A mistake must never rob the living.
            return True
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def bury(self, boot: str) -> None:
        self._path(boot).unlink(missing_ok=True)

    def _path(self, boot: str) -> Path:
        return self._folder / f"{boot}.lock"


class SolePresence:
    """For a store in memory: nobody else can be on it."""

    def enter(self, boot: str) -> None:
        self._boot = boot

    def leave(self, boot: str) -> None:
        self._boot = ""

    def is_alive(self, boot: str) -> bool:
        return boot == self._boot

    def bury(self, boot: str) -> None:
        pass


NETWORK_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs", "lustre")


def network_filesystem(path: str) -> str | None:
    """The type of the file system that a path lies on, if it is a network one (on Linux)."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real, best, kind = os.path.realpath(path), "", ""
    for mount in mounts:
        _, point, filesystem, *_ = mount.split(" ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, filesystem
    return kind if kind in NETWORK_FILESYSTEMS else None
