"""Instants as loggers write them: numbers of some unit since the Unix epoch, or ISO 8601 with a zone or without one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

LATEST = 253_402_300_800.0
"""The end of the year 9999: no clock says more."""

UNITS = ((1e17, 1e9), (1e14, 1e6), (LATEST, 1e3))
"""From so large a number on, it counts so many parts of a second."""

KEYS = ("ts", "timestamp", "@timestamp", "time", "asctime", "datetime", "date", "created")
"""Fields in which loggers say when."""

_NUMBER = re.compile(r"\d+(\.\d*)?")
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)(?: ?(Z|UTC|[+-]\d\d(?::?\d\d)?)(?![\w:]))?", re.ASCII
)

LEADING_CHARACTERS_MAX = 100
"""How far into a line its time may stand."""


def instant_of(value: Any) -> float | None:
    """Seconds since the Unix epoch; None if a value is no instant.

    Text that names no zone means this machine's, as the standard library and structlog write it.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _in_seconds(value)
    if not isinstance(value, str):
        return None
    if _NUMBER.fullmatch(value):
        return _in_seconds(float(value))
    found = _ISO.match(value)
    return None if found is None else _of_match(found)


def time_of(fields: Mapping[str, Any]) -> float | None:
    """When an object says that it was written; None if it does not say."""
    return next((at for key in KEYS if key in fields and (at := instant_of(fields[key])) is not None), None)


def leading_instant(text: str) -> float | None:
    """The time that a line begins with, perhaps behind the name of whoever wrote it; None if there is none."""
    found = _ISO.search(text[:LEADING_CHARACTERS_MAX])
    return None if found is None else _of_match(found)


def after_instants(text: str) -> str:
    """The rest of a line behind the times that it begins with."""
    while found := _ISO.match(text):
        text = text[found.end() :].lstrip()
    return text


def _in_seconds(number: float) -> float | None:
    for least, unit in UNITS:
        if number >= least:
            number /= unit
            break
    return float(number) if 0.0 < number < LATEST else None


def _of_match(found: re.Match[str]) -> float | None:
    day, at, zone = found.groups()
    zone = "+00:00" if zone in ("Z", "UTC") else zone or ""
    try:
        return _in_seconds(datetime.fromisoformat(f"{day}T{at}{zone}").timestamp())
    except (ValueError, OverflowError, OSError):
        return None
