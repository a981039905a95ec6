"""Text that is safe for a terminal: characters that move its cursor, colour it or turn its text round are escaped."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""Formatting that only joins letters or pictures, and that several scripts need."""

BREAKS = "\n\t"

HARMFUL = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories: control, format, surrogate, and separators of lines and paragraphs."""


def visible(text: str, *, breaks: bool = False) -> str:
    """The text with every control character, override of direction and lone surrogate escaped.

    Args:
        breaks: whether line breaks and tabs stay, as in a traceback.
    """
    if text.isprintable():
        return text
    kept = JOINERS + BREAKS if breaks else JOINERS
    return "".join(
        one.encode("unicode_escape").decode("ascii")
        if one not in kept and unicodedata.category(one) in HARMFUL
        else one
        for one in text
    )
