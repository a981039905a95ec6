"""One run of a runtime, as the others on its store know it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from .jobs import Instant
from .ledger import LedgerTurn

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
