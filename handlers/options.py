"""The options of a handler: how many of its jobs run at once, on what, how long, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict

from ..messages.jobs import Seconds
from ..messages.names import Rate
from ..messages.outcomes import Backoff
from ..rules.limits import RestartBudget

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
    backoff: Backoff | Sequence[Seconds]
    retry_on: ExceptionClasses | None
    discard_on: ExceptionClasses | None
    auto_done: bool
    isolation: Isolation
    interruptions_max: int | None
    restart: RestartBudget | None
