"""One run of a runtime, from `start` to `stop`: everything that a fork or a stop makes useless is made here anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from ..actors.base import ActorContext, Post
from ..broker.boot_registration import BootRegistration, Renewal
from ..broker.outbox import QuietSwitch
from ..broker.state import BrokerInputs, Joins
from ..environment.environment import Environment
from ..environment.failpoints import VARIABLE
from ..errors import NotStarted, StoreUnavailable
from ..handlers.carriers import Carrier, Carriers
from ..handlers.handler import Handler
from ..handlers.lane import LaneContext, LaneSubmitter
from ..handlers.lanes import Lanes
from ..handlers.pool import ThreadCounter
from ..log.emitter import Log, Subscription
from ..log.log_line import safe_str
from ..messages.jobs import Attribution, NewJob, Seconds
from ..messages.mail import Attach, CheckDue, ClockJumped, Detach, Drain, QuietSwitched, Wake, WatchExternalCommit
from ..messages.schedules import HostChange
from ..rules.limits import Limits
from ..rules.new_jobs import JobChecks, JobIds, Storing
from ..rules.rates import rate_said
from ..stores.ports import Store
from ..stores.presence import Presence
from ..stores.troubles import BootLost
from ..supervisor import Supervision
from .children import Children
from .control import AskedJobs, Control
from .declared import HandlerSelection
from .draining import Draining
from .requests import Requests
from .views import Views

EXPECT_SECONDS_MAX = 60.0
"""How long a job in an application's own transaction is polled for; after that any later turn finds it."""


class Boot:
    """One run of a runtime. Made by `Runtime.start`, ended by `Runtime.stop`, never used again."""

    def __init__(
        self,
        *,
        store: Store,
        environment: Environment,
        limits: Limits,
        logger: Any,
        durability: str,
        share: HandlerSelection,
        submitter: LaneSubmitter,
        subscriptions: Sequence[Subscription],
        failed: Callable[[Boot, str], None],
        carriers: Carriers,
        left: Lanes | None = None,
    ) -> None:
        self.pid = environment.pid()
        self.store = store
        self._standing = BootRegistration(environment, store, share.kind)
        self.limits = limits
        self.environment = environment
        self.clock = environment.clock_of(store)
        self.job_ids = JobIds(environment.new_id)
        self.log = Log(
            logger,
            self.id,
            self.clock,
            waiting_max=limits.subscriber_events_max,
            lock=environment.lock(),
            thread_id=environment.thread_id,
            failpoints=environment.failpoints,
        )
        self.post = Post(self.clock)
        self.joins = Joins()
        self.inputs = BrokerInputs()
        self._durability = durability
        self.share = share
        self._failed = failed
        self._carriers = carriers
        self._subscriptions = subscriptions
        self._emptied = environment.event()
        self._begun = ExitStack()
        self._heard_by: list[Subscription] = []
        self._is_registered = self._has_declared = False
        self._interrupted = 0
        self._context = ActorContext(
            store=store,
            environment=environment,
            clock=self.clock,
            log=self.log,
            limits=limits,
            post=self.post,
            died=lambda death: self._supervision.died(death),  # noqa: PLW0108 (it is made below)
        )
        self.requests = Requests(self._context)
        self.lanes = Lanes(
            partial(
                LaneContext,
                clock=self.clock,
                limits=limits,
                environment=environment,
                thread_counter=ThreadCounter(limits.workers_max),
                stopping=environment.event(),
                tell=self.post.tell,
                submitter=submitter,
                bound=self.log.bound,
                say=self.log.emit,
                carriers=carriers,
            ),
            left,
        )
        self._children = Children(
            context=self._context,
            share=share,
            lanes=self.lanes,
            inputs=self.inputs,
            joins=self.joins,
            standing=lambda: self._standing,
            renew=self._renew,
            may_tick=lambda: self._has_declared,
            emptied=self._emptied.set,
        )
        self._supervision = Supervision(self._context, partial(self.post.tell, "broker"), self._give_up)
        self.draining = Draining(
            self._context,
            self.lanes,
            self.inputs,
            self.requests,
            self._emptied,
            self._supervision.is_awaited,
        )
        self.views = Views(
            context=self._context,
            standing=lambda: self._standing,
            started_at=self.clock.now(),
            share=share,
            lanes=self.lanes,
            supervision=self._supervision,
            requests=self.requests,
            inputs=self.inputs,
            subscriptions=subscriptions,
        )
        asked_jobs = None
        if store.table is None and store.notifier is not None:
            asked_jobs = AskedJobs(self.views, store.notifier)
        self._control = Control(self.views, self.switch_quiet, asked_jobs)

    @property
    def id(self) -> str:
        """The boot under which the store knows this runtime now."""
        return self._standing.boot

    @property
    def presence(self) -> Presence:
        return self._standing.presence

    @property
    def is_over(self) -> bool:
        """Whether its parts have begun to end, so that nobody would answer a call."""
        return self.requests.is_over

    def start(self) -> None:
        """Open the store, enter this boot, start the actors but HandlerActors. When this raises midway, `give_up` must
        follow.
        """
        begun = self._begun
        begun.callback(self._close_subscriptions)
        for subscription in self._subscriptions:
            self.listen(subscription)
        begun.callback(self._say_stopped)
        self.store.open()
        begun.callback(self.store.close)
        if kind := self.store.place.network_filesystem():
            self.log.emit("store.on_network", store=self.store.address, filesystem=kind)
        # Looked up at each use: a renewed boot has another.
        begun.callback(lambda: self._standing.leave())  # noqa: PLW0108
        self._standing.enter(self._heard, self._control.answer)
        place, news = self._standing.register(self.share.names(), self.clock, self.limits.reply_seconds_max)
        self._is_registered = True
        begun.callback(self._leave)
        begun.callback(self.clock.stop)
        self.clock.start()
        self.clock.on_jump(self._jumped)
        self.log.emit("runtime.started", **self._about(), **place)
        if (trouble := self._standing.controls.trouble()) is not None:
            self.log.emit("control.lost", reason=trouble)
        if self.environment.failpoints.unheeded is not None:
            self.log.emit("failpoints.unheeded", variable=VARIABLE, value=self.environment.failpoints.unheeded)
        for event, fields in news:
            self.log.emit(event, **fields)
        begun.callback(self._stop_actors)
        self._supervision.start()
        self._supervision.have(self._children.broker())
        if self.share.works or self.store.peers is not None:
            # Where one runtime fires all slots, it may be a producer; it fires no schedules that only it declares.
            self._supervision.have(self._children.scheduler())

    def _about(self) -> dict[str, Any]:
        host, pid = self.environment.whereabouts()
        return {
            "store": self.store.address,
            "store_id": self.store.store_id,
            "pid": pid,
            "durability": self._durability,
            "host": host,
            "version": self.environment.versions()[0],
            "work": None if self.share.works else False,
            "redelivers": self.store.place.redelivers or None,
            "overlaps": (self.store.place.is_shared and not self.store.place.one_writer) or None,
            "only": None if self.share.only is None else sorted(self.share.only),
        }

    def begin_work(self) -> None:
        """Start the handlers, once the runtime is known to run: their jobs may queue others, and no handler that is
        added meanwhile is left out. Store the schedules of the code, and only then tick: the store may still have those
        of an older version. Raises as `Requests.declare`.
        """
        for name in self.share.names():
            for handler in self.share.handlers(name):
                self._say_added(handler)
            self.start_handler(name)
        self.requests.declare(self.share.schedules())
        self._has_declared = True
        self.post.tell("scheduler", Wake(reload=True))

    def listen(self, subscription: Subscription) -> None:
        self.log.subscribe(subscription)
        self.environment.spawn(lambda: subscription.run(self._subscriber_failed), "subscriber")
        self._heard_by.append(subscription)

    def add_handler(self, handler: Handler) -> None:
        if not self.share.takes(handler.name):
            return
        self._say_added(handler)
        self.start_handler(handler.name)
        self.post.tell(f"handler:{handler.name}", Attach())

    def remove_handler(self, handler: Handler, drain: Seconds | None) -> None:
        """Stop using a removed handler: its running jobs finish, or go back after `drain`."""
        if not self.share.takes(handler.name):
            return
        self.log.emit("handler.removed", job_name=handler.name, handler=handler.id)
        self.post.tell(f"handler:{handler.name}", Detach(handler_id=handler.id, drain=drain))

    def expect(self, job_id: str, state: str | None, move_no: int = 1) -> None:
        """Poll for a job in the application's own transaction until it has this state (or any) and move number."""
        self._expect(
            WatchExternalCommit(job_id, state, self.clock.monotonic() + EXPECT_SECONDS_MAX, move_no=move_no),
            root_id=job_id,
        )

    def expect_change(self, change: HostChange) -> None:
        """Poll for a change of a schedule in the application's own transaction."""
        self._expect(WatchExternalCommit(change.schedule_id, None, self.clock.monotonic() + EXPECT_SECONDS_MAX, change))

    def _expect(self, expect: WatchExternalCommit, root_id: str | None = None) -> None:
        self.inputs.expected[expect.key] = expect
        self.post.tell("broker", expect, root_id=root_id)

    def be_quiet(self, is_quiet: bool, who: Attribution) -> None:
        """Claim nothing more, or claim again; running jobs go on. Returns once it is logged.

        Raises:
            StoreUnavailable: the broker has not answered. It obeys all the same, as soon as it does anything.
        """
        self._switch(is_quiet, who)
        self.requests.ask(QuietSwitched)

    def switch_quiet(self, is_quiet: bool, who: Attribution) -> None:
        """The same, without waiting for the broker, which may hang."""
        self._switch(is_quiet, who)
        self.post.tell("broker", QuietSwitched(reply=None))

    def _switch(self, is_quiet: bool, who: Attribution) -> None:
        if self.inputs.quiet.is_quiet != is_quiet:
            self.inputs.quiet = QuietSwitch(is_quiet, self.clock.now(), who)

    def _say_added(self, handler: Handler) -> None:
        """Log which handler takes jobs from now on, and how many at once, so that `trace` can explain a waiting job."""
        self.log.emit(
            "handler.added",
            job_name=handler.name,
            handler=handler.id,
            concurrency=handler.concurrency,
            concurrency_total=handler.concurrency_total,
            concurrency_per_group=handler.concurrency_per_group,
            rate=None if handler.rate is None else rate_said(handler.rate),
            rate_per_group=None if handler.rate_per_group is None else rate_said(handler.rate_per_group),
            isolation=handler.kind,
        )

    def start_handler(self, name: str) -> None:
        self._supervision.have(self._children.handler(name))

    def checks(self, root_id: str | None, new_id: Callable[[], str] | None = None, **said: Any) -> JobChecks:
        """Checks for jobs that are queued now, by the arguments of `JobChecks`. `new_id` replaces this boot's ids."""
        now, has_table = self.clock.now(), self.store.table is not None
        return JobChecks(
            now=now, new_id=new_id or self.job_ids, root_id=root_id, limits=self.limits, has_table=has_table, **said
        )

    def queueing(self, jobs: tuple[NewJob, ...]) -> AbstractContextManager[tuple[NewJob, ...]]:
        """Around the call that stores jobs: yields them with their carried headers."""
        return self._carriers.queueing(jobs, self._say_failed) if self._carriers.each else Storing(jobs)

    def _say_failed(self, carrier: Carrier, error: Exception) -> None:
        reason = f"{type(error).__name__}: {safe_str(error)}"[: self.limits.error_characters_max]
        self.log.emit("carrier.failed", carrier=type(carrier).__qualname__, reason=reason)

    def _give_up(self, reason: str) -> None:
        self.environment.spawn(lambda: self._failed(self, reason), "failure")

    def _heard(self) -> None:
        # One hint in the mailbox is enough, however many come.
        broker = self.post.find("broker")
        if broker is not None and len(broker.mailbox) < self.limits.turn_messages_max:
            self.post.tell("broker", CheckDue(foreign=True))

    def _jumped(self, delta: Seconds) -> None:
        self.inputs.steps.append(delta)
        self.post.tell("broker", ClockJumped())

    def _renew(self, lost: BootLost) -> BootRegistration:
        """The store no longer knows this boot: go on as another one. Called by the thread that takes the turn.

        Raises:
            UsageError, StoreUnavailable: see `Presence.enter`.
        """
        old, new = self._standing, BootRegistration(self.environment, self.store, self.share.kind)
        try:
            new.enter(self._heard, self._control.answer)
        except BaseException:
            new.leave()
            raise
        if lost.turn_was is not None:
            self.log.emit("store.went_back", store=self.store.address, turn_was=lost.turn_was)
        self.log.emit("runtime.renewed", reason=str(lost), next_boot=new.boot)
        self.log.begin(new.boot)
        record = new.record(self.share.names(), self.clock.now())
        new.renewal = Renewal(record, old.boot, self.share.schedules(), self._about())
        self._standing = new
        old.leave()
        return new

    def _subscriber_failed(self, subscription: Subscription, error: BaseException) -> None:
        self.log.emit(
            "subscriber.failed",
            subscriber=repr(subscription.call)[:200],
            reason=repr(error)[:500],
            failures=subscription.failures,
        )

    def stop(self, drain: Seconds, is_urged: Callable[[], bool] = lambda: False) -> None:
        """Take no new work, let running jobs finish for `drain` seconds or until `is_urged`, interrupt the rest, and
        end.
        """
        self.log.emit("runtime.stopping", drain=drain)
        if "scheduler" in self._supervision.family.children:
            self._supervision.stop_child("scheduler")
        self.inputs.draining = True
        # A broker in back-off may come after the end of the stop, and jobs that ended by then ran in vain.
        self._supervision.start_now("broker")
        self.post.tell("broker", Drain())
        try:
            self.draining.run(drain, is_urged)
        finally:
            # Also when a second Ctrl-C was raised in it.
            self._end_drained()

    def _end_drained(self) -> None:
        self._supervision.start_now("broker")
        interrupted = self.draining.interrupt()
        self.draining.say_farewell()
        self.end(interrupted)

    def give_up(self) -> None:
        """End a boot whose start has failed midway."""
        if self.post.find("broker") is None:
            self.end(0)
            return
        # The boot may have claimed jobs by now. Give them back unblamed: otherwise the next start would blame them for
        # the death of their process.
        self.stop(0.0)

    def end(self, interrupted: int) -> None:
        self.requests.is_over = True
        self._interrupted = interrupted
        try:
            self._begun.close()
        finally:
            self.joins.fail(NotStarted("the runtime was stopped while this was waited for"))

    def _stop_actors(self) -> None:
        self._supervision.stop()
        self.lanes.close_all()

    def _close_subscriptions(self) -> None:
        for subscription in self._heard_by:
            subscription.close()

    def _say_stopped(self) -> None:
        # A boot whose start has failed is missed too: it has a number among the boots of its store.
        if self._is_registered:
            did = self._standing
            # Boots in a table have numbers. A renewed boot's number is unknown before its first turn.
            is_known = did.boot_no or self.store.table is None
            where = {"store_id": self.store.store_id, "boot_no": did.boot_no or None} if is_known else {}
            self.log.emit("runtime.stopped", interrupted=self._interrupted, turn=did.logged, **where)

    def _leave(self) -> None:
        """Remove this boot's row, after the actors have ended: a broker may die before it has logged its last turn."""
        try:
            if self.requests.has_given_up:
                raise StoreUnavailable("the store could not be written when this was asked last")
            self._standing.unregister(self.clock.now())
        except Exception as error:
            # The other parts must end all the same. The next boot to look finds a row without a process.
            self._standing.stays = True
            reason = f"this runtime instance stays registered: {error!r}"
            self.log.emit("store.unavailable", store=self.store.address, reason=reason)
