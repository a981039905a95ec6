"""What can go wrong between a caller and the thread that has the connection."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import Link, LinkLost, Message, QueueSpec
from pika.adapters.select_connection import IOLoop

from .conftest import Vhosts
from .kit import link_to
from .test_model import JOBS, SECONDS_MAX, Player, bodies

CALLS: dict[str, Callable[[Link], Future]] = {
    "send": lambda link: link.send([Message("", JOBS.name, b"a")]),
    "setup": lambda link: link.setup([QueueSpec(name="another", arguments=topology.QUORUM)]),
    "look": lambda link: link.look(JOBS.name),
    "browse": lambda link: link.browse(JOBS.name, lambda arrival: None),
}


@pytest.fixture
def player(url: str) -> Iterator[Player]:
    link = link_to(url)
    yield Player(link)
    link.stop()


def test_an_error_in_the_links_own_thread_ends_the_connection_for_the_server_too(player: Player) -> None:
    player.have(JOBS)
    player.publish("a")
    player.consume("first", 1)
    player.take(1)

    def fail() -> None:
        raise ZeroDivisionError("in a callback")

    # Kept, as by a traceback that somebody looks at: Python closes the socket of what nobody knows any more.
    connection = player.link._connection  # type: ignore[attr-defined]
    connection.ioloop.add_callback_threadsafe(fail)

    player.session = player.listener.sessions.get(timeout=SECONDS_MAX)
    player.consume("second", 1)
    again = player.take(1)

    assert (bodies(again), again[0].redeliveries) == (["a"], 1)
    assert "in a callback" in player.listener.losses.get_nowait()
    assert connection is not player.link._connection  # type: ignore[attr-defined]


def test_a_session_is_given_up_though_the_server_does_not_answer_the_close(vhosts: Vhosts, player: Player) -> None:
    link, node = player.link, vhosts.server.nodes[0]
    node.signal(signal.SIGSTOP)
    try:
        connection = link._connection  # type: ignore[attr-defined]
        connection.ioloop.add_callback_threadsafe(connection.close)
        link.give_up(player.session, "it says nothing any more")

        assert player.listener.losses.get(timeout=SECONDS_MAX) == "it says nothing any more"
    finally:
        node.signal(signal.SIGCONT)


@pytest.mark.parametrize("name", CALLS)
def test_who_asks_a_connection_that_ends_in_this_very_moment_is_told_so(
    vhosts: Vhosts, url: str, player: Player, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    link = player.link
    player.have(JOBS)
    with monkeypatch.context() as patch:
        # A loop that was told to stop takes calls, and begins none of them.
        patch.setattr(IOLoop, "add_callback_threadsafe", lambda loop, call: None)
        asked = CALLS[name](link)
    assert not asked.done()
    vhosts.server.nodes[0].ctl("close_all_connections", "-p", url.rpartition("/")[2], "over")

    with pytest.raises(LinkLost):
        asked.result(SECONDS_MAX)
    assert player.listener.sessions.get(timeout=SECONDS_MAX) == player.session + 1
    CALLS[name](link).result(SECONDS_MAX)
