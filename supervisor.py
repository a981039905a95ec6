"""Restarts what fails.

Owns: the family of children. Hears: StartChild, StopChild, Died, StartNow. Tells: whoever wants to know, `Down`.

It knows no jobs. A child is data (`ChildSpec`), its restarts are arithmetic (`RestartBudget`), and what happens when
the budget is spent is the child's own: it alone is quarantined, or the host is told that the runtime has failed. One
flat family suffices, restarted one for one, because no actor holds what another one's death would make untrue: the
store is the truth (docs/decisions/0002-one-flat-family.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .actors.base import ActorContext, RuntimeActor
from .environment.mailbox import Mailbox
from .messages.mail import Died, Down, Mail, StartChild, StartNow, StopChild
from .rules.restart_budget import HEALTHY_SECONDS, RestartBudget


class ChildSpec(NamedTuple):
    """A child as data.

    Attributes:
        start: makes and starts an incarnation, given its number.
        when_spent: quarantine this child alone, or give up and tell the host.
    """

    id: str
    start: Callable[[int], object]
    budget: RestartBudget = RestartBudget()
    when_spent: Literal["escalate", "quarantine"] = "escalate"


@dataclass(eq=False)
class Child:
    """A child and its lives."""

    spec: ChildSpec
    incarnation: int = 0
    status: Literal["new", "up", "waiting", "quarantined", "stopping", "stopped"] = "new"
    deaths: list[float] = field(default_factory=list)
    last_crash: str | None = None


class Family:
    """Every child, in the order of their start. It outlives the supervisor, whose successor adopts it."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.gave_up: str | None = None

    def add(self, spec: ChildSpec) -> None:
        """Be responsible for a child. A supervisor that dies before it has started it leaves it to the next."""
        self.children.setdefault(spec.id, Child(spec))


class Supervisor(RuntimeActor):
    """Starts, restarts and stops actors. It knows no jobs."""

    def __init__(
        self,
        context: ActorContext,
        incarnation: int,
        family: Family,
        announce: Callable[[Down], None],
        give_up: Callable[[str], None],
    ) -> None:
        super().__init__(context, "supervisor", incarnation)
        self._family = family
        self._announce = announce
        self._give_up = give_up

    def on_start(self) -> None:
        """Adopt what the predecessor has left, on the actor's thread."""
        if self.incarnation > 1:
            self.say("supervisor.restarted", child_incarnation=self.incarnation)
        for child in list(self._family.children.values()):
            actor = self.context.post.find(child.spec.id)
            if child.status == "up" and (actor is None or actor.actor_stopped.is_set()):
                self._bury(child, "died while there was no supervisor")
            elif child.status in ("new", "waiting"):
                self._start(child)

    def receive(self, mail: Mail) -> None:
        match mail.body:
            case StartChild(child=name):
                self._ensure(self._family.children[name])
            case StopChild(child=name):
                self._stop_child(name)
            case Died() as death:
                self._died(death)
            case StartNow(child=name, incarnation=incarnation):
                child = self._family.children.get(name)
                if child is not None and child.status == "waiting" and child.incarnation == incarnation:
                    self._start(child)
            case other:
                raise TypeError(f"the supervisor does not hear {type(other).__name__}")

    def _ensure(self, child: Child) -> None:
        if child.status in ("up", "waiting"):
            return
        # A quarantined child that is asked for again gets a new budget: somebody has mended it.
        child.deaths.clear()
        self._start(child)

    def _start(self, child: Child) -> None:
        child.incarnation += 1
        child.status = "up"
        try:
            child.spec.start(child.incarnation)
        except Exception as error:
            # No more threads, say. It counts as a death, so that the budget and the back-off apply.
            self._bury(child, f"could not be started: {error}")
            return
        event = "actor.started" if child.incarnation == 1 else "actor.restarted"
        recent = len(child.spec.budget.recent(child.deaths, self.context.clock.monotonic()))
        extra = {} if child.incarnation == 1 else {"restarts_in_window": recent}
        self.say(event, child=child.spec.id, child_incarnation=child.incarnation, **extra)

    def _died(self, death: Died) -> None:
        child = self._family.children.get(death.child)
        # The incarnation is compared because an old one's death is not news.
        if child is not None and child.incarnation == death.incarnation and child.status in ("up", "stopping"):
            self._bury(child, death.reason, death.traceback, death.over)

    def _bury(self, child: Child, reason: str, trace: str | None = None, over: Mail | None = None) -> None:
        name = child.spec.id
        self._announce(Down(child=name, incarnation=child.incarnation, reason=reason))
        if child.status == "stopping":
            child.status = "stopped"
            self.say("actor.stopped", child=name, child_incarnation=child.incarnation)
            return
        now = self.context.clock.monotonic()
        child.deaths = [at for at in child.deaths if now - at < max(HEALTHY_SECONDS, child.spec.budget.window_seconds)]
        child.deaths.append(now)
        child.last_crash = reason
        actor = self.context.post.find(name)
        self.say(
            "actor.crashed", child=name, child_incarnation=child.incarnation, reason=reason, traceback=trace,
            mailbox=0 if actor is None else len(actor.mailbox),
            message=None if over is None else type(over.body).__name__,
            message_id=None if over is None else over.msg, message_corr=None if over is None else over.corr,
        )  # fmt: skip
        if child.spec.budget.is_spent(child.deaths, now):
            self._spent(child, reason, len(child.spec.budget.recent(child.deaths, now)))
            return
        child.status = "waiting"
        wait = child.spec.budget.backoff(child.deaths, now)
        if wait == 0.0:
            self._start(child)
            return
        again = StartNow(child=name, incarnation=child.incarnation)
        self.context.clock.after(wait, lambda: self.context.post.tell("supervisor", again))

    def _spent(self, child: Child, reason: str, restarts: int) -> None:
        child.status = "quarantined"
        name = child.spec.id
        if child.spec.when_spent == "quarantine":
            self.say(
                "actor.quarantined", child=name, child_incarnation=child.incarnation,
                restarts_in_window=restarts, reason=reason,
            )  # fmt: skip
            return
        self._family.gave_up = f"{name} died {restarts} times within {child.spec.budget.window_seconds:g} s: {reason}"
        self.say("supervisor.gave_up", child=name, reason=reason, restarts_in_window=restarts)
        self._give_up(self._family.gave_up)

    def _stop_child(self, name: str) -> None:
        child = self._family.children.get(name)
        if child is None:
            return
        actor = self.context.post.find(name)
        if child.status == "up" and actor is not None:
            child.status = "stopping"
            actor.actor_ref.stop(block=False)
            return
        child.status = "stopped"


class Watchdog:
    """A plain thread that starts the next supervisor when one has died."""

    def __init__(self, start: Callable[[int], object], deaths: Mailbox) -> None:
        self._start = start
        self._deaths = deaths
        self.incarnation = 1

    def died(self, death: Died) -> None:
        """Told by the dead supervisor's own thread."""
        self._deaths.put(death)

    def run(self) -> None:
        """Start the next one whenever one has died, on the watchdog's thread."""
        while (death := self._deaths.get()) is not None:
            if death.incarnation == self.incarnation:
                self.incarnation += 1
                self._start(self.incarnation)

    def close(self) -> None:
        """Start no more."""
        self._deaths.put(None)
