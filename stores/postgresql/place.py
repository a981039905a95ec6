"""A PostgreSQL as the place of a store: runtimes on it meet, and are asked, over the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Unpack

from ...environment.clock import SystemClock
from ...environment.threads import spawn
from ...errors import missing_extra
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from .address import parse_address

if TYPE_CHECKING:
    from ...environment.failpoints import Failpoints
    from ...messages.jobs import Seconds
    from ..control_client import ControlClient
    from ..controls import Controls
    from ..hints import Hints
    from ..places import Condition, StoreOptions
    from ..ports import Store
    from ..presence import Presence
    from ..stored_lives import StoredLives, WatchedReadable
    from .watcher import Watcher


class PostgresPlace:
    """A `StorePlace`. Imports are late: an application may only ask what is wrong with an address.

    Args:
        address: a URL.

    Raises:
        UsageError: as `parse_address` does.
    """

    is_shared = has_table = True
    one_writer = redelivers = False
    holders = unreadable = None

    def __init__(self, address: str) -> None:
        self.address = address
        self.parsed = parse_address(address)
        try:
            import psycopg  # noqa: F401 (whether it is there)
        except ImportError as error:
            raise missing_extra("psycopg", "a store on PostgreSQL", "postgresql") from error
        self.shown = str(self.parsed)

    def creation(self, roles: Sequence[str]) -> str:
        from .schema import script

        return script(self.parsed.schema, roles)

    def store(self, *, failpoints: Failpoints, new_id: Callable[[], str], **options: Unpack[StoreOptions]) -> Store:
        from .store import PostgresStore

        return PostgresStore(
            self.address,
            durability=options.get("durability", "full"),
            failpoints=failpoints,
            new_id=new_id,
            only_existing=options.get("only_existing", False),
        )

    @cached_property
    def watcher(self) -> Watcher:
        from .connection import connect
        from .watcher import Watcher

        connected = partial(connect, self.parsed, application_name="lamplighter watcher")
        return Watcher(connected, spawn, threading.Event, SystemClock().monotonic)

    def close(self) -> None:
        """End the session in which boots meet, if there is one."""
        if "watcher" in self.__dict__:
            self.watcher.close()

    def meet(self, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
        from .presence import PostgresPresence
        from .watcher import Channel

        channel = Channel(self.watcher, boot)
        return PostgresPresence(self.watcher, channel), channel, channel

    def client(
        self, timeout: Seconds = ANSWER_SECONDS, *, hung_seconds_max: Seconds = HUNG_SECONDS_MAX, is_plain: bool = False
    ) -> ControlClient:
        from .connection import connect
        from .control_client import PostgresControlClient

        asker = partial(connect, self.parsed, application_name="lamplighter question")
        return PostgresControlClient(asker, timeout, is_plain=is_plain, hung_seconds_max=hung_seconds_max)

    def readable(self) -> WatchedReadable:
        from .readers import PostgresReadable

        return PostgresReadable(self, self.parsed)

    tables = readable

    def condition(self) -> Condition:
        from .condition import PostgresCondition

        return PostgresCondition(self.parsed, SystemClock().now)

    def lives(self) -> StoredLives:
        from .readers import lives_at

        return lives_at(self.parsed)

    def is_database(self, vendor: str, settings: Mapping[str, Any]) -> bool:
        if vendor != "postgresql":
            return False
        from .readers import database_of

        given = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER"}
        return database_of(self.parsed.conninfo) == database_of(
            "", **{option: str(settings[name]) for option, name in given.items() if settings.get(name)}
        )

    def network_filesystem(self) -> str | None:
        return None
