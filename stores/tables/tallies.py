"""Tallies: a row for each span, name and kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from operator import itemgetter
from typing import Any

from ...messages.jobs import Instant
from ...messages.tallies import KEPT_SECONDS, Tally, start_of
from ...rules.codec import decode_counts, encode_own
from .database import Database, upsert
from .open_turn import TALLYING, TurnPart

TALLIES = """
create table lamplighter_tallies (
  span integer not null, start integer not null, name text not null, kind text not null,
  n integer not null, seconds real not null, buckets text not null,
  primary key (span, start, name, kind)
) strict, without rowid
"""

KEEP = upsert("lamplighter_tallies", "span, start, name, kind", "n", "seconds", "buckets")

COLUMNS = ", ".join(f"tally.{field}" for field in Tally._fields)

ONES = f"select {COLUMNS} from lamplighter_tallies tally where span = ? and start = ? and name = ?"

BETWEEN = f"""
select {COLUMNS} from lamplighter_tallies tally
where span = :span and start between :since and :until order by start, name, kind
"""

OF_NAME = f"""
with recursive starts(start) as (
  select :since union all select start + :span from starts where :span > 0 and start + :span <= :until
)
select {COLUMNS} from starts cross join lamplighter_tallies tally
where tally.span = :span and tally.start = starts.start and tally.name = :name order by tally.start, tally.kind
"""
"""One seek for each start: a file may have the sums of thousands of other names."""

TOTALS = """
select span, start, '', kind, sum(n), sum(seconds) from lamplighter_tallies
where span = :span and start between :since and :until group by span, start, kind order by start, kind
"""

BUCKET_ROWS_MAX = 5_000
"""Where there are more sums with buckets, as of thirty busy names in an hour, the oldest ones are left out."""

BUCKETS = """
select start, kind, sum(value) from (
  select start, kind, buckets from lamplighter_tallies
  where span = :span and start between :since and :until and buckets <> '[]' and kind not in ('turn', 'lock')
  order by start desc limit :most
) as newest, json_each(buckets) group by start, kind, key order by start, kind, key
"""

OLD = """
delete from lamplighter_tallies where (span, start, name, kind) in (
  select span, start, name, kind from lamplighter_tallies where span = ? and start < ? limit ?)
"""


class TableTallies(TurnPart):
    def add(self, tallies: Sequence[Tally]) -> None:
        self._turn.gate(TALLYING)
        for about, some in groupby(sorted(tallies), itemgetter(slice(3))):
            known = {row[3]: tally_of(row) for row in self._connection.execute(ONES, about)}
            for tally in some:
                whole = known[tally.kind].plus(tally) if tally.kind in known else tally
                self._turn.later(KEEP, (*whole[:6], encode_own(whole.buckets)))

    def prune(self, now: Instant, batch: int) -> None:
        for span, seconds in KEPT_SECONDS.items():
            self._connection.execute(OLD, (span, start_of(span, now - seconds), batch))


class TallyRows:
    def __init__(self, reading: Callable[[], AbstractContextManager[Database]]) -> None:
        self._reading = reading

    def between(self, span: int, since: Instant, until: Instant, name: str | None = None) -> Sequence[Tally]:
        about = {"span": span, "since": start_of(span, since), "until": start_of(span, until)}
        return self._read(BETWEEN, **about) if name is None else self._read(OF_NAME, **about, name=name)

    def totals(self, span: int, since: Instant, until: Instant) -> Sequence[Tally]:
        about = {"span": span, "since": start_of(span, since), "until": start_of(span, until)}
        buckets: dict[tuple[int, str], list[int]] = {}
        with self._reading() as reader:
            for start, kind, n in reader.execute(BUCKETS, {**about, "most": BUCKET_ROWS_MAX}):
                buckets.setdefault((start, kind), []).append(n)
            rows = reader.execute(TOTALS, about).fetchall()
        return [Tally._make((*row, tuple(buckets.get((row[1], row[3]), ())))) for row in rows]

    def _read(self, query: str, **values: Any) -> Sequence[Tally]:
        with self._reading() as reader:
            return list(map(tally_of, reader.execute(query, values)))


def tally_of(row: tuple[Any, ...]) -> Tally:
    return Tally._make((*row[:6], () if row[6] == "[]" else decode_counts(row[6])))
