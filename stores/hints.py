"""One-byte hints between the boots on a file: "something changed, look". They may be lost; nothing depends on one.

Unix datagram sockets beside the store, because they need no port and go with the file's permissions.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

SOCKET_PATH_BYTES_MAX = 100
"""Linux takes 107, macOS 103 (unix(7))."""


class Hints(Protocol):
    """Injected: the simulation delivers, delays or loses them."""

    address: str | None

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        """Call `heard` for every hint, on a thread of its own."""

    def send(self, addresses: Iterable[str]) -> None:
        """Give a hint to others."""

    def close(self) -> None:
        """Hear no more."""


class SocketHints:
    """Hints over a Unix datagram socket."""

    def __init__(self, folder: Path, boot: str) -> None:
        self.address: str | None = str(_short_path(folder, boot))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._closed = False

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        assert self.address is not None
        Path(self.address).parent.mkdir(mode=0o700, exist_ok=True)
        self._socket.bind(self.address)
        os.chmod(self.address, 0o600)
        spawn(lambda: self._hear(heard), "hints")

    def send(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            # A full buffer means that hints are waiting there already; a missing socket, that nobody listens.
            with contextlib.suppress(OSError):
                self._sender.sendto(b"!", address)

    def close(self) -> None:
        self._closed = True
        assert self.address is not None
        # Wakes the listening thread; closing a socket under a waiting recv does not.
        self.send([self.address])
        Path(self.address).unlink(missing_ok=True)
        self._sender.close()

    def _hear(self, heard: Callable[[], None]) -> None:
        with self._socket:
            while True:
                try:
                    self._socket.recv(1)
                except OSError:
                    return
                if self._closed:
                    return
                heard()


class NoHints:
    """For a store in memory: there is nobody to hint to."""

    address: str | None = None

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        pass

    def send(self, addresses: Iterable[str]) -> None:
        pass

    def close(self) -> None:
        pass


class Teller(Protocol):
    """A store in a server, which tells by itself what has come."""

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this, from any thread, whenever a turn may be worth while."""


class ServerHints:
    """Hints of the store itself."""

    address: str | None = None

    def __init__(self, store: Teller) -> None:
        self._store = store

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        self._store.listen(heard)

    def send(self, addresses: Iterable[str]) -> None:
        pass

    def close(self) -> None:
        self._store.listen(None)


def _short_path(folder: Path, boot: str) -> Path:
    path = folder.absolute() / f"{boot}.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=4).hexdigest()
    return Path(tempfile.gettempdir()) / f"lamplighter-{os.getuid()}-{digest}" / f"{boot}.sock"
