"""When a schedule is due: its changes, and which slots their rules have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...cron.when import Rule, parse_when
from ...errors import LamplighterError
from ...rules.wording import many
from ..log_files.lines import Line, LoggedMove

NAMED_SLOTS_MAX = 100
"""The most slots of one stretch that are kept: the first."""


@dataclass(frozen=True, slots=True)
class Change:
    """A schedule as it is from an instant on.

    Attributes:
        no: its number on the store, by which changes follow one another.
        at: since when it is what it is: when it was stored, or when an application had said so in a transaction of its
            own.
        rules: every rule that it may mean; none where nothing can be said about its slots.
        line: the line that tells of it.
    """

    no: int | None
    at: float
    rules: tuple[Rule, ...]
    when: str | None
    line: Line

    @property
    def key(self) -> tuple[int | None, str | None]:
        """The key that tells it from the schedule's other changes, however often it is logged."""
        return self.no, self.when

    def follows(self, no: int | None) -> bool:
        """Whether it was stored after the change with this number, as far as is known."""
        return no is None or self.no is None or self.no > no

    def has(self, slot: float) -> bool:
        """Whether it is due then, by one of its rules."""
        return not self.rules or any(_is_due(rule, slot) for rule in self.rules)

    def objections(self, first: float, last: float, count: int) -> Iterator[str]:
        """Why it cannot be that these are so many slots, one after another."""
        if not self.rules:
            return
        counts = {rule.count(math.nextafter(first, -math.inf), last) for rule in self.rules} if last > first else {1}
        if not min(counts) <= count <= max(counts):
            yield f"expected {many(max(counts), 'slot')} from {first} to {last}, got: {count}"
        for end in dict.fromkeys((first, last)):
            if not self.has(end):
                yield f"{end} is no slot of {self.when!r}"

    def certain_slots(self, start: float, end: float) -> tuple[float, ...]:
        """The first few slots after `start` up to `end` that are due whichever of its rules is meant."""
        certain: set[float] | None = None
        for rule in self.rules:
            slots = {due.slot for due in itertools.islice(rule.between(start, end), NAMED_SLOTS_MAX)}
            certain = slots if certain is None else certain & slots
            if not certain:
                return ()
        return tuple(sorted(certain or ()))


def change_of(move: LoggedMove, at: float, line: Line) -> Change:
    """The schedule from an instant on, as a move has it."""
    return Change(move.no, at if move.since is None else move.since, tuple(_rules(move)), move.when, line)


def _rules(move: LoggedMove) -> Iterator[Rule]:
    """Every rule that a move may mean: what happens in a gap or a fold of local time may not be said."""
    gaps = [move.gap] if move.gap is not None else ["run_after", "skip"]
    folds = [move.fold] if move.fold is not None else ["first", "second", "both"]
    zone = move.tz or "UTC"
    try:
        yield parse_when(move.when, timezone=zone)
        if zone == "UTC" or move.when is None or move.when.startswith("@"):
            return
        for gap, fold in itertools.product(gaps, folds):
            yield parse_when(move.when, timezone=zone, dst_gap=gap, dst_fold=fold)
    except LamplighterError:
        # A rule or a zone that is unknown here: nothing can be said about its slots.
        return


def _is_due(rule: Rule, slot: float) -> bool:
    return next(iter(rule.between(math.nextafter(slot, -math.inf), slot)), None) is not None
