"""A handler: an application's function with the rules under which it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ..messages.jobs import Seconds
from ..messages.names import Rate
from ..messages.outcomes import Policy
from ..rules.limits import RestartBudget
from .options import OnTimeout
from .payload import HandlerTypes

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


class JobTimeout(Exception):
    """Raised inside a thread whose job has timed out, when its handler was added with `on_timeout="raise"`."""
