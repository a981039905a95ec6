"""A handler: an application's function with the rules under which it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from ..messages.jobs import Seconds
from ..messages.names import Rate
from ..messages.outcomes import Backoff, Policy
from ..rules.limits import RestartBudget
from .payload import HandlerTypes

Isolation = Literal["thread", "process"]
"""The place where a plain function runs."""

OnTimeout = Literal["signal", "raise"]
"""The signal to a thread whose job has timed out."""


ExceptionClasses: TypeAlias = type[BaseException] | Sequence[type[BaseException]]
"""One exception class, or several."""


class HandlerKeywords(TypedDict, total=False):
    """The options of `jobs.add_handler` as keyword arguments."""

    concurrency: int
    concurrency_total: int | None
    concurrency_per_group: int | None
    rate: Rate | None
    rate_per_group: Rate | None
    timeout: Seconds | timedelta | None
    on_timeout: OnTimeout
    max_attempts: int
    backoff: Backoff | Seconds | timedelta | Sequence[Seconds | timedelta]
    retry_on: ExceptionClasses | None
    discard_on: ExceptionClasses | None
    auto_done: bool
    isolation: Isolation
    interruptions_max: int | None
    restart: RestartBudget | None
    upcast: Callable[[Any], Any] | None
    hands_down: Sequence[HandedDown]


HandedDown = Literal["group", "priority"]
"""An option of a job that the jobs of its `then` get too."""

Kind = Literal["thread", "task", "process"]


class Handler(NamedTuple):
    """One registration of `jobs.add_handler`.

    Attributes:
        id: what `remove_handler` takes.
        kind: what it runs on; coroutine functions run as tasks.
        restart: how often the actor of its name may die, if it says so.
        types: the annotated payload and result types.
        on_timeout: `signal`, or `raise` to also raise `JobTimeout` inside a thread.
        auto_done: whether returning ends the job.
        rate: job starts per time over the whole store; `rate_per_group` of each group.
        concurrency_per_group: how many jobs of one group may run at once, over the whole store.
        hands_down: the columns of a job that the jobs of its `then` get too, unless they have their own.
    """

    id: str
    name: str
    fn: Callable[..., Any]
    kind: Kind
    concurrency: int
    concurrency_total: int | None
    timeout: Seconds | None
    on_timeout: OnTimeout
    auto_done: bool
    policy: Policy
    restart: RestartBudget | None
    types: HandlerTypes
    rate: Rate | None = None
    concurrency_per_group: int | None = None
    rate_per_group: Rate | None = None
    hands_down: tuple[str, ...] = ()


class JobTimeout(Exception):
    """Raised inside a thread whose job has timed out, when its handler was added with `on_timeout="raise"`."""
