"""The state of a boot at one instant, for its application and for questions from outside.

Only the memory of its process has these facts; the others are in the store. Each view is a frozen value with one JSON
shape: its fields by their names (`rules.control_lines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .boots import BootKind
from .jobs import Instant, Seconds

LANES_SHOWN_MAX = 1_000

DEATHS_SHOWN_MAX = 20
"""The most deaths of an actor that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A hung thread: its job has lost the claim, its function did not end when asked to. `stack` is where it is."""

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
    """A death of an actor; `over` is the kind of the message that it was handling, if any."""

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
        kind: `thread`, `task` or `process`.
        concurrency: how many of its jobs run at once here; `total` is the maximum of its name over the whole store.
        attempts: how often a job is tried.
        rate: the rate of its name over the whole store, as `100/60s`; `rate_per_group` of each group.
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
        since: when it was started; `seconds` is how long ago by monotonic time.
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
    """The state of a boot's write batches.

    Attributes:
        took_seconds: the duration of the last stored one, `waited_seconds` of it until it could write. None before the
            first.
        under_way_seconds: the duration so far of the present one; None when there is none.
        is_waiting: whether that one still waits until it can write.
        trouble: why the store cannot be written, by the broker's last report; None while it can.
    """

    took_seconds: Seconds | None = None
    waited_seconds: Seconds | None = None
    under_way_seconds: Seconds | None = None
    is_waiting: bool = False
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """The resources that a process uses; None where the system does not tell. `descriptors_max` is its limit of open
    files.
    """

    rss_bytes: int | None
    threads: int | None
    descriptors: int | None
    descriptors_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietView:
    """The quiet state of a boot, which claims no jobs, and who made it quiet."""

    since: Instant
    by: str | None
    via: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietAnswer:
    boot: str
    quiet: QuietView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActedJob:
    """A job after an act on it: fields of its `JobRecord`, without its data."""

    id: str
    name: str
    state: str
    priority: int
    run_at: Instant
    queued_at: Instant
    root_id: str
    attempt: int
    claim_no: int
    move_no: int
    reason: str | None = None
    error: str | None = None
    ended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """The answer of a boot that was asked to act on a job.

    Attributes:
        is_held: whether the boot holds it, and is about to act.
        job: the job after the act; None before that, or where the boot does not hold it.
    """

    boot: str
    is_held: bool
    job: ActedJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeView:
    """A boot at one instant.

    Attributes:
        at: by its clock.
        boot_no: 0 where boots have no numbers, or before it is known.
        kind: a `producer` runs no jobs.
        names: the job names that it handles.
        only: its restriction by `start(only=)`; None without one.
        leads: whether it fires the slots of all; None where each boot fires its own.
        is_draining: whether it has begun to stop.
        quiet: None while it claims jobs.
        health: as far as it is known without reading the store.
        limits: those of the runtime, by their names.
        lanes: the running jobs, oldest first, at most `LANES_SHOWN_MAX`; `lanes_open` is their number.
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
    """The present place of something, as a traceback reads.

    Attributes:
        what: `thread`, `task`, or `job` for the function of a running job.
        name: the thread's, the task's, or the job's id and name.
    """

    what: Literal["thread", "task", "job"]
    name: str
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StacksView:
    """The stacks of every thread of a process, every task on the event loops of its handlers, and every running job."""

    at: Instant
    boot: str
    pid: int
    stacks: tuple[Stack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredView:
    """The ids of the schedules that the code of a boot declares. A producer declares none."""

    boot: str
    schedules: tuple[str, ...]
