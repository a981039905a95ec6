"""How SQLite goes about statements for which it would choose another index, or none, by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from lamplighter.messages.tallies import HOUR, MINUTE
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables import links

NOW = 1_000_000.0


def in_a_turn(does: Callable[[Any], object]) -> Callable[[SqliteStore], object]:
    def look(store: SqliteStore) -> object:
        with store.turn("b", NOW) as turn:
            return does(turn)

    return look


STATEMENTS: dict[str, tuple[Callable[[SqliteStore], object], str]] = {
    "the claims of a boot": (
        in_a_turn(lambda turn: turn.jobs.open_claims("b")),
        r"SCAN lamplighter_jobs USING INDEX lamplighter_jobs_running",
    ),
    "the claims of a name": (
        in_a_turn(lambda turn: turn.jobs.open_claims("b", "mail")),
        r"SEARCH lamplighter_jobs USING INDEX lamplighter_jobs_running \(name=\?\)",
    ),
    "claims of boots that are gone": (
        in_a_turn(lambda turn: turn.jobs.orphans()),
        r"SCAN lamplighter_jobs USING INDEX lamplighter_jobs_running",
    ),
    "the names of what waits for its time": (
        lambda store: store.table.names("mail", 5),
        r"SEARCH lamplighter_jobs USING (COVERING )?INDEX lamplighter_jobs_waiting \(name>\?\)",
    ),
    "the names of sums": (
        lambda store: store.table.names("mail", 5),
        r"SEARCH lamplighter_tallies USING PRIMARY KEY \(span=\? AND start=\? AND name>\?\)",
    ),
    "the sums of one name": (
        lambda store: store.tallies.between(MINUTE, NOW - HOUR, NOW, "mail"),
        r"SEARCH tally USING PRIMARY KEY \(span=\? AND start=\? AND name=\?\)",
    ),
}


def plans_of(store: SqliteStore, does: Callable[[SqliteStore], object]) -> Iterator[str]:
    """The plan of each statement, in SQLite's words."""
    with store._lock:
        connection, said = store._writer, list[str]()
        assert connection is not None
        connection.set_trace_callback(said.append)
        does(store)
        connection.set_trace_callback(None)
        for text in said:
            if text.lstrip().startswith(("select", "with")):
                yield from (row[3] for row in connection.execute(f"explain query plan {text}"))


@pytest.mark.parametrize("what", STATEMENTS)
def test_a_statement_uses_the_index_that_it_was_written_for(what: str) -> None:
    does, plan = STATEMENTS[what]
    with closing(SqliteStore(":memory:")) as store:
        store.open()

        plans = list(plans_of(store, does))

    assert any(re.match(plan, one) for one in plans), plans


@pytest.mark.parametrize("statement", [links.IS_OPEN, links.FIRST_OPEN, links.COUNT_OPEN])
def test_what_a_job_still_waits_for_is_found_though_it_has_waited_for_thousands(statement: str) -> None:
    with closing(SqliteStore(":memory:")) as store:
        store.open()
        assert store._writer is not None
        values = [1] * statement.count("?")
        plans = [row[3] for row in store._writer.execute(f"explain query plan {statement}", values)]

    assert plans[0] == "SEARCH lamplighter_links USING INDEX lamplighter_links_open (child=?)"
