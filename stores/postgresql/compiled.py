"""The SQL of `stores.tables` in PostgreSQL's spelling."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .spelling import OWN, PATTERNS, PHRASES

COMPILED_MAX = 4000


class Compiled(NamedTuple):
    """A text of `stores.tables` in the server's spelling.

    Attributes:
        names: of the parameters, in order; None where the text has `?`.
    """

    text: str
    names: tuple[str, ...] | None


ONLY_HERE = re.compile(r"/\*pg\b(.*?)\*/", re.DOTALL)
PIECES = re.compile(
    r"""(?P<kept> '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | :: )
      | (?P<gone> \s+ indexed \s+ by \s+ \w+ )
      | (?: (?<=limit\ ) \+ )? (?: (?P<place> \? ) | : (?P<name> [a-z_]\w* ) )""",
    re.DOTALL | re.VERBOSE,
)


@lru_cache(maxsize=COMPILED_MAX)
def compiled(query: str) -> Compiled:
    """Spell a text for PostgreSQL: `?` and `:name` become `$n`, SQLite's hints go, and `/*pg ... */` counts.

    Raises:
        ValueError: it has both kinds of parameters.
    """
    numbers: dict[str, int] = {}
    kinds = set[str | None]()

    def piece(found: re.Match[str]) -> str:
        if found.lastgroup == "kept":
            return found[0]
        if found.lastgroup == "gone":
            return ""
        kinds.add(found.lastgroup)
        name = found["name"] or str(len(numbers))
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    text = OWN.get(query, query)
    for shared, here in PHRASES.items():
        text = text.replace(shared, here)
    text = PIECES.sub(piece, ONLY_HERE.sub(r"\1", text))
    for shared, here in PATTERNS:
        text = re.sub(shared, here, text)
    text = _with_greatest(text)
    if len(kinds) > 1:
        raise ValueError(f"expected parameters either as ? or by name, got both: {query}")
    return Compiled(text, None if kinds == {"place"} else tuple(numbers))


def _with_greatest(text: str) -> str:
    """Spell the largest of several values: SQLite calls it as it calls the largest of several rows."""
    for found in reversed(list(re.finditer(r"\b(max|min)\(", text))):
        depth = 1
        for place in range(found.end(), len(text)):
            depth += {"(": 1, ")": -1}.get(text[place], 0)
            if depth == 0:
                break
            if depth == 1 and text[place] == ",":
                text = f"{text[: found.start()]}{'greatest' if found[1] == 'max' else 'least'}{text[found.end() - 1 :]}"
                break
    return text
