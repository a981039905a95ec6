"""The part of a turn that keeps the rows of boots."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..ports import BootLost, BootRecord

COLUMNS = "boot, pid, host, started_at, hint, names, turn"
"""Of `lamplighter_boots`, what makes a BootRecord."""


class Seen(NamedTuple):
    """How far a boot knows its store to have come.

    Attributes:
        turns: how many turns of its own its row has counted.
    """

    boot: str
    turns: int
    rev: int
    change_no: int

    def compare(self, turns: int | None, rev: int, change_no: int) -> BootLost | None:
        """Why the store is not the one that the boot knows any more; None when it is.

        Args:
            turns: what its row has now; None when it has none.
        """
        if rev < self.rev or change_no < self.change_no or (turns is not None and turns < self.turns):
            says = "the store has gone back to an earlier state: an older copy was put in its place"
            return BootLost(says, rev_was=self.rev)
        return (
            BootLost("the store does not know this runtime instance any more: another process took it for dead")
            if turns is None
            else None
        )


class BootTurn:
    """Enters boots, notes which names they handle, and removes them.

    Attributes:
        seen: how far the boot of this turn knows the store to have come, if it is registered.
    """

    seen: Seen | None
    _connection: sqlite3.Connection
    _boot: str
    _turns: int | None

    def register(self, boot: BootRecord) -> None:
        if boot.boot == self._boot:
            self.seen, self._turns = Seen(self._boot, 0, 0, 0), 0
        self._connection.execute(
            f"insert or replace into lamplighter_boots ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)",
            (
                boot.boot,
                boot.pid,
                boot.host,
                boot.started_at,
                boot.hint,
                json.dumps(boot.names),
                json.dumps(boot.turn),
            ),
        )

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        self._connection.execute(
            "update lamplighter_boots set names = ? where boot = ?", (json.dumps(sorted(names)), boot)
        )

    def forget_boot(self, boot: str) -> bool:
        if boot == self._boot:
            self.seen = None
        return self._connection.execute("delete from lamplighter_boots where boot = ?", (boot,)).rowcount == 1

    def boots(self) -> list[BootRecord]:
        return read_boots(self._connection)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def read_boots(connection: sqlite3.Connection) -> list[BootRecord]:
    """Every boot on the store, oldest first."""
    rows = connection.execute(f"select {COLUMNS} from lamplighter_boots order by started_at, boot")
    return [
        BootRecord(
            boot=boot,
            pid=pid,
            host=host,
            started_at=started_at,
            hint=hint,
            names=tuple(json.loads(names)),
            turn=tuple(_frozen(deed) for deed in json.loads(turn)),
        )
        for boot, pid, host, started_at, hint, names, turn in rows
    ]
