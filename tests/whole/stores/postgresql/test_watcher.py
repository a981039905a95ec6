"""Hints between boots on a PostgreSQL, and the session that brings them."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from lamplighter.environment.threads import spawn
from lamplighter.errors import StoreUnavailable
from lamplighter.stores.postgresql import connection

from .people import SECONDS, Boot, eventually, people

__all__ = ["people"]


def test_a_hint_reaches_all_others_and_not_its_sender(people):
    one, other, third = people.boot("one"), people.boot("other"), people.boot("third")

    for _ in range(5):
        one.channel.send(["other", "third"])
        other.hear()
        third.hear()

    assert one.hints.empty()
    other.channel.send(["one", "third"])
    one.hear()


def test_where_nobody_else_is_no_hint_is_sent(people):
    one, other = people.boot("one"), people.boot("other")

    one.channel.send([])
    third = people.boot("third")
    third.channel.send(["other"])

    other.hear()
    assert other.hints.empty()


def test_many_hints_at_once_are_few_notifications(people):
    one, other = people.boot("one"), people.boot("other")

    for _ in range(1000):
        one.channel.send(["other"])
    other.hear()
    one.channel.send(["other"])
    other.hear()

    assert other.hints.qsize() < 100


def test_an_operator_without_a_thread_is_heard(people):
    other = people.boot("other")
    operator = Boot(people, "operator", lambda: 0.0)

    # Each act opens the store and closes it.
    for _ in range(2):
        operator.channel.send(["other"])
        other.hear()
        operator.watcher.close()


def test_hints_arrive_over_twenty_ends_of_either_session(people):
    one, other = people.boot("one"), people.boot("other")
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(0.001):
            one.channel.send(["other"])

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(20):
        people.terminate((one, other)[number % 2])
        other.forget_hints()
        other.hear()
        one.forget_hints()
    is_over.set()
    sender.join()
    eventually(lambda: one.is_back() and other.is_back(), "both are back")

    other.forget_hints()
    one.channel.send(["other"])
    other.hear()


def test_what_was_to_be_told_while_the_server_was_away_is_told_when_it_is_back(people):
    one, other = people.boot("one"), people.boot("other")
    people.server.stop()
    one.channel.send(["other"])

    people.server.start()

    eventually(lambda: one.is_back() and other.is_back(), "both are back")
    other.hear()


def test_a_session_is_kept_though_questions_cannot_be_read(people):
    one = people.boot("one", answer=lambda line, later=None: b"x")
    session = one.watcher._session
    other = people.boot("other")
    with closing(people.connect()) as database:
        database.execute("alter table lamplighter_asks rename to away")

        database.execute("select pg_notify(?, 'ask')", (session.channel,))
        other.channel.send(["one"])
        one.hear()

        database.execute("alter table away rename to lamplighter_asks")
    assert one.watcher._session is session


def test_an_end_leaves_neither_thread_nor_session(people):
    threads = threading.active_count()
    one = people.boot("one")

    one.presence.leave("one")

    assert threading.active_count() == threads
    count = "select count(*) from pg_stat_activity where application_name = 'tests'"
    eventually(lambda: people.server.psql(count) == "0", "its session has ended")
    one.presence.leave("one")


def test_sessions_that_have_ended_are_not_kept_for_forks_to_come(people):
    one, other = people.boot("one"), people.boot("other")
    open_now = len(connection._sockets)

    for _ in range(5):
        people.terminate(one)
        other.channel.send(["one"])
        eventually(one.is_back, "it is back")

    eventually(lambda: len(connection._sockets) == open_now, "only the sessions that are open are known")


def test_a_server_that_is_away_keeps_a_boot_from_entering(people):
    people.server.stop()
    boot = Boot(people, "one", lambda: 0.0)

    with pytest.raises(StoreUnavailable):
        boot.enter()

    people.server.start()
    boot.enter()
    boot.presence.leave("one")


def test_a_system_without_another_thread_keeps_a_boot_from_entering(people):
    boot = Boot(people, "one", lambda: 0.0)

    def refuse(run, name):
        raise RuntimeError("can't start new thread")

    boot.watcher._spawn = refuse
    with pytest.raises(StoreUnavailable, match="can't start new thread"):
        boot.enter()

    boot.watcher._spawn = spawn
    boot.enter()
    boot.presence.leave("one")


def test_a_hint_that_comes_while_an_answer_is_given_is_heard(people):
    with closing(people.connect()) as database:

        def answer(line, later=None):
            database.execute("select pg_notify(?, '')", (one.watcher._session.channel,))
            return b"x"

        one = people.boot("one", answer=answer)

        assert people.client().ask_these(["one"], b"?", SECONDS)["one"].answer == b"x"
        one.hear()


def test_a_hint_arrives_within_a_moment(people):
    one, other = people.boot("one"), people.boot("other")

    # A poll would take a second each time.
    for _ in range(100):
        one.channel.send(["other"])
        other.hints.get(timeout=SECONDS)
