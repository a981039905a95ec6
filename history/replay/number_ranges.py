"""A set of numbers that are nearly all in a row: which numbers a log has told, in the room of its gaps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class NumberRanges:
    """Whole numbers, kept as ranges. Adding the next number costs nothing; memory follows the number of gaps."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __len__(self) -> int:
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    @property
    def first(self) -> int:
        """The smallest; 0 when there is none."""
        return self._firsts[0] if self._firsts else 0

    @property
    def last(self) -> int:
        """The greatest; 0 when there is none."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def pieces(self) -> int:
        """How many ranges there are: what the set weighs."""
        return len(self._firsts)

    def add(self, number: int) -> bool:
        """Take a number in. False if it was there."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and lasts[-1] == number - 1:
            lasts[-1] = number
            return True
        index = bisect_right(firsts, number)
        if index and number <= lasts[index - 1]:
            return False
        joins_left = index > 0 and lasts[index - 1] == number - 1
        joins_right = index < len(firsts) and firsts[index] == number + 1
        if joins_left and joins_right:
            lasts[index - 1] = lasts[index]
            del firsts[index], lasts[index]
        elif joins_left:
            lasts[index - 1] = number
        elif joins_right:
            firsts[index] = number
        else:
            firsts.insert(index, number)
            lasts.insert(index, number)
        return True

    def fill(self, first: int, last: int) -> None:
        """Take all numbers from `first` to `last` in."""
        start, end = bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)
        if start < end:
            first, last = min(first, self._firsts[start]), max(last, self._lasts[end - 1])
        self._firsts[start:end], self._lasts[start:end] = [first], [last]

    def gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges from `first` to `last`, both included, that are not in the set."""
        at = first
        for index in range(bisect_left(self._lasts, first), len(self._firsts)):
            if self._firsts[index] > last:
                break
            if at < self._firsts[index]:
                yield at, self._firsts[index] - 1
            at = self._lasts[index] + 1
        if at <= last:
            yield at, last

    def clear(self) -> None:
        """Forget all."""
        self._firsts.clear()
        self._lasts.clear()
