"""The boots on a store: what its rows say of them, who lives, and what those that live say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import UsageError, shown
from ..messages.boots import BootRecord
from ..messages.views import DeclaredView
from ..stores.ports import Readable
from .control_client import ControlClient, Reached
from .wait_context import SeenBoot

NOT_ASKED = Reached(
    boot="", condition="unknown", is_alive=True, why="on this store nobody can ask a runtime instance yet"
)
"""On a server, which shows only the runtimes that live."""


class Runtimes:
    """Looks at the boots on a store, again and again.

    Args:
        room: asks them; None where they cannot be asked.
    """

    def __init__(self, store: Readable, room: ControlClient | None) -> None:
        self._store = store
        self._room = room

    def all(self) -> Sequence[SeenBoot]:
        """Every boot, the oldest first. Those that have only acted for somebody are none that run.

        Raises:
            StoreUnavailable, StoreError: the store cannot be read.
        """
        with self._store.snapshot() as seen:
            records = [record for record in seen.boots() if record.kind != "operator"]
        if self._room is None:
            return [_seen(record, NOT_ASKED) for record in records]
        reached = self._room.views([record.boot for record in records], records)
        return [_seen(record, reached[record.boot]) for record in records]

    def at(self, store: Readable) -> Runtimes:
        """The same by another look at the store: as it was at one instant, say."""
        return Runtimes(store, self._room)

    def declared(self, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every one that lives has said so.

        Args:
            but: a boot that is not asked.

        Raises:
            StoreUnavailable, StoreError: as `all`.
        """
        if self._room is None:
            return None
        with self._store.snapshot() as seen:
            boots = [record.boot for record in seen.boots() if record.kind != "operator" and record.boot != but]
        said = self._room.ask_all(boots, "declares", DeclaredView)
        known = {boot: frozenset(one.schedules) for boot, one in said.items() if one is not None}
        return known if len(known) == len(said) else None

    def one(self, boot: str) -> SeenBoot | None:
        """The boot of this id, or whose id begins so, or whose number this is; None if there is none.

        Raises:
            UsageError: there are several.
            StoreUnavailable, StoreError: as `all`.
        """
        return named(self.all(), boot)


class AskedOnce(Runtimes):
    """The same for whoever wants one picture: the boots are asked once, however often it looks."""

    def __init__(self, runtimes: Runtimes) -> None:
        super().__init__(runtimes._store, runtimes._room)
        self._runtimes = runtimes
        self._found: Sequence[SeenBoot] | None = None

    def all(self) -> Sequence[SeenBoot]:
        if self._found is None:
            self._found = self._runtimes.all()
        return self._found

    def declared(self, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        return self._runtimes.declared(but=but)


def named(found: Sequence[SeenBoot], boot: str) -> SeenBoot | None:
    """The one that is meant by an id or a number, or else by the beginning of an id; None if none is.

    Raises:
        UsageError: it may be several.
    """
    meant = [one for one in found if one.record.boot == boot or (boot and str(one.record.boot_no or "") == boot)] or [
        one for one in found if boot and one.record.boot.startswith(boot)
    ]
    if len(meant) > 1:
        may_be = ", ".join(one.record.boot for one in meant)
        raise UsageError(f"expected the id of one runtime instance, got: {shown(boot)}, which may be {may_be}")
    return meant[0] if meant else None


def _seen(record: BootRecord, reached: Reached) -> SeenBoot:
    return SeenBoot(
        record=record,
        is_alive=reached.is_alive,
        view=reached.view,
        unheard=reached.why,
        condition=reached.condition,
        silent_since=reached.silent_since,
    )
