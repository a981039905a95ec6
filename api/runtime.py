"""`Runtime`: one configuration, the Jobs and Scheduler APIs, and a boot between each `start` and `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from ..boot.boot import Boot
from ..boot.declared import HandlerSelection, check_share
from ..boot.runtime_state import RuntimeState
from ..boot.submitting import Submitter
from ..environment.environment import Environment
from ..environment.process import STOP_SIGNALS
from ..environment.replies import asyncio_loop
from ..errors import RuntimeFailed, UsageError, check_seconds, shown
from ..handlers.carriers import Carrier, check_carriers
from ..handlers.registration import check_importable
from ..log.emitter import Subscription, check_events
from ..log.job_context import current_job, current_root_id
from ..messages.jobs import Seconds
from ..messages.views import ActorView, Health
from ..rules.limits import LimitKeywords, Limits
from ..rules.validation import check_who, options_of, unknown_options
from ..stores.opening import Durability, open_store, place_of
from ..stores.ports import Store
from .jobs import Jobs
from .scheduler import Scheduler

SIGNAL_SECONDS = 0.5
"""Between two looks of `run` whether the runtime has ended by itself."""

T = TypeVar("T")

DRAIN_SECONDS = 8.0
"""How long a stop lets running jobs finish. `docker stop` kills after ten seconds, and what was interrupted has to be
stored by then.
"""

SECOND_SIGNAL_SECONDS = 0.5
"""A signal that comes sooner after the first is the same wish, sent twice: by a terminal and by what has started the
process, say.
"""


class Runtime:
    """An embedded job runtime.

    Args:
        store: a path, "sqlite:///path", ":memory:", "postgresql://user:password@host/database", or the address of a
            RabbitMQ, "amqp://user:password@host/vhost". A relative path, and links on the way, are followed once: now.
        durability: `full` survives a power cut; `os` a killed process.
        drain: how many seconds a stop lets running jobs finish.
        logger: a structlog or a standard logger; otherwise your structlog if it is configured, otherwise the standard
            logger `lamplighter`.
        on_failure: called with a `RuntimeFailed`, on a thread of its own, when the supervisor gives up.
        carriers: what goes along with jobs, from where they are queued to around the function that runs them.
        environment: where time, chance, ids and threads come from; for tests.
        limits: see `Limits`, such as `reply_seconds_max=10` or `keep_done_seconds=86400`.

    Raises:
        UsageError: an option is unknown or cannot be.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        drain: Seconds = DRAIN_SECONDS,
        logger: Any = None,
        on_failure: Callable[[RuntimeFailed], None] | None = None,
        carriers: Sequence[Carrier] = (),
        environment: Environment | None = None,
        **limits: Unpack[LimitKeywords],
    ) -> None:
        if unknown := limits.keys() - set(Limits.__slots__):
            raise unknown_options(unknown, [*options_of(Runtime), *Limits.__slots__], "Runtime")
        self.limits = Limits(**limits)
        self._place = place_of(store)
        self._durability = durability
        self._drain = check_seconds(drain, "drain")
        if not (environment is None or isinstance(environment, Environment)):
            raise UsageError(f"expected environment to be an Environment, got: {shown(environment)}")
        if not (on_failure is None or callable(on_failure)):
            raise UsageError(f"expected on_failure to be callable, got: {shown(on_failure)}")
        self.environment = Environment() if environment is None else environment
        self.current_boot = RuntimeState(self.environment, self.limits, has_table=self._store().table is not None)
        self._submit_by(Submitter(self.current_boot))
        self._logger = logger
        self._on_failure = on_failure
        self._carriers = check_carriers(carriers)
        self._subscriptions: list[Subscription] = []

    def _submit_by(self, submitter: Submitter) -> None:
        self._submitter = submitter
        self.jobs, self.scheduler = Jobs(submitter), Scheduler(submitter)

    def start(self, *, work: bool = True, only: Collection[str] | None = None) -> Self:
        """Start. A runtime that runs already goes on. In a forked child, this starts an instance of the child's own.

        Args:
            work: False for a producer: it queues and does whatever else the APIs do, but runs no jobs, declares no
                schedules and fires no slots, so that another process has to.
            only: the names whose jobs it runs; None for all that have a handler.

        Raises:
            UsageError, StoreError, StoreUnavailable: the store cannot be opened; the message says why.
            UsageError: called from inside a handler that has outlived the `stop` of this runtime.
            UsageError: a child process cannot import the function of a handler with `isolation="process"`.
            UsageError: a name of `only` has no handler; or this runtime runs already, and does not do what is asked.
        """
        self._start(check_share(self.current_boot.declared, work, only))
        return self

    def _start(self, share: HandlerSelection | None = None) -> bool:
        """Whether it did not run before.

        Args:
            share: what it is to take on; None for all, or whatever it does if it runs already.
        """
        current_boot = self.current_boot
        if current_root_id() is not None:
            if current_boot.running is not None:
                # `stop` may hold the lock, and wait for this very handler.
                return False
            if current_boot.left is not None and current_boot.left.runs(current_job()):
                raise UsageError("expected start() from outside of a handler whose runtime was stopped")
        with current_boot.lock:
            if current_boot.running is not None:
                _check_does(current_boot.running.share, share)
                return False
            share = HandlerSelection(current_boot.declared) if share is None else share
            for handler in share.all_handlers():
                check_importable(handler)
            current_boot.forget()
            boot = Boot(
                store=self._store(),
                environment=self.environment,
                limits=self.limits,
                logger=self._logger,
                durability=self._durability,
                share=share,
                submitter=self._submitter,
                subscriptions=self._subscriptions,
                failed=self._failed,
                carriers=self._carriers,
                left=current_boot.left,
            )
            try:
                boot.start()
                current_boot.began(boot)
                boot.begin_work()
            except BaseException:
                # A start that fails has started nothing: the next one begins anew.
                current_boot.ended(boot)
                boot.give_up()
                raise
            return True

    def stop(self, drain: Seconds | None = None) -> None:
        """Stop. Running jobs may finish for `drain` seconds; what has not is interrupted, which uses no attempt.

        A runtime that does not run stays as it is. One that another thread stops already does not wait longer for its
        jobs than this call would.

        Raises:
            UsageError: called from inside a handler, which `stop` would wait for.
        """
        self._stop(drain, lambda: False)

    def _stop(self, drain: Seconds | None, is_urged: Callable[[], bool]) -> None:
        seconds = self._drain if drain is None else check_seconds(drain, "drain")
        if current_root_id() is not None:
            raise UsageError("expected stop() to be called from outside a handler: it waits for running handlers")
        self._shorten_drain(seconds)
        with self.current_boot.lock:
            boot = self.current_boot.running
            if boot is None:
                return
            try:
                # Handlers that finish during the drain may still queue jobs and mark them done.
                boot.stop(seconds, is_urged)
            finally:
                self.current_boot.ended(boot)

    def _shorten_drain(self, seconds: Seconds) -> None:
        """A thread that stops the boot now may hold the lock, and wait for jobs longer than somebody else would."""
        boot = self.current_boot.running
        if boot is not None:
            boot.draining.shorten(seconds)

    def quiet(self, *, by: str | None = None, reason: str | None = None) -> None:
        """Claim no more jobs until `go`. Those that run go on, those claimed in advance go back; schedules still fire.

        It is not stored: the next start claims again. `health()` is yellow meanwhile.

        Args:
            by, reason: on whose behalf, and why, for the log.

        Raises:
            NotStarted: it does not run.
            StoreUnavailable: the broker has not answered in time; it claims nothing more all the same.
        """
        self.current_boot.get().be_quiet(True, check_who(by, reason))

    def go(self, *, by: str | None = None, reason: str | None = None) -> None:
        """Claim jobs again, after `quiet`.

        Raises:
            NotStarted, StoreUnavailable: as `quiet`.
        """
        self.current_boot.get().be_quiet(False, check_who(by, reason))

    def wait(self, timeout: Seconds | None = None) -> bool:
        """Wait until the runtime has stopped. False when `timeout` seconds pass before.

        Raises:
            RuntimeFailed: the supervisor gave up.
        """
        ended = self.current_boot.wait(None if timeout is None else check_seconds(timeout, "timeout"))
        if self.current_boot.failure is not None:
            raise self.current_boot.failure
        return ended

    def run(self, drain: Seconds | None = None, *, work: bool = True, only: Collection[str] | None = None) -> None:
        """Start, work until SIGTERM, SIGINT or SIGHUP, stop. Call it from the main thread; your signal handlers are put
        back. A SIGHUP that is ignored, as under `nohup`, stays ignored.

        A second signal, half a second after the first or later, ends the drain.

        Args:
            drain: how many seconds running jobs may finish; None for the runtime's own.
            work, only: as `start` takes them.

        Raises:
            RuntimeFailed: the supervisor gave up.
        """
        if drain is not None:
            check_seconds(drain, "drain")
        # A signal's handler may interrupt another's, and the very wait that it is to end. An Event's lock it might hold
        # itself; a SimpleQueue can be put to at any point.
        asked, now = self.environment.queue(), self.environment.clock().monotonic
        before: dict[int, Any] = {}
        try:
            for each in STOP_SIGNALS:
                before[each] = self.environment.signal(each, lambda number, _: asked.put(now()))
                if (each, before[each]) == (signal.SIGHUP, signal.SIG_IGN):
                    # `nohup` has it so.
                    self.environment.signal(each, signal.SIG_IGN)
            self.start(work=work, only=only)
            while not (_has_come(asked) or self.wait(0)):
                pass
            urges_from = now() + SECOND_SIGNAL_SECONDS
            self._stop(drain, lambda: _came_after(asked, urges_from))
        finally:
            for number, handler in before.items():
                # One that was not installed by Python cannot be put back by it.
                self.environment.signal(number, signal.SIG_DFL if handler is None else handler)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        loop, given_up = asyncio_loop(), self.environment.event()
        starting = loop.create_task(asyncio.to_thread(self._start_unless, given_up))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled. The runtime that it has started is stopped again, if not by itself then
            # here.
            given_up.set()
            if await _outlast(starting):
                await _outlast(asyncio.ensure_future(asyncio.to_thread(self.stop, 0.0)))
            raise
        return self

    def _start_unless(self, given_up: threading.Event) -> bool:
        """Start, and stop again if nobody wants that any more. Whether it was started here."""
        is_new = self._start()
        if is_new and given_up.is_set():
            self.stop(0.0)
        return is_new

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._heard_again() as is_urged:
            stopping = asyncio.ensure_future(asyncio.to_thread(self._stop, None, is_urged))
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                # A caller that cancels does not want to wait.
                self._shorten_drain(0.0)
                await _outlast(stopping)
                raise

    @contextlib.contextmanager
    def _heard_again(self) -> Iterator[Callable[[], bool]]:
        """Hear whether there is a Ctrl-C more, beside who handles it: a web server has it end no lifespan. SIGTERM
        comes twice where nobody is impatient: a service manager may send it to all processes, and then the server to
        its own.
        """
        heard, now = self.environment.queue(), self.environment.clock().monotonic
        urges_from = now() + SECOND_SIGNAL_SECONDS

        def hear(number: int, frame: Any) -> None:
            heard.put(now())
            before(number, frame)

        before: Any = signal.getsignal(signal.SIGINT)
        # Signals have handlers on the main thread alone, and one that is not Python's could not be put back.
        is_heard = callable(before) and threading.current_thread() is threading.main_thread()
        if is_heard:
            self.environment.signal(signal.SIGINT, hear)
        try:
            yield lambda: _came_after(heard, urges_from)
        finally:
            if is_heard and signal.getsignal(signal.SIGINT) is hear:
                self.environment.signal(signal.SIGINT, before)

    def health(self) -> Health:
        """Whether the runtime does its work, and what is wrong if not."""
        failure, boot = self.current_boot.failure, self.current_boot.running
        if failure is not None:
            return Health(status="red", reasons=(str(failure),), boot=None)
        return Health(status="red", reasons=("it is not started",), boot=None) if boot is None else boot.views.health()

    def tree(self) -> tuple[ActorView, ...]:
        """Every actor: how often it was restarted, its mailbox, what it does now, its last crash."""
        return self.current_boot.get().views.tree()

    def subscribe(self, fn: Callable[[dict[str, Any]], None], events: Collection[str] | None = None) -> None:
        """Call a function with each event, after the commit that made it true, on a thread of its own.

        Args:
            fn: gets the event as a dict. Its errors are counted and logged.
            events: names from docs/events.md; None for all.

        Raises:
            UsageError: a name is no event.
        """
        if not callable(fn):
            raise UsageError(f"expected a callable subscriber, got: {shown(fn)}")
        subscription = Subscription(fn, check_events(events), self.environment.mailbox())
        self._subscriptions.append(subscription)
        boot = self.current_boot.running
        if boot is not None:
            boot.listen(subscription)

    @property
    def address(self) -> str:
        """Where its jobs are kept: the path of a file, or an address, which may hold a password."""
        return self._place.address

    @property
    def boot(self) -> Boot | None:
        """The boot that runs in this process; None when none does."""
        return self.current_boot.running

    def _store(self) -> Store:
        return open_store(
            self.environment,
            self._place,
            durability=self._durability,
            busy_seconds_max=self.limits.busy_seconds_max,
            wal_bytes_max=self.limits.wal_bytes_max,
        )

    def _failed(self, boot: Boot, reason: str) -> None:
        """The supervisor gave up; runs on a thread of its own."""
        failure = RuntimeFailed(reason)
        with self.current_boot.lock:
            if self.current_boot.running is not boot:
                return
            boot.log.emit("runtime.failed", reason=reason)
            self.current_boot.failure = failure
            boot.end(len(boot.lanes.open()))
            self.current_boot.ended(boot)
        if self._on_failure is not None:
            self._on_failure(failure)


def _check_does(runs: HandlerSelection, share: HandlerSelection | None) -> None:
    """The caller that starts a running runtime must not rely on things that it does not do.

    Raises:
        UsageError: it does not.
    """
    if share is None or not share.works:
        return
    if not runs.works:
        raise UsageError(
            "expected a runtime that is stopped, got one that was started with work=False: stop() it first"
        )
    if share.only not in (None, runs.only):
        raise UsageError(
            f"expected only={sorted(share.only)} as this runtime was started with, "
            f"got: {'all names' if runs.only is None else sorted(runs.only)}; stop() it first"
        )


def _has_come(asked: queue.SimpleQueue[Seconds]) -> bool:
    """Whether a signal has come, or comes within a step."""
    try:
        asked.get(timeout=SIGNAL_SECONDS)
    except queue.Empty:
        return False
    return True


def _came_after(asked: queue.SimpleQueue[Seconds], instant: Seconds) -> bool:
    """Whether one more has come, and not before an instant."""
    with contextlib.suppress(queue.Empty):
        while True:
            if asked.get(block=False) >= instant:
                return True
    return False


async def _outlast(work: asyncio.Future[T]) -> T | None:
    """Wait for something to its end, also if this is cancelled meanwhile. None if it failed."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    return None if work.cancelled() or work.exception() is not None else work.result()
