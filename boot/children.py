"""The specs of a boot's actors as children of its supervisor, used at each start and restart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..actors.base import ActorContext
from ..actors.handler_actor import HandlerActor
from ..actors.job_broker import JobBroker
from ..actors.scheduler_actor import SchedulerActor
from ..broker.boot_registration import BootRegistration
from ..broker.joins import Joins
from ..broker.state import BrokerInputs
from ..broker.tallies import Tallies
from ..handlers.lanes import Lanes
from ..stores.troubles import BootLost
from ..supervisor import ChildSpec
from .declared import HandlerSelection


class Children:
    """Makes the specs of a boot's children.

    Args:
        standing: asked at each start of a broker or scheduler, because a renewed boot has another.
        renew: makes the boot another one, which its store knows.
        may_tick: whether the boot has stored its declared schedules.
        emptied: called whenever a HandlerActor holds nothing any more.
    """

    def __init__(
        self,
        context: ActorContext,
        share: HandlerSelection,
        lanes: Lanes,
        *,
        inputs: BrokerInputs,
        joins: Joins,
        standing: Callable[[], BootRegistration],
        renew: Callable[[BootLost], BootRegistration],
        may_tick: Callable[[], bool],
        emptied: Callable[[], None],
    ) -> None:
        self._context = context
        self._share = share
        self._lanes = lanes
        self._inputs = inputs
        # The sums that are not stored yet go on to the next broker.
        self._tallies = Tallies()
        self._joins = joins
        self._standing = standing
        self._renew = renew
        self._may_tick = may_tick
        self._emptied = emptied

    def broker(self) -> ChildSpec:
        """Essential: its death too often ends the boot."""
        return ChildSpec(id="broker", start=self._start_broker, budget=self._context.limits.restart_budget)

    def scheduler(self) -> ChildSpec:
        """Essential too."""
        return ChildSpec(id="scheduler", start=self._start_scheduler, budget=self._context.limits.restart_budget)

    def handler(self, name: str) -> ChildSpec:
        """The HandlerActor of a name, which alone is quarantined when it keeps dying."""
        start = partial(
            HandlerActor.start,
            self._context,
            name,
            handlers=partial(self._share.handlers, name),
            lanes=self._lanes,
            emptied=self._emptied,
        )
        budget = self._share.budget(name) or self._context.limits.restart_budget
        return ChildSpec(id=f"handler:{name}", start=start, budget=budget, when_spent="quarantine")

    def _start_broker(self, incarnation: int) -> object:
        return JobBroker.start(
            self._context,
            incarnation,
            standing=self._standing(),
            renew=self._renew,
            has_handler=self._has_handler,
            joins=self._joins,
            lanes=self._lanes,
            inputs=self._inputs,
            tallies=self._tallies,
        )

    def _start_scheduler(self, incarnation: int) -> object:
        return SchedulerActor.start(
            self._context,
            incarnation,
            boot=self._standing().boot,
            is_declared=self._is_declared,
            may_tick=self._may_tick,
        )

    def _has_handler(self, name: str) -> bool:
        peers = self._context.store.peers
        return bool(self._share.handlers(name)) or (peers is not None and peers.is_handled(name))

    def _is_declared(self, schedule_id: str) -> bool:
        peers = self._context.store.peers
        return self._share.schedule(schedule_id) is not None or (peers is not None and peers.is_declared(schedule_id))
