"""The evidence for the checks. Each part is read once, and only when a check needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..admin.control_client import BootView, ControlClient
from ..admin.inspector import Inspector
from ..admin.overview import WholeNames
from ..admin.runtimes import Runtimes
from ..admin.views import NameView
from ..errors import LamplighterError, StoreError, StoreUnavailable
from ..messages.jobs import Instant, Seconds
from ..messages.views import RuntimeView
from ..stores.ports import Readable
from ..stores.sqlite.condition import FileCondition

if TYPE_CHECKING:
    from .log_checks import LogEvidence
    from .rabbitmq_snapshot import RabbitmqSnapshot


class Evidence:
    """One look at a store, for all checks: at a file, or at a server.

    Args:
        address: the store's, without a password.
        file: the condition of the store's file; `store` reads its rows, and `room` asks its boots.
        server: reads the server, if the store is on one.
        read_logs: reads the given logs, as of an instant; None if there are none.
        is_deep: whether the checks may take unlimited time.
    """

    def __init__(
        self,
        address: str,
        *,
        now: Callable[[], Instant],
        wait: Callable[[Seconds], object],
        store: Readable | None = None,
        room: ControlClient | None = None,
        file: FileCondition | None = None,
        server: RabbitmqSnapshot | None = None,
        read_logs: Callable[[Instant], LogEvidence] | None = None,
        is_deep: bool = False,
    ) -> None:
        self.address = address
        self.at = now()
        self.is_deep = is_deep
        self.wait = wait
        self._store = store
        self._room = room
        self._file = file
        self._server = server
        self._now = now
        self._read_logs = read_logs

    @property
    def kind(self) -> Literal["file", "server"]:
        return "file" if self._server is None else "server"

    @property
    def store(self) -> Readable:
        assert self._store is not None, "this check is about files"
        return self._store

    @property
    def file(self) -> FileCondition:
        assert self._file is not None, "this check is about files"
        return self._file

    @property
    def server(self) -> RabbitmqSnapshot:
        assert self._server is not None, "this check is about servers"
        return self._server

    @cached_property
    def unread(self) -> str | None:
        """Why the store cannot be read; None if it can."""
        if self._server is not None:
            return self._server.unreached
        try:
            with self.store.snapshot():
                return None
        except (StoreError, StoreUnavailable) as error:
            return str(error)

    @cached_property
    def _runtimes(self) -> Runtimes:
        return Runtimes(self.store, self._room, once=True)

    @cached_property
    def inspector(self) -> Inspector:
        return Inspector(store=self.store, runtimes=self._runtimes, now=lambda: self.at)

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def boots(self) -> Sequence[BootView]:
        """Every boot on the store, with its view.

        Raises:
            StoreUnavailable, StoreError: they cannot be asked.
        """
        if isinstance(self._asked.found, LamplighterError):
            raise self._asked.found
        return self._asked.found

    @property
    def asked_between(self) -> tuple[Instant, Instant]:
        """When the boots were asked, and when all had answered or been given up, by the clock here."""
        return self._asked.began, self._asked.ended

    @cached_property
    def _asked(self) -> _Asked:
        # A failed read is not repeated by each check: it may have taken long to fail.
        began = self._now()
        found: Sequence[BootView] | LamplighterError
        try:
            found = self._runtimes.all() if self._server is None else self._server.boots()
        except LamplighterError as error:
            found = error
        return _Asked(found, began, self._now())

    @property
    def living(self) -> Sequence[BootView]:
        """Those that are not known to be dead."""
        return [boot for boot in self.boots if boot.is_alive is not False]

    @property
    def views(self) -> Sequence[RuntimeView]:
        return [boot.view for boot in self.living if boot.view is not None]

    @property
    def unheard(self) -> Sequence[BootView]:
        """Those that may live and have not answered."""
        return [boot for boot in self.living if boot.view is None]

    @cached_property
    def whole_names(self) -> WholeNames:
        return self.inspector.whole_names()

    @property
    def names(self) -> Sequence[NameView]:
        """The first known job names, and of the others those whose jobs wait until somebody acts."""
        return (*self.whole_names.first, *self.whole_names.stuck)

    @cached_property
    def declared(self) -> Mapping[str, Collection[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every living one has answered."""
        return self._runtimes.declared()

    @cached_property
    def log(self) -> LogEvidence | None:
        """The facts in the logs; None if no logs were given."""
        return None if self._read_logs is None else self._read_logs(self.at)


class _Asked(NamedTuple):
    found: Sequence[BootView] | LamplighterError
    began: Instant
    ended: Instant
