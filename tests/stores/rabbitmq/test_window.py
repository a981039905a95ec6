"""How many jobs may be with a runtime: more, or none, at once; fewer once fewer have been wanted for a while."""

from __future__ import annotations

from itertools import count

import pytest
from lamplighter.stores.rabbitmq.consumers import LAG_SECONDS, Window


class Server:
    """Notes what a window asks for."""

    def __init__(self) -> None:
        tags = count(1)
        self.prefetch: dict[str, int] = {}
        self.window = Window(self.prefetch.__setitem__, self.prefetch.__delitem__, lambda: str(next(tags)))

    @property
    def total(self) -> int:
        return sum(self.prefetch.values())


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_window_grows_at_once(server: Server) -> None:
    sizes = []
    for wanted in (4, 10, 11):
        server.window.resize(wanted, 0.0)
        sizes.append(server.total)

    assert sizes == [4, 10, 11]


def test_a_window_that_breathes_with_the_load_gives_nothing_back(server: Server) -> None:
    server.window.resize(20, 0.0)
    ended = [server.window.resize(wanted, LAG_SECONDS * step / 4) for step, wanted in enumerate((5, 12, 20, 4, 8, 20))]

    assert (ended, server.prefetch) == ([[]] * 6, {"1": 20})


def test_a_window_for_which_less_is_wanted_for_long_shrinks_to_the_most_that_was(server: Server) -> None:
    server.window.resize(10, 0.0)
    server.window.resize(20, 0.0)
    early = [server.window.resize(wanted, LAG_SECONDS / 2) for wanted in (4, 12, 4)]
    due = server.window.shrinks_at
    late = server.window.resize(4, LAG_SECONDS * 1.5)

    assert (early, due, late) == ([[], [], []], LAG_SECONDS * 1.5, ["2"])
    assert (server.total, server.window.shrinks_at) == (12, LAG_SECONDS * 2.5)


def test_a_window_shrinks_to_what_is_wanted_though_nobody_says_so_again(server: Server) -> None:
    server.window.resize(1, 0.0)
    server.window.resize(5, 0.0)
    server.window.resize(9, 0.0)
    server.window.resize(5, 0.0)
    server.window.resize(1, LAG_SECONDS / 2)
    sizes = []
    while server.window.shrinks_at is not None:
        server.window.resize(1, server.window.shrinks_at)
        sizes.append(server.total)

    assert sizes == [5, 1]


def test_a_window_for_which_nothing_is_wanted_closes_at_once(server: Server) -> None:
    server.window.resize(10, 0.0)

    assert (server.window.resize(0, 0.0), server.total, server.window.size) == (["1"], 0, 0)


def test_what_an_ended_consumer_was_given_counts_until_it_is_settled(server: Server) -> None:
    server.window.resize(3, 0.0)
    server.window.delivered("1")
    server.window.resize(0, 0.0)
    before = server.window.size
    server.window.settled("1")

    assert (before, server.window.size) == (1, 0)
