"""One run of a runtime, as the others on its store know it."""

from __future__ import annotations

from typing import NamedTuple

from .jobs import Instant
from .ledger import LedgerTurn


class BootRecord(NamedTuple):
    """One boot, as the others on the store see it.

    Attributes:
        hint: the address to which hints for it are sent.
        names: the job names it has handlers for.
        boot_no: its number among the boots of its store, from 1 and without a gap; 0 until it is registered.
        turn: how many of its turns have changed something.
        unlogged: the last of them, and those of others that it was to tell: those that the log may not have yet.
        stopping: whether it has said that it stops. What kills its process from then on is no job of its.
    """

    boot: str
    pid: int
    host: str
    started_at: Instant
    hint: str | None
    names: tuple[str, ...]
    boot_no: int = 0
    turn: int = 0
    unlogged: tuple[LedgerTurn, ...] = ()
    stopping: bool = False
