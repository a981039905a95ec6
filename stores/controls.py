"""A Unix socket beside the store at which a boot answers what only its memory knows.

The boot may be asked because it hangs. So the socket has a thread that needs no actor and waits for no single caller:
it serves all callers together, a second each. It needs no port, and has the permissions of the folder of the lock
files.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import UsageError, shown
from ..messages.controls import ASK_BYTES_MAX
from .locks import ClosedInChild, identity

if TYPE_CHECKING:
    from .ports import Answer, Notifier

CONTROL = ".ctl"
"""The suffix of the socket's file name, after the boot's id."""

SOCKET_PATH_BYTES_MAX = 100
"""Linux takes 107, macOS 103 (unix(7))."""

CALLERS_MAX = 64
"""More callers wait until one of these has gone."""

CALLER_SECONDS_MAX = 1.0
"""The limit for sending the question, and for taking each part of the answer."""

PART_BYTES = 256 * 1024


class Controls(Protocol):
    """How a boot is asked from outside. A simulation has its own implementation, or none.

    Attributes:
        address: None while the boot cannot be asked.
    """

    address: str | None

    def serve(self, answer: Answer, spawn: Callable[[Callable[[], None], str], object]) -> None:
        """Answer from now on, on a thread of its own. If that fails, `trouble` says why."""

    def keep(self) -> None:
        """Make sure that the boot can still be asked. Call it often: it costs next to nothing."""
        return

    def trouble(self) -> str | None:
        """Why the boot cannot be asked, or could not for a while; each reason is returned once, otherwise None."""
        return None

    def close(self) -> None:
        """Stop answering."""


class ServerControls(Controls):
    """Controls through the server of the store; none for a store in memory."""

    def __init__(self, notifier: Notifier | None) -> None:
        self.address: str | None = None
        self._notifier = notifier

    def serve(self, answer: Answer, spawn: Callable[[Callable[[], None], str], object]) -> None:
        if self._notifier is not None:
            self.address = self._notifier.answer(answer)

    def close(self) -> None:
        if self._notifier is not None:
            self._notifier.answer(None)


class SocketControls:
    def __init__(self, folder: Path, boot: str, monotonic: Callable[[], float]) -> None:
        self.address: str | None = None
        self._path = boot_file(folder, boot, CONTROL)
        self._monotonic = monotonic
        self._begin: Callable[[_Counter], object] = lambda counter: None
        self._counter: _Counter | None = None
        self._unsaid: str | None = None
        self._is_down = False

    def serve(self, answer: Answer, spawn: Callable[[Callable[[], None], str], object]) -> None:
        self._begin = lambda counter: spawn(lambda: counter.run(answer, self._monotonic), "control")
        self._open()

    def keep(self) -> None:
        counter = self._counter
        if counter is None or not counter.is_open or not counter.is_at(self._path):
            if counter is not None and counter.error is not None:
                self._unsaid = counter.error
            self.close()
            self._open()

    def trouble(self) -> str | None:
        unsaid, self._unsaid = self._unsaid, None
        return unsaid

    def close(self) -> None:
        counter, self._counter, self.address = self._counter, None, None
        # A forked child has closed its copy already, and the file is the parent's.
        if counter is not None and counter.is_open:
            if counter.is_at(self._path):
                remove_file(self._path)
            counter.end()

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            counter = _Counter(self._path)
        except OSError as error:
            # Path too long, a file system without sockets, or no free descriptor. Everything else works.
            self._failed(error)
            return
        try:
            self._begin(counter)
        except (OSError, RuntimeError) as error:
            # The system refuses another thread.
            remove_file(self._path)
            counter.let_go()
            self._failed(error)
            return
        self._counter, self.address, self._is_down = counter, str(self._path.absolute()), False

    def _failed(self, error: Exception) -> None:
        if not self._is_down:
            self._is_down, self._unsaid = True, f"{self._path}: {error}"


class _Counter:
    """A listening socket, its callers, and the socket pair that wakes its thread.

    Attributes:
        error: the failure of the thread, if it has failed.
    """

    def __init__(self, path: Path) -> None:
        self.error: str | None = None
        self._sockets: set[socket.socket] = set()
        self._callers: dict[socket.socket, _Caller] = {}
        self._identity: tuple[int, int] | None = None
        try:
            with _open.lock:
                _open[self] = self
                self._wakes, self._woken = socket.socketpair()
                self._sockets |= {self._wakes, self._woken}
                self._listens = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._sockets.add(self._listens)
            with short_path(path) as short:
                remove_file(path)
                self._listens.bind(short)
                # Set the mode before anybody can connect.
                os.chmod(path, 0o600)
                self._identity = identity(path)
            self._listens.listen(CALLERS_MAX)
            for one in self._sockets:
                one.setblocking(False)
        except BaseException:
            self.let_go()
            raise

    @property
    def is_open(self) -> bool:
        return self in _open

    def is_at(self, path: Path) -> bool:
        """Whether the socket's file is still there: somebody may have cleaned the folder."""
        return self._identity is not None and identity(path) == self._identity

    def end(self) -> None:
        """End the thread, which closes everything."""
        with contextlib.suppress(OSError):
            self._wakes.send(b"!")

    def run(self, answer: Answer, monotonic: Callable[[], float]) -> None:
        try:
            with selectors.PollSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.register(self._listens, selectors.EVENT_READ)
                while self._serve(selector, answer, monotonic):
                    pass
        except BaseException as error:
            self.error = f"the thread that answers has failed: {error!r}"
        finally:
            self.let_go()

    def _serve(self, selector: selectors.BaseSelector, answer: Answer, monotonic: Callable[[], float]) -> bool:
        dues = [caller.due for caller in self._callers.values()]
        wait = None if not dues else max(0.0, min(dues) - monotonic())
        for key, _ in selector.select(wait):
            if key.fileobj is self._woken:
                return False
            if key.fileobj is self._listens:
                self._accept(selector, monotonic)
            else:
                self._attend(selector, key.data, answer, monotonic)
        now = monotonic()
        for caller in [caller for caller in self._callers.values() if caller.due <= now]:
            self._dismiss(selector, caller)
        return True

    def _accept(self, selector: selectors.BaseSelector, monotonic: Callable[[], float]) -> None:
        with _open.lock:
            try:
                connection, _ = self._listens.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            self._sockets.add(connection)
        connection.setblocking(False)
        caller = self._callers[connection] = _Caller(connection, monotonic() + CALLER_SECONDS_MAX)
        selector.register(connection, selectors.EVENT_READ, caller)
        if len(self._callers) >= CALLERS_MAX:
            selector.unregister(self._listens)

    def _attend(
        self, selector: selectors.BaseSelector, caller: _Caller, answer: Answer, monotonic: Callable[[], float]
    ) -> None:
        try:
            if caller.answer is None and caller.hear():
                caller.answer = memoryview(answer(bytes(caller.asked).partition(b"\n")[0]))
                selector.modify(caller.connection, selectors.EVENT_WRITE, caller)
            elif caller.answer is not None:
                caller.answer = caller.answer[caller.connection.send(caller.answer[:PART_BYTES]) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # The caller has disconnected.
            caller.is_over = True
        caller.due = monotonic() + CALLER_SECONDS_MAX if caller.answer is not None else caller.due
        if caller.is_over or (caller.answer is not None and not caller.answer):
            self._dismiss(selector, caller)

    def _dismiss(self, selector: selectors.BaseSelector, caller: _Caller) -> None:
        if len(self._callers) >= CALLERS_MAX:
            selector.register(self._listens, selectors.EVENT_READ)
        del self._callers[caller.connection]
        selector.unregister(caller.connection)
        self._sockets.discard(caller.connection)
        caller.connection.close()

    def let_go(self) -> None:
        with _open.lock:
            _open.pop(self, None)
            self.close()

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()


@dataclass(eq=False)
class _Caller:
    """A connected caller.

    Attributes:
        due: the deadline of its next action.
        answer: the unsent rest of the answer; None until the question is complete.
    """

    connection: socket.socket
    due: float
    asked: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None
    is_over: bool = False

    def hear(self) -> bool:
        """Read on. Whether the question is complete, or longer than any can be."""
        part = self.connection.recv(ASK_BYTES_MAX)
        self.is_over = not part
        self.asked += part
        return b"\n" in part or len(self.asked) > ASK_BYTES_MAX


_open: ClosedInChild[_Counter, _Counter] = ClosedInChild()


def boot_file(folder: Path, boot: str, end: str) -> Path:
    """The file of a boot in the folder.

    Raises:
        UsageError: not a boot's id. An id may come from a form: it must not lead out of the folder.
    """
    if not boot or "/" in boot or "\0" in boot:
        raise UsageError(
            f"expected the id of a runtime instance, as `lamplighter runtimes` lists it, got: {shown(boot)}"
        )
    return folder / f"{boot}{end}"


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path short enough for a socket's address: if need be through an open descriptor of its folder (Linux).

    Raises:
        OSError: no such folder, or the system has no such path.
    """
    own = os.fspath(path.absolute())
    if len(os.fsencode(own)) <= SOCKET_PATH_BYTES_MAX:
        yield own
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    # A leftover file harms nobody: the store knows which boots there are, and the next that binds there removes it.
    with contextlib.suppress(OSError):
        path.unlink()
