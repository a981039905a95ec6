"""Turns of several stores on one PostgreSQL, interleaved statement by statement in every order that is asked for.

Each actor has a store and a thread. Its thread stops before each statement until it may go on. One that waits for a
lock of another counts as held up. So one thread at a time runs, and an order can be repeated.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from lamplighter.messages.clock_steps import Reading
from lamplighter.messages.jobs import ENDED, JobRecord, NewJob
from lamplighter.stores.ports import Born
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect
from lamplighter.stores.postgresql.host_connection import HostStatements, PostgresHostTurn, _ask_psycopg
from lamplighter.stores.postgresql.schema import NUMBERED
from lamplighter.stores.postgresql.store import PostgresStore
from lamplighter.stores.postgresql.turn import PostgresTurn
from lamplighter.stores.tables.schema import CREATION
from lamplighter.stores.troubles import TurnConflict
from lamplighter.stores.turn_ports import Want

from ....support.conformance.kit import NOW, a_boot

SECONDS = 30.0
"""In which any order is through, also on a busy machine."""

CONFLICTS_MAX = 50

ORDERS_MAX = int(os.environ.get("LAMPLIGHTER_ORDERS", "40"))
"""So many orders of a pair are tried, chosen by a seed where there are more."""

Order = Sequence[tuple[int, int]]
"""Whose turn it is to take how many statements. After the last, each goes on to its end, the first one first."""

Program = Callable[["Actor"], Any]


class Actor:
    """A boot with a store of its own.

    Attributes:
        taken: how many statements it has run.
        conflicts: how many of its turns were rolled back because of others.
        result: of its program.
    """

    def __init__(self, world: World, boot: str) -> None:
        self.boot = boot
        self.taken = self.conflicts = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.state = "ended"
        self.thread: threading.Thread | None = None
        self._world = world
        self._may_go_on = False
        self.store = PostgresStore(world.url, durability="os")
        self.store.open()
        assert self.store._writer is not None
        self.writer = self.store._writer
        self.pid = self.writer.pid
        # Only the orders decide who waits for how long; the server resolves what is a deadlock.
        self.writer.script("set lock_timeout = '20s'")
        for name in ("begin", "execute", "executemany", "commit"):
            setattr(self.writer, name, self._stopping(getattr(self.writer, name)))

    @contextlib.contextmanager
    def turn(self, now: float = NOW) -> Iterator[PostgresTurn]:
        """A turn; the world keeps what it did once it is committed."""
        with self.store.turn(self.boot, now) as turn:
            if turn.lost is not None:
                raise turn.lost
            yield turn
        if turn.did is not None:
            self._world.told.append(turn.did)

    def bear(self, *jobs: NewJob, want: Want | None = None, now: float = NOW) -> Born | None:
        """A whole turn of one statement; None where an ordinary one must be taken."""
        born = self.store.bear(self.boot, 0, jobs, lambda: Reading(now, None, 0.0), want)
        if born is not None:
            self._world.told.append(born.did)
        return born

    @contextlib.contextmanager
    def host_turn(self) -> Iterator[PostgresHostTurn]:
        """A transaction of an application, which queues and ends jobs in it."""
        address = parse_address(self._world.url)
        with psycopg.connect(address.conninfo) as raw:
            self.pid = raw.info.backend_pid
            ask = self._stopping(lambda text, values: _ask_psycopg(raw, text, values))
            try:
                yield PostgresHostTurn(HostStatements(ask, address.schema), NOW, address.schema)
                self._stopping(raw.commit)()
            finally:
                self.pid = self.writer.pid

    def start(self, program: Program) -> None:
        self.taken = self.conflicts = 0
        self.result, self.error, self.state = None, None, "runs"
        self.thread = threading.Thread(target=self._run, args=(program,), daemon=True)
        self.thread.start()

    def _run(self, program: Program) -> None:
        try:
            while True:
                try:
                    self.result = program(self)
                    break
                except TurnConflict:
                    self.conflicts += 1
                    if self.conflicts == CONFLICTS_MAX:
                        raise
        except BaseException as error:
            self.error = error
        with self._world.changed:
            self.state, self.thread = "ended", None
            self._world.changed.notify_all()

    def _stopping(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def stop_and_run(*args: Any) -> Any:
            if threading.current_thread() is self.thread:
                with self._world.changed:
                    self.state = "stops"
                    self._world.changed.notify_all()
                    while not self._may_go_on:
                        self._world.changed.wait()
                    self._may_go_on, self.state = False, "runs"
                self.taken += 1
            return run(*args)

        return stop_and_run

    def go_on(self) -> None:
        self._may_go_on, self.state = True, "runs"
        self._world.changed.notify_all()


class World:
    """An empty store, and the actors on it.

    Attributes:
        told: what the committed turns did, in the order in which they were committed.
        watch: a session of nobody's, for looks at the tables.
    """

    def __init__(self, url: str, actors: int = 2) -> None:
        self.url = url
        self.changed = threading.Condition()
        self.told: list[Any] = []
        self.watch = connect(parse_address(url), durability="os")
        query = "select tablename from pg_tables where schemaname = ? and tablename like 'lamplighter%'"
        tables = [name for (name,) in self.watch.execute(query, (parse_address(url).schema,))]
        first = [one for one in CREATION if one.startswith("insert into lamplighter_store")]
        sequences = [f"alter sequence {sequence} restart" for sequence in NUMBERED.values()]
        self._emptying = "; ".join([*(f"delete from {table}" for table in tables), *sequences, *first])
        self.actors = [Actor(self, f"boot-{number}") for number in range(actors)]

    def reset(self) -> None:
        store_id = self.actors[0].store.store_id
        self.watch.script(f"{self._emptying}; update lamplighter_store set store_id = '{store_id}'")
        self.told.clear()
        for actor in self.actors:
            actor.store._seen = None
            with actor.turn() as turn:
                turn.boots.register(a_boot(actor.boot))

    def close(self) -> None:
        for actor in self.actors:
            actor.store.close()
        self.watch.close()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.watch.execute(query, values).fetchall()

    def job(self, job_id: str) -> JobRecord:
        (row,) = self.rows("select * from lamplighter_jobs where id = ?", job_id)
        return JobRecord._make(row)

    def run(self, programs: Sequence[Program], order: Order) -> list[int]:
        """Run a program for each actor, in an order; how many statements each has taken."""
        actors = self.actors[: len(programs)]
        for actor, program in zip(actors, programs, strict=True):
            actor.start(program)
        rest = [(place, 1 << 30) for place in (*dict.fromkeys(place for place, _ in order), *range(len(actors)))]
        for place, statements in (*order, *rest):
            for _ in range(statements):
                if not self._take(actors[place]):
                    break
        # Whoever waited for another may go on since.
        while any(actor.state != "ended" for actor in actors):
            if not any(self._take(actor) for actor in actors):
                self._wait_for_one(actors)
        for actor in actors:
            if actor.error is not None:
                raise actor.error
        return [actor.taken for actor in actors]

    def _take(self, actor: Actor) -> bool:
        """Let an actor run its next statement. False if it has ended, or waits for another."""
        self._stand()
        if actor.state != "stops":
            return False
        with self.changed:
            actor.go_on()
        self._stand()
        return True

    def _stand(self) -> None:
        """Wait until nobody runs, but for those who wait for a lock."""
        give_up_at = time.monotonic() + SECONDS
        while True:
            with self.changed:
                if not any(actor.state == "runs" for actor in self.actors):
                    return
                self.changed.wait(0.002)
                pids = [actor.pid for actor in self.actors if actor.state == "runs"]
            if not pids:
                return
            held = f"select {' and '.join(f'cardinality(pg_blocking_pids({pid})) > 0' for pid in pids)}"
            if self.watch.execute(held).fetchone()[0]:
                return
            assert time.monotonic() < give_up_at, "a statement does not end"

    def _wait_for_one(self, actors: Sequence[Actor]) -> None:
        """All wait for each other: the server ends one of them."""

        def is_over() -> bool:
            return any(actor.state == "stops" for actor in actors) or all(actor.state == "ended" for actor in actors)

        with self.changed:
            assert self.changed.wait_for(is_over, SECONDS), "a deadlock that nobody ends"

    def settle_down(self, now: float = NOW) -> None:
        """Take turns until nothing follows from what has ended."""
        for _ in range(20):
            with self.actors[-1].turn(now) as turn:
                if turn.has_host_moves:
                    turn.jobs.refresh()
                if not turn.has_ripe or not turn.links.free(500):
                    break
        else:
            raise AssertionError("it does not come to rest")

    def check(self) -> None:
        """What holds of any store between turns that have settled down."""
        jobs = {job.row_id: job for job in map(JobRecord._make, self.rows("select * from lamplighter_jobs"))}
        self._check_moves(jobs)
        links = self.rows("select child, place, parent, met from lamplighter_links")
        for child, place, parent, met in links:
            assert child in jobs, f"link {place} of job {child}, which is gone"
            if parent in jobs and jobs[child].is_linked and jobs[child].state == "queued":
                state = jobs[parent].state
                assert met == (state if state in ENDED else None), f"{jobs[child].id} has {met} of {state}"
        for job in jobs.values():
            own = [met for child, _, _, met in links if child == job.row_id]
            if job.state == "queued" and job.is_linked:
                assert None in own, f"job {job.id} waits for ever"
        assert self.rows("select * from lamplighter_parents_to_check") == []
        lines = {row[:3] for row in self.rows("select name, priority, group_key from lamplighter_turns")}
        for job in jobs.values():
            if job.state == "queued" and job.waits == 3:
                assert (job.name, job.priority, job.group_key) in lines, f"job {job.id} stands in no line"
        done = {number for number, job in jobs.items() if job.state == "done"}
        kept = {job for (job,) in self.rows("select job from lamplighter_steps")}
        assert kept <= jobs.keys() - done, f"steps of jobs that are done or gone: {kept - (jobs.keys() - done)}"

    def _check_moves(self, jobs: dict[int, JobRecord]) -> None:
        """Each job's moves are told once, without a gap, and one begins where the one before has ended."""
        moved: dict[str, list[dict[str, Any]]] = {}
        numbers: dict[str, list[int]] = {}
        for turn in self.told:
            numbers.setdefault(turn[0], []).append(turn[2])
            for move in turn[4]:
                if "r" in move and move["k"] not in ("stepped", "signalled"):
                    moved.setdefault(move["j"], []).append(move)
        for boot, turns in numbers.items():
            assert turns == list(range(1, len(turns) + 1)), f"turns of {boot}: {turns}"
        for job in jobs.values():
            told = sorted(move["r"] for move in moved.get(job.id, ()))
            assert told == list(range(1, job.move_no + 1)), f"job {job.id} has {job.move_no} moves, told are {told}"


def orders(lengths: Sequence[int], *, seed: int = 0, most: int = ORDERS_MAX) -> list[Order]:
    """Orders of two or three programs in which two switches come too early, anywhere: all, or as many by chance."""
    found: list[Order] = []
    places = range(len(lengths))
    for first in places:
        for other in places:
            if other == first:
                continue
            for some in range(lengths[first] + 1):
                found += [[(first, some), (other, others)] for others in range(1, lengths[other] + 1)]
                found += [[(first, some), (other, 1 << 30)]]
    if len(found) <= most:
        return found
    return random.Random(seed).sample(found, most)


def every_order(
    world: World,
    prepare: Callable[[World], Any],
    programs: Sequence[Callable[[Actor, Any], Any]],
    check: Callable[[World, Any], None],
    *,
    most: int = ORDERS_MAX,
) -> None:
    """Prepare, run the programs, and check; in many orders.

    Args:
        prepare: its result is given to the programs and to `check`.
    """

    def one_order(order: Order) -> list[int]:
        world.reset()
        about = prepare(world)
        taken = world.run([lambda actor, one=one: one(actor, about) for one in programs], order)
        try:
            world.settle_down()
            world.check()
            check(world, about)
        except BaseException as error:
            error.add_note(f"in the order {list(order)}, of {taken} statements")
            raise
        return taken

    serial = [one_order([(place, 1 << 30)]) for place in range(len(programs))]
    lengths = [max(taken) for taken in zip(*serial, strict=True)]
    for order in orders(lengths, most=most):
        one_order(order)
