"""A turn of one statement on PostgreSQL, which stores jobs without options: it leaves what an ordinary turn leaves, or
nothing, whatever others do meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from typing import Any

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.clock_steps import Reading
from lamplighter.messages.jobs import JobRecord
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect
from lamplighter.stores.postgresql.turn import born_alone
from lamplighter.stores.tables.open_turn import OVERVIEW_SECONDS_MAX
from lamplighter.stores.troubles import BootLost, CommitUnknown

from ....conftest import Recorder
from ....support.conformance.kit import DONE, NOW, SUCCEEDED, claim_in, new, want
from ....support.postgresql.server import Server
from .interleaved import Actor, World, every_order

SECONDS_MAX = 30.0


@pytest.fixture
def world(postgres: str) -> Iterator[World]:
    with closing(World(postgres, 3)) as world:
        world.reset()
        yield world


@pytest.fixture
def one(world: World) -> Actor:
    return world.actors[0]


def left(world: World) -> list[Any]:
    """The rows that a turn has left, but for the numbers of jobs, which have gaps."""
    rows = world.rows("select * from lamplighter_jobs order by queued_at, id")
    boots = world.rows("select boot, turn, unlogged from lamplighter_boots order by boot")
    return [[JobRecord._make(row)._replace(row_id=0) for row in rows], boots]


def moves(transitions: Any) -> list[Any]:
    return [(move.event, move.job._replace(row_id=0), move.before, move.fields) for move in transitions]


@pytest.mark.parametrize("claims", [0, 1])
def test_it_leaves_the_rows_of_an_ordinary_turn(world: World, claims: int) -> None:
    jobs = [new("a", priority=3, data='"\\u0000"')] if claims else [new("a", data='{"x": 1}'), new("b"), new("c")]

    def ordinary(actor: Actor) -> Any:
        with actor.turn() as turn:
            turn.jobs.insert(jobs)
            if claims:
                claim_in(turn, boot=actor.boot)
        return moves(turn.transitions), turn.did, left(world)

    def direct(actor: Actor) -> Any:
        born = actor.bear(*jobs, want=want(boot=actor.boot) if claims else None)
        assert born is not None
        assert [move.job.row_id for move in born.moves] == [world.job(move.job.id).row_id for move in born.moves]
        return moves(born.moves), born.did, left(world)

    was = ordinary(world.actors[0])
    world.reset()

    assert direct(world.actors[0]) == was


def test_a_text_that_postgresql_cannot_keep_is_left_to_a_turn_that_refuses_it(one: Actor) -> None:
    assert one.bear(new("with\0nul")) is None


def test_it_tells_when_the_next_job_of_the_wanted_name_is_due(world: World, one: Actor) -> None:
    with one.turn() as turn:
        turn.jobs.insert([new("later", run_at=NOW + 9.0)])

    born = one.bear(new("j"), want=want(boot=one.boot))

    assert born is not None
    assert born.next_due == NOW + 9.0


def pauses(actor: Actor) -> None:
    with actor.turn() as turn:
        turn.jobs.pause("other", paused=True)


def queues(**changes: Any) -> Callable[[Actor], None]:
    def act(actor: Actor) -> None:
        with actor.turn() as turn:
            turn.jobs.insert([new(**{"id": "first", **changes})])

    return act


def buries(actor: Actor) -> None:
    with actor.turn() as turn:
        turn.boots.all()
        turn.boots.forget(["boot-0"])


def takes_its_turn(actor: Actor) -> None:
    with actor.store.turn("boot-0", NOW) as turn:
        turn.jobs.insert([new("other")])


@pytest.mark.parametrize("wants", [False, True], ids=["born", "claimed"])
@pytest.mark.parametrize(
    ("act", "only_wanted"),
    [
        (pauses, True),
        (queues(), True),
        (queues(run_at=NOW - 1.0, queued_at=NOW - 2.0), True),
        (queues(group_key="g"), True),
        (queues(id="j", name="other"), False),
        (buries, False),
        (takes_its_turn, False),
    ],
    ids=["pause", "before", "waited", "group", "twin", "buried", "turn"],
)
def test_it_is_left_to_an_ordinary_turn_where_another_has_come_first(
    world: World, one: Actor, act: Callable[[Actor], None], only_wanted: bool, wants: bool
) -> None:
    act(world.actors[1])
    was = left(world)

    born = one.bear(new("j"), want=want(boot=one.boot) if wants else None)

    assert (born is None) is (wants or not only_wanted)
    assert born is not None or left(world) == was


def test_it_is_left_to_an_ordinary_turn_where_the_last_view_does_not_hold(world: World, one: Actor) -> None:
    numbers = count()

    def bear(now: float = NOW, boot: str = one.boot) -> Any:
        return one.store.bear(boot, 0, [new(f"j{next(numbers)}")], lambda: Reading(now, None, 0.0))

    assert bear(now=NOW + OVERVIEW_SECONDS_MAX) is None
    assert bear(boot="boot-1") is None
    assert one.store.bear(one.boot, 0, [new("j")], lambda: None) is None
    assert bear() is not None
    one.writer.close()
    assert bear() is None
    # The session is a new one, which does not show yet that its boot lives.
    world.watch.execute("update lamplighter_store set store_id = ?", (one.store.store_id,))
    one.store.changed()
    assert bear() is None


def test_the_turn_after_it_finds_that_nobody_else_has_committed(world: World, one: Actor) -> None:
    with one.turn() as turn:
        turn.jobs.insert([new("a")])
    assert one.bear(new("b")) is not None
    with one.turn() as following:
        following.jobs.insert([new("c")])
    assert one.bear(new("d")) is not None
    with world.actors[1].turn() as other:
        other.jobs.insert([new("e")])
    assert one.bear(new("f")) is not None
    with one.turn() as last:
        pass

    assert (following.version, last.version) == (turn.version, turn.version + 1)


def test_a_birth_beside_the_burial_of_its_boot_is_logged_or_does_not_hold(world: World) -> None:
    def birth(actor: Actor, _: object) -> bool:
        return actor.bear(new("j")) is not None

    def burial(actor: Actor, _: object) -> Any:
        with actor.turn() as turn:
            (dead,) = (boot for boot in turn.boots.all() if boot.boot == "boot-0")
            turn.boots.forget([dead.boot])
            return dead

    def check(world: World, _: object) -> None:
        was_stored, dead = (actor.result for actor in world.actors[:2])
        assert len(world.rows("select * from lamplighter_jobs")) == 1 + was_stored
        told = [turn.turn for turn in world.told if turn.boot == "boot-0"]
        assert dead.turn == max(told)
        assert dead.unlogged[-1].turn == max(told)

    every_order(world, lambda world: world.actors[0].bear(new("first")), [birth, burial], check)


def test_a_birth_beside_a_turn_of_its_own_boot_comes_before_it_or_not_at_all(world: World) -> None:
    """As where the session of a boot was lost, and the server is still at its last turn."""

    def lost(actor: Actor, _: object) -> None:
        with suppress(BootLost), actor.store.turn("boot-1", NOW) as turn:
            turn.jobs.insert([new("lost")])
        world.told.append(turn.did)

    def birth(actor: Actor, _: object) -> bool:
        return actor.bear(new("j")) is not None

    def check(world: World, _: object) -> None:
        assert len(world.rows("select * from lamplighter_jobs")) == 1 + world.actors[1].result

    every_order(world, lambda world: None, [lost, birth], check)


@pytest.mark.parametrize("claims", [False, True])
def test_of_two_births_with_one_id_one_holds(world: World, claims: bool) -> None:
    def birth(actor: Actor, _: object) -> bool:
        return actor.bear(new("j"), want=want(boot=actor.boot) if claims else None) is not None

    def check(world: World, _: object) -> None:
        assert sum(actor.result for actor in world.actors[:2]) == 1

    every_order(world, lambda world: None, [birth, birth], check)


def test_a_job_that_is_claimed_as_it_is_born_is_claimed_by_nobody_else(world: World) -> None:
    def birth(actor: Actor, _: object) -> int:
        return len(actor.bear(new("j"), want=want(boot=actor.boot)) or ()) and 1

    def claim(actor: Actor, _: object) -> int:
        with actor.turn() as turn:
            return len(claim_in(turn, boot=actor.boot, begun=3))

    def end(actor: Actor, _: object) -> None:
        with actor.turn() as turn:
            for job in claim_in(turn, boot=actor.boot, begun=3):
                turn.jobs.settle(job.job, SUCCEEDED, DONE)

    def check(world: World, _: object) -> None:
        assert [actor.result for actor in world.actors[:2]] == [1, 0]
        assert (world.job("j").boot, world.job("j").state) == ("boot-0", "running")

    every_order(world, lambda world: None, [birth, claim, end], check)


def test_it_is_one_statement(postgres: str, postgres_server: Server) -> None:
    postgres_server.psql("alter role lamplighter set log_statement = 'all'")
    try:
        with closing(World(postgres, 1)) as world:
            world.reset()
            (one,) = world.actors
            assert one.bear(new("first")) is not None
            before = postgres_server.output()
            assert one.bear(new("second")) is not None
            said = postgres_server.output().removeprefix(before)
    finally:
        postgres_server.psql("alter role lamplighter reset log_statement")

    assert said.count("LOG:  ") == said.count("with kept as") == 1


def test_a_birth_without_an_answer_counts_as_unknown(world: World, one: Actor) -> None:
    world.watch.execute("select pg_terminate_backend(cast(? as int))", (one.pid,))

    with pytest.raises(CommitUnknown):
        for number in count():
            one.bear(new(f"j{number}"))

    assert one.writer.is_closed


def test_a_birth_that_the_server_gets_to_after_the_next_turn_stores_nothing(world: World, one: Actor) -> None:
    world.watch.execute("update lamplighter_store set store_id = ?", (one.store.store_id,))
    world.watch.execute("select pg_terminate_backend(cast(? as int))", (one.pid,))
    with pytest.raises(CommitUnknown):
        for number in count():
            one.bear(new(f"j{number}"))
    assert one.store._seen is not None
    was = one.store._seen.overview

    with one.turn() as following:
        pass
    late = born_alone(world.watch, one.boot, was, [new("late")], NOW, None)
    with one.turn() as last:
        pass

    assert late is None
    assert following.did is not None
    assert (following.did.turn, following.did.moves, last.did) == ((was.number or 0) + 1, [], None)


@pytest.mark.parametrize("error", ["SystemExit", "ValueError", "MemoryError"])
@pytest.mark.parametrize("point", ["direct.begin", "direct.commit", "store.turn.committed", "direct.out"])
def test_a_job_is_stored_once_and_told_whatever_fails_at_its_birth(
    postgres: str, runtime: Callable[..., Runtime], recorder: Recorder, caller: Any, point: str, error: str
) -> None:
    environment = Environment(failpoints=Failpoints())
    rt = runtime(postgres, environment=environment, restart_backoff_seconds_max=0.0)
    queued = [rt.jobs.queue("work"), rt.jobs.queue("work")]
    rt.environment.failpoints.arm(point, f"1*raise({error})->off")
    while rt.environment.failpoints._armed[point][0].count:
        # An ordinary turn is due once a second.
        queued.append(caller(rt.jobs.queue, "work").result(SECONDS_MAX))
    queued.append(rt.jobs.queue("work"))

    assert {job.id for job in rt.jobs.list(name="work")} == {job.id for job in queued}
    rt.stop()
    assert not recorder.audit().findings


def test_a_runtime_whose_session_is_ended_stores_each_job_once(
    postgres: str, runtime: Callable[..., Runtime], recorder: Recorder, caller: Any
) -> None:
    rt = runtime(postgres)
    rt.jobs.add_handler("work", lambda job: job.data)
    with closing(connect(parse_address(postgres))) as other:
        for _ in range(5):
            other.execute("select pg_terminate_backend(cast(? as int))", (rt.boot.store._writer.pid,))
            jobs = [caller(rt.jobs.queue, name, 1).result(SECONDS_MAX) for name in ("work", "wait") * 10]

    assert rt.jobs.join(jobs[-2], timeout=SECONDS_MAX).result == 1
    recorder.until(lambda: rt.jobs.counts()["done"] == 50, "all jobs to run")
    assert rt.jobs.counts("wait")["queued"] == 50
    rt.stop()
    assert not recorder.audit().findings
