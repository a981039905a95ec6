"""One run of a runtime, as the others on its store know it, and its committed turns, as the log has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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


BootKind = Literal["worker", "producer", "operator"]
"""The work of a boot: it runs jobs, only queues, or has acted once for somebody outside of any runtime."""


OPERATOR: BootKind = "operator"


class BootRecord(NamedTuple):
    """One boot, as the others on the store see it.

    Attributes:
        hint: the address to which hints for it are sent.
        names: the job names it has handlers for.
        boot_no: its number among the boots of its store, from 1 and without a gap; 0 until it is registered.
        turn: how many of its turns have changed something.
        unlogged: the last of them, and those of others that it was to tell: those that the log may not have yet.
        stopping: whether it has announced its stop. A death of its process from then on is blamed on no job.
        kind: one of `BootKind`. An operator has ended as soon as its row can be seen, which its only turn has made.
        version, python: of Lamplighter and of Python there; empty where nobody has said so.
        control: the address at which it answers whoever asks what only its memory knows; None where it does not.
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
