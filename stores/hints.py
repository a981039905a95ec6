"""One-byte hints between the boots on a file: "something changed, look". They may be lost; nothing depends on one.

Unix datagram sockets beside the store, because they need no port and go with the file's permissions.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .controls import SOCKET_PATH_BYTES_MAX

if TYPE_CHECKING:
    from .ports import Notifier

EAR_PREFIX = "lamplighter-"


class Hints(Protocol):
    """How hints are sent and received. A simulation has its own, which delays and loses them."""

    address: str | None

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        """Call `heard` for every hint, on a thread of its own. `address` is known from then on."""

    def keep(self) -> None:
        """Make sure that hints can still arrive. Call it often: it costs next to nothing."""
        return

    def send(self, addresses: Iterable[str]) -> None:
        """Send a hint to these addresses."""
        return

    def close(self) -> None:
        """Receive no more hints."""


class SocketHints:
    """Hints over a Unix datagram socket. Where there is none, no hint arrives, and polls find changes."""

    def __init__(self, folder: Path, boot: str) -> None:
        self.address: str | None = None
        self._folder = folder
        self._boot = boot
        self._ear: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._lend_ear: Callable[[socket.socket], object] = lambda ear: None

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        self._lend_ear = lambda ear: spawn(lambda: self._hear(ear, heard), "hints")
        # No descriptor, no folder with a path short enough, or a file system without sockets.
        with contextlib.suppress(OSError):
            self.address = str(self._place() / f"{self._boot}.sock")
            self._open_ear(self.address)

    def keep(self) -> None:
        if self.address is not None and not os.path.exists(self.address):
            self._close_ear()
            # No folder, no descriptor, or no thread: polls find changes until the next look.
            with contextlib.suppress(OSError, RuntimeError):
                Path(self.address).parent.mkdir(mode=0o700, exist_ok=True)
                self._open_ear(self.address)

    def send(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            # A full buffer already holds hints; without the socket nobody listens; and a descriptor may be lacking.
            with contextlib.suppress(OSError):
                if self._sender is None:
                    self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._sender.setblocking(False)
                self._sender.sendto(b"!", address)

    def close(self) -> None:
        if self.address is not None:
            self._close_ear()
            remove_ear(self.address, self._boot)
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _open_ear(self, address: str) -> None:
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            ear.bind(address)
            os.chmod(address, 0o600)
            self._ear = ear
            self._lend_ear(ear)
        except BaseException:
            self._ear = None
            ear.close()
            remove_ear(address, self._boot)
            raise

    def _close_ear(self) -> None:
        """End the socket's thread, which closes the socket."""
        ear, self._ear = self._ear, None
        if ear is None or self.address is None:
            return
        # Wakes the thread; closing a socket under a waiting recv does not.
        self.send([self.address])
        # On Linux this wakes the thread too, even when the socket's file is gone.
        with contextlib.suppress(OSError):
            ear.shutdown(socket.SHUT_RDWR)

    def _hear(self, ear: socket.socket, heard: Callable[[], None]) -> None:
        with ear:
            while True:
                try:
                    ear.recv(1)
                except OSError:
                    return
                if self._ear is not ear:
                    return
                heard()

    def _place(self) -> Path:
        """The folder of the socket: beside the store, or a temporary one where that path would be too long."""
        if len(os.fsencode(self._folder.absolute() / f"{self._boot}.sock")) <= SOCKET_PATH_BYTES_MAX:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return self._folder.absolute()
        # Imported only here: slow, and rarely needed.
        import tempfile

        # A new folder: any user of the machine could have taken a predictable name.
        return Path(tempfile.mkdtemp(prefix=EAR_PREFIX))


def remove_ear(address: str, boot: str) -> None:
    """Remove the socket of a boot, and its temporary folder."""
    path = Path(address)
    with contextlib.suppress(OSError):
        # The address comes from the store's file, which may be from elsewhere: remove nothing but a socket.
        if path.name == f"{boot}.sock" and stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    with contextlib.suppress(OSError):
        if path.parent.name.startswith(EAR_PREFIX):
            path.parent.rmdir()


class ServerHints(Hints):
    """Hints through the server of the store; none for a store in memory, which has no peers."""

    address: str | None = None

    def __init__(self, notifier: Notifier | None = None) -> None:
        self._notifier = notifier

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        if self._notifier is not None:
            self._notifier.listen(heard)

    def close(self) -> None:
        if self._notifier is not None:
            self._notifier.listen(None)
