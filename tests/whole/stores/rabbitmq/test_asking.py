"""Runtimes on a RabbitMQ are asked from outside: past their brokers, over the server."""

from __future__ import annotations

import json
import threading

import pytest
from lamplighter import Environment, StoreError, StoreUnavailable
from lamplighter.cli.main import main
from lamplighter.messages.controls import Ask
from lamplighter.messages.jobs import Attribution
from lamplighter.messages.views import DeclaredView, QuietAnswer
from lamplighter.rules.control_lines import decode_answer, encode_ask
from lamplighter.stores.opening import place_of
from lamplighter.stores.rabbitmq.admin_connection import AdminConnection

from support.gate import Gate
from support.rabbitmq.model_link import ModelLink

from ....stores.rabbitmq.model_world import World

SECONDS = 2.0
"""In which all answer, also on a busy machine."""


def test_all_that_hear_it_answer_and_one_alone_does_what_it_is_asked_to(url, runtime, recorder):
    one, other = runtime(url), runtime(url)
    room = place_of(url).client(SECONDS)

    reached = room.found()
    quiet = room.ask(other.boot.id, "quiet", QuietAnswer, Attribution("ada", "cli", "a deploy"))

    assert [found.boot for found in reached] == [one.boot.id, other.boot.id]
    assert {found.condition for found in reached} == {"answers"}
    assert (quiet.boot, quiet.quiet.by) == (other.boot.id, "ada")
    told = recorder.wait_for("runtime.quieted")
    assert (told["boot"], told["via"], told["reason"]) == (other.boot.id, "cli", "a deploy")
    assert one.boot.views.runtime().quiet is None
    with pytest.raises(StoreUnavailable, match="expected runtime instance nobody to answer, got: no answer within"):
        place_of(url).client(0.1).ask("nobody", "declares", DeclaredView)


def test_one_whose_broker_hangs_answers_and_goes_on_as_if_nobody_had_asked(url, runtime, recorder, caller):
    gate = Gate("broker.let_out")
    rt = runtime(url, environment=Environment(failpoints=gate))
    rt.jobs.add_handler("work", lambda job: "done")
    rt.jobs.join(rt.jobs.queue("work"), timeout=15)
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work")
    assert gate.reached.wait(15)

    (seen,) = place_of(url).client(SECONDS).found()

    gate.is_shut = False
    gate.opened.set()
    busy = next(actor.busy_with for actor in seen.view.actors if actor.name == "broker")
    assert busy == "Queue"
    assert rt.jobs.join(queued.result(15), timeout=15).result == "done"
    assert recorder.of("message.unreadable") == []


def test_who_shares_a_virtual_host_by_a_prefix_is_not_asked(url, runtime):
    runtime(url)
    mine = runtime(f"{url}?prefix=mine")

    assert [one.boot for one in place_of(f"{url}?prefix=mine").client(SECONDS).found()] == [mine.boot.id]


def test_the_commands_ask_over_the_server_too(url, runtime, capsys):
    options = ["-s", url, "--timeout", str(SECONDS)]
    nobody = [main(["runtimes", "list", *options]), main(["health", *options])]
    rt = runtime(url)

    codes = [
        main(["health", *options]),
        main(["runtimes", "list", "--json", *options]),
        main(["runtimes", "tree", rt.boot.id, *options]),
        main(["runtimes", "quiet", "--all", *options]),
        main(["runtimes", "go", rt.boot.id[:8], *options]),
    ]

    assert (nobody, codes) == ([1, 1], [0] * 5)
    said, health, line, *_ = capsys.readouterr().out.splitlines()
    assert said == f"no runtime lives on {place_of(url).shown}"
    assert health.startswith(f"{rt.boot.id}  pid ")
    assert json.loads(line)["view"]["leads"] is True


def test_top_shows_a_server_and_a_page_of_one_is_refused_with_what_to_do(url, runtime, capsys):
    rt = runtime(url)
    rt.jobs.add_handler("mail", lambda job: None)

    assert main(["top", "--once", "-s", url]) == 0
    said = capsys.readouterr().out
    assert main(["web", "-s", url]) == 2
    refused = capsys.readouterr().err

    assert f"{url.partition('@')[2]}" in said
    assert "guest" not in said
    assert rt.boot.id in said
    assert "mail" in said
    assert "there is no page of one: look with lamplighter top, names, runtimes, errors and jobs" in refused


def test_a_server_that_cannot_be_reached_exits_with_3(url, capsys):
    with pytest.raises((StoreError, StoreUnavailable)):
        place_of("amqp://guest:guest@127.0.0.1:1/none").client().found()

    assert main(["health", "-s", "amqp://guest:guest@127.0.0.1:1/none"]) == 3
    assert "guest:guest" not in capsys.readouterr().err


def visit(world):
    class Event(threading.Event):
        """In a world's time."""

        def wait(self, timeout=None):
            if not self.is_set():
                world.let_pass(timeout)
            return self.is_set()

    return AdminConnection("amqp://model", ModelLink(world.server), Event, lambda: "visitor")


def test_a_question_is_answered_before_anybody_takes_a_turn_and_is_no_news():
    world = World()
    store, asked = world.store(), []
    world.turn(store)
    store.notifier.answer(lambda line, later: asked.append(line) or b'{"v":1,"answer":{"boot":"b","schedules":[]}}\n')

    with visit(world) as visitor:
        lines = visitor.ask(encode_ask(Ask(verb="declares")), 1.0)

    assert [decode_answer(line, DeclaredView).boot for line in lines] == ["b"]
    assert asked == [encode_ask(Ask(verb="declares"))]
    with store.turn("boot", world.elapsed) as turn:
        assert turn.news == []
    assert "lamplighter.asks.visitor" not in world.server.queues


def test_a_runtime_that_answers_no_more_leaves_no_question_behind():
    world = World()
    store = world.store()
    world.turn(store)
    store.notifier.answer(lambda line, later: b"answer\n")
    store.notifier.answer(None)

    with visit(world) as visitor:
        assert visitor.ask(b"question\n", 1.0) == []

    assert world.turn(store)
