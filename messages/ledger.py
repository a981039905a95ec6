"""The changes of a committed turn, as the log has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .jobs import Instant

FORMAT = 1
"""The format of the ledger's lines. A new key or kind makes it a newer one."""

MOVES_MAX = 200
"""The most moves of one line. A turn with more is logged in parts."""

UNLOGGED_MAX = 100
"""Turns that a boot keeps for whoever must tell them. Where one after another dies in its first turn, each has those of
all before it to tell."""

Move = dict[str, Any]
"""One thing that a turn has changed: a move of a job, or what became of a slot, a schedule, a name, a boot. Its keys
are in `log.ledger_keys.MOVE_KEYS`."""


class LedgerTurn(NamedTuple):
    """A turn that has changed something.

    Attributes:
        boot: whose turn it was.
        boot_no: the number of that boot among those of its store.
        turn: its number among the turns of the boot that have changed something; from 1, without a gap.
        at: the instant at which all of it happened.
    """

    boot: str
    boot_no: int
    turn: int
    at: Instant
    moves: Sequence[Move]
