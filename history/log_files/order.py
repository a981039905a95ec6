"""Where a log is not in the order of time: several logs one after another in one file, or the newest line first."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError
from .lines import Part, read_one

FALL_SECONDS = 1.0
"""Lines of several processes may lie so far out of order in the log that they share."""

PARTS_MAX = 64
"""So many parts of one log are open at once; one with more is not several logs, but has clocks that differ."""


def parts_of(paths: Sequence[str]) -> list[str | Part]:
    """These logs, and in the place of one that holds several one after another, its parts.

    A part begins where the time falls back with a line of a boot that is new, or that had come further before. What a
    clock does that is set leaves the numbers of its boot in order, and begins no part.

    Raises:
        UsageError: one of them cannot be read, or has the newest line first.
    """
    return [part for path in paths for part in _parts_of_one(path)]


def _parts_of_one(path: str) -> Sequence[str | Part]:
    seq_of: dict[str, int] = {}
    firsts, latest, rising, falling = [1], 0.0, 0, 0
    for line in read_one(path):
        seq = seq_of.get(line.boot)
        if seq is not None:
            rising, falling = rising + (line.seq > seq), falling + (line.seq < seq)
        if line.ts < latest - FALL_SECONDS and (seq is None or line.seq < seq):
            firsts.append(line.number)
            latest = line.ts
        latest = max(latest, line.ts)
        seq_of[line.boot] = line.seq
    if falling > 2 * rising:
        raise UsageError(
            f"expected the oldest line first, got: {path!r}, whose lines run backwards; give it turned round, as in: "
            f"tac {path} | lamplighter audit -"
        )
    if not 1 < len(firsts) <= PARTS_MAX:
        return [path]
    lasts = [first - 1 for first in firsts[1:]]
    return [Part(path, first, last) for first, last in zip(firsts, [*lasts, None], strict=True)]
