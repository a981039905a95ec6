"""The store, as far as a log can be compared with it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from ...stores.sqlite.read_only import ReadOnlyView, StoredJob, StoredSlots


class StoreView:
    """A store's file, looked at now for how far it has come, and again when the log has been read.

    So what the store does while the log is read is no finding.

    Args:
        store: the path of the file, or an open sqlite3 connection that nobody else uses.

    Raises:
        UsageError: it is no store.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._slots: dict[str, list[StoredSlots]] | None = None
        with ReadOnlyView(store) as reading:
            self.store_id = reading.store_id()
            self.rev_wanted = reading.rev()
            # Their jobs may end, and sum them up, after the log has been read.
            self.open_revs = frozenset(reading.open_revs())

    def is_named(self, name: str) -> bool:
        """Whether this is the store that a runtime named as `host:path`, or a part of what was taken for it."""
        path, named = self._store, name.partition("\0")[0]
        return isinstance(path, str | os.PathLike) and named.endswith(f":{os.path.realpath(path)}")

    def read(self) -> Stored:
        """All that is compared, as of one instant."""
        return Stored(ReadOnlyView(self._store))

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


class Stored:
    """One consistent reading of a store."""

    def __init__(self, reading: ReadOnlyView) -> None:
        self._reading = reading
        self.rev = reading.rev()
        self.unsaid = frozenset(reading.last_turns())

    def jobs(self) -> Iterator[StoredJob]:
        """Every job."""
        return self._reading.jobs()

    def slots(self) -> Iterator[StoredSlots]:
        """Every remembered slot."""
        return self._reading.slots()

    def orphans(self) -> Iterator[tuple[str, str | None]]:
        """Running jobs whose boot is not on the store."""
        return self._reading.orphans()

    def close(self) -> None:
        """Let go of the file."""
        self._reading.close()
