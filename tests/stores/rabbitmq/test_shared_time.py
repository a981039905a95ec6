"""The time that all runtimes on a RabbitMQ share is the leader's, as exactly as the network lets it be known."""

from __future__ import annotations

from lamplighter.stores.rabbitmq.state import SharedTime
from lamplighter.testing import ManualTime


def test_of_what_one_leader_tells_the_message_that_was_fastest_holds() -> None:
    time = ManualTime()
    shared = SharedTime(time.clock())
    began = shared.now()

    shared.hear("leader", began + 100.0)
    shared.hear("leader", began + 99.0)
    late = shared.now() - began
    shared.hear("leader", began + 101.0)

    assert (late, shared.now() - began) == (100.0, 101.0)


def test_the_time_of_the_next_leader_holds_though_it_is_earlier() -> None:
    # The leader before may have been ahead: what expires by its time would expire too early for ever.
    time = ManualTime()
    shared = SharedTime(time.clock())
    began = shared.now()
    shared.hear("first", began + 3600.0)

    shared.hear("second", began + 5.0)
    time.advance(10.0)

    assert shared.now() - began == 15.0


def test_the_time_goes_on_whatever_is_done_to_the_clock_of_this_machine() -> None:
    time = ManualTime()
    shared = SharedTime(time.clock())
    began = shared.now()

    time.step(-3600.0)
    time.advance(10.0)

    assert shared.now() - began == 10.0
