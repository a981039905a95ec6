"""Finding jobs: by the index that fits the question, and among a bounded number of rows.

Ended jobs have an index in the order of their ends. Of other jobs, the newest are searched, or a small index range:
running jobs, queued jobs, ids with a prefix, descendants of a job. The jobs of a graph are read one by one, in the
order of their births. Other conditions are checked row by row. Nothing ever scans the whole table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from ...errors import UsageError
from ...messages.jobs import ENDED, WAITS_FOR_JOBS, Instant, JobRecord, JobState
from ...messages.queries import GRAPH_JOBS_MAX, DataTerm, Found, JobQuery, Place
from ...rules.queries import folded
from .database import Database, at_one_instant
from .job_rows import GROUPED, HIGHEST_GROUPED, KEYS_MAX, LINKED, RUNNING, UNFINISHED, WHOLE
from .turns import PRIORITIES_MAX, priorities

TRIED = (
    (
        JobState.QUEUED,
        "from lamplighter_jobs indexed by lamplighter_jobs_tried where state = 'queued' and attempt > 0",
    ),
    (JobState.RUNNING, RUNNING),
)
"""The same of jobs with an attempt: hardly any queued ones."""


class RangeEnd(NamedTuple):
    """An end of a range, and whether the row there belongs to it."""

    place: Place
    is_within: bool


class IndexRange(NamedTuple):
    """A range of rows in an order.

    Attributes:
        rows: rows of an index.
        few: the numbers (`no`) of few rows of an index.
        size: their number.
        by_end: in the order of ends; otherwise in the order of births.
        is_backwards: newest first.
        since, until: bounds of their ends.
    """

    rows: str = "from lamplighter_jobs where true"
    few: str | None = None
    size: int = 0
    by_end: bool = False
    is_backwards: bool = True
    since: Instant | None = None
    until: Instant | None = None
    first: RangeEnd | None = None
    last: RangeEnd | None = None

    @property
    def order(self) -> str:
        way = "desc" if self.is_backwards else "asc"
        return f"ended_at {way}, no {way}" if self.by_end else f"no {way}"

    def beyond(self, place: Place) -> IndexRange:
        bound = RangeEnd(place, False)
        return self._replace(last=bound) if self.is_backwards else self._replace(first=bound)

    def upto(self, place: Place) -> IndexRange:
        bound = RangeEnd(place, True)
        return self._replace(first=bound) if self.is_backwards else self._replace(last=bound)

    def sql(self, values: Values, *, only: int | None = None) -> str:
        """The SQL of the rows; the values of the bounds are added.

        Args:
            only: how many of few rows suffice.
        """
        if self.few is not None:
            inner = f"select no {self.few}"
            if only is not None:
                rows = f"from ({inner}) as few where true{self._bounds(values)}"
                inner = f"select no {rows} order by {self.order} limit {only}"
            return f"from lamplighter_jobs where no in ({inner}){self._bounds(values)}"
        return self.rows + (self._end_bounds(values) if self.by_end else self._bounds(values))

    def _bounds(self, values: Values) -> str:
        said = ""
        for bound, than in ((self.first, ">"), (self.last, "<")):
            if bound is not None:
                said += f" and no {_than(than, bound)} {bind(values, bound.place.row_id)}"
        return said

    def _end_bounds(self, values: Values) -> str:
        """One comparison for each end: of two, SQLite might use the wider one for the index."""
        said, first, last = "", self.first, self.last
        begins = max((at for at in (self.since, first and first.place.ended_at) if at is not None), default=None)
        if begins is not None:
            said += f" and ended_at >= {bind(values, begins)}"
        ends = None if last is None else last.place.ended_at
        if self.until is not None and (ends is None or self.until <= ends):
            said += f" and ended_at < {bind(values, self.until)}"
        elif ends is not None:
            said += f" and ended_at <= {bind(values, ends)}"
        for bound, than in ((first, ">"), (last, "<")):
            if bound is not None:
                at, row_id = bind(values, bound.place.ended_at), bind(values, bound.place.row_id)
                said += f" and (ended_at {than} {at} or (ended_at = {at} and no {_than(than, bound)} {row_id}))"
        return said


class Looked(NamedTuple):
    """The result of a search in a range.

    Attributes:
        places: of the jobs that match.
        edge: how far was searched; None: to the end.
    """

    places: Sequence[Place]
    edge: Place | None
    looked_at: int


def find(connection: Database, query: JobQuery, *, limit: int, after: Place | None, looked_max: int) -> Found:
    wanted = Conditions(query)
    with at_one_instant(connection):
        stretches = _stretches(connection, query, wanted, looked_max)
        if wanted.is_of_states and len(stretches) == 1 and stretches[0].by_end:
            return _ended_in(connection, stretches[0], wanted, limit, after)
        share = max(1, looked_max // len(stretches))
        looks = [_look(connection, one, wanted, limit=limit, after=after, looked_max=share) for one in stretches]
        places, edge = _merged(looks, limit)
        jobs = _rows(connection, places)
    is_full = len(places) == limit
    last = places[-1] if is_full else edge
    looked_at = sum(look.looked_at for look in looks)
    return Found(jobs, None if last is None else last.cursor, looked_at, is_full or edge is None)


def _ended_in(connection: Database, stretch: IndexRange, wanted: Conditions, limit: int, after: Place | None) -> Found:
    """The jobs of a range in which every row matches: read at once, not first their places."""
    values = dict(wanted.values)
    stretch = stretch if after is None else stretch.beyond(after)
    rows = f"select {WHOLE} {stretch.sql(values)} order by {stretch.order} limit {limit}"
    jobs = list(map(JobRecord._make, connection.execute(rows, values)))
    last = Place(jobs[-1].ended_at, jobs[-1].row_id, jobs[-1].id) if len(jobs) == limit else None
    return Found(jobs, None if last is None else last.cursor, len(jobs), True)


def parts(query: JobQuery) -> Sequence[JobQuery]:
    """The query for each state in which its matches can have ended; itself if they may not have ended."""
    states = query.states
    if query.graph is not None:
        return [query]
    if not states and (query.ended_since, query.ended_until) != (None, None):
        states = tuple(sorted(ENDED))
    if states and ENDED.issuperset(states):
        return [replace(query, states=(state,)) for state in dict.fromkeys(states)]
    return [query]


def newest(connection: Database, query: JobQuery, looked_max: int) -> Place | None:
    """The last place in which one of the `parts` of a query is looked for; None if there is none."""
    wanted = Conditions(query)
    (stretch,) = _stretches(connection, query, wanted, looked_max)
    rows = stretch.sql(wanted.values, only=1)
    return next(_places(connection, f"{rows} order by {stretch.order} limit 1", wanted.values), None)


def following(
    connection: Database, query: JobQuery, after: Place | None, last: Place, *, limit: int, looked_max: int
) -> Looked:
    """The next jobs that match, oldest first, up to a place."""
    wanted = Conditions(query)
    with at_one_instant(connection):
        (stretch,) = _stretches(connection, query, wanted, looked_max)
        stretch = stretch._replace(is_backwards=False).upto(last)
        return _look(connection, stretch, wanted, limit=limit, after=after, looked_max=looked_max)


def _stretches(connection: Database, query: JobQuery, wanted: Conditions, looked_max: int) -> Sequence[IndexRange]:
    if query.graph is not None:
        from .graphs import graph_numbers

        numbers = graph_numbers(connection, query.graph, GRAPH_JOBS_MAX)
        few = f"from (select value as no from json_each({wanted.bind(json.dumps(numbers))})) as few"
        return [IndexRange(few=few, size=len(numbers))]
    ends = [state for one in parts(query) for state in one.states]
    if ends and ENDED.issuperset(ends):
        return [_ended(query, wanted.bind(state.value)) for state in ends]
    for few in _few(connection, query, wanted):
        count = f"select count(*) from (select no {few} limit {looked_max + 1}) as few"
        size = connection.execute(count, wanted.values).fetchone()[0]
        if size <= looked_max:
            return [IndexRange(few=few, size=size)]
    return [IndexRange()]


def _ended(query: JobQuery, state: str) -> IndexRange:
    rows = f"from lamplighter_jobs indexed by lamplighter_jobs_ended where state = {state} and ended_at is not null"
    return IndexRange(rows, by_end=True, since=query.ended_since, until=query.ended_until)


def _few(connection: Database, query: JobQuery, wanted: Conditions) -> Iterator[str]:
    """Small index ranges that contain every match."""
    if query.id_prefix:
        rows = f"from lamplighter_jobs where id >= {wanted.bind(query.id_prefix)}"
        end = _next_text(query.id_prefix)
        yield rows if end is None else f"{rows} and id < {wanted.bind(end)}"
    if query.root_id is not None:
        root_id = wanted.bind(query.root_id)
        children = f"from lamplighter_jobs indexed by lamplighter_jobs_children where corr = {root_id} and corr <> id"
        yield f"from lamplighter_jobs where id = {root_id} union all select no {children}"
    places = TRIED if (query.attempt_min or 0) > 0 else UNFINISHED
    unfinished = [rows for state, rows in places if state in query.states]
    if unfinished and not ENDED.intersection(query.states):
        if query.group is not None and len(query.names) == 1:
            yield from _of_group(connection, query, wanted)
        named = f" and {wanted.one_of('name', query.names)}" if query.names else ""
        yield " union all select no ".join(f"{rows}{named}" for rows in unfinished)


def _of_group(connection: Database, query: JobQuery, wanted: Conditions) -> Iterator[str]:
    """The same for one group of a name. Its jobs that wait for parents are among all such jobs of the name."""
    name, group = wanted.bind(query.names[0]), wanted.bind(query.group)
    rows = [f"{RUNNING} and name = {name} and group_key = {group}"] if JobState.RUNNING in query.states else []
    if JobState.QUEUED in query.states:
        # At most as many values as deserve an index seek each.
        found = list(islice(priorities(connection, HIGHEST_GROUPED, query.names[0]), PRIORITIES_MAX + 1))
        if len(found) > PRIORITIES_MAX:
            return
        rows += [f"{GROUPED} and name = {name} and priority = {one} and group_key = {group}" for one in found]
        rows.append(f"{LINKED} and name = {name}")
    yield " union all select no ".join(rows)


def _next_text(text: str) -> str | None:
    """The first text after all with this prefix; None if there is none."""
    while text:
        code = ord(text[-1]) + 1
        if code <= 0x10FFFF:
            # Surrogates are no characters.
            return text[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
        text = text[:-1]
    return None


def _look(
    connection: Database,
    stretch: IndexRange,
    wanted: Conditions,
    *,
    limit: int,
    after: Place | None,
    looked_max: int,
) -> Looked:
    values, edge = dict(wanted.values), None
    if after is not None:
        stretch = stretch.beyond(after)
    if wanted.is_of_states and (stretch.by_end or wanted.sql == ANY):
        # Every row matches, so no look is wasted.
        places = list(_places(connection, f"{stretch.sql(values)} order by {stretch.order} limit {limit}", values))
        return Looked(places, None, len(places))
    if stretch.few is None:
        rows = f"{stretch.sql(values)} order by {stretch.order} limit 2 offset {looked_max - 1}"
        last_and_next = list(_places(connection, rows, values))
        if len(last_and_next) == 2:
            edge = last_and_next[0]
            stretch = stretch.upto(edge)
    rows = stretch.sql(values, only=limit if wanted.is_all_indexed else None)
    places = list(_places(connection, f"{rows} and {wanted.sql} order by {stretch.order} limit {limit}", values))
    if stretch.few is not None:
        return Looked(places, edge, stretch.size)
    is_full = len(places) == limit
    if edge is not None and not is_full:
        return Looked(places, edge, looked_max)
    rows = (stretch.upto(places[-1]) if is_full else stretch).sql(values)
    return Looked(places, edge, connection.execute(f"select count(*) {rows}", values).fetchone()[0])


def _than(than: str, bound: RangeEnd) -> str:
    return f"{than}=" if bound.is_within else than


def _places(connection: Database, rows: str, values: Values) -> Iterator[Place]:
    return map(Place._make, connection.execute(f"select ended_at, no, id {rows}", values))


def _merged(looks: Sequence[Looked], limit: int) -> tuple[Sequence[Place], Place | None]:
    """The first places of several searches, and how far all of them have searched."""
    if len(looks) == 1:
        return looks[0].places, looks[0].edge
    edges = [look.edge for look in looks if look.edge is not None]
    edge = max(edges, key=_by_end, default=None)
    places = sorted((place for look in looks for place in look.places), key=_by_end, reverse=True)
    return [place for place in places if edge is None or _by_end(place) >= _by_end(edge)][:limit], edge


def _by_end(place: Place) -> tuple[float, int]:
    return place.ended_at or 0.0, place.row_id


def _rows(connection: Database, places: Sequence[Place]) -> list[JobRecord]:
    found: dict[int, JobRecord] = {}
    for first in range(0, len(places), KEYS_MAX):
        some = [place.row_id for place in places[first : first + KEYS_MAX]]
        query = f"select {WHOLE} from lamplighter_jobs where no in ({', '.join('?' * len(some))})"
        found |= {job.row_id: job for job in map(JobRecord._make, connection.execute(query, some))}
    return [found[place.row_id] for place in places]


ERROR_TEXT = "lower(coalesce(error, reason, ''))"

SAID = {
    "schedule": "schedule",
    "slot": "slot",
    "boot": "boot",
    "root_id": "corr",
    "unique": "unique_key",
    "group": "group_key",
    "debounce": "debounce_key",
}

Values = dict[str, Any]

ANY = "true"


class Conditions:
    """The conditions of a query on a row, in SQL: the cheapest comes first.

    Attributes:
        is_all_indexed: the indexes of queued or running jobs suffice.
        is_of_states: only states are asked for, if anything is.
    """

    def __init__(self, query: JobQuery) -> None:
        self.values: Values = {}
        self.is_all_indexed = query == JobQuery(names=query.names, states=query.states)
        self.is_of_states = query == JobQuery(states=query.states)
        self._said: list[str] = []
        if query.names:
            self._said.append(self.one_of("name", query.names))
        if query.states:
            self._said.append(self.one_of("state", query.states))
        self._add_exact(query)
        self._add_spans(query)
        self._add_texts(query)
        for term in query.data:
            self._add_data(term)
        self.sql = " and ".join(self._said) or ANY

    def bind(self, value: Any) -> str:
        return bind(self.values, value)

    def one_of(self, column: str, values: Sequence[str]) -> str:
        return f"{column} in ({', '.join(map(self.bind, values))})"

    def _add_exact(self, query: JobQuery) -> None:
        for field, column in SAID.items():
            value = getattr(query, field)
            if value is not None:
                self._said.append(f"{column} = {self.bind(value)}")
        if query.fate is not None:
            shares = f"waits = {WAITS_FOR_JOBS} and (state = 'dead' or state = 'cancelled')"
            self._said.append(f"({shares})" if query.fate == "yes" else f"not ({shares})")
        if query.attempt_min is not None:
            self._said.append(f"attempt >= {self.bind(query.attempt_min)}")
        if query.attempt_max is not None:
            self._said.append(f"attempt <= {self.bind(query.attempt_max)}")

    def _add_spans(self, query: JobQuery) -> None:
        spans = (
            ("queued_at", query.queued_since, query.queued_until),
            # The plus keeps SQLite from using the index on it: the range's own bounds are closer.
            ("+ended_at", query.ended_since, query.ended_until),
            ("run_at", query.due_since, query.due_until),
        )
        for column, since, until in spans:
            if since is not None:
                self._said.append(f"{column} >= {self.bind(since)}")
            if until is not None:
                self._said.append(f"{column} < {self.bind(until)}")

    def _add_texts(self, query: JobQuery) -> None:
        if query.id_prefix:
            self._said.append(f"substr(id, 1, {len(query.id_prefix)}) = {self.bind(query.id_prefix)}")
        if query.error is not None:
            self._said.append(f"instr({ERROR_TEXT}, {self.bind(folded(query.error))}) > 0")
        for word in query.words:
            bound = self.bind(folded(word))
            texts = ("lower(id)", "lower(name)", ERROR_TEXT)
            self._said.append(f"({' or '.join(f'instr({text}, {bound}) > 0' for text in texts)})")

    def _add_data(self, term: DataTerm) -> None:
        path = self.bind(_json_path(term.path))
        kind = f"json_type(data, {path})"
        for key in term.path:
            if isinstance(key, str):
                # SQLite compares keys as far as a NUL, and would take one that goes on after it for this one.
                longer = self.bind(json.dumps(key)[:-1] + "\\u0000")
                self._said.append(f"instr(data, {longer}) = 0")
        match term.value:
            case None:
                self._said.append(f"{kind} = 'null'")
            case bool():
                self._said.append(f"{kind} = '{str(term.value).lower()}'")
            case str():
                self._said.append(f"json_extract(data, {path}) = {self.bind(term.value)} and {kind} = 'text'")
            case int() | float():
                value = self.bind(term.value)
                self._said.append(f"json_extract(data, {path}) = {value} and {kind} in ('integer', 'real')")


def _json_path(path: Sequence[str | int]) -> str:
    """A place in JSON as SQLite writes it. Our JSON is ASCII, and older versions compare keys as they are escaped.

    Raises:
        UsageError: a key with a quotation mark or a NUL, which SQLite cannot look for.
    """
    for key in path:
        if isinstance(key, str) and ('"' in key or "\0" in key):
            raise UsageError(f"expected a key of data without a quotation mark or NUL: none is searched, got: {key!r}")
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{json.dumps(key)}" for key in path)


def bind(values: Values, value: Any) -> str:
    name = f"p{len(values)}"
    values[name] = value
    return f":{name}"
