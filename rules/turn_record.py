"""The changes of a turn so far, as the log tells it after the commit: the same on every store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..messages.jobs import Instant, Transition
from ..messages.ledger import UNLOGGED_MAX, LedgerTurn, Move
from .ledger_moves import told_moves


class TurnRecord:
    """The record that a `Turn` keeps of itself.

    Attributes:
        notes: what it did besides moving jobs, each after so many transitions.
    """

    def __init__(self, boot: str, now: Instant) -> None:
        self.boot = boot
        self.now = now
        self.transitions: list[Transition] = []
        self.unlogged: list[LedgerTurn] = []
        self.did: LedgerTurn | None = None
        self.news: list[tuple[str, dict[str, Any]]] = []
        self.notes: list[tuple[int, Move]] = []

    def note(self, move: Move) -> None:
        """Have the ledger tell what this turn does besides moving jobs."""
        self.notes.append((len(self.transitions), move))

    def sum_up(self, boot_no: int, turns_before: int) -> Sequence[LedgerTurn]:
        """Give the turn its number, if it has changed something. Gives what its boot keeps for whoever must tell it:
        this turn and those before it that it tells, or nothing if it has changed nothing.

        Args:
            turns_before: how many turns of the boot have changed something.
        """
        moves = told_moves(self.transitions, self.notes, self.now)
        if not moves:
            return ()
        self.did = LedgerTurn(self.boot, boot_no, turns_before + 1, self.now, moves)
        return [*self.unlogged, self.did][-UNLOGGED_MAX:]
