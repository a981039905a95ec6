"""Ids that nobody makes twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count


def new_id() -> str:
    """An id that no other process will make: 96 random bits in hex."""
    return os.urandom(12).hex()


DRAWN = 32
"""So many times 96 random bits are drawn at once."""


class JobIds:
    """Ids of one boot's jobs, each higher than the one before; nobody makes them twice, and nobody can guess them.

    They rise so that new ones lie side by side in the store's index of ids. Among a hundred thousand jobs, ids that are
    all random would make each insert write a page of its own.

    Args:
        new_id: 96 random bits in hex, anew for each id.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._begin = new_id()[:12]
        self._numbers = count()
        self._spare: list[str] = []
        """Random bits that no id has. They are drawn for many at once: each call of the system lets another thread have
        the interpreter, which is then in the way of whoever queues jobs one after the other."""

    def __call__(self) -> str:
        """The next id: 48 bits of this boot, 32 that count, 32 random ones."""
        try:
            random = self._spare.pop()
        except IndexError:
            bits = "".join(self._new_id() for _ in range(DRAWN))
            random, *more = (bits[place : place + 8] for place in range(0, len(bits), 8))
            self._spare += more
        return f"{self._begin}{next(self._numbers):08x}{random}"
