"""The session of the turns: what it shows of its runtime, that it tells the time, and that a forked child leaves it
alone.
"""

from __future__ import annotations

import contextlib
import os

import pytest
from lamplighter import StoreGone
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect
from lamplighter.stores.postgresql.store import PostgresStore

from support.conformance.kit import NOW, a_boot, new

SECONDS_MAX = 15.0

HELD = """select count(*) from pg_locks where locktype = 'advisory' and pid = ? and objsubid = 2 and granted"""


def test_it_shows_that_the_boot_of_its_last_turn_lives_also_after_it_was_lost(postgres):
    store, looking = PostgresStore(postgres), connect(parse_address(postgres))
    store.open()
    shown = []
    for boot in ("first", "second", "second"):
        with store.turn(boot, NOW) as turn:
            turn.boots.register(a_boot(boot))
        shown.append(looking.execute(HELD, (store._writer.pid,)).fetchone()[0])
    looking.execute("select pg_terminate_backend(cast(? as int))", (store._writer.pid,))
    lost = store._writer.pid
    while looking.execute("select 1 from pg_stat_activity where pid = ?", (lost,)).fetchone() is not None:
        pass
    try:
        with store.turn("second", NOW):
            pass
    except Exception:
        assert store._writer.is_closed
    with store.turn("second", NOW):
        pass
    shown.append(looking.execute(HELD, (store._writer.pid,)).fetchone()[0])
    looking.close()
    store.close()

    assert shown == [1, 1, 1, 1]


@pytest.mark.parametrize("moved", [60.0, -60.0])
def test_the_time_is_right_at_the_first_look_after_the_machine_has_slept(postgres, moved):
    machine = 1000.0
    with contextlib.closing(PostgresStore(postgres)) as store:
        store._monotonic = lambda: machine
        store.open()

        def answers_late():
            nonlocal machine
            machine += 0.5
            return machine

        # A trip that takes longer than those before would not count.
        machine += moved
        store._monotonic = answers_late
        store.changed()
        store._monotonic = lambda: machine
        says = store.wall()
        ((server,),) = store._writer.execute("select cast(extract(epoch from clock_timestamp()) as double precision)")

    assert abs(says - server) < SECONDS_MAX


def test_a_forked_child_has_no_copy_of_it_and_its_parent_goes_on(postgres):
    store = PostgresStore(postgres)
    store.open()
    descriptor = store._writer.fileno()
    child = os.fork()
    if child == 0:
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])
    store.close()

    assert os.waitstatus_to_exitcode(status) == 0


def test_another_store_that_was_put_into_the_tables_is_refused_until_this_is_back(postgres):
    """The runtime went on in it, though each new session and each host's connection refused it."""
    store, person = PostgresStore(postgres), connect(parse_address(postgres))
    store.open()
    with store.turn("b", NOW) as turn:
        turn.boots.register(a_boot("b"))
    known = store.store_id
    person.execute("update lamplighter_store set store_id = 'another'")
    person.execute("update lamplighter_boots set boot = 'of another'")

    with pytest.raises(StoreGone, match="got: another, which was put there since"), store.turn("b", NOW):
        pytest.fail("the turn began")
    person.execute("update lamplighter_boots set boot = 'b'")
    person.execute("update lamplighter_store set store_id = ?", (known,))
    with store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])
    person.close()
    store.close()

    assert (turn.lost, len(turn.transitions)) == (None, 1)
