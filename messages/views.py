"""The state of a boot at one instant, for its application and for anybody who asks from outside.

Only the memory of its process has these facts; the others stand in the store. Each is a frozen value
with one JSON shape: its fields by their names (`rules.control_lines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .boots import BootKind
from .jobs import Instant, Seconds

LANES_SHOWN_MAX = 1_000
"""How many running jobs a view names."""

DEATHS_SHOWN_MAX = 20
"""How many deaths of an actor are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A hung thread: its job has lost the claim, its function did not end when it was asked to. `stack` is where it
    is.
    """

    job_id: str
    job_name: str
    lane: int
    why: str
    seconds: Seconds
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a runtime does its work.

    Attributes:
        status: `green`; `yellow` when it works, and something waits or is away; `red` when a person must act.
        reasons: why it is not green.
        abandoned: hung threads that still run.
        log_dropped, subscriber_dropped, subscriber_failures: what was not written or not delivered.
    """

    status: Literal["green", "yellow", "red"]
    reasons: tuple[str, ...]
    boot: str | None
    abandoned: tuple[Abandoned, ...] = ()
    log_dropped: int = 0
    subscriber_dropped: int = 0
    subscriber_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A death of an actor.

    Attributes:
        over: the kind of the message that it was handling; None if there was none.
    """

    at: Instant
    incarnation: int
    why: str
    over: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorView:
    """One actor of the tree.

    Attributes:
        mailbox: messages that wait; `oldest_seconds` is how long the first of them has.
        busy_seconds: how long it has been at its current message; `busy_with` is the message's kind.
        jobs: ids of the jobs it runs.
        restarts_in_window: how many of its deaths count now. More than `restarts_max` within `restart_window_seconds`
            spend its budget; None of the supervisor, which is always restarted.
        deaths: the last of them, oldest first.
        is_halted: whether it takes no jobs because too many threads hang.
    """

    name: str
    incarnation: int
    status: str
    mailbox: int
    oldest_seconds: Seconds | None
    busy_seconds: Seconds | None
    jobs: tuple[str, ...]
    restarts_in_window: int
    last_crash: str | None
    busy_with: str | None = None
    restarts_max: int | None = None
    restart_window_seconds: Seconds | None = None
    deaths: tuple[Death, ...] = ()
    is_halted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerView:
    """A handler that takes jobs here.

    Attributes:
        kind: what it runs on: `thread`, `task` or `process`.
        concurrency: how many of its jobs run at once here; `total` is how many of its name may on the whole store.
        attempts: how often a job is tried.
        rate: how many jobs of its name may start in a time, over the whole store, as `100/60s`; `rate_per_group` of
            each group.
        per_group: how many jobs of one group may run at once, over the whole store.
    """

    id: str
    name: str
    kind: str
    concurrency: int
    total: int | None
    timeout: Seconds | None
    attempts: int
    rate: str | None = None
    per_group: int | None = None
    rate_per_group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """A job that runs here.

    Attributes:
        lane: the number of this run.
        since: when it was started; `seconds` is how long ago by the time that only passes.
        deadline: when it times out.
        cancelled: why it was asked to end, if it was.
        abandoned: why it was given up, if it was; it is a hung thread then, or about to become one.
        unbegun: why its function has not begun, if it has not.
    """

    lane: int
    job_id: str
    job_name: str
    handler: str
    kind: str
    attempt: int
    claim_no: int
    since: Instant
    seconds: Seconds
    deadline: Instant | None
    cancelled: str | None
    abandoned: str | None
    unbegun: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """How the write batches of a boot fare.

    Attributes:
        took_seconds: how long the last one took that was stored, `waited_seconds` of it until it could write. None
            before the first.
        under_way_seconds: how long the one has taken that is under way; None when none is.
        is_waiting: whether that one still waits until it can write.
        trouble: why the store cannot be written, as the broker said last; None while it can.
    """

    took_seconds: Seconds | None
    waited_seconds: Seconds | None
    under_way_seconds: Seconds | None
    is_waiting: bool
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """The resources that a process uses; None where the system does not say.

    Attributes:
        descriptors_max: how many open files it may have.
    """

    rss_bytes: int | None
    threads: int | None
    descriptors: int | None
    descriptors_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietView:
    """That a boot claims no jobs, because somebody had it be quiet."""

    since: Instant
    by: str | None
    via: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietAnswer:
    """The outcome of a request to a boot to be quiet, or to go on."""

    boot: str
    quiet: QuietView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActedJob:
    """A job after somebody has had something done to it: fields of its `JobRecord`, and nothing of what it is about."""

    id: str
    name: str
    state: str
    priority: int
    run_at: Instant
    queued_at: Instant
    corr: str
    attempt: int
    claim_no: int
    rev: int
    reason: str | None = None
    error: str | None = None
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """The answer of a boot that was asked to act on a job.

    Attributes:
        is_held: whether the boot holds it, and is about to act.
        job: as it is when the boot has acted; None before that, or where it does not hold it.
    """

    boot: str
    is_held: bool
    job: ActedJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeView:
    """A boot at one instant.

    Attributes:
        at: when this was said, by its clock.
        boot_no: 0 where boots have no numbers, or before it is known.
        kind: a `producer` runs no jobs.
        names: the job names of which it runs jobs.
        only: what it was restricted to by `start(only=)`; None if it was not.
        leads: whether it fires the slots of all; None where each boot fires its own.
        is_draining: whether it has begun to stop.
        quiet: that it claims no jobs until somebody has it go on; None while it claims.
        health: as far as it is known without reading the store.
        limits: those of the runtime, by their names.
        lanes: the jobs that run, oldest first, at most `LANES_SHOWN_MAX`; `lanes_open` is how many there are.
    """

    at: Instant
    boot: str
    boot_no: int
    host: str
    pid: int
    version: str
    python: str
    started_at: Instant
    kind: BootKind
    store: str
    store_id: str | None
    names: tuple[str, ...]
    only: tuple[str, ...] | None
    leads: bool | None
    is_draining: bool
    health: Health
    process: ProcessView
    turns: TurnView
    actors: tuple[ActorView, ...]
    handlers: tuple[HandlerView, ...]
    lanes: tuple[LaneView, ...]
    lanes_open: int
    limits: Mapping[str, Any] = field(default_factory=dict)
    quiet: QuietView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Where something is, as a traceback reads.

    Attributes:
        what: `thread`, `task`, or `job` of where the function of a running job is.
        name: the thread's, the task's, or the job's and its name.
    """

    what: Literal["thread", "task", "job"]
    name: str
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StacksView:
    """Where every thread of a process is, every task on the event loops of its handlers, and every job that runs."""

    at: Instant
    boot: str
    pid: int
    stacks: tuple[Stack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredView:
    """Which schedules the code of a boot declares, by their ids. A producer declares none."""

    boot: str
    schedules: tuple[str, ...]
