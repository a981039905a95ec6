"""The specs of a boot's actors as children of its supervisor, used at each start and restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..actors.base import ActorContext
from ..actors.handler_actor import HandlerActor
from ..actors.job_broker import JobBroker
from ..actors.scheduler_actor import SchedulerActor
from ..broker.boot_registration import BootRegistration
from ..broker.state import BrokerInputs, Joins
from ..broker.tallies import Tallies
from ..handlers.lanes import Lanes
from ..stores.troubles import BootLost
from ..supervisor import ChildSpec
from .declared import HandlerSelection


@dataclass(eq=False, kw_only=True)
class Children:
    """Makes the specs of a boot's children.

    Args:
        standing: asked at each start of a broker or scheduler, because a renewed boot has another.
        renew: makes the boot another one, which its store knows.
        may_tick: whether the boot has stored its declared schedules.
        emptied: called whenever a HandlerActor holds nothing any more.
        tallies: the sums that are not stored yet, which go on to the next broker.
    """

    context: ActorContext
    share: HandlerSelection
    lanes: Lanes
    inputs: BrokerInputs
    joins: Joins
    standing: Callable[[], BootRegistration]
    renew: Callable[[BootLost], BootRegistration]
    may_tick: Callable[[], bool]
    emptied: Callable[[], None]
    tallies: Tallies = field(default_factory=Tallies)

    def broker(self) -> ChildSpec:
        """Essential: its death too often ends the boot."""
        return ChildSpec(id="broker", start=self._start_broker, budget=self.context.limits.restart_budget)

    def scheduler(self) -> ChildSpec:
        """Essential too."""
        return ChildSpec(id="scheduler", start=self._start_scheduler, budget=self.context.limits.restart_budget)

    def handler(self, name: str) -> ChildSpec:
        """The HandlerActor of a name, which alone is quarantined when it keeps dying."""
        start = partial(
            HandlerActor.start,
            self.context,
            name,
            handlers=partial(self.share.handlers, name),
            lanes=self.lanes,
            emptied=self.emptied,
        )
        budget = self.share.budget(name) or self.context.limits.restart_budget
        return ChildSpec(id=f"handler:{name}", start=start, budget=budget, when_spent="quarantine")

    def _start_broker(self, incarnation: int) -> object:
        return JobBroker.start(
            self.context,
            incarnation,
            standing=self.standing(),
            renew=self.renew,
            has_handler=partial(self.share.is_handled, self.context.store.peers),
            joins=self.joins,
            lanes=self.lanes,
            inputs=self.inputs,
            tallies=self.tallies,
        )

    def _start_scheduler(self, incarnation: int) -> object:
        return SchedulerActor.start(
            self.context,
            incarnation,
            boot=self.standing().boot,
            declared=self.share.schedule,
            may_tick=self.may_tick,
        )
