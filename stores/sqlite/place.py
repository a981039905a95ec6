"""A SQLite store's place: a file, beside which boots meet, or the memory of a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ...environment.clock import SystemClock
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX
from ..controls import Controls, ServerControls, SocketControls
from ..hints import Hints, ServerHints, SocketHints
from ..presence import FilePresence, Presence, SolePresence, folder_of, mount_of

if TYPE_CHECKING:
    from ...environment.failpoints import Failpoints
    from ...messages.jobs import Seconds
    from ..control_client import ControlClient
    from ..places import Condition, StoreOptions
    from ..ports import Store
    from ..stored_lives import StoredLives, WatchedReadable


class FilePlace:
    """A `StorePlace`. Runtimes know the file by its real path, however it is linked, and meet beside that. It stays the
    same file when the application changes its folder, or where a link leads.

    A health check loads neither SQLite nor what reads a store, so imports are late.
    """

    is_shared = has_table = one_writer = True
    redelivers = False
    holders = unreadable = creation = None

    def __init__(self, path: str) -> None:
        self.shown, self.address = path, os.path.realpath(path)

    def store(self, *, failpoints: Failpoints, new_id: Callable[[], str], **options: Unpack[StoreOptions]) -> Store:
        from .store import SqliteStore

        return SqliteStore(self.address, failpoints=failpoints, new_id=new_id, **options)

    def meet(self, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
        folder = folder_of(self.address)
        return FilePresence(folder), SocketHints(folder, boot), SocketControls(folder, boot, SystemClock().monotonic)

    def client(
        self, timeout: Seconds = ANSWER_SECONDS, *, hung_seconds_max: Seconds = HUNG_SECONDS_MAX, is_plain: bool = False
    ) -> ControlClient:
        from .control_client import FileControlClient

        return FileControlClient(self.address, timeout, is_plain=is_plain, hung_seconds_max=hung_seconds_max)

    def readable(self) -> WatchedReadable:
        from .read_only import ReadOnlyStore

        return ReadOnlyStore(self.address)

    tables = readable

    def condition(self) -> Condition:
        from .condition import FileCondition

        return FileCondition(self.address, SystemClock().monotonic)

    def lives(self) -> StoredLives:
        from .read_only import ReadOnlyView

        return ReadOnlyView(self.address)

    def is_database(self, vendor: str, settings: Mapping[str, Any]) -> bool:
        return vendor == "sqlite" and os.path.realpath(str(settings["NAME"])) == self.address

    def network_filesystem(self) -> str | None:
        mount = mount_of(self.address) if self.is_shared else None
        return mount.kind if mount is not None and mount.is_network else None


class MemoryPlace(FilePlace):
    """A `StorePlace` where nobody else can be."""

    is_shared = one_writer = False

    def __init__(self, path: str) -> None:
        self.address = self.shown = path

    def meet(self, store: Store, boot: str) -> tuple[Presence, Hints, Controls]:
        return SolePresence(), ServerHints(None), ServerControls(None)


def place_at(address: str, folder: str) -> FilePlace | None:
    """The place of a path, or of `sqlite:///` and a path; None if it is neither."""
    _, found, rest = address.partition("://")
    if found and not (rest.startswith("/") and len(rest) > 1):
        return None
    path = rest[1:] if found else address
    return MemoryPlace(path) if path == ":memory:" else FilePlace(os.path.join(folder, path))
