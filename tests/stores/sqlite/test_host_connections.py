"""The host's own connections, as hosts really make them: with factories of their own, with savepoints."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy
from lamplighter import StoreUnavailable, UsageError
from lamplighter.stores.tables import jobs
from sqlalchemy.orm import Session


def as_dict(cursor, row):
    """The recipe of the sqlite3 documentation."""
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


class Named(sqlite3.Connection):
    """A connection whose cursors are the host's own."""

    def cursor(self, factory=sqlite3.Cursor):
        cursor = super().cursor(factory)
        cursor.row_factory = as_dict
        return cursor


FACTORIES = {
    "rows as dicts": {"row_factory": as_dict},
    "sqlite3.Row": {"row_factory": sqlite3.Row},
    "text as bytes": {"text_factory": bytes},
    "both": {"row_factory": as_dict, "text_factory": bytes},
}


@pytest.fixture(params=[*FACTORIES, "a subclass"])
def host_db(request, tmp_path):
    with closing(
        sqlite3.connect(tmp_path / "jobs.db", factory=Named if request.param == "a subclass" else sqlite3.Connection)
    ) as db:
        for name, factory in FACTORIES.get(request.param, {}).items():
            setattr(db, name, factory)
        yield db


def factories(db):
    return db.row_factory, db.text_factory


def test_a_job_is_queued_whatever_factories_the_host_has(runtime, host_db):
    rt, before = runtime(), factories(host_db)

    with host_db:
        job = rt.jobs.queue("welcome", "ada", connection=host_db)
        again = rt.jobs.queue("welcome", "bob", id=job.id, connection=host_db)

    assert (again.id, again.data, again.deduplicated) == (job.id, "ada", True)
    assert rt.jobs.get(job).data == "ada"
    assert factories(host_db) == before


def test_a_job_is_marked_done_whatever_factories_the_host_has(runtime, host_db):
    rt, before = runtime(), factories(host_db)
    job = rt.jobs.queue("welcome")

    with host_db:
        rt.jobs.mark_done(job.id, "met", connection=host_db)

    assert rt.jobs.join(job, timeout=10).result == "met"
    assert factories(host_db) == before


@pytest.fixture
def engine(tmp_path):
    one = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield one
    one.dispose()


@pytest.fixture
def beginning(tmp_path):
    """An engine that emits BEGIN itself, as SQLAlchemy's documentation has it."""
    one = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'jobs.db'}", connect_args={"isolation_level": None})
    sqlalchemy.event.listen(one, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    yield one
    one.dispose()


@pytest.mark.parametrize("connect", [Session, lambda engine: engine.connect()], ids=["session", "connection"])
@pytest.mark.parametrize("end", [False, True], ids=["queue", "mark_done"])
def test_a_savepoint_that_may_commit_by_itself_is_refused(runtime, engine, connect, end):
    rt = runtime()
    job = rt.jobs.queue("welcome", id="stored")

    with connect(engine) as session, session.begin_nested(), pytest.raises(UsageError, match="begin_nested"):
        if end:
            rt.jobs.mark_done(job.id, connection=session)
        else:
            rt.jobs.queue("welcome", connection=session)

    assert [(job.id, job.state) for job in rt.jobs.list()] == [("stored", "queued")]


@pytest.mark.parametrize("commit", [True, False])
def test_a_job_in_a_savepoint_follows_the_transaction_around_it(runtime, beginning, commit):
    rt = runtime()

    with Session(beginning) as session:
        with session.begin_nested():
            rt.jobs.queue("welcome", connection=session)
        session.commit() if commit else session.rollback()

    assert rt.jobs.counts()["queued"] == int(commit)


def test_a_job_in_a_savepoint_that_is_rolled_back_never_was(runtime, beginning):
    rt = runtime()

    with Session(beginning) as session:
        with session.begin_nested() as savepoint:
            rt.jobs.queue("welcome", connection=session)
            savepoint.rollback()
        session.commit()

    assert rt.jobs.counts()["queued"] == 0


def test_more_jobs_of_one_transaction_than_a_turn_takes_are_all_told_of(runtime, recorder, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "HOST_JOBS_MAX", 2)
    rt = runtime()

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as host, host:
        queued = [rt.jobs.queue("nobody-handles-it", n, connection=host).id for n in range(13)]

    recorder.wait_for("job.queued", count=len(queued))
    assert [line["job_id"] for line in recorder.of("job.queued")] == queued


MODES = [{"isolation_level": None}] + ([{"autocommit": True}] if sys.version_info >= (3, 12) else [])


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: next(iter(mode)))
def test_a_connection_in_autocommit_mode_is_refused_until_the_host_has_begun(runtime, tmp_path, mode):
    rt = runtime()
    with closing(sqlite3.connect(tmp_path / "jobs.db", **mode)) as db:
        with pytest.raises(UsageError, match="BEGIN"):
            rt.jobs.queue("welcome", id="at once", connection=db)

        db.execute("begin")
        rt.jobs.queue("welcome", id="rolled back", connection=db)
        db.execute("rollback")
        db.execute("begin")
        rt.jobs.queue("welcome", id="committed", connection=db)
        db.execute("commit")

    assert [job.id for job in rt.jobs.list()] == ["committed"]


def test_a_closed_connection_is_refused_and_one_of_another_thread_too(runtime, tmp_path):
    rt = runtime()
    db = sqlite3.connect(tmp_path / "jobs.db")
    db.execute("begin immediate")

    with ThreadPoolExecutor() as threads, pytest.raises(UsageError, match="used on the thread that opened it"):
        threads.submit(rt.jobs.queue, "welcome", connection=db).result()
    db.close()
    with pytest.raises(UsageError, match="expected connection= to be open"):
        rt.jobs.queue("welcome", connection=db)


def test_a_transaction_that_has_read_before_another_wrote_is_told_to_begin_immediate(runtime, tmp_path):
    rt = runtime()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
        db.execute("begin")
        db.execute("select count(*) from lamplighter_jobs").fetchone()
        rt.jobs.queue("welcome")

        with pytest.raises(StoreUnavailable, match="roll back, and begin with BEGIN IMMEDIATE"):
            rt.jobs.queue("welcome", connection=db)

        db.execute("rollback")
        db.execute("begin immediate")
        rt.jobs.queue("welcome", connection=db)
        db.execute("commit")

    assert rt.jobs.counts()["queued"] == 2


def test_no_job_runs_before_its_transaction_commits_or_after_it_is_rolled_back(runtime, tmp_path):
    rt = runtime()
    ran = Counter()
    rt.jobs.add_handler("welcome", lambda job: ran.update([job.data]))
    host = sqlite3.connect(tmp_path / "jobs.db")

    rt.jobs.queue("welcome", "rolled back", connection=host)
    host.rollback()
    kept = rt.jobs.queue("welcome", "committed", connection=host)
    before = dict(ran)
    host.commit()
    rt.jobs.join(kept, timeout=10)
    host.close()

    assert (before, ran) == ({}, Counter(["committed"]))
