"""What can go wrong between a caller and the thread that has the connection."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from lamplighter.environment import spawn
from lamplighter.rabbit import topology
from lamplighter.rabbit.address import parse_address
from lamplighter.rabbit.link import LinkLost, Message, QueueSpec
from lamplighter.rabbit.pika_link import PikaLink
from pika.adapters.select_connection import IOLoop

from .conftest import Vhosts
from .test_model import JOBS, SECONDS_MAX, Player

CALLS: dict[str, Callable[[PikaLink], Future]] = {
    "send": lambda link: link.send([Message("", JOBS.name, b"a")]),
    "setup": lambda link: link.setup([QueueSpec(name="another", arguments=topology.QUORUM)]),
    "look": lambda link: link.look(JOBS.name),
    "fetch": lambda link: link.fetch(JOBS.name, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_who_asks_a_connection_that_ends_in_this_very_moment_is_told_so(
    vhosts: Vhosts, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    url = vhosts.take()
    link = PikaLink(parse_address(url), spawn=spawn, event=threading.Event, chance=random.Random(), name="ends")
    player = Player(link)
    try:
        player.have(JOBS)
        with monkeypatch.context() as patch:
            # A loop that was told to stop takes calls, and begins none of them.
            patch.setattr(IOLoop, "add_callback_threadsafe", lambda loop, call: None)
            asked = CALLS[name](link)
        assert not asked.done()
        vhosts.server.nodes[0].ctl("close_all_connections", "-p", url.rpartition("/")[2], "over")

        with pytest.raises(LinkLost):
            asked.result(SECONDS_MAX)
        assert player.ears.sessions.get(timeout=SECONDS_MAX) == player.session + 1
        CALLS[name](link).result(SECONDS_MAX)
    finally:
        link.stop()
