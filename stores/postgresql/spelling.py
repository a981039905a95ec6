"""The SQL of `stores.tables` in PostgreSQL's spelling, and what it cannot take, with a text of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ..tables import graphs, job_rows, open_turn, tallies
from ..tables.due import NEXT_EXPIRY

# A birth may be stored, and its parents end, between the start of a turn and its own ends: only a look after those can
# say whether somebody waits for them. So there may always be open links.
OVERVIEW = f"""
  select boots, 0, change_no,
    exists (select 1 from lamplighter_pauses),
    exists (select 1 from lamplighter_jobs where rev <= 0),
    exists (select 1 from lamplighter_schedule_changes),
    exists (select 1 from lamplighter_jobs where state = 'queued' and suspect_until is not null),
    true,
    exists (select 1 from lamplighter_parents_to_check),
    exists (select 1 from lamplighter_steps),
    ({NEXT_EXPIRY}),
    coalesce(b.boot_no, 0), b.turn, clock_count, clock_offset, clock_stepped
  from lamplighter_store left join lamplighter_boots b on b.boot = ?
"""

HOW_FAR = "select (select turn from lamplighter_boots where boot = ?), boots, 0, change_no from lamplighter_store"

# Here a recursive query may name itself once only, and has no limit of its own.
GRAPH = """
  with recursive found(job, root) as (
    select no, cast(null as text) collate "C" from lamplighter_jobs where id = :id
    union select more.job, more.root from found f cross join lateral (
      select cast(null as bigint) as job, j.corr as root from lamplighter_jobs j where j.no = f.job
      union all select j.no, null from lamplighter_jobs j where j.corr = f.root and j.corr <> j.id
      union all select j.no, null from lamplighter_jobs j where j.id = f.root
      union all select l.parent, null from lamplighter_links l where l.child = f.job
      union all select l.child, null from lamplighter_links l where l.parent = f.job
    ) as more
  )
  select job from (select job from found limit :rows) as few where job is not null limit :most
"""

BUCKETS = """
select start, kind, sum(cast(value as bigint)) from (
  select start, kind, buckets from lamplighter_tallies
  where span = :span and start between :since and :until and buckets <> '[]' and kind not in ('turn', 'lock')
  order by start desc limit :most
) as newest, json_array_elements_text(cast(buckets as json)) with ordinality as each(value, key)
group by start, kind, key order by start, kind, key
"""

OWN: Mapping[str, str] = {
    open_turn.OVERVIEW: OVERVIEW,
    open_turn.HOW_FAR: HOW_FAR,
    graphs.GRAPH: GRAPH,
    tallies.BUCKETS: BUCKETS,
    # A reader sees the store as it was at one instant, for a whole transaction.
    "begin": "begin isolation level repeatable read read only",
}
"""By the shared text."""

PHRASES: Mapping[str, str] = {job_rows.NEXT_NO: "nextval('lamplighter_job_no')", "instr(": "strpos("}

PATTERNS = (
    (r"json_each\((\$\d+)\)", r"(select cast(e as bigint) as value from json_array_elements_text(\1::json) e) as each"),
    (r"json_extract\(data, (\$\d+)\) = (\$\d+)", r"lamplighter_json_at(data, \1) = to_jsonb(\2)"),
    (r"json_type\(data, (\$\d+)\) = '(true|false)'", r"lamplighter_json_at(data, \1) = jsonb '\2'"),
    (r"json_type\(data, (\$\d+)\) = 'null'", r"jsonb_typeof(lamplighter_json_at(data, \1)) = 'null'"),
    (r"json_type\(data, (\$\d+)\) = 'text'", r"jsonb_typeof(lamplighter_json_at(data, \1)) = 'string'"),
    (
        r"json_type\(data, (\$\d+)\) in \('integer', 'real'\)",
        r"jsonb_typeof(lamplighter_json_at(data, \1)) = 'number'",
    ),
)
"""Parts of texts, after their parameters have numbers."""

MADE_HERE = (
    # Data that no JSON of PostgreSQL can be, such as a text with NUL, matches nothing.
    """create function lamplighter_json_at(data text, path text) returns jsonb language plpgsql immutable as $$ begin
         return jsonb_path_query_first(data::jsonb, ('strict ' || path)::jsonpath, '{}', true);
       exception when data_exception or invalid_text_representation then return null; end $$""",
)
"""Statements for what only this store has in its schema."""

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
