"""A caller whose own transaction holds the lock that the runtime needs waits for itself: found at once, or told."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from lamplighter import StoreUnavailable, UsageError
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

INSERT = text("insert into users values ('ada')")


@pytest.fixture
def path(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as db, db:
        db.execute("create table users (name text)")
    return tmp_path / "jobs.db"


@pytest.fixture
def engine(path):
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def rt(runtime, path, engine):
    """A runtime that has seen the engine once."""
    rt = runtime(path, reply_seconds_max=0.5, busy_seconds_max=0.05)
    with Session(engine) as session, session.begin():
        session.execute(INSERT)
        rt.jobs.queue("welcome", connection=session)
    return rt


CALLS = [
    lambda jobs: jobs.queue("welcome"),
    lambda jobs: jobs.queue_many([("welcome", 1)]),
    lambda jobs: jobs.pause("welcome"),
    lambda jobs: jobs.cancel("nobody"),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_after_a_write_of_sqlalchemys_is_refused_at_once(rt, engine, call):
    with Session(engine) as session:
        session.execute(INSERT)

        with pytest.raises(UsageError, match=r"before your SQLAlchemy transaction writes.*connection="):
            call(rt.jobs)


def test_what_was_refused_is_not_stored_and_works_after_the_commit(rt, engine):
    before = rt.jobs.counts("welcome")["queued"]
    with Session(engine) as session:
        session.execute(INSERT)
        with pytest.raises(UsageError):
            rt.jobs.queue("welcome")
        session.commit()

        rt.jobs.queue("welcome")
    with engine.begin() as connection:
        connection.execute(INSERT)
        connection.rollback()
    rt.jobs.queue("welcome")

    assert rt.jobs.counts("welcome")["queued"] == before + 2


def test_a_transaction_that_has_only_read_holds_up_nobody(rt, engine):
    with Session(engine) as session:
        session.execute(text("select * from users")).all()

        assert rt.jobs.queue("welcome").state == "queued"


def test_an_engine_with_options_of_its_own_is_the_same_engine(rt, engine):
    with engine.execution_options(logging_token="orders").connect() as connection:
        connection.execute(INSERT)

        with pytest.raises(UsageError, match="SQLAlchemy transaction"):
            rt.jobs.queue("welcome")


def test_a_transaction_of_another_thread_is_waited_for(rt, engine):
    """It will end: the thread that calls holds up nobody but itself."""
    host = rt.boot.store.host

    def other():
        with Session(engine) as session, session.begin():
            session.execute(INSERT)
            return host.written_here(), main.submit(host.written_here).result(15)

    with ThreadPoolExecutor(1) as main, ThreadPoolExecutor(1) as others:
        assert others.submit(other).result(15) == (True, False)


def test_a_transaction_that_has_become_invalid_is_over_and_nothing_is_asked_of_it(rt, engine):
    with Session(engine) as session:
        session.execute(INSERT)
        session.connection().connection.dbapi_connection.rollback()
        session.invalidate()

    assert rt.jobs.queue("welcome").state == "queued"


def test_a_call_after_a_write_of_sqlite3s_is_told_with_the_thread_and_what_to_do(runtime, recorder, path):
    rt = runtime(path, reply_seconds_max=0.5, busy_seconds_max=0.05)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("insert into users values ('ada')")

        with pytest.raises(StoreUnavailable, match="pass connection="):
            rt.jobs.queue("welcome")
        waiting = recorder.wait_for("store.waiting")

    assert waiting["likely"].startswith("this process has a transaction open (MainThread): if it has written, end it")
    assert "connection=" in waiting["likely"]


def test_an_engine_that_no_call_has_shown_is_told_too(runtime, recorder, path, engine):
    rt = runtime(path, reply_seconds_max=0.5, busy_seconds_max=0.05)
    with Session(engine) as session:
        session.execute(INSERT)

        with pytest.raises(StoreUnavailable):
            rt.jobs.queue("welcome")
        waiting = recorder.wait_for("store.waiting")

    assert waiting["likely"].startswith("this process has a transaction open (a connection)")


@pytest.mark.parametrize(
    "prepare",
    [lambda db: db.execute("pragma query_only = 1"), lambda db: db.set_progress_handler(lambda: 1, 1)],
    ids=["may not write", "is interrupted"],
)
def test_what_a_hosts_own_connection_refuses_is_sqlites_own_error(runtime, path, prepare):
    # It was said of the store that it is unavailable now, which heals by itself.
    rt = runtime(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        prepare(db)

        with pytest.raises(sqlite3.OperationalError):
            rt.jobs.queue("welcome", connection=db)
