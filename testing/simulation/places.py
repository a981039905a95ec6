"""The stores that a simulation may have in the place of a file on a sound disk: a disk that loses its power, or a
server.

Lamplighter's own tests have one of each (tests/support); a simulation knows only what it asks of them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

from ...environment.environment import Environment
from ...environment.failpoints import Failpoints
from ...history.audit.audit import Report
from ...messages.jobs import Instant
from ...stores.hints import Hints
from ...stores.ports import Store
from .virtual_scheduler import Process


class Disk(Protocol):
    """A disk in memory, below SQLite."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files on it, by name, as a process sees them."""

    def connect(self, address: str) -> sqlite3.Connection:
        """A connection to a database on it."""

    def kill(self) -> Self:
        """The disk after the process has died: whatever was written is there."""

    def cut(self) -> Self:
        """The disk after its power was cut: what was not synced may be gone."""


class Server(Protocol):
    """A model of a server, in a simulation's own time.

    Attributes:
        strikes: which of its troubles may strike at which failpoint.
    """

    address: str
    strikes: Mapping[str, tuple[str, ...]]

    def store(self, environment: Environment, process: Process, failpoints: Failpoints) -> Store:
        """A process's store on it."""

    def hints(self, store: Store) -> Hints:
        """How those who have their stores on it are told of one another."""

    def visit(self, environment: Environment, process: Process) -> Any:
        """A short visit by somebody who is no runtime."""

    def befall(self, stores: Sequence[Store], kind: str) -> None:
        """Have one of its troubles come to a process's stores, in a moment."""

    def open_jobs(self) -> list[str]:
        """The messages that wait in it, or are delivered."""

    def verdict(
        self, lines: Iterable[bytes], accepted: Mapping[str, Instant]
    ) -> tuple[Report, Sequence[str], Counter[str]]:
        """Judge a log: what it sums up to, what is wrong, and how often what was said.

        Args:
            accepted: the jobs that applications were told are stored, and when they were.
        """
