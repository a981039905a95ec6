"""Transactions of an asyncio application: aiosqlite, and SQLAlchemy's AsyncSession upon it."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings

import aiosqlite
import pytest
from lamplighter import Job, UsageError
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session


@pytest.fixture
def rt(runtime, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.data)
    return rt


def engine_on(tmp_path):
    return create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'jobs.db'}")


async def queue_by_session(rt, tmp_path, queue, ends):
    """Queue a job in the transaction of an AsyncSession, which ends as `ends` says."""
    engine = engine_on(tmp_path)
    try:
        async with AsyncSession(engine) as session:
            job = await queue(session)
            await session.execute(text("create table if not exists own (x)"))
            await getattr(session, ends)()
        return job
    finally:
        await engine.dispose()


async def by_aqueue(rt, session):
    return await rt.jobs.aqueue("work", 7, connection=session, priority=3)


async def by_connection(rt, session):
    return await rt.jobs.aqueue("work", 7, connection=await session.connection(), priority=3)


async def by_run_sync(rt, session):
    return await session.run_sync(lambda own: rt.jobs.queue("work", 7, connection=own, priority=3))


async def by_sync_session(rt, session):
    def queue(_):
        return rt.jobs.queue("work", 7, connection=session.sync_session, priority=3)

    return await session.run_sync(queue)


WAYS = [by_aqueue, by_connection, by_run_sync, by_sync_session]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_job_exists_if_and_only_if_an_async_session_commits(rt, tmp_path, way):
    def queue(session):
        return way(rt, session)

    kept = asyncio.run(queue_by_session(rt, tmp_path, queue, "commit"))
    lost = asyncio.run(queue_by_session(rt, tmp_path, queue, "rollback"))

    done = rt.jobs.join(kept, timeout=10)
    assert (done.result, done.priority) == (7, 3)
    assert lost.id not in {job.id for job in rt.jobs.list()}


def test_a_handler_object_queues_in_an_async_session_too(rt, tmp_path):
    @rt.jobs.handler
    def double(job: Job[int]) -> int:
        return job.data * 2

    kept = asyncio.run(queue_by_session(rt, tmp_path, lambda session: double.aqueue(4, connection=session), "commit"))

    assert rt.jobs.join(kept, timeout=10).result == 8


def test_a_connection_of_aiosqlite_takes_jobs_and_completions(rt, tmp_path):
    async def use():
        async with aiosqlite.connect(tmp_path / "jobs.db") as own:
            waiting = await rt.jobs.aqueue("nobody", 3)
            lost = await rt.jobs.aqueue("work", 1, connection=own)
            await own.rollback()
            kept = await rt.jobs.aqueue("work", 2, connection=own)
            await rt.jobs.amark_done(waiting, "by hand", connection=own)
            await own.commit()
            return lost, kept, waiting

    lost, kept, waiting = asyncio.run(use())

    assert rt.jobs.join(kept, timeout=10).result == 2
    assert rt.jobs.join(waiting, timeout=10).result == "by hand"
    assert lost.id not in {job.id for job in rt.jobs.list()}


def test_a_connection_that_is_awaited_is_refused_where_nothing_is(rt, tmp_path):
    async def use():
        engine = engine_on(tmp_path)
        async with aiosqlite.connect(tmp_path / "jobs.db") as own, AsyncSession(engine) as session:
            for connection in (own, session, await session.connection()):
                for call in (rt.jobs.queue, rt.jobs.mark_done):
                    with pytest.raises(UsageError, match=r"that is not awaited, got: .*; give it to aqueue or amark"):
                        call("work", connection=connection)
        await engine.dispose()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(use())
    assert rt.jobs.counts()["queued"] == 0


def test_a_connection_of_sqlite3_may_be_given_on_a_loop(rt, tmp_path):
    async def use():
        with sqlite3.connect(tmp_path / "jobs.db") as own:
            return await rt.jobs.aqueue("work", 5, connection=own)

    assert rt.jobs.join(asyncio.run(use()), timeout=10).result == 5


def test_an_async_connection_to_another_file_is_refused(rt, tmp_path):
    async def use():
        async with aiosqlite.connect(tmp_path / "other.db") as own:
            await rt.jobs.aqueue("work", 5, connection=own)

    with pytest.raises(UsageError, match="open on the store's file"):
        asyncio.run(use())


ASKS = {
    "awaited": lambda jobs: jobs.aqueue("work"),
    "awaited, of another kind": lambda jobs: jobs.apause("work"),
    "blocking": lambda jobs: asyncio.sleep(0, jobs.queue("work")),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("shown", ["session", "connection"])
@pytest.mark.filterwarnings("ignore:jobs.queue blocks the running event loop:RuntimeWarning")
def test_a_call_without_connection_in_an_async_session_that_has_written_is_refused(rt, tmp_path, ask, shown):
    async def forget():
        engine = engine_on(tmp_path)
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("create table own (x)"))
            connection = session if shown == "session" else await session.connection()
            await rt.jobs.aqueue("work", connection=connection)
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("insert into own values (1)"))
            with pytest.raises(UsageError, match=r"before your SQLAlchemy transaction writes.*connection="):
                await ask(rt.jobs)
        await ask(rt.jobs)
        await engine.dispose()

    asyncio.run(forget())


def test_a_transaction_of_another_task_is_waited_for_by_a_call_that_does_not_block(rt, tmp_path):
    async def wait():
        engine = engine_on(tmp_path)
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("create table own (x)"))
            await rt.jobs.aqueue("work", connection=session)
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("insert into own values (1)"))
            other = asyncio.create_task(rt.jobs.aqueue("work", 8))
            await asyncio.sleep(0)
        job = await other
        await engine.dispose()
        return job

    assert rt.jobs.join(asyncio.run(wait()), timeout=10).result == 8


def test_a_session_on_a_sync_engine_counts_in_its_task_alone(rt, tmp_path):
    async def in_another_task():
        return rt.boot.store.host.written_here(), rt.boot.store.host.written_here(blocks=False)

    async def write():
        engine = create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
        with Session(engine) as session, session.begin():
            rt.jobs.queue("work", connection=session)
        with Session(engine) as session, session.begin():
            session.execute(text("create table own (x)"))
            session.execute(text("insert into own values (1)"))
            with pytest.raises(UsageError):
                await rt.jobs.aqueue("work")
            seen = await asyncio.create_task(in_another_task())
        engine.dispose()
        return seen

    assert asyncio.run(write()) == (True, False)
