"""The store on PostgreSQL keeps every promise of a store."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from lamplighter.doctor.examining import evidence_at, examine
from lamplighter.messages.jobs import JobState
from lamplighter.stores.postgresql import connection
from lamplighter.stores.postgresql.store import PostgresStore
from lamplighter.stores.tables.condition import Uncounted

from support.conformance.kit import DONE, NOW, SUCCEEDED, new, put, take
from support.conformance.suite import StoreConformance

from .plans import Planner


@pytest.fixture(scope="module")
def planner(postgres_server):
    with contextlib.closing(Planner(postgres_server.url)) as one:
        yield one


class TestStoreOnPostgres(StoreConformance):
    @pytest.fixture(autouse=True)
    def _place(self, postgres):
        self.address = postgres

    @pytest.fixture(autouse=True)
    def _each_statement_knows_where_to_read(self, planner, monkeypatch):
        """Whatever statement a test has prepared is planned for large tables too, with good and bad statistics."""
        prepared, prepare = [], connection.PostgresDatabase._prepare

        def prepare_and_note(database, statement, types):
            prepare(database, statement, types)
            prepared.append((statement.text.decode(), statement.types))

        monkeypatch.setattr(connection.PostgresDatabase, "_prepare", prepare_and_note)
        yield
        assert [line for text, types in prepared for line in planner.complaints(text, types)] == []

    def make_store(self, place):
        return PostgresStore(self.address)

    def connect_host(self, store):
        return psycopg.connect(self.address.partition("?")[0])

    def test_of_many_jobs_those_that_are_there_already_leave_no_gap(self, store):
        """PostgreSQL counts a number for each row that it tries: the numbers rise, with gaps."""
        put(store, new("a"), new("b"))

        stored = put(store, new("c"), new("a"), new("d"), new("b"), new("e"))

        ids = {job.id: job.row_id for job in stored}
        assert sorted(ids, key=ids.get) == ["a", "b", "c", "d", "e"]

    def test_the_doctor_examines_large_tables_by_their_indexes_too(self, store):
        """The statements that no turn and no reader has: they are planned as all others are."""
        put(store, new("a"), new("b"))
        (claimed,) = take(store)
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, SUCCEEDED, DONE)
        with evidence_at(self.address) as seen:
            examined, rows = examine(seen).findings, seen.rows

            failed = "this could not be looked at", "the check itself has failed"
            assert [one for one in examined if one.evidence.startswith(failed)] == []
            assert (rows.moved_to(), rows.oldest_ended()) == (None, {JobState.DONE: NOW})
            assert (rows.uncounted(9), rows.suspects(NOW, 9)) == ((Uncounted(0, None), Uncounted(0, None)), [])
