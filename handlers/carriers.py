"""Context that an application sends along with its jobs: from the call that queues one to the function that runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..api.job import Job
from ..errors import UsageError, shown
from ..messages.jobs import JobRecord, NewJob
from ..messages.outcomes import Outcome, OutcomeKind
from ..rules.new_jobs import Storing
from ..stores.transitions import UNCOUNTED, born

CARRIED_BYTES_MAX = 8192
"""JSON text of what one job carries."""


class ChildEnded(Exception):
    """An attempt in a child process has not succeeded.

    Attributes:
        outcome: how it has ended.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error or outcome.kind.value)
        self.outcome = outcome


class Carrier:
    """One thing that goes along with jobs: the context of a trace, a database's connections, a web framework's
    application context. Override what you need; give it to `Runtime(carriers=[...])`.

    Attributes:
        in_child: `module:name` of a function that child processes of `isolation="process"` import. They call it with
            the job, and enter what it returns around the handler's function. If it raises, that attempt fails.
    """

    in_child: str | None = None

    def inject(self) -> Mapping[str, str]:
        """The headers of a job that is queued now; `around` reads it as `job.carried`.

        Runs on the thread that queues, once a call. If it raises, the job is queued without, and `carrier.failed` is
        logged. Jobs of schedules carry nothing.
        """
        return {}

    def around_queue(self, jobs: Sequence[Job[Any]]) -> AbstractContextManager[Any]:
        """Entered on the thread that queues, before `inject`, and left when the jobs are stored or the call has raised.

        In an asyncio application the call is awaited inside of it. An error of it is logged as `carrier.failed`, and
        costs the call nothing.

        Args:
            jobs: what the call is about to store. One that was there already is left as it was.
        """
        return nullcontext()

    def around(self, job: Job[Any]) -> AbstractContextManager[Any]:
        """Entered before the handler's function is called, and left when that has ended, on the same thread.

        If it raises, that attempt fails, as if the function had. A coroutine function is called inside of it too: what
        it sets in context variables is seen there. For handlers with `isolation="process"`, whose children have no
        carriers, there is `around_child`.
        """
        return nullcontext()

    def around_child(self, job: Job[Any]) -> AbstractContextManager[Mapping[str, str]]:
        """Entered before an attempt that runs in a child process, and left when that has ended; in the process of the
        runtime, on the thread that waits for the child.

        The dict that it gives is added to `job.carried` in the child. Unless the attempt has succeeded, a `ChildEnded`
        is raised inside of it, which must come out. If it raises by itself, that attempt fails.
        """
        return nullcontext({})

    def around_loop(self) -> AbstractAsyncContextManager[Any]:
        """Entered on each event loop of coroutine handlers before its first job, and left after its last: for what
        belongs to one loop, such as a pool of database connections.

        Each coroutine handler has a loop of its own. Context variables that this sets are seen by the jobs. A loop
        ends when its handler is removed or the runtime stops, which waits for that for `LOOP_END_SECONDS_MAX`. If this
        raises, `loop.failed` is logged, and the jobs wait, without an attempt being counted, and are tried again on
        another loop.
        """
        return nullcontext()


Failed = Callable[[Carrier, Exception], None]
"""Called with a carrier that has raised while jobs were queued."""


@dataclass(eq=False)
class Carriers:
    each: Sequence[Carrier]

    @property
    def are_around_loops(self) -> bool:
        return any(type(carrier).around_loop is not Carrier.around_loop for carrier in self.each)

    @contextmanager
    def queueing(self, jobs: tuple[NewJob, ...], failed: Failed) -> Iterator[tuple[NewJob, ...]]:
        """Around the call that stores jobs: yields them with their carried headers. `failed` is called with a carrier
        that raises, or whose part is not JSON-serializable or too long.
        """
        queued: list[Job[Any]] = [Job(born(job, 0, move_no=UNCOUNTED)) for job in jobs]
        with ExitStack() as entered:
            for carrier in self.each:
                entered.enter_context(_AroundQueue(carrier, queued, failed))
            carried = self._injected(failed)
            with Storing(jobs if carried is None else tuple([job._replace(carried=carried) for job in jobs])) as given:
                yield given

    def _injected(self, failed: Failed) -> str | None:
        carried: dict[str, str] = {}
        for carrier in self.each:
            try:
                more = {**carried, **_checked(carrier.inject(), "inject to return")}
                size = len(json.dumps(more))
                if size > CARRIED_BYTES_MAX:
                    raise UsageError(f"expected at most {CARRIED_BYTES_MAX} bytes for a job to carry, got: {size}")
            except Exception as error:
                failed(carrier, error)
            else:
                carried = more
        return json.dumps(carried) if carried else None

    def around(self, job: Job[Any]) -> ExitStack:
        with ExitStack() as entered:
            for carrier in self.each:
                entered.enter_context(carrier.around(job))
            return entered.pop_all()

    @property
    def in_children(self) -> list[str]:
        return [carrier.in_child for carrier in self.each if carrier.in_child is not None]

    def around_child(self, job: Job[Any], run: Callable[[JobRecord], Outcome]) -> Outcome:
        """Run a job in a child, within all carriers. `run` has the child run it."""
        if not self.each:
            return run(job.record)
        try:
            with ExitStack() as entered:
                carried = job.carried
                for carrier in self.each:
                    carried |= _checked(entered.enter_context(carrier.around_child(job)), "around_child to give")
                outcome = run(job.record._replace(carried=json.dumps(carried) if carried else None))
                if outcome.kind is not OutcomeKind.SUCCEEDED:
                    raise ChildEnded(outcome)
        except ChildEnded as ended:
            return ended.outcome
        return outcome


NO_CARRIERS = Carriers(())


@dataclass(eq=False)
class _AroundQueue:
    """One carrier's context around a call that queues. Its errors cost the call nothing."""

    carrier: Carrier
    jobs: Sequence[Job[Any]]
    failed: Failed
    _inner: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        try:
            inner = self.carrier.around_queue(self.jobs)
            inner.__enter__()
        except Exception as error:
            self.failed(self.carrier, error)
        else:
            self._inner = inner

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inner is None:
            return
        try:
            self._inner.__exit__(kind, error, trace)
        except Exception as worse:
            if worse is not error:
                self.failed(self.carrier, worse)


def check_carriers(carriers: Any) -> Carriers:
    if not isinstance(carriers, Sequence) or not all(isinstance(carrier, Carrier) for carrier in carriers):
        raise UsageError(f"expected carriers to be a list of Carrier objects, got: {shown(carriers)}")
    return Carriers(tuple(carriers))


def _checked(injected: Any, call: str) -> Mapping[str, str]:
    if not isinstance(injected, Mapping) or not all(
        isinstance(text, str) for pair in injected.items() for text in pair
    ):
        raise UsageError(f"expected {call} a dict of str to str, got: {shown(injected)}")
    return injected
