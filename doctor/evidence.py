"""The evidence for the checks. Each part is read once, and only when a check needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from ..admin.inspector import Inspector
from ..admin.overview import WholeNames
from ..admin.runtimes import Runtimes
from ..admin.views import NameView
from ..errors import LamplighterError, StoreError, StoreUnavailable
from ..messages.jobs import Instant, Seconds
from ..messages.views import RuntimeView
from ..stores.control_client import BootView, ControlClient
from ..stores.places import Condition
from ..stores.ports import Readable

if TYPE_CHECKING:
    from ..stores.postgresql.condition import PostgresCondition
    from ..stores.rabbitmq.place import ServerCondition
    from ..stores.sqlite.condition import FileCondition
    from ..stores.tables.condition import TableCondition
    from .log_checks import LogEvidence


class Evidence:
    """One look at a store, for all checks.

    Args:
        address: the store's, without a password.
        condition: the condition of its place.
        client: asks its boots.
        store: reads its rows, where it has any.
        read_logs: reads the given logs, as of an instant; None if there are none.
        is_deep: whether the checks may take unlimited time.
    """

    def __init__(
        self,
        address: str,
        *,
        now: Callable[[], Instant],
        wait: Callable[[Seconds], object],
        condition: Condition,
        client: ControlClient,
        store: Readable | None,
        read_logs: Callable[[Instant], LogEvidence] | None = None,
        is_deep: bool = False,
    ) -> None:
        self.address = address
        self.at = now()
        self.is_deep = is_deep
        self.wait = wait
        self.condition = condition
        self._store = store
        self._runtimes = Runtimes(store, client, once=True)
        self._now = now
        self._read_logs = read_logs

    @property
    def store(self) -> Readable:
        assert self._store is not None, "this check is about a table"
        return self._store

    @property
    def file(self) -> FileCondition:
        return cast("FileCondition", self.condition)

    @property
    def rows(self) -> TableCondition:
        return cast("TableCondition", self.condition)

    @property
    def postgresql(self) -> PostgresCondition:
        return cast("PostgresCondition", self.condition)

    @property
    def server(self) -> ServerCondition:
        return cast("ServerCondition", self.condition)

    @cached_property
    def unread(self) -> str | None:
        """Why the store cannot be read; None if it can."""
        if self._store is None:
            return self.condition.unreached
        try:
            with self._store.snapshot():
                return None
        except (StoreError, StoreUnavailable) as error:
            return str(error)

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
            found = self._runtimes.all()
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
