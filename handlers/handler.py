"""A handler: an application's function with the rules under which it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ..messages.jobs import Seconds
from ..messages.outcomes import Policy
from .options import OnTimeout

Kind = Literal["thread", "task", "process"]


class Handler(NamedTuple):
    """One registration of `jobs.add_handler`.

    Attributes:
        id: what `remove_handler` takes.
        fn: called with a `Job`.
        kind: what it runs on; coroutine functions run as tasks.
        wanted: the payload type of its annotation, if it has one.
        on_timeout: `signal`, or `raise` to also raise `JobTimeout` inside a thread.
        auto_done: whether returning ends the job.
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
    wanted: Any


class JobTimeout(Exception):
    """Raised inside a thread whose job has timed out, when its handler was added with `on_timeout="raise"`."""
