"""An application's own connections to PostgreSQL, of each driver and library, as applications make them."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import asyncpg
import psycopg
import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
import sqlalchemy
from lamplighter import UsageError
from lamplighter.errors import UnknownJob
from lamplighter.messages.jobs import JobParent
from lamplighter.messages.schedules import HostChange
from lamplighter.stores.postgresql.connection import connect as connect_ours
from lamplighter.stores.postgresql.store import PostgresStore
from lamplighter.stores.troubles import TurnConflict
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from support.conformance.kit import DONE, NOW, SUCCEEDED, a_schedule, job_of, new, put, take

SECONDS_MAX = 15.0


@pytest.fixture
def store(postgres):
    with contextlib.closing(PostgresStore(postgres)) as one:
        one.open()
        yield one


@pytest.fixture
def url(postgres):
    """The database as an application knows it, without our schema."""
    return postgres.partition("?")[0]


def queue(*job_ids):
    """Work that stores jobs, and reads one of them back."""

    def work(turn):
        for job_id in job_ids:
            turn.insert(new(job_id, data='"100 % $1 ?"'))
        return turn.find(job_ids[0])

    return work


def in_psycopg(url, store, work, end):
    with contextlib.closing(psycopg.connect(url, row_factory=psycopg.rows.dict_row)) as own:
        done = store.host.join(own, NOW, work)
        getattr(own, end)()
        return done


def in_psycopg_that_commits_each_statement(url, store, work, end):
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as own, own.transaction():
        done = store.host.join(own, NOW, work)
        if end == "rollback":
            raise psycopg.Rollback
    return done


def in_psycopg2(url, store, work, end):
    with contextlib.closing(psycopg2.connect(url, cursor_factory=psycopg2.extras.RealDictCursor)) as own:
        done = store.host.join(own, NOW, work)
        getattr(own, end)()
        return done


def in_sqlalchemy(driver):
    def way(url, store, work, end):
        engine = sqlalchemy.create_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
        with engine.connect() as own:
            done = store.host.join(own, NOW, work)
            getattr(own, end)()
        engine.dispose()
        return done

    return way


def in_a_session(url, store, work, end):
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as own:
        done = store.host.join(own, NOW, work)
        getattr(own, end)()
    engine.dispose()
    return done


def in_django(url, store, work, end):
    from django.conf import UserSettingsHolder, global_settings, settings
    from django.db.utils import ConnectionHandler

    found = psycopg.conninfo.conninfo_to_dict(url)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    about = {theirs: found[ours] for theirs, ours in names.items()}
    # Other tests of this process have settings of their own.
    before, settings._wrapped = settings._wrapped, UserSettingsHolder(global_settings)
    try:
        handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.postgresql", **about}})
        with contextlib.closing(handler["default"]) as own:
            # As `transaction.atomic` does.
            own.set_autocommit(False)
            done = store.host.join(own, NOW, work)
            getattr(own, end)()
            return done
    finally:
        settings._wrapped = before


def in_async_psycopg(url, store, work, end):
    async def use():
        async with await psycopg.AsyncConnection.connect(url, row_factory=psycopg.rows.dict_row) as own:
            done = await store.host.join(own, NOW, work)
            await getattr(own, end)()
            return done

    return asyncio.run(use())


def in_asyncpg(url, store, work, end):
    async def use():
        own = await asyncpg.connect(url)
        transaction = own.transaction()
        await transaction.start()
        done = await store.host.join(own, NOW, work)
        await getattr(transaction, end)()
        await own.close()
        return done

    return asyncio.run(use())


def in_a_pool_of_asyncpg(url, store, work, end):
    async def use():
        async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as own:
            transaction = own.transaction()
            await transaction.start()
            done = await store.host.join(own, NOW, work)
            await getattr(transaction, end)()
            return done

    return asyncio.run(use())


def in_async_sqlalchemy(driver, opened):
    def way(url, store, work, end):
        async def use():
            engine = create_async_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
            async with opened(engine) as own:
                done = await store.host.join(own, NOW, work)
                await getattr(own, end)()
            await engine.dispose()
            return done

        return asyncio.run(use())

    return way


WAYS = {
    "psycopg": in_psycopg,
    "psycopg, autocommit, in a block": in_psycopg_that_commits_each_statement,
    "psycopg2": in_psycopg2,
    "SQLAlchemy on psycopg": in_sqlalchemy("psycopg"),
    "SQLAlchemy on psycopg2": in_sqlalchemy("psycopg2"),
    "a Session": in_a_session,
    "Django": in_django,
    "async psycopg": in_async_psycopg,
    "asyncpg": in_asyncpg,
    "a pool of asyncpg": in_a_pool_of_asyncpg,
    "an AsyncConnection on psycopg": in_async_sqlalchemy("psycopg_async", lambda engine: engine.connect()),
    "an AsyncConnection on asyncpg": in_async_sqlalchemy("asyncpg", lambda engine: engine.connect()),
    "an AsyncSession on psycopg": in_async_sqlalchemy("psycopg_async", AsyncSession),
    "an AsyncSession on asyncpg": in_async_sqlalchemy("asyncpg", AsyncSession),
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def test_a_job_is_there_if_and_only_if_the_transaction_commits(way, url, store):
    lost = way(url, store, queue("lost"), "rollback")
    kept = way(url, store, queue("kept", "second"), "commit")

    assert (lost.id, kept.id, kept.data, kept.run_at) == ("lost", "kept", '"100 % $1 ?"', NOW)
    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
    assert job_of(store, "lost") is None
    assert [job.id for job in take(store, begun=9)] == ["kept", "second"]


def test_every_work_runs_on_every_connection(way, url, store):
    put(store, new("queued"), new("claimed"))
    (job,) = take(store)

    def work(turn):
        with turn.wholly():
            claimed, other = turn.find(job.id), turn.find({"queued": "claimed", "claimed": "queued"}[job.id])
            turn.settle(claimed, SUCCEEDED, DONE)
            turn.finish(other, None)
            child, _ = turn.insert(new("child", parents=(JobParent(other.id, False),)))
            turn.follow(claimed, [child])
        again = turn.insert(new("child"))
        with pytest.raises(UnknownJob):
            turn.insert(new("orphan", parents=(JobParent("nobody", False),)))
        with pytest.raises(ZeroDivisionError), turn.wholly():
            turn.insert(new("gone"))
            raise ZeroDivisionError
        turn.insert(new("first", debounce_key="k", debounce_until=NOW + 9.0, run_at=NOW + 5.0))
        replaced, fresh = turn.insert(new("next", debounce_key="k", debounce_until=NOW + 9.0, data='"next"'))
        turn.change_schedule(HostChange("s", NOW, a_schedule()))
        return again[1], replaced.id, replaced.data, fresh, turn.schedule("s").id

    assert way(url, store, work, "commit") == (False, "first", '"next"', True, "s")
    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        told = {one.job.id for one in turn.transitions}
    assert told == {"queued", "claimed", "child", "first"}
    assert job_of(store, "gone") is None and job_of(store, "orphan") is None
    assert store.schedules.one("s") is not None


COMMITS_EACH = {
    "psycopg": lambda url: psycopg.connect(url, autocommit=True),
    "SQLAlchemy": lambda url: sqlalchemy.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    ).connect(),
}


@pytest.mark.parametrize("opened", COMMITS_EACH.values(), ids=COMMITS_EACH)
def test_a_connection_in_autocommit_mode_is_refused(opened, url, store):
    with contextlib.closing(opened(url)) as own, pytest.raises(UsageError, match="in autocommit mode"):
        store.host.join(own, NOW, queue("a"))

    assert job_of(store, "a") is None


@pytest.mark.parametrize("level", ["AUTOCOMMIT", None])
def test_asyncpg_without_a_transaction_is_refused(level, url, store):
    async def use():
        if level is None:
            own = await asyncpg.connect(url)
            try:
                await store.host.join(own, NOW, queue("a"))
            finally:
                await own.close()
            return
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"), isolation_level=level)
        try:
            async with engine.connect() as own:
                await store.host.join(own, NOW, queue("a"))
        finally:
            await engine.dispose()

    with pytest.raises(UsageError, match="in autocommit mode"):
        asyncio.run(use())
    assert job_of(store, "a") is None


def test_a_connection_to_another_database_or_store_is_refused(url, postgres, store, postgres_server):
    postgres_server.psql("create database other owner lamplighter", database="postgres")
    try:
        elsewhere = url.removesuffix("lamplighter") + "other"
        with (
            contextlib.closing(psycopg.connect(elsewhere)) as own,
            pytest.raises(UsageError, match="without tables of Lamplighter in the schema shared"),
        ):
            store.host.join(own, NOW, queue("a"))
        with contextlib.closing(PostgresStore(f"{elsewhere}?schema=shared")) as other:
            other.open()
        with (
            contextlib.closing(psycopg.connect(elsewhere)) as own,
            pytest.raises(UsageError, match="got: another store in the schema shared of another database"),
        ):
            store.host.join(own, NOW, queue("a"))
    finally:
        postgres_server.psql("drop database other with (force)", database="postgres")


@pytest.mark.parametrize("connect", [psycopg.connect, psycopg2.connect])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_closed_connection_and_a_failed_transaction_are_refused(url, store, connect, is_known):
    own = connect(url)
    with contextlib.closing(own):
        if is_known:
            store.host.join(own, NOW, queue("a"))
        with contextlib.suppress(psycopg.Error, psycopg2.Error):
            own.cursor().execute("select nothing")

        with pytest.raises(UsageError, match="a statement has failed; roll it back"):
            store.host.join(own, NOW, queue("b"))

    with pytest.raises(UsageError, match="got: one that is closed"):
        store.host.join(own, NOW, queue("b"))


def test_asyncpg_that_is_closed_or_whose_transaction_has_failed_is_refused(url, store):
    async def use():
        own = await asyncpg.connect(url)
        try:
            await own.execute("begin")
            with contextlib.suppress(asyncpg.PostgresError):
                await own.execute("select nothing")
            with pytest.raises(UsageError, match="a statement has failed; roll it back"):
                await store.host.join(own, NOW, queue("a"))
        finally:
            await own.close()
        with pytest.raises(UsageError, match="got: one that is closed"):
            await store.host.join(own, NOW, queue("a"))

    asyncio.run(use())


def test_psycopg_in_pipeline_mode_is_refused(url, store):
    with (
        contextlib.closing(psycopg.connect(url)) as own,
        own.pipeline(),
        pytest.raises(UsageError, match="outside of psycopg's pipeline mode, which is not supported"),
    ):
        store.host.join(own, NOW, queue("a"))


def test_a_role_without_rights_is_told_which_to_grant(url, store, postgres_server):
    postgres_server.psql("create role guest login password 'guest'")
    try:
        with (
            contextlib.closing(psycopg.connect(url, user="guest", password="guest")) as own,
            pytest.raises(UsageError, match='grant usage on schema "shared"'),
        ):
            store.host.join(own, NOW, queue("a"))
    finally:
        postgres_server.psql("drop role guest")


def test_an_open_birth_does_not_hold_up_the_end_of_its_parent(url, store):
    put(store, new("parent"))
    (parent,) = take(store)
    with contextlib.closing(psycopg.connect(url)) as own:
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))

        with store.turn("b", NOW) as turn:
            turn.jobs.settle(parent, SUCCEEDED, DONE)
        own.commit()

    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        assert turn.links is not None
        turn.links.free(100)
    assert [job.id for job in take(store)] == ["child"]


@pytest.mark.parametrize("count", ["refresh", "get"])
def test_a_birth_that_is_committed_while_its_parent_ends_is_freed(url, postgres, store, count):
    put(store, new("parent"))
    (parent,) = take(store)
    with contextlib.closing(PostgresStore(postgres)) as other, contextlib.closing(psycopg.connect(url)) as own:
        other.open()
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))
        with other.turn("c", NOW) as ends:
            ends.jobs.settle(parent, SUCCEEDED, DONE)
            assert not ends.has_ripe
            own.commit()
            with contextlib.suppress(TurnConflict), store.turn("b", NOW) as counts:
                # Any turn counts the births, and one that acts on a job counts that.
                counts.jobs.refresh() if count == "refresh" else counts.jobs.get(["child"])

    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        assert turn.links is not None
        turn.links.free(100)
    assert [job.id for job in take(store)] == ["child"]


def test_a_birth_whose_parent_another_host_keeps_holds_up_no_turn(url, store):
    put(store, new("parent"))
    with contextlib.closing(psycopg.connect(url)) as keeps, contextlib.closing(psycopg.connect(url)) as own:
        store.host.join(own, NOW, queue("before"))
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))
        store.host.join(own, NOW, queue("after"))
        own.commit()
        store.host.join(keeps, NOW, lambda turn: turn.finish(turn.find("parent"), None))

        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            told = [one.job.id for one in turn.transitions]
        keeps.commit()
    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        assert turn.links is not None
        turn.links.free(100)
        later = [(one.event, one.job.id) for one in turn.transitions]

    assert told == ["before", "after"]
    assert later == [("job.done", "parent"), ("job.queued", "child"), ("job.freed", "child")]


def test_a_child_that_a_host_keeps_holds_up_neither_its_siblings_nor_a_turn(url, store):
    put(store, new("parent"), new("other"))
    put(store, *(new(f"c{number}", parents=(JobParent("parent"),)) for number in range(4)))
    put(store, new("beside", parents=(JobParent("other"),)))
    ended = take(store, begun=2)
    with contextlib.closing(psycopg.connect(url)) as keeps:
        store.host.join(keeps, NOW, lambda turn: turn.find("c1"))
        with store.turn("b", NOW) as turn:
            for parent in ended:
                turn.jobs.settle(parent, SUCCEEDED, DONE)
            is_more = [turn.links.free(3) for _ in range(4)]
            freed = [one.job.id for one in turn.transitions if one.event == "job.freed"]
            is_left = turn.has_ripe
        with store.turn("b", NOW) as idle:
            still_more = idle.links.free(3)
        keeps.commit()
    with store.turn("b", NOW) as last:
        looks = last.has_ripe, last.links.free(3), last.has_ripe

    assert (sorted(freed), is_more[-1], is_left) == (["beside", "c0", "c2", "c3"], False, True)
    assert (still_more, idle.has_ripe, idle.writes) == (False, True, turn.writes)
    assert ([one.job.id for one in last.transitions], looks) == (["c1"], (True, False, False))


@pytest.mark.parametrize("keeps_which", ["parent", "child"])
def test_a_follow_up_that_another_host_keeps_holds_up_no_turn(url, store, keeps_which):
    put(store, new("parent"))

    def end(turn):
        parent, (child, _) = turn.find("parent"), turn.insert(new("child"))
        turn.finish(parent, None)
        turn.follow(parent, [child])

    with contextlib.closing(psycopg.connect(url)) as keeps, contextlib.closing(psycopg.connect(url)) as own:
        store.host.join(own, NOW, end)
        store.host.join(own, NOW, queue("after"))
        own.commit()
        store.host.join(keeps, NOW, lambda turn: turn.find(keeps_which))
        with store.turn("b", NOW) as turn:
            turn.jobs.refresh()
            told = [one.job.id for one in turn.transitions]
        keeps.commit()
    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        later = [(one.event, one.job.id, one.fields.get("then_of")) for one in turn.transitions]

    assert told == ["after"]
    assert later == [("job.done", "parent", None), ("job.queued", "child", "parent")]


def test_an_open_birth_keeps_its_parent_from_being_forgotten(url, store):
    put(store, new("parent"))
    with contextlib.closing(psycopg.connect(url)) as own, contextlib.closing(psycopg.connect(url)) as other:
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))
        other.execute("set lock_timeout = '10ms'")

        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("delete from shared.lamplighter_jobs where id = 'parent'")


def test_whether_a_job_has_children_is_not_known_while_one_is_being_born(url, store):
    put(store, new("parent"))
    parent = job_of(store, "parent")
    with contextlib.closing(psycopg.connect(url)) as own:
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))
        with pytest.raises(TurnConflict), store.turn("b", NOW) as turn:
            turn.links.child_of(parent)
        own.commit()

    with store.turn("b", NOW) as turn:
        assert turn.links.child_of(parent) == "child"


def test_a_birth_whose_parent_is_removed_before_it_is_counted_is_freed(url, store):
    put(store, new("parent"))
    (parent,) = take(store)
    with contextlib.closing(psycopg.connect(url)) as own:
        store.host.join(own, NOW, lambda turn: turn.insert(new("child", parents=(JobParent("parent", False),))))
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(parent, SUCCEEDED, DONE)
        own.commit()
    with store.turn("b", NOW) as turn:
        turn.queued.forget(turn.jobs.get(["parent"])["parent"])

    with store.turn("b", NOW) as turn:
        turn.jobs.refresh()
        turn.links.free(100)
    assert [job.id for job in take(store)] == ["child"]


def test_a_twin_in_an_open_transaction_is_waited_for(url, store):
    with contextlib.closing(psycopg.connect(url)) as one, contextlib.closing(psycopg.connect(url)) as two:
        store.host.join(one, NOW, lambda turn: turn.insert(new("a", unique_key="k")))
        found = []
        waits = threading.Thread(
            target=lambda: found.append(store.host.join(two, NOW, lambda turn: turn.insert(new("b", unique_key="k"))))
        )
        waits.start()
        wait_for_lock(store)
        one.commit()
        waits.join(SECONDS_MAX)

    assert [(job.id, fresh) for job, fresh in found] == [("a", False)]


def test_two_changes_of_one_schedule_are_carried_out_in_the_order_of_their_commits(url, store):
    def change(at, **changes):
        def work(turn):
            turn.schedule("s")
            turn.change_schedule(HostChange("s", at, a_schedule(**changes)))

        return work

    with contextlib.closing(psycopg.connect(url)) as one, contextlib.closing(psycopg.connect(url)) as two:
        store.host.join(one, NOW, change(NOW, data="1"))
        waits = threading.Thread(target=lambda: store.host.join(two, NOW, change(NOW, data="2")))
        waits.start()
        wait_for_lock(store)
        one.commit()
        waits.join(SECONDS_MAX)
        two.commit()
    with store.turn("b", NOW) as turn:
        turn.schedules.refresh()

    schedule = store.schedules.one("s")
    assert schedule is not None and schedule.data == "2"


def wait_for_lock(store):
    """Wait until a session of the database waits for a lock."""
    with contextlib.closing(connect_ours(store._where)) as watch:
        for _ in range(10_000):
            (waiting,) = watch.execute("select count(*) from pg_locks where granted = false").fetchone()
            if waiting:
                return
    pytest.fail("expected that somebody waits for a lock")


def test_a_task_that_is_cancelled_gives_its_connection_back_whole(url, store):
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work(turn):
        began.set()
        go.wait(SECONDS_MAX)
        turn.insert(new("a"))
        ended.set()

    async def use():
        async with await psycopg.AsyncConnection.connect(url) as own:
            task = asyncio.ensure_future(store.host.join(own, NOW, work))
            await asyncio.to_thread(began.wait, SECONDS_MAX)
            task.cancel()
            asyncio.get_running_loop().call_soon(go.set)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set()
            await own.rollback()

    asyncio.run(use())
    assert job_of(store, "a") is None
