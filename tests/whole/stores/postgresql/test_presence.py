"""Who lives on a PostgreSQL, whatever becomes of processes, sessions and the server."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing

import pytest
from lamplighter.errors import StoreUnavailable
from lamplighter.stores.postgresql.presence import FREE_SECONDS, GAP_SECONDS, SESSION_SECONDS, PostgresPresence
from lamplighter.stores.postgresql.watcher import Watcher

from .people import Boot, People, eventually, people

__all__ = ["people"]

SECOND = 1.0
ELSEWHERE = "another machine"


class Time:
    """Monotonic time that passes when a test says so, for a judge."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def judge(people: People, time: Time) -> Boot:
    return people.boot("judge", monotonic=time)


def seen(judge: Boot, time: Time, boot: str, seconds: float) -> list[bool | None]:
    """What a judge says who looks once a second."""
    said = []
    for _ in range(int(seconds / SECOND)):
        time.now += SECOND
        said.append(judge.presence.is_alive(boot))
    return said


def test_a_process_that_is_killed_is_dead_at_once_on_its_own_machine(people, judge, time):
    process = people.process("one")
    before = judge.presence.is_alive("one")

    process.kill()
    process.wait()

    def is_dead() -> bool:
        # The server frees the lock when it has seen the end of the session.
        time.now += SECOND / 2
        return judge.presence.is_alive("one") is False and time.now < FREE_SECONDS

    assert before is True
    eventually(lambda: not is_held(people, "one"), "its lock is free")
    assert is_dead()


def is_held(people: People, boot: str) -> bool:
    query = f"select count(*) from pg_locks where locktype = 'advisory' and objid = hashtext('{boot}')::oid"
    return people.server.psql(query) != "0"


def test_a_runtime_that_has_just_been_started_knows_the_dead_of_its_machine(people):
    process = people.process("one")
    process.kill()
    process.wait()
    eventually(lambda: not is_held(people, "one"), "its lock is free")

    assert people.boot("judge", monotonic=Time()).presence.is_alive("one") is False


def test_a_process_that_is_stopped_lives(people, judge, time):
    process = people.process("one")
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)

    assert set(seen(judge, time, "one", 2 * SESSION_SECONDS)) == {True}


def test_on_another_machine_a_lock_must_be_free_for_a_while(people, judge, time):
    people.register("gone", 1, ELSEWHERE)
    time.now += SESSION_SECONDS

    said = seen(judge, time, "gone", FREE_SECONDS + 2 * SECOND)

    assert said == [True, True, True, False, False]


def test_a_session_that_is_young_calls_nobody_of_another_machine_dead(people, judge, time):
    people.register("gone", 1, ELSEWHERE)

    said = seen(judge, time, "gone", SESSION_SECONDS)

    assert said == [True] * 14 + [False]


def test_a_lock_that_nobody_has_looked_at_may_have_been_held_meanwhile(people, judge, time):
    people.register("gone", 1, ELSEWHERE)
    time.now += SESSION_SECONDS
    first = judge.presence.is_alive("gone")

    time.now += GAP_SECONDS + FREE_SECONDS

    assert (first, judge.presence.is_alive("gone")) == (True, True)
    assert seen(judge, time, "gone", FREE_SECONDS)[-1] is False


def test_a_process_whose_session_was_lost_is_alive_while_it_is_there(people, judge, time):
    # This process is there, and its boot has no session.
    people.register("one", os.getpid(), judge.channel.address)
    time.now += SESSION_SECONDS

    assert seen(judge, time, "one", FREE_SECONDS) == [True, True, True]


def test_a_restart_of_the_server_buries_nobody_and_all_go_on(people, judge, time):
    other = people.boot("other")
    time.now += 2 * SESSION_SECONDS
    assert judge.presence.is_alive("other") is True

    people.server.stop("immediate")
    away = seen(judge, time, "other", FREE_SECONDS + 2 * SECOND)
    with pytest.raises(StoreUnavailable, match="the watcher"):
        other.presence.keep("other")
    people.server.start()

    def are_back() -> bool:
        assert judge.presence.is_alive("other") is True
        return judge.is_back() and other.is_back()

    eventually(are_back, "both hold their locks again")
    assert set(away) == {True}
    assert set(seen(judge, time, "other", SESSION_SECONDS + FREE_SECONDS)) == {True}
    other.forget_hints()
    judge.channel.send(["anybody"])
    other.hear()


def test_whoever_is_later_back_than_the_judge_after_a_restart_is_not_buried(people, judge, time):
    process = people.process("one")
    time.now += 2 * SESSION_SECONDS
    assert judge.presence.is_alive("one") is True
    people.register("elsewhere", 1, ELSEWHERE)
    os.kill(process.pid, signal.SIGSTOP)

    people.server.restart("immediate")
    eventually(judge.is_back, "the judge is back")
    late = seen(judge, time, "one", SESSION_SECONDS - SECOND)
    os.kill(process.pid, signal.SIGCONT)
    eventually(lambda: is_held(people, "one"), "it is back")

    assert set(late) == {True}
    assert set(seen(judge, time, "one", 2 * SESSION_SECONDS)) == {True}
    assert judge.presence.is_alive("elsewhere") is False


def test_a_judge_without_a_session_says_nothing_of_anybody(people, judge, time):
    people.register("gone", 1, ELSEWHERE)
    time.now += SESSION_SECONDS
    assert seen(judge, time, "gone", FREE_SECONDS + SECOND)[-1] is False

    people.server.stop()
    time.now += SECOND

    assert judge.presence.is_alive("gone") is True
    people.server.start()


def test_a_boot_that_has_left_is_dead_at_once_though_its_process_and_row_are_there(people, judge, time):
    other = people.boot("other")

    other.presence.leave("other", stays=True)

    assert judge.presence.is_alive("other") is False
    assert judge.presence.is_alive("nobody") is None


def test_a_runtime_that_becomes_another_boot_holds_that_one_alone(people, judge, time):
    old = people.boot("old")
    new = PostgresPresence(old.watcher, type(old.channel)(old.watcher, "new"))

    new.enter("new")
    both = [is_held(people, boot) for boot in ("old", "new")]
    old.presence.leave("old")

    assert both == [True, True]
    assert [is_held(people, boot) for boot in ("old", "new")] == [False, True]
    people.terminate(old)
    eventually(lambda: is_held(people, "new"), "the next session holds it too")
    assert not is_held(people, "old")


def test_a_forked_child_neither_keeps_its_parent_alive_nor_ends_its_session(people, judge):
    process = people.process("one")
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("fork\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    while_both_live = is_held(people, "one")

    process.kill()
    process.wait()

    eventually(lambda: not is_held(people, "one"), "its lock is free")
    assert while_both_live
    os.kill(child, signal.SIGKILL)


def test_whoever_only_looks_needs_no_boot_of_its_own(people):
    people.boot("one")
    people.register("gone", 1, None)
    with closing(
        Watcher(people.connect, lambda run, name: pytest.fail("no thread"), threading.Event, Time())
    ) as watcher:
        presence = PostgresPresence(watcher)

        assert [presence.is_alive(boot) for boot in ("one", "gone", "nobody")] == [True, False, None]
