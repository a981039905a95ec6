"""Many things as several batches, of which a turn takes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(items: Sequence[T], most: int) -> Iterator[tuple[T, ...]]:
    """The first so many, the next, and so on."""
    for first in range(0, len(items), most):
        yield tuple(items[first : first + most])
