"""Steps in an application's own transaction on PostgreSQL, beside turns of other processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from lamplighter import Step
from lamplighter.messages.jobs import UNATTRIBUTED
from lamplighter.stores.postgresql.store import PostgresStore
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from support.conformance.kit import DONE, NOW, SUCCEEDED, job_of, new, put, take

SECONDS_MAX = 20


@pytest.fixture
def url(postgres):
    """The database as an application knows it, with a table of its own."""
    url = postgres.partition("?")[0]
    with closing(psycopg.connect(url)) as db, db.transaction():
        db.execute("create table debits (what text)")
    yield url
    with closing(psycopg.connect(url)) as db, db.transaction():
        db.execute("drop table debits")


def debits(url):
    with closing(psycopg.connect(url)) as db:
        return [what for (what,) in db.execute("select what from debits")]


def debit(db, what):
    db.execute("insert into debits values (%s)", (what,))
    return what


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("lane", ["thread", "task"])
def test_a_step_is_kept_if_and_only_if_its_transaction_commits(postgres, url, runtime, recorder, lane, ends):
    rt = runtime(postgres)

    def work(job):
        with closing(psycopg.connect(url)) as db:
            job.step(Step("debit", connection=db), debit, db, f"try {job.attempt}")
            getattr(db, ends if job.attempt == 1 else "commit")()
        if job.attempt == 1:
            raise ValueError("after the step")

    async def adebit(db, what):
        await db.execute(text("insert into debits values (:what)"), {"what": what})

    async def work_async(job):
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as db:
            await job.astep(Step("debit", connection=db), adebit, db, f"try {job.attempt}")
            await getattr(db, ends if job.attempt == 1 else "commit")()
        await engine.dispose()
        if job.attempt == 1:
            raise ValueError("after the step")

    rt.jobs.add_handler("work", work_async if lane == "task" else work, backoff=0)
    rt.jobs.join(rt.jobs.queue("work"), timeout=SECONDS_MAX)

    assert debits(url) == ["try 1" if ends == "commit" else "try 2"]
    assert recorder.wait_for("job.done")["steps"] == 1
    assert recorder.audit(postgres).findings == ()


def test_a_step_names_the_moves_before_it_though_a_signal_comes_beside(postgres, url):
    with closing(PostgresStore(postgres)) as store, closing(psycopg.connect(url)) as db:
        store.open()
        put(store, new("a"))
        (claimed,) = take(store)

        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            store.host.join(db, NOW, lambda host: host.send(host.find("a"), "approval", "1", UNATTRIBUTED))
            db.commit()
            kept = turn.steps.keep(claimed, "one", "1")

        assert kept.move_no == claimed.move_no


def test_a_job_is_not_taken_from_a_claim_whose_step_is_about_to_be_committed(postgres, url):
    with closing(PostgresStore(postgres)) as store, ThreadPoolExecutor(1) as other:
        store.open()
        put(store, new("a"))
        take(store)

        def keep(turn):
            turn.keep(turn.find("a"), "debit", "7", 0.0)

        def interrupt():
            with store.turn("other", NOW) as turn:
                begun.set()
                job = turn.jobs.find(["a"])["a"]
                turn.jobs.settle(job, SUCCEEDED, DONE)
                return [move["step"] for _, move in turn.notes], [moved.fields["steps"] for moved in turn.transitions]

        begun = threading.Event()
        with closing(psycopg.connect(url)) as db:
            store.host.join(db, NOW, keep)
            taking = other.submit(interrupt)
            assert begun.wait(SECONDS_MAX)
            db.commit()
            # Whoever takes the job knows of the step, and tells of it first.
            assert taking.result(SECONDS_MAX) == (["debit"], [1])
        assert job_of(store, "a").state == "done"


def test_the_progress_of_a_job_that_somebody_has_locked_holds_up_nobody(postgres, runtime, recorder):
    # The report stayed at the head of the broker's mail, and all that came after it waited for the lock.
    rt = runtime(postgres)
    report, go = threading.Event(), threading.Event()

    def work(job):
        report.wait(SECONDS_MAX)
        job.progress(1, 2)
        go.wait(SECONDS_MAX)
        return "done"

    rt.jobs.add_handler("work", work)
    rt.jobs.add_handler("other", lambda job: "done")
    job = rt.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)
    with closing(psycopg.connect(postgres.partition("?")[0])) as db:
        db.execute("select from shared.lamplighter_jobs where id = %s for no key update", (job.id,))
        report.set()
        recorder.until(lambda: rt.boot.lanes.open("work")[0].progress is not None, "the report")

        beside = rt.jobs.join(rt.jobs.queue("other"), timeout=SECONDS_MAX)
        db.rollback()

    go.set()
    assert beside.result == rt.jobs.join(job, timeout=SECONDS_MAX).result == "done"
