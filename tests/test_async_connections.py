"""Transactions of an asyncio application: aiosqlite, and SQLAlchemy's AsyncSession upon it."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings

import aiosqlite
import pytest
from lamplighter import Job, UsageError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


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
