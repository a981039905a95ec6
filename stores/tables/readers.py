"""Connections for reading, which threads share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ...errors import StoreUnavailable
from ..locks import Closable

C = TypeVar("C", bound=Closable)

READERS_MAX = 16
"""More would be no faster: they share one interpreter. Each has two files open on SQLite."""

IDLE_MAX = 8

READ_SECONDS_MAX = 10.0


@dataclass(eq=False)
class Readers(Generic[C]):
    """Lends connections for reading to any threads.

    Args:
        connect: makes one.
        most, idle_max: how many there may be at a time, and how many of them unlent.
        is_usable: whether an unlent one may be lent again.
    """

    connect: Callable[[], C]
    most: int = READERS_MAX
    idle_max: int = IDLE_MAX
    is_usable: Callable[[C], bool] = lambda connection: True
    _idle: list[C] = field(default_factory=list)
    _lent: int = 0
    _closings: int = 0
    _frozen: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._may_read, self._all_back = threading.Condition(self._lock), threading.Condition(self._lock)

    @contextlib.contextmanager
    def lend(self) -> Iterator[C]:
        """Lend a connection for the block.

        Raises:
            StoreUnavailable: none became free in time.
        """
        with self._lock:
            if not self._may_read.wait_for(self._may_lend, READ_SECONDS_MAX):
                says = f"no connection to read by was free within {READ_SECONDS_MAX:g} s: {self._lent} threads read"
                raise StoreUnavailable(says)
            self._lent += 1
            closings = self._closings
            reader = self._idle.pop() if self._idle else None
        sound = False
        try:
            if reader is not None and not self.is_usable(reader):
                reader.close()
                reader = None
            reader = reader or self.connect()
            yield reader
            sound = True
        finally:
            self._take_back(reader, keep=sound, closings=closings)

    def _take_back(self, reader: C | None, *, keep: bool, closings: int) -> None:
        with self._lock:
            # A connection that was lent before the readers were closed must be closed now.
            keep = keep and closings == self._closings and len(self._idle) < self.idle_max
            if reader is not None and keep:
                self._idle.append(reader)
                self._is_back()
                return
        # The connection counts as lent until it is closed. Otherwise a fork would not wait, and the child would inherit
        # it.
        try:
            if reader is not None:
                reader.close()
        finally:
            with self._lock:
                self._is_back()

    def _is_back(self) -> None:
        self._lent -= 1
        self._may_read.notify()
        if self._lent == 0:
            self._all_back.notify_all()

    def freeze(self, seconds_max: float) -> bool:
        """Lend none from now on; wait until all are back. Returns whether they are."""
        with self._lock:
            self._frozen = True
            return self._all_back.wait_for(lambda: self._lent == 0, seconds_max)

    def thaw(self) -> None:
        with self._lock:
            self._frozen = False
            self._may_read.notify_all()

    def close(self) -> None:
        """Close idle connections now, and the others when they are returned."""
        with self._lock:
            self._closings += 1
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def _may_lend(self) -> bool:
        return not self._frozen and self._lent < self.most
