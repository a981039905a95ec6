"""Every limit of a runtime that an application may set, with its unit in its name, and batches of limited size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, TypeVar

from ..errors import UsageError, shown
from ..messages.jobs import SECONDS_MAX, Seconds

HEALTHY_SECONDS = 60.0
"""After so long without a death, the back-off starts anew."""

BACKOFF_SECONDS_MIN = 0.05
"""The first restart is immediate, the second waits for this, each further one twice as long."""

RESTARTS_MAX, WINDOW_SECONDS, BACKOFF_SECONDS_MAX = 5, 30.0, 30.0
"""The default budget of a child that has no budget of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartBudget:
    """At most `restarts_max` restarts within `window_seconds`; the waits between them double, up to a longest one."""

    restarts_max: int = RESTARTS_MAX
    window_seconds: Seconds = WINDOW_SECONDS
    backoff_seconds_max: Seconds = BACKOFF_SECONDS_MAX

    def recent(self, deaths: list[float], now: float) -> list[float]:
        """The deaths that count now."""
        return [at for at in deaths if now - at < self.window_seconds]

    def is_spent(self, deaths: list[float], now: float) -> bool:
        """Whether one more death, now included in `deaths`, is one too many."""
        return len(self.recent(deaths, now)) > self.restarts_max

    def backoff(self, deaths: list[float], now: float) -> Seconds:
        """Seconds to wait before the restart after the newest of these deaths."""
        streak = len([at for at in deaths if now - at < HEALTHY_SECONDS])
        if streak <= 1:
            return 0.0
        return min(self.backoff_seconds_max, BACKOFF_SECONDS_MIN * 2.0 ** min(streak - 2, 32))


T = TypeVar("T")


def batches(items: Sequence[T], most: int) -> Iterator[tuple[T, ...]]:
    for first in range(0, len(items), most):
        yield tuple(items[first : first + most])


WHOLE_MAX = 10**15
"""The maximum of every limit that counts things; it stands for no limit."""

WAL_BYTES_MAX = 64 * 1024 * 1024
"""Runtimes alone keep the log beside a SQLite file shorter than this."""

NAME_CHARACTERS_MAX = 200
"""Longest name of a job, key of a schedule or unique key, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one runtime.

    Attributes:
        reply_seconds_max: how long a caller that waits for the broker does so before `StoreUnavailable`.
        turn_messages_max: messages of one transaction.
        mailbox_messages_max: messages that wait to be stored before callers are refused at once.
        data_bytes_max: JSON text of a job's data.
        result_bytes_max: JSON text of a job's result.
        then_jobs_max, then_bytes_max: how many jobs may follow one that is done, and JSON text of their data together.
        parents_max, links_max: how many others one job may wait for, and all jobs of a call together.
        freed_links_max: how many links between such jobs one turn looks at; the next turn goes on.
        steps_max, steps_bytes_max: how many steps of a job are kept, and JSON text of their results together.
        error_characters_max: what is kept of a traceback.
        workers_max: jobs of all names together that run at once in one runtime. No more threads are kept for them.
        interruptions_max: blamed interruptions within 72 hours that make a job dead as poison.
        begin_seconds_max: how long a claim may wait on its worker for its function to begin: for the import in a child
            process, or behind what blocks an event loop. A timeout counts from when the function has begun.
        abandoned_threads_max: hung threads of one runtime before their handlers are halted.
        lane_grace_seconds: how long a thread may go on whose job has lost its claim before it counts as hung.
        late_seconds: a slot less late than this fires whatever the catch-up policy.
        restarts_max: restarts of one child within `restart_window_seconds` before its budget is spent.
        restart_backoff_seconds_max: the longest wait before a restart.
        keep_done_seconds, keep_dead_seconds: retention. Cancelled jobs are kept like done ones.
        busy_seconds_max: how long a write batch waits for SQLite's write lock before the log says so.
        wal_bytes_max: how long SQLite's log beside the file may be before health is yellow.
        prefetch_seconds: how much work, by what its recent jobs took, a job name may hold beyond its worker threads.
        prefetch_claims_max: the same in claims.
        unstarted_seconds: a prefetched claim that is not started by then is given back.
        slow_seconds_min, slow_factor: an attempt that runs for so long, and so many times as long as is usual for its
            name, is told as `job.slow`.
        subscriber_events_max: events waiting for a subscriber before they are dropped and counted.
    """

    reply_seconds_max: float = 10.0
    turn_messages_max: int = 500
    mailbox_messages_max: int = 20_000
    data_bytes_max: int = 1024 * 1024
    result_bytes_max: int = 1024 * 1024
    then_jobs_max: int = 10_000
    then_bytes_max: int = 16 * 1024 * 1024
    parents_max: int = 10_000
    links_max: int = 20_000
    freed_links_max: int = 500
    steps_max: int = 10_000
    steps_bytes_max: int = 16 * 1024 * 1024
    error_characters_max: int = 20_000
    workers_max: int = WHOLE_MAX
    interruptions_max: int = 3
    begin_seconds_max: float = 300.0
    abandoned_threads_max: int = 16
    lane_grace_seconds: float = 5.0
    late_seconds: float = 10.0
    restarts_max: int = RESTARTS_MAX
    restart_window_seconds: float = WINDOW_SECONDS
    restart_backoff_seconds_max: float = BACKOFF_SECONDS_MAX
    keep_done_seconds: float = 24 * 3600.0
    keep_dead_seconds: float = 30 * 24 * 3600.0
    busy_seconds_max: float = 1.0
    wal_bytes_max: int = WAL_BYTES_MAX
    prefetch_seconds: float = 0.020
    prefetch_claims_max: int = 64
    unstarted_seconds: float = 0.050
    slow_seconds_min: float = 60.0
    slow_factor: float = 10.0
    subscriber_events_max: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), whole=field.type == "int")

    @property
    def restart_budget(self) -> RestartBudget:
        """The deaths that a child without a budget of its own may have."""
        return RestartBudget(
            restarts_max=self.restarts_max,
            window_seconds=self.restart_window_seconds,
            backoff_seconds_max=self.restart_backoff_seconds_max,
        )


class LimitKeywords(TypedDict, total=False):
    """The same as keyword arguments."""

    reply_seconds_max: float
    turn_messages_max: int
    mailbox_messages_max: int
    data_bytes_max: int
    result_bytes_max: int
    then_jobs_max: int
    then_bytes_max: int
    parents_max: int
    links_max: int
    freed_links_max: int
    steps_max: int
    steps_bytes_max: int
    error_characters_max: int
    workers_max: int
    interruptions_max: int
    begin_seconds_max: float
    abandoned_threads_max: int
    lane_grace_seconds: float
    late_seconds: float
    restarts_max: int
    restart_window_seconds: float
    restart_backoff_seconds_max: float
    keep_done_seconds: float
    keep_dead_seconds: float
    busy_seconds_max: float
    wal_bytes_max: int
    prefetch_seconds: float
    prefetch_claims_max: int
    unstarted_seconds: float
    slow_seconds_min: float
    slow_factor: float
    subscriber_events_max: int


def _check(name: str, value: Any, *, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    is_factor = name.endswith("_factor")
    lowest = 1 if is_factor or (whole and name != "abandoned_threads_max") else 0
    most = WHOLE_MAX if whole or is_factor else SECONDS_MAX
    if isinstance(value, bool) or not isinstance(value, kinds) or not lowest <= value <= most:
        kind = "a whole number" if whole else "a number" if is_factor else "a number of seconds"
        raise UsageError(f"expected {name} to be {kind}, {lowest} or more and at most {most:g}, got: {shown(value)}")
