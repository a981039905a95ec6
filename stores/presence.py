"""A boot is alive as long as its process holds a lock on the boot's file beside the store.

The lock ends with the process, so a stopped or slow process is never robbed, and a reused pid never trusted. If
somebody removes the file, nothing tells whether the boot lives: it makes the file anew when it looks, and the others
wait for that before they take it for dead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import StoreUnavailable, UsageError
from . import locks
from .controls import CONTROL, boot_file, remove_file
from .hints import remove_ear

if TYPE_CHECKING:
    from ..messages.boots import BootRecord


class Presence(Protocol):
    """How boots see which others are alive. A simulation has its own implementation. A method with a body does what an
    implementation without files or sessions needs.

    Attributes:
        is_sole: no other boot can be on the store.
    """

    is_sole: bool

    def enter(self, boot: str) -> None:
        """Show the other boots from now on that this boot lives.

        Raises:
            UsageError: the boots' meeting place may not be used.
            StoreUnavailable: it cannot be used now.
        """

    def keep(self, boot: str) -> None:
        """Make sure that the others still see this boot. Call it often: it costs next to nothing. Raises as `enter`."""
        return

    def leave(self, boot: str, *, stays: bool = False) -> None:
        """Show the others that this boot has ended.

        Args:
            stays: its row stays too, so the others must find it dead without waiting for its lock file.
        """

    def is_alive(self, boot: str) -> bool | None:
        """Whether a boot lives; None if unknown: its lock file is missing, or may not be opened here."""

    def hidden(self, boot: str) -> str | None:
        """A lock file that may not be opened here, and its owner; None otherwise."""
        return None

    def bury(self, boot: BootRecord) -> None:
        """Remove the files of a dead boot."""
        return

    def tidy(self, known: Collection[str]) -> None:
        """Remove files of boots that the store no longer knows: a process killed after leaving left them."""
        return


LEFT = (".lock", ".sock", CONTROL)
"""The suffixes of a boot's files."""

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""Errors that a person must fix."""

_own: locks.ClosedInChild[str, locks.OpenFile] = locks.ClosedInChild()
"""This process's lock files, by path."""


def folder_of(path: str) -> Path:
    """The folder in which the boots on a file meet."""
    return Path(f"{path}-boots")


class FilePresence:
    """Lock files in a folder beside the store."""

    is_sole = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def enter(self, boot: str) -> None:
        path = self._path(boot)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with _own.lock:
                self._make(path)
        except OSError as error:
            raise self._refusal(error) from error

    def keep(self, boot: str) -> None:
        held = _own.get(str(self._path(boot)))
        try:
            found = os.stat(self._path(boot))
        except OSError:
            found = None
        if held is None or found is None or not (os.path.samestat(found, held.file) and held.is_open()):
            self.enter(boot)

    def leave(self, boot: str, *, stays: bool = False) -> None:
        with _own.lock:
            held = _own.pop(str(self._path(boot)), None)
        if held is not None:
            if not stays:
                remove_file(self._path(boot))
            held.close()

    def is_alive(self, boot: str) -> bool | None:
        try:
            descriptor = os.open(self._path(boot), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Other errors, such as a lack of descriptors, heal by themselves. The boot counts as alive until then,
            # because a living boot must never lose its jobs by mistake.
            return None if error.errno in FORBIDDEN else True
        try:
            return locks.is_taken(descriptor)
        except OSError:
            return True
        finally:
            os.close(descriptor)

    def hidden(self, boot: str) -> str | None:
        path = self._path(boot)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in FORBIDDEN:
                return f"{path} cannot be opened ({error.strerror}); it belongs to {_owner(path)}"
        return None

    def entered(self) -> list[str]:
        """Boots with a lock file here, alive or not."""
        try:
            return sorted(path.stem for path in self._folder.iterdir() if path.suffix == ".lock")
        except OSError:
            return []

    def bury(self, boot: BootRecord) -> None:
        for path in (self._path(boot.boot), boot_file(self._folder, boot.boot, CONTROL)):
            remove_file(path)
        if boot.hint is not None:
            remove_ear(boot.hint, boot.boot)

    def tidy(self, known: Collection[str]) -> None:
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                # A boot that is just entering holds its lock before the store knows it.
                is_left = path.suffix in LEFT and path.stem not in known
                if is_left and not (self.is_alive(path.stem) or self.hidden(path.stem)):
                    remove_file(path)

    def _make(self, path: Path) -> None:
        """Create the file locked: an unlocked file would look like that of a dead boot."""
        making = path.with_suffix(".new")
        descriptor = os.open(making, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if not locks.take(descriptor):
                raise BlockingIOError(errno.EWOULDBLOCK, "somebody has locked it", str(making))
            owner = os.stat(self._folder)
            if owner.st_uid != os.geteuid():
                # Started by root beside runtimes of another user, who must see when the boot dies.
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
            held = locks.OpenFile(descriptor, os.fstat(descriptor))
            os.rename(making, path)
        except BaseException:
            os.close(descriptor)
            remove_file(making)
            raise
        replaced = _own.get(str(path))
        _own[str(path)] = held
        if replaced is not None:
            replaced.close()

    def _path(self, boot: str) -> Path:
        return boot_file(self._folder, boot, ".lock")

    def _refusal(self, error: OSError) -> UsageError | StoreUnavailable:
        says = (
            f"expected {self._folder} to be a folder in which each runtime on the store keeps a file, got: {error}; "
            "run all of them as one user, who may write there"
        )
        return UsageError(says) if error.errno in FORBIDDEN else StoreUnavailable(says)


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"
    except OSError:
        return "somebody whom nobody may see here"


class SolePresence(Presence):
    """Presence on a store in memory: there are no other boots."""

    is_sole = True

    def enter(self, boot: str) -> None:
        self._boot = boot

    def leave(self, boot: str, *, stays: bool = False) -> None:
        self._boot = ""

    def is_alive(self, boot: str) -> bool | None:
        return boot == self._boot


NETWORK_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs", "lustre")

MOUNTS = Path("/proc/self/mounts")
"""Linux' list of mounts (https://man7.org/linux/man-pages/man5/fstab.5.html)."""


class Mount(NamedTuple):
    """The file system of a path: its mount point, and its type."""

    point: str
    kind: str

    @property
    def is_network(self) -> bool:
        return self.kind in NETWORK_FILESYSTEMS


def mount_of(path: str) -> Mount | None:
    """The file system of a path; None where the system does not tell."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real, best = os.path.realpath(path), Mount("", "")
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), point)
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best.point):
            best = Mount(point, kind)
    return best if best.point else None


_ESCAPED = re.compile(r"\\([0-7]{3})")
"""An escaped character, such as a space, in a mount point."""
