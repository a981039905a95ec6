"""Boots on a PostgreSQL are asked from outside, by rows of a table."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from lamplighter.errors import StoreUnavailable
from lamplighter.messages.controls import ANSWER_BYTES_MAX
from lamplighter.messages.views import DeclaredView
from lamplighter.rules.control_lines import encode_answer
from lamplighter.stores.postgresql.presence import this_machine

from .people import SECONDS, People, eventually, people

__all__ = ["people"]

PATIENCE = 0.2
"""For one that will not answer."""


def says(*schedules: str):
    """Answers with these schedules."""
    view = encode_answer(DeclaredView(boot="one", schedules=schedules))
    return lambda line, later=None: view


def left(people: People) -> int:
    with closing(people.connect()) as database:
        return database.execute("select count(*) from lamplighter_asks").fetchone()[0]


def test_each_boot_is_asked_what_it_alone_answers(people):
    people.boot("one", answer=says("a"))
    people.boot("other", answer=says("b"))

    client = people.client()
    said = client.ask_all(["one", "other"], "declares", DeclaredView)

    assert {boot: one.schedules for boot, one in said.items()} == {"one": ("a",), "other": ("b",)}
    assert client.ask("other", "declares", DeclaredView).schedules == ("b",)
    assert left(people) == 0


def test_an_answer_may_be_as_long_as_any(people):
    line = b"\0" + os.urandom(ANSWER_BYTES_MAX - 2) + b"\n"
    people.boot("one", answer=lambda asked, later=None: line)

    assert people.client().ask_these(["one"], b"?", SECONDS)["one"].answer == line


def test_those_who_ask_at_once_are_all_answered(people):
    people.boot("one", answer=lambda line, later=None: b"to " + line)
    client = people.client()

    with ThreadPoolExecutor(8) as threads:
        questions = [b"%d" % number for number in range(16)]
        heard = list(threads.map(lambda line: client.ask_these(["one"], line, SECONDS)["one"].answer, questions))

    assert heard == [b"to " + line for line in questions]


def test_a_boot_that_holds_its_lock_and_says_nothing_is_silent(people):
    gate, is_asked = threading.Event(), threading.Event()

    def hang(line, later=None):
        is_asked.set()
        gate.wait(SECONDS)
        return b"late"

    people.boot("silent", answer=hang)
    people.boot("one", answer=says())

    found = {one.boot: one for one in people.client(PATIENCE).found()}

    gate.set()
    assert is_asked.is_set()
    assert (found["silent"].condition, found["silent"].is_alive) == ("silent", True)
    assert found["silent"].unheard == f"no answer within {PATIENCE:g} s"
    assert found["one"].condition == "answers"
    # The late answer has no row any more, and keeps nobody from the next question.
    assert people.client().ask_these(["silent"], b"?", SECONDS)["silent"].answer == b"late"
    assert left(people) == 0


def test_a_stopped_process_is_not_waited_for_and_a_dead_one_not_asked(people):
    stopped, dead = people.process("stopped"), people.process("dead")
    os.kill(stopped.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
    dead.kill()
    dead.wait()
    eventually(lambda: people.client().ask_these(["dead"], b"?", 0.0)["dead"].is_alive is False, "its lock is free")

    # If either were waited for, this would not end.
    found = {one.boot: one for one in people.client(1e6).found()}

    assert {boot: (one.condition, one.is_alive, one.pid) for boot, one in found.items()} == {
        "stopped": ("stopped", True, stopped.pid),
        "dead": ("dead", False, dead.pid),
    }
    assert found["stopped"].unheard == f"a signal or a debugger has stopped process {stopped.pid}"


def test_a_free_lock_of_another_machine_is_a_death_once_others_had_time_to_come_back(people, monkeypatch):
    people.register("one", 1, "another machine")
    uptime = "lamplighter.stores.postgresql.control_client.SESSION_SECONDS"

    monkeypatch.setattr(uptime, 1e9)
    (young,) = people.client(PATIENCE).found()
    monkeypatch.setattr(uptime, 0.0)
    (old,) = people.client(PATIENCE).found()

    assert (young.condition, young.is_alive) == ("unknown", None)
    assert (old.condition, old.is_alive) == ("dead", False)


def test_a_boot_whose_session_is_on_its_way_back_answers(people):
    people.boot("one", answer=says("a"))
    with closing(people.connect()) as database:
        database.execute("update lamplighter_boots set hint = 'another machine'")
        people.terminate(people.boot("two", answer=says("b")))

        said = people.client().ask_all(["one", "two"], "declares", DeclaredView)

    assert {boot: one.schedules for boot, one in said.items()} == {"one": ("a",), "two": ("b",)}


@pytest.mark.parametrize("boot", ["nobody", "", "\0", "x" * 10_000])
def test_a_boot_that_the_store_does_not_know_is_not_asked(people, boot):
    with pytest.raises(StoreUnavailable, match=r"to answer, got: it has ended: the store has no row of it"):
        people.client(1e6).ask(boot, "declares", DeclaredView)


def test_what_a_killed_asker_has_left_is_removed_by_the_next(people):
    with closing(people.connect()) as database:
        database.script(
            "insert into lamplighter_asks (boot, asker, ask, asked_at) values ('gone', 1, '', now() - interval '61 s')"
        )
    people.boot("one", answer=says())

    people.client().ask("one", "declares", DeclaredView)

    assert left(people) == 0


def test_the_machine_of_a_process_is_the_same_for_all_of_its_boots(people):
    assert this_machine() == this_machine() != ""
    assert people.boot("one").channel.address == this_machine()


def test_a_question_to_a_server_that_is_away_is_refused(people):
    people.server.stop()

    with pytest.raises(StoreUnavailable):
        people.client().found()

    people.server.start()
