"""The boots on a store: their rows, their locks, and the answers of the living ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import UsageError, shown
from ..messages.views import DeclaredView
from ..stores.ports import Readable
from .control_client import BootView, ControlClient, boot_view


class Runtimes:
    """Looks at the boots on a store, any number of times.

    Args:
        room: asks them; None where they cannot be asked.
        once: whether they are asked once for one view, however often that looks.
    """

    def __init__(self, store: Readable, room: ControlClient | None, *, once: bool = False) -> None:
        self._store = store
        self._room = room
        self._once = once
        self._found: Sequence[BootView] | None = None

    def all(self) -> Sequence[BootView]:
        """Every boot, the oldest first, without operators.

        Raises:
            StoreUnavailable, StoreError: the store cannot be read.
        """
        if self._found is not None:
            return self._found
        found = self._all()
        self._found = found if self._once else None
        return found

    def _all(self) -> Sequence[BootView]:
        with self._store.snapshot() as seen:
            records = [record for record in seen.boots() if record.kind != "operator"]
        if self._room is None:
            why = "on this store nobody can ask a runtime instance yet"
            return [boot_view(record, is_alive=True, unheard=why) for record in records]
        return list(self._room.views([record.boot for record in records], records).values())

    def at(self, store: Readable) -> Runtimes:
        """The same by a snapshot of the store, which asks each boot once."""
        return Runtimes(store, self._room, once=True)

    def declared(self, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every living one has answered.

        Args:
            but: a boot that is not asked.
        """
        if self._room is None:
            return None
        with self._store.snapshot() as seen:
            boots = [record.boot for record in seen.boots() if record.kind != "operator" and record.boot != but]
        said = self._room.ask_all(boots, "declares", DeclaredView)
        known = {boot: frozenset(one.schedules) for boot, one in said.items() if one is not None}
        return known if len(known) == len(said) else None

    def one(self, boot: str) -> BootView | None:
        """The boot with this id, id prefix or number; None if there is none.

        Raises:
            UsageError: there are several.
        """
        return named(self.all(), boot)


def named(found: Sequence[BootView], boot: str) -> BootView | None:
    """The boot with an id or a number, or else with an id prefix; None if there is none.

    Raises:
        UsageError: it may be several.
    """
    meant = [one for one in found if one.boot == boot or (boot and str(one.boot_no or "") == boot)] or [
        one for one in found if boot and one.boot.startswith(boot)
    ]
    if len(meant) > 1:
        may_be = ", ".join(one.boot for one in meant)
        raise UsageError(f"expected the id of one runtime instance, got: {shown(boot)}, which may be {may_be}")
    return meant[0] if meant else None
