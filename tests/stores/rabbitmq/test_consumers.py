"""How many jobs may be with a runtime: more, or none, at once; fewer once fewer have been wanted for a while."""

from __future__ import annotations

from itertools import count

import pytest
from lamplighter.stores.rabbitmq.deliveries import LAG_SECONDS, ConsumerStack


class Server:
    """Notes what a window asks for."""

    def __init__(self) -> None:
        tags = count(1)
        self.prefetch: dict[str, int] = {}
        self.stack = ConsumerStack(self.prefetch.__setitem__, self.prefetch.__delitem__, lambda: str(next(tags)))

    @property
    def total(self) -> int:
        return sum(self.prefetch.values())


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_window_grows_at_once(server: Server) -> None:
    sizes = []
    for wanted in (4, 10, 11):
        server.stack.resize(wanted, 0.0)
        sizes.append(server.total)

    assert sizes == [4, 10, 11]


def test_a_window_that_breathes_with_the_load_gives_nothing_back(server: Server) -> None:
    server.stack.resize(20, 0.0)
    ended = [server.stack.resize(wanted, LAG_SECONDS * step / 4) for step, wanted in enumerate((5, 12, 20, 4, 8, 20))]

    assert (ended, server.prefetch) == ([[]] * 6, {"1": 20})


def test_a_window_for_which_less_is_wanted_for_long_shrinks_to_the_most_that_was(server: Server) -> None:
    server.stack.resize(10, 0.0)
    server.stack.resize(20, 0.0)
    early = [server.stack.resize(wanted, LAG_SECONDS / 2) for wanted in (4, 12, 4)]
    due = server.stack.shrinks_at
    late = server.stack.resize(4, LAG_SECONDS * 1.5)

    assert (early, due, late) == ([[], [], []], LAG_SECONDS * 1.5, ["2"])
    assert (server.total, server.stack.shrinks_at) == (12, LAG_SECONDS * 2.5)


def test_a_window_shrinks_to_what_is_wanted_though_nobody_says_so_again(server: Server) -> None:
    server.stack.resize(1, 0.0)
    server.stack.resize(5, 0.0)
    server.stack.resize(9, 0.0)
    server.stack.resize(5, 0.0)
    server.stack.resize(1, LAG_SECONDS / 2)
    sizes = []
    while server.stack.shrinks_at is not None:
        server.stack.resize(1, server.stack.shrinks_at)
        sizes.append(server.total)

    assert sizes == [5, 1]


def test_a_window_for_which_nothing_is_wanted_closes_at_once(server: Server) -> None:
    server.stack.resize(10, 0.0)

    assert (server.stack.resize(0, 0.0), server.total, server.stack.size) == (["1"], 0, 0)


def test_what_an_ended_consumer_was_given_counts_until_it_is_settled(server: Server) -> None:
    server.stack.resize(3, 0.0)
    server.stack.delivered("1")
    server.stack.resize(0, 0.0)
    before = server.stack.size
    server.stack.let_go("1")

    assert (before, server.stack.size) == (1, 0)


def test_an_ended_consumer_is_forgotten_once_its_last_job_is_let_go(server: Server) -> None:
    # A window that breathes for months would have as many of them as it has ever begun.
    for round_no in range(100):
        server.stack.resize(2, 10.0 * round_no)
        (tag,) = server.prefetch
        server.stack.delivered(tag)
        server.stack.resize(0, 10.0 * round_no + 1.0)
        size_with_one_left = server.stack.size
        server.stack.let_go(tag)

        assert (size_with_one_left, server.stack.size, len(server.stack._by_tag)) == (1, 0, 0)
