"""Handler objects: what `jobs.handler` leaves in the place of a function, which queues its jobs by their type."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from ..boot.submitting import Submitter
from ..errors import UsageError
from ..handlers.handler import Handler
from ..log.job_context import current_root_id
from ..messages.jobs import JobKeywords, JobSpec, JobTypes, QueueKeywords
from ..rules.codec import Encoded, encode
from ..rules.new_jobs import spec_of
from ..rules.validation import unknown_options
from .job import Job

P = ParamSpec("P")
D = TypeVar("D")
C = TypeVar("C")
R = TypeVar("R")


class JobHandler(Generic[P, D, C, R]):
    """A function that does the jobs of one name. Called, it does what the function does.

    Attributes:
        name: of its jobs.
        id: what `jobs.remove_handler` takes.
    """

    __qualname__: str
    __wrapped__: Callable[Concatenate[Job[D, Any], P], C]

    def __init__(self, submitter: Callable[[], Submitter], handler: Handler) -> None:
        functools.update_wrapper(self, handler.fn)
        self.name = handler.name
        self.id = handler.id
        self._submitter = submitter
        self._types = handler.types

    @property
    def types(self) -> JobTypes[D, R]:
        """Those of its data and results."""
        return self._types

    if TYPE_CHECKING:

        def __call__(self, job: Job[D, Any], /, *args: P.args, **kwargs: P.kwargs) -> C: ...

    else:
        # The function's own first parameter has a name, by which it may be called.

        def __call__(self, *args, **kwargs):
            return self.__wrapped__(*args, **kwargs)

    @overload
    def queue(self: JobHandler[P, None, C, R], data: None = None, **options: Unpack[QueueKeywords]) -> Job[None, R]: ...

    @overload
    def queue(self, data: D, **options: Unpack[QueueKeywords]) -> Job[D, R]: ...

    def queue(self, data: Any = None, **options: Unpack[QueueKeywords]) -> Job[Any, R]:
        """Queue a job; the options are those of `jobs.queue`.

        Raises:
            UsageError, NotStarted, StoreUnavailable: as `jobs.queue`.
            UsageError: the data is not what the function asks for.
        """
        queued: Job[Any, R] = self._submit(self._submitter(), "queue", data, options)
        return queued

    @overload
    async def aqueue(
        self: JobHandler[P, None, C, R], data: None = None, **options: Unpack[QueueKeywords]
    ) -> Job[None, R]: ...

    @overload
    async def aqueue(self, data: D, **options: Unpack[QueueKeywords]) -> Job[D, R]: ...

    async def aqueue(self, data: Any = None, **options: Unpack[QueueKeywords]) -> Job[Any, R]:
        """`queue` for asyncio applications."""
        queued: Job[Any, R] = await self._submit(self._submitter().awaiting, "aqueue", data, options)
        return queued

    def many(self, payloads: Iterable[D], **options: Unpack[JobKeywords]) -> list[Job[D, R]]:
        """Queue a job for each of some payloads: all of them, or none. Each has these options.

        Raises:
            UsageError, NotStarted, StoreUnavailable: as `jobs.queue_many`.
            UsageError: one of them is not what the function asks for; none is stored.
        """
        queued: list[Job[D, R]] = self._submit_many(self._submitter(), payloads, options)
        return queued

    async def amany(self, payloads: Iterable[D], **options: Unpack[JobKeywords]) -> list[Job[D, R]]:
        """`many` for asyncio applications."""
        queued: list[Job[D, R]] = await self._submit_many(self._submitter().awaiting, payloads, options)
        return queued

    @overload
    def spec(
        self: JobHandler[P, None, C, R], data: None = None, **options: Unpack[JobKeywords]
    ) -> JobSpec[None, R]: ...

    @overload
    def spec(self, data: D, **options: Unpack[JobKeywords]) -> JobSpec[D, R]: ...

    def spec(self, data: Any = None, **options: Unpack[JobKeywords]) -> JobSpec[Any, R]:
        """A job for `jobs.queue_many` and `job.then`. Nothing is queued by this.

        Raises:
            UsageError: the data is not what the function asks for, or there is no such option.
        """
        call = f"{self.name}.spec"
        fitting = self.fitting(data)
        return replace(spec_of(call, self.name, fitting, options), data=data, types=self.types)

    def fitting(self, data: Any) -> Encoded:
        """The data as it is stored, of which nobody need look again whether it is right.

        Raises:
            UsageError: it is not JSON-serializable, or the function cannot take it.
        """
        text = encode(data, what="data", bytes_max=sys.maxsize)
        try:
            self._types.check(text)
        except UsageError as error:
            raise UsageError(f"the handler of {self.name!r}: {error}") from None
        return Encoded(text)

    if not TYPE_CHECKING:
        # Type checkers are to find such a name, and do not if there is this.

        def __getattr__(self, name):
            from ..rules.elsewhere import CALLS

            # It is looked up without `self.name`, which a copy does not have yet.
            of, function = self.__dict__.get("name"), self.__dict__.get("__name__", "")
            meant = CALLS.get(name, "").format(name=of, function=function)
            hint = f" (the handler of {of!r}); did you mean {meant}?" if meant and of is not None else ""
            raise AttributeError(f"'JobHandler' object has no attribute {name!r}{hint}", name=name, obj=self)

    def __reduce__(self) -> str:
        """It is pickled as what a module has under its name: another process finds its own there."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<JobHandler {self.name}: {self.__wrapped__!r}>"

    def _submit(self, submitter: Submitter, call: str, data: Any, options: QueueKeywords) -> Any:
        """A caller that passes the function's arguments, as other job queues want them, gets an error about that and
        not about the data.

        Raises:
            UsageError: there is no such option.
        """
        known = QueueKeywords.__annotations__
        if unknown := options.keys() - known.keys():
            example = f"{call}({{{min(unknown)!r}: ...}})"
            raise unknown_options(unknown, known, f"{self.name}.{call}, whose data is one argument, as in {example},")
        connection = options.pop("connection", None)
        spec = spec_of(call, self.name, self.fitting(data), options)
        return submitter.submit(f"{self.name}.queue", spec, current_root_id(), connection, one=True, types=self.types)

    def _submit_many(self, submitter: Submitter, payloads: Iterable[D], options: JobKeywords) -> Any:
        if alone := options.keys() & {"id", "unique", "debounce"}:
            raise UsageError(f"expected options that many jobs can have, got: {', '.join(sorted(alone))}")
        call = f"{self.name}.many"
        specs = [spec_of(call, self.name, self.fitting(data), options) for data in payloads]
        return submitter.submit(call, specs, current_root_id(), types=self.types)


class HandlerDecorator(Protocol):
    """The decorator that `jobs.handler("name")` returns."""

    @overload
    def __call__(
        self, fn: Callable[Concatenate[Job[D, Any], P], Coroutine[Any, Any, R]], /
    ) -> JobHandler[P, D, Coroutine[Any, Any, R], R]: ...

    @overload
    def __call__(self, fn: Callable[Concatenate[Job[D, Any], P], R], /) -> JobHandler[P, D, R, R]: ...
