"""Findings: something that cannot have happened if all is well, and the lines that show it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..log_files.lines import Line


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
        return self._firsts[0] if self._firsts else 0

    @property
    def last(self) -> int:
        return self._lasts[-1] if self._lasts else 0

    @property
    def pieces(self) -> int:
        return len(self._firsts)

    def add(self, number: int) -> bool:
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
        start, end = bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)
        if start < end:
            first, last = min(first, self._firsts[start]), max(last, self._lasts[end - 1])
        self._firsts[start:end], self._lasts[start:end] = [first], [last]

    def gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
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
        self._firsts.clear()
        self._lasts.clear()


Kind = Literal[
    "lost",
    "finished twice",
    "fired twice",
    "slot without an account",
    "illegal transition",
    "fence going back",
    "missing turns",
    "missing moves",
    "missing boot",
    "missing lines",
    "lost follow-up",
    "lost step",
    "step twice",
    "step by a stale claim",
    "too fast",
    "put off too long",
    "too many of a group",
    "started too soon",
    "doomed without cause",
    "left waiting",
    "told twice",
    "told otherwise",
    "disagreement with the store",
    "orphan",
]

GIVEN_UP = "; log.dropped says that lines were lost"
"""The end of a finding that may be about lines which the log itself has given up."""

FINDINGS_KEPT_MAX = 1_000
"""The most findings of each kind; the report counts the rest."""

NAMED_MAX = 5
"""Boots, jobs and the like that are named in one sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot have happened if all is well.

    Attributes:
        lines: the evidence, each line after the name and number of its place in the log.
        excused: the log itself announced lost lines here.
    """

    kind: Kind
    says: str
    lines: tuple[str, ...] = ()
    excused: bool = False


class TooMuch(NamedTuple):
    """More than a limit allows, by the instants of turns: no finding where a clock was set."""

    says: str
    line: Line


class Findings:
    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def say(self, kind: Kind, says: str, *lines: Line | None, excused: bool = False) -> None:
        """Keep a finding, or count it when there are too many of its kind."""
        self._counts[kind] += 1
        if self._counts[kind] <= FINDINGS_KEPT_MAX:
            shown = tuple(line.text for line in lines if line is not None)
            self.kept.append(Finding(kind, says, shown, excused))

    @property
    def more(self) -> dict[str, int]:
        return {kind: number - FINDINGS_KEPT_MAX for kind, number in self._counts.items() if number > FINDINGS_KEPT_MAX}


def named(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
    return ", ".join(known[:NAMED_MAX]) + more


def stretch(noun: str, first: int, last: int, of: str = "") -> str:
    """Consecutive numbers as the subject of a sentence: `turns 3 to 5 are`."""
    return f"{noun} {first}{of} is" if first == last else f"{noun}s {first} to {last}{of} are"
