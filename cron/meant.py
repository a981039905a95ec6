"""The schedule that somebody may have meant whose text is none: an interval in words, or a name with a letter amiss."""

from __future__ import annotations

import re

from ..errors import alike

_LENGTH = re.compile(r"(\d+)\s*(days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])[\s,]*")


def meant(text: str, names: list[str]) -> str:
    """The end of an error about a text: what it may have been meant to be, or how an interval is written.

    Args:
        names: those that a schedule may have, such as `@daily`.
    """
    said = text.lower().strip().removeprefix("@")
    length = said.removeprefix("every").strip()
    # "every hour" is every 1 hour, and "hourly" has a name.
    counted = length if length[:1].isdigit() else f"1 {length}"
    if _LENGTH.sub("", counted) == "":
        parts = {unit[0]: f"{count}{unit[0]}" for count, unit in _LENGTH.findall(counted)}
        return f'; did you mean "@every {"".join(parts[unit] for unit in "dhms" if unit in parts)}"?'
    if close := alike(f"@{said}", names):
        return f'; did you mean "{close[0]}"?'
    return '; for an interval write for example "@every 30s"' if said.startswith("every") or " " not in said else ""
