"""The form of numbers, durations, instants and long texts in sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

Tone = Literal["good", "bad", "warning", "plain", "quiet"]
"""The colour of a sentence, where there are colours."""

REASON_CHARACTERS_MAX = 160
"""The length of a reason or of an error in a sentence."""


DAYS_FROM_HOURS = 48
"""A duration from here on is shown in days."""


def many(number: Any, noun: str) -> str:
    """A number with its noun; a line of the log may have anything for a number."""
    ending = "" if number == 1 else "es" if noun.endswith("sh") else "s"
    return f"{number:,} {noun}{ending}" if isinstance(number, int) else f"{number} {noun}{ending}"


def moves_in_words(moves: Iterable[Any]) -> str:
    """How many moves of each kind a line of the ledger tells."""
    kinds = Counter(str(move.get("k")) for move in moves if isinstance(move, dict))
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def span(seconds: float) -> str:
    """A duration with its unit, three digits."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120.0:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= DAYS_FROM_HOURS:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def about(seconds: float) -> str:
    """A duration for somebody who waits: in whole seconds, below one in whole milliseconds."""
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    return span(round(seconds))


def moment(instant: float) -> str:
    """An instant in UTC, to the second."""
    return clock(float(instant // 1))


def clock(instant: Any) -> str:
    """An instant in UTC, in full precision; `?` if it is none."""
    if not isinstance(instant, int | float):
        return "?"
    text = datetime.fromtimestamp(instant, UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return text.rstrip("0").rstrip(".") + "Z"


def brief(text: Any) -> str:
    """The first line, cut to `REASON_CHARACTERS_MAX`."""
    first = (str(text).strip().splitlines() or [""])[0]
    return first if len(first) <= REASON_CHARACTERS_MAX else first[: REASON_CHARACTERS_MAX - 1] + "…"


def attributed(
    since: float | None = None, *, by: str | None = None, until: float | None = None, reason: str | None = None
) -> str:
    """The end of a sentence about a condition: since when, by whom, until when and why, as far as that is known."""
    parts = (
        "" if since is None else f" since {moment(since)}",
        "" if by is None else f" by {by}",
        "" if until is None else f" until {moment(until)}",
        "" if reason is None else f": {brief(reason)}",
    )
    return "".join(parts)
