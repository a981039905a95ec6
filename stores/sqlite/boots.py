"""The part of a turn that keeps the rows of boots."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ...messages.ledger import LedgerTurn
from ...rules.codec import encode_own
from ..ports import BootLost, BootRecord

COLUMNS = "boot, pid, host, started_at, hint, names, boot_no, turn, unlogged"
"""Of `lamplighter_boots`, what makes a BootRecord."""


class Seen(NamedTuple):
    """How far a boot knows its store to have come.

    Attributes:
        turn: how many turns of its own its row has counted.
        boots, last_no, change_no: the last number of a boot, of a job and of a change of a schedule.
    """

    boot: str
    turn: int
    boots: int
    last_no: int
    change_no: int

    def compare(self, turn: int | None, boots: int, last_no: int, change_no: int) -> BootLost | None:
        """Why the store is not the one that the boot knows any more; None when it is.

        Args:
            turn: what its row has now; None when it has none.
        """
        is_behind = boots < self.boots or last_no < self.last_no or change_no < self.change_no
        if is_behind or (turn is not None and turn < self.turn):
            says = "the store has gone back to an earlier state: an older copy was put in its place"
            return BootLost(says, turn_was=self.turn)
        return (
            BootLost("the store does not know this runtime instance any more: another process took it for dead")
            if turn is None
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
    _turn: int | None
    _boot_no: int
    _boots: int

    def register(self, boot: BootRecord) -> int:
        known = self._connection.execute(
            "select boot_no from lamplighter_boots where boot = ?", (boot.boot,)
        ).fetchone()
        if known is None:
            self._boots += 1
            self._connection.execute("update lamplighter_store set boots = ?", (self._boots,))
        # One that could not know whether it was registered asks again, and keeps its number.
        number = self._boots if known is None else int(known[0])
        if boot.boot == self._boot:
            self.seen, self._turn, self._boot_no = Seen(self._boot, 0, 0, 0, 0), 0, number
        self._connection.execute(
            f"insert or replace into lamplighter_boots ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                boot.boot,
                boot.pid,
                boot.host,
                boot.started_at,
                boot.hint,
                json.dumps(boot.names),
                number,
                0,
                encode_own(boot.unlogged),
            ),
        )
        return number

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
            boot_no=boot_no,
            turn=turn,
            unlogged=ledger_turns(unlogged),
        )
        for boot, pid, host, started_at, hint, names, boot_no, turn, unlogged in rows
    ]


def ledger_turns(text: str) -> tuple[LedgerTurn, ...]:
    """What a boot's row keeps of turns that the log need not know of."""
    return tuple(map(LedgerTurn._make, json.loads(text)))
