"""The conditions of a query on a job, in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...errors import UsageError
from ...messages.jobs import WAITS_FOR_JOBS
from ...messages.queries import DataTerm, JobQuery
from ...rules.queries import folded

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
