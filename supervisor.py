"""Restarts failed actors.

Owns: the family of children. Hears: StartChild, StopChild, StopFamily, Died, StartNow. Calls `announce` at each death.

It knows no jobs. A child is data (`ChildSpec`), its restarts are arithmetic (`RestartBudget`), and the child decides
what a spent budget means: it alone is quarantined, or the application is told that the runtime has failed.

One flat family suffices, restarted one for one, because no actor holds state that another one's death would falsify:
the store is the truth (docs/decisions/actors.md).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from .actors.base import ActorContext, Post, RuntimeActor, death_of
from .environment.threads import Thread, has_ended
from .messages.jobs import Instant, Seconds
from .messages.mail import Died, Mail, StartChild, StartNow, StopChild, StopFamily
from .messages.views import DEATHS_SHOWN_MAX, Death
from .rules.limits import HEALTHY_SECONDS, RestartBudget

WATCH_AGAIN_SECONDS = 1.0
"""When the watchdog looks again after its action has failed."""

STOP_SECONDS_MAX = 5.0
"""The default of `ChildSpec.stop_seconds_max`."""


class ChildSpec(NamedTuple):
    """A child as data.

    Attributes:
        start: makes and starts an incarnation, given its number.
        when_spent: quarantine this child alone, or give up and tell the application.
        stop_seconds_max: how long it may take to stop before it is left behind.
    """

    id: str
    start: Callable[[int], object]
    budget: RestartBudget = RestartBudget()
    when_spent: Literal["escalate", "quarantine"] = "escalate"
    stop_seconds_max: Seconds = STOP_SECONDS_MAX


class ChildStatus(StrEnum):
    """The status of a child.

    Attributes:
        NEW: never started.
        UP: its newest incarnation was started, and is not known to have died.
        WAITING: dead, to be started again when its back-off is over.
        QUARANTINED: it has died too often, and is started only on request.
        STOPPING: asked to stop.
        STOPPED: stopped for good.
        ABANDONED: asked to stop, and has not in time.
    """

    NEW = "new"
    UP = "up"
    WAITING = "waiting"
    QUARANTINED = "quarantined"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ABANDONED = "abandoned"


FOLLOWING: dict[ChildStatus, frozenset[ChildStatus]] = {
    ChildStatus.NEW: frozenset({ChildStatus.UP, ChildStatus.STOPPED}),
    ChildStatus.UP: frozenset({ChildStatus.WAITING, ChildStatus.QUARANTINED, ChildStatus.STOPPING}),
    ChildStatus.WAITING: frozenset({ChildStatus.UP, ChildStatus.STOPPED}),
    ChildStatus.QUARANTINED: frozenset({ChildStatus.UP, ChildStatus.STOPPED}),
    ChildStatus.STOPPING: frozenset({ChildStatus.STOPPED, ChildStatus.ABANDONED}),
    ChildStatus.STOPPED: frozenset(),
    ChildStatus.ABANDONED: frozenset(),
}


@dataclass(eq=False)
class Child:
    """A child and its incarnations.

    Attributes:
        deaths: when it died (monotonic), as far as its budget and its back-off ask.
        crashes: the last deaths for people; a new budget does not clear them.
    """

    spec: ChildSpec
    incarnation: int = 0
    status: ChildStatus = ChildStatus.NEW
    deaths: list[float] = field(default_factory=list)
    last_crash: str | None = None
    crashes: deque[Death] = field(default_factory=lambda: deque(maxlen=DEATHS_SHOWN_MAX))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def become(self, status: ChildStatus) -> None:
        """Change the status. Raises a ValueError if `FOLLOWING` forbids it."""
        if status not in FOLLOWING[self.status]:
            raise ValueError(f"expected one of {sorted(FOLLOWING[self.status])} after {self.status}, got: {status}")
        self.status = status

    def turns(self, status: ChildStatus, *, after: ChildStatus) -> bool:
        """Change the status, if it is still `after`. False if another thread was faster: two may stop a family."""
        with self._lock:
            if self.status is not after:
                return False
            self.become(status)
            return True

    def ask_to_stop(self, post: Post) -> None:
        """Stop for good. A child that is up ends after it has handled its earlier messages."""
        for idle in (ChildStatus.NEW, ChildStatus.WAITING, ChildStatus.QUARANTINED):
            self.turns(ChildStatus.STOPPED, after=idle)
        self.turns(ChildStatus.STOPPING, after=ChildStatus.UP)
        actor = post.find(self.spec.id)
        if self.status is ChildStatus.STOPPING and actor is not None and not actor.actor_stopped.is_set():
            actor.actor_ref.stop(block=False)

    def has_ended(self, post: Post) -> bool:
        """Wait for the end of a child that was asked to stop. False if it takes too long."""
        actor = post.find(self.spec.id)
        if actor is None or actor.thread is None:
            return True
        actor.thread.join(self.spec.stop_seconds_max)
        return not actor.thread.is_alive()


@dataclass(eq=False)
class Family:
    """All children, in the order of their start. The family outlives the supervisor, whose successor adopts it.

    Attributes:
        has_stopped: set when all have stopped, or are left behind.
        gave_up: why the supervisor has given up, if it has.
        is_stopping: whether all are to stop, so that none is started any more.
    """

    has_stopped: threading.Event
    children: dict[str, Child] = field(default_factory=dict)
    gave_up: str | None = None
    is_stopping: bool = False

    def add(self, spec: ChildSpec) -> None:
        """Add a child. If the supervisor dies before it has started the child, the next one does."""
        self.children.setdefault(spec.id, Child(spec))

    def stop(self, post: Post, stopped: Callable[[Child, str], None]) -> None:
        """Stop the children one by one, the last first, and leave behind those that take too long. `stopped` is called
        with each stopped child and the reason.
        """
        for child in reversed(list(self.children.values())):
            child.ask_to_stop(post)
            if child.status is not ChildStatus.STOPPING:
                continue
            if not child.has_ended(post):
                child.turns(ChildStatus.ABANDONED, after=ChildStatus.STOPPING)
            elif child.turns(ChildStatus.STOPPED, after=ChildStatus.STOPPING):
                stopped(child, "stopped")


class Supervisor(RuntimeActor):
    def __init__(
        self,
        context: ActorContext,
        incarnation: int,
        family: Family,
        announce: Callable[[Died], object],
        give_up: Callable[[str], None],
    ) -> None:
        super().__init__(context, "supervisor", incarnation)
        self._family = family
        self._announce = announce
        self._give_up = give_up

    def on_start(self) -> None:
        """Adopt the children of the previous supervisor."""
        if self.incarnation > 1:
            self.say("supervisor.restarted", child_incarnation=self.incarnation)
        if self._family.is_stopping:
            self._stop_family()
            return
        for child in list(self._family.children.values()):
            actor = self.context.post.find(child.spec.id)
            if child.status is ChildStatus.UP and (actor is None or actor.actor_stopped.is_set()):
                self._bury(child, Died(child.spec.id, child.incarnation, "died while there was no supervisor"))
            elif child.status in (ChildStatus.NEW, ChildStatus.WAITING):
                self._start(child)
        if self._family.gave_up is not None:
            # The predecessor may have died before it had told the application.
            self._give_up(self._family.gave_up)

    def receive(self, mail: Mail) -> None:
        match mail.body:
            case StartChild(child=name):
                self._ensure(self._family.children[name])
            case StopChild(child=name):
                self._family.children[name].ask_to_stop(self.context.post)
            case StopFamily():
                self._stop_family()
            case Died() as death:
                self._died(death)
            case StartNow(child=name, incarnation=incarnation):
                child = self._family.children.get(name)
                if child is not None and child.status is ChildStatus.WAITING and child.incarnation == incarnation:
                    self._start(child)
            case other:
                raise TypeError(f"the supervisor does not hear {type(other).__name__}")

    def _ensure(self, child: Child) -> None:
        if child.status not in (ChildStatus.NEW, ChildStatus.QUARANTINED):
            return
        # A quarantined child that is asked for again gets a new budget: somebody has fixed it.
        child.deaths.clear()
        self._start(child)

    def _start(self, child: Child) -> None:
        if self._family.is_stopping:
            return
        child.become(ChildStatus.UP)
        child.incarnation += 1
        try:
            child.spec.start(child.incarnation)
        except Exception as error:
            # For example, no more threads. That counts as a death, so that budget and back-off apply.
            self._bury(child, Died(child.spec.id, child.incarnation, f"could not be started: {error}"))
            return
        event = "actor.started" if child.incarnation == 1 else "actor.restarted"
        recent = len(child.spec.budget.recent(child.deaths, self.context.clock.monotonic()))
        extra = {} if child.incarnation == 1 else {"restarts_in_window": recent}
        self.say(event, child=child.spec.id, child_incarnation=child.incarnation, **extra)

    def _died(self, death: Died) -> None:
        child = self._family.children.get(death.child)
        # The incarnation is compared because the death of an older one was handled already.
        if child is None or child.incarnation != death.incarnation:
            return
        if child.status is ChildStatus.UP:
            self._bury(child, death)
        elif child.turns(ChildStatus.STOPPED, after=ChildStatus.STOPPING):
            self._stopped(child, death.reason)

    def _bury(self, child: Child, death: Died) -> None:
        name, reason, over = child.spec.id, death.reason, death.over
        self._announce(death)
        now = self.context.clock.monotonic()
        child.deaths = [at for at in child.deaths if now - at < max(HEALTHY_SECONDS, child.spec.budget.window_seconds)]
        if not death.is_anothers:
            # A host may raise anything into its own threads: the budget is for the actor's own errors.
            child.deaths.append(now)
        child.last_crash = reason
        crash = _crash(death, self.context.clock.now())
        child.crashes.append(crash)
        actor = self.context.post.find(name)
        self.say(
            "actor.crashed",
            child=name,
            child_incarnation=child.incarnation,
            reason=reason,
            traceback=death.traceback,
            mailbox=0 if actor is None else len(actor.mailbox),
            message=crash.over,
            message_id=None if over is None else over.message_id,
            message_corr=None if over is None else over.root_id,
        )
        if child.spec.budget.is_spent(child.deaths, now):
            self._spent(child, reason, len(child.spec.budget.recent(child.deaths, now)))
            return
        child.become(ChildStatus.WAITING)
        wait = child.spec.budget.backoff(child.deaths, now)
        if wait == 0.0:
            self._start(child)
            return
        again = StartNow(child=name, incarnation=child.incarnation)
        self.context.clock.after(wait, lambda: self.context.post.tell("supervisor", again))

    def _spent(self, child: Child, reason: str, restarts: int) -> None:
        child.become(ChildStatus.QUARANTINED)
        name = child.spec.id
        if child.spec.when_spent == "quarantine":
            self.say(
                "actor.quarantined",
                child=name,
                child_incarnation=child.incarnation,
                restarts_in_window=restarts,
                reason=reason,
            )
            return
        self._family.gave_up = f"{name} died {restarts} times within {child.spec.budget.window_seconds:g} s: {reason}"
        self.say("supervisor.gave_up", child=name, reason=reason, restarts_in_window=restarts)
        self._give_up(self._family.gave_up)

    def _stop_family(self) -> None:
        # The only place where an actor waits for others; nobody waits for the supervisor any more.
        self._family.stop(self.context.post, self._stopped)
        self._family.has_stopped.set()

    def _stopped(self, child: Child, reason: str) -> None:
        self._announce(Died(child.spec.id, child.incarnation, reason))
        self.say("actor.stopped", child=child.spec.id, child_incarnation=child.incarnation)


class Supervision:
    """A family, and a watchdog: a plain thread that starts the next supervisor when one has died.

    Attributes:
        crashes: the last deaths of a supervisor, oldest first.

    Args:
        announce: called with each death, before the next incarnation is started.
        give_up: called with the reason, when an essential child died too often; again by the next supervisor.
    """

    def __init__(
        self, context: ActorContext, announce: Callable[[Died], object], give_up: Callable[[str], None]
    ) -> None:
        self._context = context
        self._announce = announce
        self._give_up = give_up
        # Each item is a hint to look; None ends the watchdog.
        self._deaths = context.environment.mailbox()
        self._watchdog: Thread | None = None
        self._is_over = False
        self._incarnation = 0
        self.crashes: deque[Death] = deque(maxlen=DEATHS_SHOWN_MAX)
        self.family = Family(context.environment.event())

    def start(self) -> None:
        self._start()
        self._watchdog = self._context.environment.spawn(self._watch, "watchdog")

    def have(self, spec: ChildSpec) -> None:
        self.family.add(spec)
        self._context.post.tell("supervisor", StartChild(child=spec.id))

    def died(self, death: Died) -> None:
        """Note that an actor has died; called on its own thread."""
        if death.child == "supervisor":
            self.crashes.append(_crash(death, self._context.clock.now()))
            self._deaths.put(death)
            return
        self._context.post.tell("supervisor", death)

    def stop_child(self, child: str) -> None:
        """Stop a child for good, without waiting for it."""
        self._context.post.tell("supervisor", StopChild(child=child))

    def is_awaited(self, child: str) -> bool:
        """Whether a child has died, and is started again when its back-off is over."""
        return self.family.children[child].status is ChildStatus.WAITING

    def start_now(self, child: str) -> None:
        """Cut short the back-off of a dead child. Changes nothing if it lives."""
        incarnation = self.family.children[child].incarnation
        self._context.post.tell("supervisor", StartNow(child=child, incarnation=incarnation))

    def stop(self) -> None:
        """Stop every child, the last first, and then the supervisor. An actor that takes too long is left behind."""
        # This is set before the message is sent: a supervisor that dies of the message leaves the rest to the next one.
        self.family.is_stopping = True
        actor = self._context.post.find("supervisor")
        if actor is not None and actor.thread is not None:
            self._context.post.tell("supervisor", StopFamily())
            most = sum(child.spec.stop_seconds_max for child in list(self.family.children.values()))
            self.family.has_stopped.wait(most + STOP_SECONDS_MAX)
        if not self.family.has_stopped.is_set():
            # There is no supervisor, or it hangs, so no message would be read.
            self.family.stop(self._context.post, lambda child, reason: None)
        self._is_over = True
        self._deaths.put(None)
        if self._watchdog is not None:
            # The watchdog may be starting a supervisor, which may have done all this before its thread is known.
            self._watchdog.join(STOP_SECONDS_MAX)
        actor = self._context.post.find("supervisor")
        if actor is not None and actor.thread is not None:
            if not actor.actor_stopped.is_set():
                actor.actor_ref.stop(block=False)
            actor.thread.join(STOP_SECONDS_MAX)

    def _watch(self) -> None:
        """Start the next supervisor whenever one has died, on the watchdog's thread."""
        while True:
            try:
                if self._deaths.get() is None:
                    return
                actor = self._context.post.find("supervisor")
                if actor is None or actor.thread is None or actor.actor_stopped.is_set():
                    self._start()
            except Exception as error:
                # For example, the system gives no more threads, or the application's tracer has raised, perhaps while a
                # death was read. So look again. An error that ends a thread for good, as in a simulation, ends it.
                reason, trace = death_of(error, self._context.limits)
                about = {"child": "watchdog", "child_incarnation": self._incarnation}
                self._context.log.emit("actor.crashed", **about, reason=reason, traceback=trace)
                self._context.clock.after(WATCH_AGAIN_SECONDS, lambda: self._deaths.put(True))

    def unheard(self) -> list[str]:
        """Children whose thread has ended without a report: C code or a tracer of the application may end one."""
        names = ("supervisor", *self.family.children)
        actors = [actor for name in names if (actor := self._context.post.find(name)) is not None]
        # An actor announces its end before its thread ends.
        found = [one.name for one in actors if has_ended(one.thread) and not one.actor_stopped.is_set()]
        return found + (["watchdog"] if has_ended(self._watchdog) and not self._is_over else [])

    def _start(self) -> None:
        self._incarnation += 1
        Supervisor.start(self._context, self._incarnation, self.family, self._announce, self._give_up)


def _crash(death: Died, now: Instant) -> Death:
    over = None if death.over is None else type(death.over.body).__name__
    return Death(at=now, incarnation=death.incarnation, why=death.reason, over=over)
