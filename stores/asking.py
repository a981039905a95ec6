"""Ask boots, from outside, what only their memory knows: all boots at once, each within a time limit."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..messages.controls import ANSWER_BYTES_MAX
from .controls import PART_BYTES, short_path

AGAIN_SECONDS = 0.01

_PEER = struct.Struct("3i")
"""Linux' answer about the process at the other end: its number, user and group (unix(7))."""


class Heard(NamedTuple):
    """The outcome of a question.

    Attributes:
        answer: one line, or None.
        why: the reason for None.
        pid: the process that listens there; None if nobody was connected or the system does not tell.
        is_alive: whether the boot lives; None where that cannot be known.
    """

    answer: bytes | None
    why: str = ""
    pid: int | None = None
    is_alive: bool | None = True


def ask_all(
    sockets: Mapping[str, Path],
    question: bytes,
    timeout: float,
    monotonic: Callable[[], float],
    *,
    is_stopped: Callable[[int], bool] = lambda pid: False,
) -> dict[str, Heard]:
    """Ask every boot the same question, at once.

    Args:
        timeout: seconds for each boot.
        is_stopped: whether a process cannot answer now: it is not waited for.
    """
    give_up_at = monotonic() + timeout
    heard: dict[str, Heard] = {}
    calls = [_Call(boot, path, question) for boot, path in sockets.items()]
    try:
        with selectors.PollSelector() as selector:
            waiting = calls
            while len(heard) < len(calls) and (left := give_up_at - monotonic()) > 0:
                waiting = [call for call in waiting if not call.is_through(selector, heard, is_stopped)]
                if len(heard) == len(calls):
                    break
                for key, _ in selector.select(min(left, AGAIN_SECONDS) if waiting else left):
                    call: _Call = key.data
                    if (found := call.go_on(selector)) is not None:
                        selector.unregister(call.connection)
                        heard[call.boot] = found
    finally:
        for call in calls:
            call.connection.close()
    for call in calls:
        heard.setdefault(call.boot, Heard(None, f"no answer within {timeout:g} s", call.pid))
    return heard


class _Call:
    def __init__(self, boot: str, path: Path, question: bytes) -> None:
        self.boot = boot
        self.pid: int | None = None
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.setblocking(False)
        self._path = path
        self._unsent = memoryview(question)
        self._answer = bytearray()

    def is_through(
        self, selector: selectors.BaseSelector, heard: dict[str, Heard], is_stopped: Callable[[int], bool]
    ) -> bool:
        """Connect. False while the listener's queue is full."""
        try:
            with short_path(self._path) as path:
                self.connection.connect(path)
        except BlockingIOError:
            return False
        except OSError as error:
            heard[self.boot] = Heard(None, f"nobody answers at {self._path}: {error.strerror or error}")
            return True
        self.pid = _peer(self.connection)
        if self.pid is not None and is_stopped(self.pid):
            heard[self.boot] = Heard(None, f"process {self.pid} is stopped", self.pid)
            return True
        selector.register(self.connection, selectors.EVENT_WRITE, self)
        return True

    def go_on(self, selector: selectors.BaseSelector) -> Heard | None:
        """Send or receive what is possible now. Returns the outcome once it is known."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
                if not self._unsent:
                    selector.modify(self.connection, selectors.EVENT_READ, self)
                return None
            part = self.connection.recv(PART_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            return Heard(None, f"it hung up: {errno.errorcode.get(error.errno or 0, error)}", self.pid)
        self._answer += part
        if b"\n" in part:
            return Heard(bytes(self._answer).partition(b"\n")[0], pid=self.pid)
        if not part:
            return Heard(None, "it hung up before it had answered", self.pid)
        if len(self._answer) > ANSWER_BYTES_MAX:
            return Heard(None, f"it answers more than {ANSWER_BYTES_MAX} bytes", self.pid)
        return None


def _peer(connection: socket.socket) -> int | None:
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid: int = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _PEER.size))[0]
    # 0: a process that is not visible from this container.
    return pid or None
