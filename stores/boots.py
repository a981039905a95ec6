"""The part of a turn that knows who lives on the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from .base import BootRecord


class BootTurn:
    """Boots come, say which names they handle, and go."""

    _connection: sqlite3.Connection

    def register(self, boot: BootRecord) -> None:
        self._connection.execute(
            "insert or replace into lamplighter_boots values (?, ?, ?, ?, ?, ?, ?)",
            (
                boot.boot, boot.pid, boot.host, boot.started_at, boot.hint,
                json.dumps(boot.names), json.dumps(boot.turn),
            ),
        )  # fmt: skip

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        self._connection.execute(
            "update lamplighter_boots set names = ? where boot = ?", (json.dumps(sorted(names)), boot)
        )

    def forget_boot(self, boot: str) -> bool:
        return self._connection.execute("delete from lamplighter_boots where boot = ?", (boot,)).rowcount == 1

    def boots(self) -> list[BootRecord]:
        return read_boots(self._connection)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def read_boots(connection: sqlite3.Connection) -> list[BootRecord]:
    """Every boot on the store, oldest first."""
    rows = connection.execute("select * from lamplighter_boots order by started_at, boot")
    return [
        BootRecord(
            boot=boot, pid=pid, host=host, started_at=started_at, hint=hint,
            names=tuple(json.loads(names)), turn=tuple(_frozen(deed) for deed in json.loads(turn)),
        )
        for boot, pid, host, started_at, hint, names, turn in rows
    ]  # fmt: skip
