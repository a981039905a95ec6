"""A web server of a test's own, with the page."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import uvicorn


class Served:
    """A server at a free port of this machine."""

    def __init__(self, application: Any) -> None:
        config = uvicorn.Config(
            application, host="127.0.0.1", port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="page")
        self._connections: list[socket.socket] = []
        self._started = threading.Event()
        startup = self._server.startup

        async def say_started(sockets: Any = None) -> None:
            await startup(sockets)
            self._started.set()

        self._server.startup = say_started  # type: ignore[method-assign]
        self._thread.start()
        assert self._started.wait(30)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def stream(self, path: str) -> BinaryIO:
        """What comes from a path, as it comes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self._connections.append(connection)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return connection.makefile("rb")

    def stop_seconds(self) -> float:
        """Stop, and say how long that took."""
        began = time.monotonic()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def close(self) -> None:
        """Stop."""
        self.stop_seconds()
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def served(application: Any) -> Iterator[Served]:
    """A server for as long as the block lasts."""
    server = Served(application)
    try:
        yield server
    finally:
        server.close()
