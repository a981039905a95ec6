"""The rows of boots: a turn enters them, notes which names they handle, and removes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from ...messages.boots import BootRecord, LedgerTurn
from ...rules.codec import encode_own
from ..ports import StoreSurroundings
from .database import Database, upsert
from .open_turn import HOW_FAR, Seen, TurnPart
from .schema import check_here

COLUMNS = ", ".join(BootRecord._fields)
BRIEF_COLUMNS = COLUMNS.replace("unlogged", "'[]'")
"""Without the turns that are kept, which are long, and which only a burial needs."""

REGISTER = upsert("lamplighter_boots", *BootRecord._fields)


class TableMembers(TurnPart):
    def all(self) -> list[BootRecord]:
        return read_boots(self._connection)

    def register(self, boot: BootRecord) -> int:
        turn = self._turn
        # A boot whose registration is uncertain asks again. It keeps its number, and its unlogged turns.
        query = "select boot_no, turn, unlogged from lamplighter_boots where boot = ?"
        known = self._connection.execute(query, (boot.boot,)).fetchone()
        if known is None:
            numbered = "update lamplighter_store set boots = boots + 1 returning boots, moved_to"
            ((turn.last_boot_no, moved_to),) = self._connection.execute(numbered).fetchall()
            # The store may have been moved since it was opened.
            check_here(moved_to)
            known = turn.last_boot_no, 0, encode_own(boot.unlogged)
        boot_no, number, unlogged = known
        if boot.boot == turn.boot:
            turn.is_member, turn.number, turn.boot_no = True, number, boot_no
        row = boot._replace(boot_no=boot_no, turn=number)._asdict()
        values = {**row, "names": json.dumps(boot.names), "unlogged": unlogged}
        self._connection.execute(REGISTER, tuple(values.values()))
        return int(boot_no)

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        self._connection.execute(
            "update lamplighter_boots set names = ? where boot = ?", (json.dumps(sorted(names)), boot)
        )

    def note_stop(self, boot: str) -> None:
        self._connection.execute("update lamplighter_boots set stopping = 1 where boot = ?", (boot,))

    def forget(self, boots: Collection[str]) -> Collection[str]:
        if self._turn.boot in boots:
            self._turn.is_member = False
        query = "delete from lamplighter_boots where boot = ?"
        return {boot for boot in boots if self._connection.execute(query, (boot,)).rowcount == 1}


def surroundings(connection: Database, boot: str, seen: Seen | None) -> StoreSurroundings:
    """The changes of others, as a boot must know them.

    Args:
        seen: of the last turn of the store, if there was one.
    """
    boots = read_boots(connection, BRIEF_COLUMNS)
    turn, last_boot_no, last_no, change_no = connection.execute(HOW_FAR, (boot,)).fetchone()
    is_known = seen is None or seen.boot != boot or seen.compare(turn, last_boot_no, last_no, change_no) is None
    return StoreSurroundings(boots, not is_known, change_no)


def read_boots(connection: Database, columns: str = COLUMNS) -> list[BootRecord]:
    rows = connection.execute(f"select {columns} from lamplighter_boots order by started_at, boot")
    return [
        row._replace(
            names=tuple(json.loads(str(row.names))),
            unlogged=tuple(map(LedgerTurn._make, json.loads(str(row.unlogged)))),
            stopping=bool(row.stopping),
        )
        for row in map(BootRecord._make, rows)
    ]
