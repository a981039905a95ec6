"""The store, as far as a log can be compared with it."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from ...stores.sqlite.read_only import ReadOnlyView, StoredSlots


class StoreView:
    """A store's file, looked at now for how far it has come, and again when the log has been read.

    So what the store does while the log is read is no finding.

    Args:
        store: the path of the file, or an open sqlite3 connection that nobody else uses.

    Raises:
        StoreError, StoreUnavailable: it is no store, or cannot be read.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._slots: dict[str, list[StoredSlots]] | None = None
        with ReadOnlyView(store) as reading:
            self.store_id = reading.store_id()
            self.turns = {boot.boot: boot.turn for boot in reading.boots()}
            self.boots_wanted = reading.boot_no()

    def read(self) -> ReadOnlyView:
        """All that is compared, as of one instant."""
        return ReadOnlyView(self._store)

    def accounts_for(self, schedule: str, slot: float) -> bool:
        """Whether the store remembers what became of a slot."""
        if self._slots is None:
            self._slots = {}
            with ReadOnlyView(self._store) as reading:
                for entry in reading.slots():
                    self._slots.setdefault(entry.schedule, []).append(entry)
        entries = self._slots.get(schedule, [])
        index = bisect_right(entries, slot, key=lambda entry: entry.slot) - 1
        return index >= 0 and slot <= entries[index].last
