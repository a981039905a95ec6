"""Ordinary unit tests: an application's handlers and schedules on the test's own thread, in virtual time, without
waiting.

    with Inline(register) as app:
        job = app.jobs.queue("price", {"items": []})      # it has run when this returns
        app.advance(days=1)                               # a day passes, and its schedules fire

Nothing is faked: it is a `Simulation` without faults, so data is really serialised, and the store is the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from ..api.job import Job
from ..api.jobs import Jobs
from ..api.runtime import Runtime
from ..api.scheduler import Scheduler
from ..boot.declared import Declared
from ..boot.joining import stored
from ..boot.runtime_state import RuntimeState
from ..boot.submitting import Submitter
from ..handlers.handler import Handler
from ..log.job_context import current_root_id
from ..messages.jobs import NewJob, Seconds
from ..messages.mail import Attach
from .manual_clock import START
from .simulation.simulation import SETTLE_SECONDS_MAX, Simulation

STEPS_MAX = 2_000_000
"""So many steps of threads are waited for in one call: some ten thousand jobs, which may queue one another for ever."""

HUSH_SECONDS = 0.01
"""How long it takes, in virtual time, until every actor has read its last message."""

ENDINGS = ("job.done", "job.dead", "job.doomed", "job.cancelled")


class Inline:
    """An application's handlers and schedules on the test's own thread, in virtual time.

    Args:
        register: called with a `Runtime` before its start: adds handlers and schedules. Or a `Runtime` of the
            application's that has them, and does not run: it, its `jobs`, its `scheduler` and its handler objects are
            the test's while this is open.
        at_once: whether what is queued runs before `queue` returns. Otherwise nothing runs but in `drain`, so that a
            test can look at the queue in between.
        start: wall time at the beginning.
        seed: chooses what is left to chance, such as the jitter of back-offs.
        options: as `Runtime` takes them.
    """

    def __init__(
        self,
        register: Callable[[Runtime], object] | Runtime,
        *,
        at_once: bool = True,
        start: datetime = START,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.at_once = at_once
        self._gated = _GatedHandlers(is_open=at_once)
        self._ended: list[Job[Any]] = []
        self._simulation = _Simulation(self._prepare, register, seed=seed, start=start, **options)

    def __enter__(self) -> Self:
        self._simulation.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._simulation.__exit__(kind, error, trace)

    @property
    def runtime(self) -> Runtime:
        """The runtime that `register` was called with."""
        return self._simulation.runtime

    @property
    def jobs(self) -> Jobs:
        """Its Jobs API."""
        return self.runtime.jobs

    @property
    def scheduler(self) -> Scheduler:
        """Its Scheduler API."""
        return self.runtime.scheduler

    @property
    def now(self) -> datetime:
        """Wall time. It passes when a handler sleeps, and when `advance` is called."""
        return self._simulation.now

    @property
    def log(self) -> str:
        """All that was logged so far, as JSON lines."""
        return self._simulation.log

    def drain(self, seconds: Seconds = SETTLE_SECONDS_MAX) -> list[Job[Any]]:
        """Run everything that is due, and what it queues, until nothing is. Jobs that wait for their time are left
        alone.

        Args:
            seconds: of virtual time, at most.

        Returns:
            The jobs that ended meanwhile, in the order in which they did.

        Raises:
            AssertionError: something still runs after so many seconds.
        """
        self._ended.clear()
        self._open_gate(True)
        try:
            self._simulation.settle(seconds=seconds)
        finally:
            self._open_gate(self.at_once)
        return self._take_ended()

    def advance(
        self, *, days: float = 0.0, hours: float = 0.0, minutes: float = 0.0, seconds: Seconds = 0.0
    ) -> list[Job[Any]]:
        """Let time pass: delays and back-offs run out, schedules fire.

        Returns:
            The jobs that ended meanwhile, in the order in which they did; none when nothing runs but in `drain`.
        """
        self._ended.clear()
        self._simulation.run(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if self.at_once:
            self._simulation.settle()
        return self._take_ended()

    def _prepare(self, runtime: Runtime) -> None:
        current_boot = runtime.current_boot
        current_boot.declared = self._gated = _GatedHandlers(is_open=self.at_once)
        runtime._submit_by(self._submitter_on(current_boot))
        runtime.subscribe(self._note_ended, events=ENDINGS)

    def _submitter_on(self, current_boot: RuntimeState) -> InlineSubmitter:
        return InlineSubmitter(current_boot, self._after)

    def _after(self) -> bool:
        """Run what is due, if the test's own thread has made it due."""
        is_to_run = self.at_once and current_root_id() is None and self._simulation.is_in_test
        if is_to_run:
            self._simulation.settle()
        return is_to_run

    def _open_gate(self, is_open: bool) -> None:
        if is_open == self._gated.is_open:
            return
        self._gated.is_open = is_open
        post = self.runtime.current_boot.get().post
        for name in self._gated.names():
            post.tell(f"handler:{name}", Attach())
        self._simulation.run(seconds=HUSH_SECONDS)

    def _note_ended(self, event: dict[str, Any]) -> None:
        """Called on another task. The snapshot is taken at once, because retention removes jobs that ended long ago."""
        self._ended.append(self.jobs.get(event["job_id"]))

    def _take_ended(self) -> list[Job[Any]]:
        self._simulation.run(seconds=HUSH_SECONDS)
        ended, self._ended = self._ended, []
        return ended


class _Simulation(Simulation):
    """Its errors name `Inline`, the class that the test knows. `before` is called before `register`."""

    def __init__(
        self, before: Callable[[Runtime], object], register: Callable[[Runtime], object] | Runtime, **options: Any
    ) -> None:
        super().__init__(register, **options)
        self._before = before

    def _prepare(self, runtime: Runtime) -> None:
        self._before(runtime)
        super()._prepare(runtime)

    def settle(self, **options: Any) -> None:
        self._steps_max = self._world.steps + STEPS_MAX
        super().settle(**options)

    def _is_settled(self) -> bool:
        if self._world.steps > self._steps_max:
            raise AssertionError(
                f"expected {self} to have nothing more to do after {STEPS_MAX:,} steps, got: {self._open()}; jobs that "
                "queue themselves again at once go on for ever: give them a delay"
            )
        return super()._is_settled()

    def __repr__(self) -> str:
        return f"Inline({getattr(self._register, '__name__', self._register)})"


class _GatedHandlers(Declared):
    """Has its handlers only while it is open. Nothing is paused: to the runtime, they are not there yet."""

    def __init__(self, *, is_open: bool) -> None:
        super().__init__()
        self.is_open = is_open

    def handlers(self, name: str) -> Sequence[Handler]:
        return super().handlers(name) if self.is_open else ()


class InlineSubmitter(Submitter):
    """Its calls return after what they have made due has run: `after` runs it, where the test itself has called."""

    def __init__(self, state: RuntimeState, after: Callable[[], bool]) -> None:
        super().__init__(state)
        self.after = after

    def submit(self, call: str, jobs: Any, root_id: str | None, connection: Any = None, **options: Any) -> Any:
        queued = super().submit(call, jobs, root_id, connection, **options)
        # A job in the application's own transaction does not exist before that commits.
        return queued if connection is not None else self._pictures(queued)

    def settle(self, job: Any, result: Any, then: Any, connection: Any) -> None:
        super().settle(job, result, then, connection)
        if connection is None:
            self.after()

    def ask(self, call: str, make: Any, *, job_id: str | None = None) -> Any:
        return self._pictures(super().ask(call, make, job_id=job_id))

    def ask_of_all(self, call: str, query: Any, make: Any) -> Any:
        done = super().ask_of_all(call, query, make)
        self.after()
        return done

    def store_scheduled(self, job: NewJob) -> Job[Any]:
        stored: Job[Any] = self._pictures(super().store_scheduled(job))
        return stored

    def declare(self, handler: Handler) -> None:
        super().declare(handler)
        if self.state.running is not None:
            self.after()

    def _pictures(self, jobs: Any) -> Any:
        """The jobs that a call has returned, as they are after what is due has run."""
        if not self.after() or jobs is None:
            return jobs
        return [self._picture(job) for job in jobs] if isinstance(jobs, list) else self._picture(jobs)

    def _picture(self, job: Job[Any]) -> Job[Any]:
        return Job(stored(self.state.get(), job.id), deduplicated=job.deduplicated, types=job.types)
