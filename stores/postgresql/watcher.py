"""A runtime's second session with the server: it shows that the boot lives, brings hints, and answers questions.

The session holds a shared advisory lock for each boot of the runtime. The lock ends with the session, so it needs no
heartbeat, and the session of a process that was killed ends at once. Notifications are sent from this session too,
because a turn that notifies would wait for the turns of all others: commits with notifications are made one by one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import psycopg

from ...environment.threads import Thread
from ...errors import StoreError, StoreUnavailable
from ...messages.jobs import Seconds
from .. import locks
from ..ports import Answer
from .asks import ASKED, CHANNEL, FIND_ASKS, GIVE_ANSWER, run
from .connection import PostgresDatabase
from .presence import STORE, this_machine

HOLD = f"select pg_try_advisory_lock_shared({STORE}, hashtext(boot)) from unnest($1::text[]) boot"
"""Shows that these boots live, for as long as the session does. The session of the turns may hold the locks as well."""

LET_GO = f"select pg_advisory_unlock_shared({STORE}, hashtext($1::text))"

NOTIFY = "select pg_notify($1, '')"

NOTE_LEFT = "update lamplighter_boots set hint = null where boot = $1"

NOTIFY_SECONDS = 0.01
"""The shortest interval between two notifications. More commits than that share one."""

AGAIN_SECONDS, AGAIN_SECONDS_MAX = 0.02, 1.0
"""The wait before a lost session is made anew, at first and after several failures."""

END_SECONDS_MAX = 2.0
"""How long `close` waits for the thread, which may be connecting. The thread closes the session in any case."""


class Watcher:
    """The session and its thread. Any thread may call the methods.

    Args:
        connect: connects, in the store's schema.
        spawn: starts a thread.
        event: makes a thread's event.
        monotonic: the time since any moment.
    """

    def __init__(
        self,
        connect: Callable[[], PostgresDatabase],
        spawn: Callable[[Callable[[], None], str], Thread],
        event: Callable[[], threading.Event],
        monotonic: Callable[[], Seconds],
    ) -> None:
        self.monotonic = monotonic
        self._connect = connect
        self._spawn = spawn
        self._channels: dict[str, Channel] = {}
        self._session: _Session | None = None
        self._thread: Thread | None = None
        self._trouble = "it has ended"
        self._event = event
        self._over = event()
        self._lock = threading.RLock()
        self._is_unsent = False
        self._notified_at = -NOTIFY_SECONDS

    def hold(self, channel: Channel) -> None:
        """Show that a boot lives, from now until `let_go`, also in sessions to come.

        Raises:
            StoreUnavailable, StoreError: the server cannot be reached.
        """
        with self._lock:
            is_new = channel.boot not in self._channels
            self._channels[channel.boot] = channel
            try:
                if self._thread is not None and self._thread.is_alive():
                    # A session that began since has the locks of all that were known.
                    if is_new or self._session is None:
                        self.ask(HOLD, ([channel.boot],))
                    return
                self._end(self._session)
                session, self._over = self._open(), self._event()
                self._thread = self._spawn(partial(self._run, session, self._over), "watcher")
            except BaseException as error:
                if is_new:
                    del self._channels[channel.boot]
                if isinstance(error, (OSError, RuntimeError)):
                    raise StoreUnavailable(f"the system refuses a thread or a socket: {error}") from error
                raise

    def is_held(self, boot: str) -> bool:
        return boot in self._channels and self._session is not None

    def let_go(self, boot: str, *, stays: bool) -> None:
        """Show that a boot has ended.

        Args:
            stays: its row stays, and says this too: others need not wait to be sure.
        """
        with self._lock:
            if self._channels.pop(boot, None) is None:
                return
            # Without a session there is no lock either, and the next does not take it.
            with contextlib.suppress(StoreUnavailable):
                if stays:
                    self.ask(NOTE_LEFT, (boot,))
                self.ask(LET_GO, (boot,))
            is_over = not self._channels
        if is_over:
            self.close()

    def tell(self) -> None:
        """Notify the other runtimes soon. An operator has no thread, and notifies them itself."""
        if self._thread is None:
            with contextlib.suppress(StoreUnavailable, StoreError):
                session = self._found()
                self.ask(NOTIFY, (session.channel,))
            return
        self._is_unsent = True
        if (awaited := self._session) is not None:
            awaited.wake()

    def ask(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Execute a statement in the session. Without a thread it is opened first, and stays open.

        Raises:
            StoreUnavailable, StoreError: there is no session now, or the statement has failed.
        """
        session = self._found()
        try:
            return session.execute(query, parameters)
        except psycopg.Error as error:
            if self._thread is None:
                self._end(session)
            raise StoreUnavailable(f"the watcher's session has failed: {error}") from error

    @property
    def age(self) -> Seconds:
        """How long the session has been there; 0 without one."""
        return 0.0 if (session := self._session) is None else self.monotonic() - session.since

    def close(self) -> None:
        """End the session and the thread. A call of `ask` or `tell` after that has a session again, and `close`
        ends that too."""
        with self._lock:
            session, thread, self._thread = self._session, self._thread, None
            self._over.set()
            if thread is None or not thread.is_alive():
                self._end(session)
        if thread is not None:
            if session is not None:
                session.wake()
            thread.join(END_SECONDS_MAX)

    def _found(self) -> _Session:
        if (session := self._session) is not None:
            return session
        if self._thread is not None:
            raise StoreUnavailable(f"the watcher of this runtime has no session: {self._trouble}")
        with self._lock:
            return self._session or self._open()

    def _open(self) -> _Session:
        session = _Session(self._connect(), self.monotonic())
        try:
            ((session.channel, session.pid),) = session.execute(CHANNEL)
            with self._lock:
                if self._channels:
                    session.execute(f"listen {session.channel}; set idle_session_timeout = 0")
                    session.execute(HOLD, (list(self._channels),))
                self._session = session
        except BaseException as error:
            session.end()
            if isinstance(error, psycopg.Error):
                raise StoreUnavailable(f"the watcher's session cannot begin: {error}") from error
            raise
        return session

    def _end(self, session: _Session | None) -> None:
        with self._lock:
            if session is self._session:
                self._session = None
        if session is not None:
            session.end()

    def _run(self, first: _Session, over: threading.Event) -> None:
        session: _Session | None = first
        wait = AGAIN_SECONDS
        while not over.is_set():
            try:
                session = session or self._open()
                self._serve(session, over, is_first=session is first)
            except Exception as error:
                self._trouble = str(error) or repr(error)
                lasted = 0.0 if session is None else self.monotonic() - session.since
                self._end(session)
                # A notification may have been lost with the session.
                session, self._is_unsent = None, True
                wait = AGAIN_SECONDS if lasted > AGAIN_SECONDS_MAX else min(wait * 2, AGAIN_SECONDS_MAX)
                over.wait(wait)
        self._end(session)

    def _serve(self, session: _Session, over: threading.Event, *, is_first: bool) -> None:
        # Nothing that was said while there was no session has been heard.
        is_news = is_asked = not is_first
        with selectors.PollSelector() as selector:
            selector.register(session.connection, selectors.EVENT_READ)
            selector.register(session.woken, selectors.EVENT_READ)
            while not over.is_set():
                channels = list(self._channels.values())
                if is_news:
                    for channel in channels:
                        channel.heard()
                if is_asked:
                    self._answer(session, channels)
                selector.select(self._notify(session))
                session.forget_wakes()
                # `notifies` holds the connection until its end: what it gives is only collected here.
                heard = [one.payload for one in session.connection.notifies(timeout=0) if one.pid != session.pid]
                is_asked = ASKED in heard
                is_news = any(payload != ASKED for payload in heard)

    def _answer(self, session: _Session, channels: Sequence[Channel]) -> None:
        answers = {channel.boot: channel.answer for channel in channels if channel.answer is not None}
        with session.going_on():
            for number, boot, line in session.execute(FIND_ASKS, (list(answers),)):
                session.execute(GIVE_ANSWER, (number, answers[boot](line), session.channel))

    def _notify(self, session: _Session) -> Seconds | None:
        """Notify, if that is wanted and due. Returns after how many seconds it is."""
        if not self._is_unsent:
            return None
        wait = self._notified_at + NOTIFY_SECONDS - self.monotonic()
        if wait > 0.0:
            return wait
        self._is_unsent, self._notified_at = False, self.monotonic()
        with session.going_on():
            session.execute(NOTIFY, (session.channel,))
        return None


class Channel:
    """How one boot is told of changes and asked by way of its runtime's watcher: `Hints` and `Controls` in one, because
    neither has anything of its own.

    Attributes:
        address: the machine and process namespace of the boot; its row keeps it for those that judge whether it lives.
    """

    address: str | None

    def __init__(self, watcher: Watcher, boot: str) -> None:
        self.boot = boot
        self.address = this_machine()
        self.heard: Callable[[], None] = lambda: None
        self.answer: Answer | None = None
        self._watcher = watcher

    def listen(self, heard: Callable[[], None], spawn: Callable[[Callable[[], None], str], object]) -> None:
        self.heard = heard

    def serve(self, answer: Answer, spawn: Callable[[Callable[[], None], str], object]) -> None:
        self.answer = answer

    def keep(self) -> None:
        pass

    def trouble(self) -> str | None:
        return None

    def send(self, addresses: Iterable[str]) -> None:
        # All hear one notification, so it only matters whether there is anybody.
        if any(True for _ in addresses):
            self._watcher.tell()

    def close(self) -> None:
        self.heard, self.answer = lambda: None, None


class _Session:
    """A connection, and a pair of sockets that wakes the thread which waits for it.

    Attributes:
        since: when it began, by the monotonic clock.
        channel: the store's channel of notifications.
        pid: the server's process: notifications that it has sent are this runtime's own.
    """

    channel, pid = "", 0

    def __init__(self, database: PostgresDatabase, since: Seconds) -> None:
        self.connection = database.raw
        self.since = since
        self._database = database
        self._wakes, self.woken = socket.socketpair()
        self._wakes.setblocking(False)
        self.woken.setblocking(False)
        with _open.lock:
            _open[self] = self

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        if self not in _open:
            raise psycopg.OperationalError("the session has ended")
        try:
            return run(self.connection, query, parameters)
        finally:
            # Notifications that came with the answer are not seen on the socket any more.
            self.wake()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """A statement that fails is given up: the session is kept as long as it can be, because of the locks."""
        try:
            yield
        except psycopg.Error:
            if self.connection.closed:
                raise

    def wake(self) -> None:
        # A full buffer wakes the thread too, and a closed socket has no thread.
        with contextlib.suppress(OSError):
            self._wakes.send(b"!")

    def forget_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.woken.recv(4096)

    def end(self) -> None:
        # Another thread may be waiting for an answer.
        with self.connection.lock, _open.lock:
            if _open.pop(self, None) is not None:
                self._database.close()
                self._wakes.close()
                self.woken.close()

    def close(self) -> None:
        """In a forked child: close the copies of what wakes the thread. That of the session is closed as all are."""
        self._wakes.close()
        self.woken.close()


_open: locks.ClosedInChild[_Session, _Session] = locks.ClosedInChild()
