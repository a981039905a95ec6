"""The turns of an operator: each is of a boot of its own, which has ended when it is committed.

It has no log. Its row keeps what the turn did until a runtime on the store logs it and removes the row: see
`broker.boots`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar, cast

from ..broker.boot_registration import BootRegistration
from ..broker.outbox import Outbox
from ..broker.state import BrokerState
from ..broker.tallies import Tallies
from ..broker.turn_context import TurnContext, keep_time
from ..environment.clock import Clock
from ..environment.environment import Environment
from ..log.emitter import NOBODY
from ..messages.boots import OPERATOR, BootRecord
from ..messages.queries import JobQuery
from ..rules.limits import Limits
from ..stores.opening import open_store
from ..stores.places import StorePlace
from ..stores.ports import Store
from ..stores.troubles import StoreBusy, again
from ..stores.turn_ports import Turn

BUSY_SECONDS_MAX = 2.0
"""How long an act waits for the write lock of a file."""

T = TypeVar("T")


class OperatorTurns:
    """Takes turns on a store from outside of any runtime."""

    def __init__(self, place: StorePlace, environment: Environment) -> None:
        self._place = place
        self._environment = environment
        self._limits = Limits(busy_seconds_max=BUSY_SECONDS_MAX)
        self._store: Store | None = None

    def open(self) -> None:
        """Open the store for all turns until `close`."""
        self._store = self._made()

    def _made(self) -> Store:
        store = open_store(
            self._environment,
            self._place,
            durability="full",
            busy_seconds_max=self._limits.busy_seconds_max,
            only_existing=True,
        )
        store.open()
        return store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def store(self) -> Store:
        assert self._store is not None, "it is open"
        return self._store

    @contextlib.contextmanager
    def opened(self) -> Iterator[Store]:
        """The store, opened for the block unless it is open: several threads may each have their own block."""
        if self._store is not None:
            yield self._store
            return
        with contextlib.closing(self._made()) as store:
            yield store

    def take(self, store: Store, work: Callable[[TurnContext], T], dead: Sequence[str] = ()) -> T:
        """Do something in one turn, and send hints to the runtimes on the store. An act that changes nothing leaves no
        row.

        Args:
            dead: the ids of possibly dead jobs, which the turn must find.

        Raises:
            StoreUnavailable: a process has the write lock, and the message names it; or the store is away.
        """
        standing, clock = BootRegistration(self._environment, store, OPERATOR), self._environment.clock_of(store)
        state = BrokerState(
            standing=standing,
            limits=self._limits,
            chance=self._environment.chance(),
            has_handler=lambda name: False,
            monotonic=clock.monotonic,
        )
        try:
            answer, others = again(partial(_turn, store, state, clock, work, dead))
        except _NothingChanged as nothing:
            return cast("T", nothing.answer)
        except StoreBusy as error:
            raise StoreBusy(f"{error}: {_who_may_hold(store, standing.boot)}") from error
        standing.hint(others)
        standing.hints.close()
        return answer


def _turn(
    store: Store, state: BrokerState, clock: Clock, work: Callable[[TurnContext], T], dead: Sequence[str]
) -> tuple[T, Sequence[BootRecord]]:
    with _at_hand(store, dead), store.turn(state.boot, clock.now()) as turn:
        context = TurnContext(state, turn, Outbox(), NOBODY)
        keep_time(context, clock, is_first=store.wall is None)
        others = turn.boots.all()
        # It gets no hints: when its row can be seen, it has ended.
        turn.boots.register(state.standing.record((), turn.now)._replace(hint=None, control=None))
        answer = work(context)
        if turn.links is not None:
            # Those that applications' own transactions have stored, and that this turn has counted.
            turn.links.judge_births()
        if not (turn.transitions or turn.notes):
            raise _NothingChanged(answer)
        _count(turn)
    return answer, others


def _count(turn: Turn) -> None:
    """Add the turn to the sums of the store: no runtime counts it."""
    tallies = Tallies()
    tallies.take(Outbox(transitions=list(turn.transitions)), turn.now, 0.0)
    tallies.store(turn, Outbox())


class _NothingChanged(Exception):
    """Rolls a turn back that changed nothing; `answer` is its result."""

    def __init__(self, answer: Any) -> None:
        super().__init__("the turn has changed nothing")
        self.answer = answer


def _at_hand(store: Store, dead: Sequence[str]) -> AbstractContextManager[Any]:
    if store.dead is None or not dead:
        return contextlib.nullcontext()
    return store.dead.one_at_hand(dead[0]) if len(dead) == 1 else store.dead.all_at_hand(JobQuery(), ())


def _who_may_hold(store: Store, boot: str) -> str:
    """The holder of the write lock, or the possible holders."""
    with contextlib.closing(store.place.condition()) as condition:
        holder = condition.lock_holder()
    boots = [one for one in store.surroundings(boot).boots if one.kind != OPERATOR]
    held = "somebody has its lock"
    if holder is not None:
        held = f"{holder.words} has {holder.holds}"
        boots = [one for one in boots if one.pid == holder.pid]
    named = ", ".join(f"{one.boot} (pid {one.pid} on {one.host})" for one in boots)
    known = f"; runtimes: {named}" if named else ""
    return f"somebody else held it for {BUSY_SECONDS_MAX:g} s, and nothing was done: {held}{known}"
