"""An operator's turn on a RabbitMQ: the leader tells it, once, and also that one was lost midway."""

from __future__ import annotations

import pytest
from lamplighter.environment.failpoints import Failpoints
from lamplighter.messages.boots import OPERATOR, BootRecord, LedgerTurn, Move
from lamplighter.stores.rabbitmq.store import RabbitStore

from support.conformance.kit import NOW, a_boot

from .model_world import World
from .test_ledger import SILENT_SECONDS, died, paused, started, world

__all__ = ["world"]

MOVE: Move = {"k": "name.paused", "n": "work"}
BOOT = a_boot("op", kind=OPERATOR)
ITS_TURN = LedgerTurn("op", 0, 1, NOW, [MOVE])


def act(operator: RabbitStore) -> None:
    with operator.turn("op", NOW) as turn:
        turn.boots.register(BOOT)
        turn.jobs.pause("work", paused=True)
        turn.note(MOVE)


def to_tell(store: RabbitStore) -> list[BootRecord]:
    with store.turn("b", NOW) as turn:
        return list(turn.boots.all())


def test_what_an_operator_has_done_is_told_once_by_the_leader_alone(world: World) -> None:
    leader, other, operator = started(world), started(world), started(world)
    act(operator)
    died(world, operator)
    world.let_pass(1.0)

    assert [to_tell(leader), to_tell(other)] == [[BOOT._replace(turn=1, unlogged=(ITS_TURN,))], []]
    with leader.turn("b", NOW) as turn:
        assert turn.boots.forget(("op",)) == {"op"}
    # The line of it is written by now, and the next turn lets all know.
    assert leader.jobs.outlook((), NOW).is_due
    assert to_tell(leader) == []
    world.let_pass(1.0)
    to_tell(leader)

    assert [store.state.shared.acts for store in (leader, other, started(world))] == [{}] * 3
    assert (leader.state.acts_told, leader.jobs.outlook((), NOW).is_due) == (set(), False)


@pytest.mark.parametrize(("at", "turn", "is_paused"), [("published", 0, False), ("committed", 1, True)])
def test_of_an_operator_who_was_killed_it_is_told_what_is_known(
    world: World, at: str, turn: int, is_paused: bool
) -> None:
    leader, operator = started(world), started(world)
    operator._failpoints = Failpoints(f"store.turn.{at}=1*raise(SystemExit: killed)")

    with pytest.raises(SystemExit):
        act(operator)
    died(world, operator)
    before = to_tell(leader)
    world.let_pass(SILENT_SECONDS)

    told = BOOT._replace(turn=turn, unlogged=(ITS_TURN,))
    assert (before, to_tell(leader)) == ([told] * is_paused, [told])
    assert paused(leader) == ("work",) * is_paused


def test_a_turn_that_is_refused_at_its_begin_changes_nothing(world: World) -> None:
    store = started(world)
    store._failpoints = Failpoints("store.turn.begin=1*raise(SystemExit: killed)")

    with pytest.raises(SystemExit):
        act(store)

    assert (to_tell(store), paused(store)) == ([], ())
