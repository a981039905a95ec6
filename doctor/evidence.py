"""What the checks look at. Each part is read once, and only when a check wants it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ..messages.jobs import Instant, Seconds
from ..messages.views import RuntimeView
from ..operating.controls import ControlRoom
from ..operating.look import Look
from ..operating.runtimes import AskedOnce
from ..operating.situation import SeenBoot
from ..operating.views import NameView
from ..stores.ports import Readable
from ..stores.sqlite.condition import FileCondition

if TYPE_CHECKING:
    from .logs import LogEvidence


class Evidence:
    """One look at a store, for all checks.

    Args:
        file: looks at the store's file; None of a store that is in a server.
        now: wall time.
        wait: waits for so many seconds.
        read_logs: reads the logs that were given, as of an instant; None if none were.
        is_deep: whether the checks may take as long as they want to.

    Attributes:
        at: when.
    """

    def __init__(
        self,
        store: Readable,
        room: ControlRoom | None,
        *,
        file: FileCondition | None,
        now: Callable[[], Instant],
        wait: Callable[[Seconds], object],
        read_logs: Callable[[Instant], LogEvidence] | None = None,
        is_deep: bool = False,
    ) -> None:
        self.store = store
        self.at = now()
        self.is_deep = is_deep
        self.wait = wait
        self._file = file
        self._now = now
        self._read_logs = read_logs
        self._runtimes = AskedOnce(store, room)
        self.look = Look(store, self._runtimes, now=lambda: self.at)

    @property
    def kind(self) -> Literal["file", "server"]:
        """What the store is in."""
        return "server" if self._file is None else "file"

    @property
    def file(self) -> FileCondition:
        """The store's file."""
        assert self._file is not None, "this check is about files"
        return self._file

    @property
    def path(self) -> str:
        """The file's path."""
        return self.file.path

    @cached_property
    def boots(self) -> Sequence[SeenBoot]:
        """Every boot on the store, with what it says of itself."""
        began = self._now()
        found = self._runtimes.all()
        self._asked_between = began, self._now()
        return found

    @property
    def asked_between(self) -> tuple[Instant, Instant]:
        """When the boots were asked, and when all had answered or been given up, by the clock here."""
        return self._asked_between if self.boots else (self.at, self.at)

    @property
    def living(self) -> Sequence[SeenBoot]:
        """Those that are not known to be dead."""
        return [boot for boot in self.boots if boot.is_alive is not False]

    @property
    def views(self) -> Sequence[RuntimeView]:
        """What those say of themselves that have answered."""
        return [boot.view for boot in self.living if boot.view is not None]

    @property
    def unheard(self) -> Sequence[SeenBoot]:
        """Those that may live and have not said anything of themselves."""
        return [boot for boot in self.living if boot.view is None]

    @cached_property
    def names(self) -> Sequence[NameView]:
        """Every job name that is known."""
        return self.look.names()

    @cached_property
    def declared(self) -> Mapping[str, Collection[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every one that lives has said so."""
        return self._runtimes.declared()

    @cached_property
    def log(self) -> LogEvidence | None:
        """What the logs show; None if none were given."""
        return None if self._read_logs is None else self._read_logs(self.at)
