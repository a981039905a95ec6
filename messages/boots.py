"""A boot's record on its store, and its committed turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from .jobs import Instant

FORMAT = 1
"""The format of the ledger's lines. A new key or kind raises it."""

MOVES_MAX = 200
"""The most moves of one line. A turn with more is logged in parts."""

UNLOGGED_MAX = 100
"""The most turns that a boot keeps until they are logged. Where boot after boot dies in its first turn, each inherits
those of all before it.
"""

Move = dict[str, Any]
"""A change of a turn: a move of a job, or the fate of a slot, a schedule, a name, a boot. Its keys are in
`log.events.MOVE_KEYS`.
"""


class LedgerTurn(NamedTuple):
    """A turn that has changed something.

    Attributes:
        boot_no: the number of its boot on the store.
        turn: its number among the turns of the boot that have changed something; from 1, without a gap.
        at: the instant of all its changes.
    """

    boot: str
    boot_no: int
    turn: int
    at: Instant
    moves: Sequence[Move]


BootKind = Literal["worker", "producer", "operator"]
"""The kind of a boot: it runs jobs, only queues, or has acted once from outside of any runtime."""


OPERATOR: BootKind = "operator"


class BootRecord(NamedTuple):
    """A boot's row.

    Attributes:
        hint: the address for hints to it.
        names: the job names it has handlers for.
        boot_no: its number among the boots of its store, from 1 and without a gap; 0 until it is registered.
        turn: how many of its turns have changed something.
        unlogged: those turns, its own and inherited ones, that the log may not have yet.
        stopping: whether it has announced its stop. A death of its process from then on is blamed on no job.
        kind: one of `BootKind`. An operator has ended as soon as its row can be seen, which its only turn has made.
        version, python: the versions of Lamplighter and Python; empty if unknown.
        control: the address of its control socket; None if it has none.
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
    kind: str = "worker"
    version: str = ""
    python: str = ""
    control: str | None = None
