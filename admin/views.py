"""Views of a store for people: frozen values, the same for every face. Their JSON has the fields by their names, with
instants as seconds since the Unix epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ..messages.jobs import ENDED, Attempt, Instant, JobRecord, JobState, Seconds
from ..messages.steps import StepMark
from ..rules.codec import decode, valid
from ..rules.lifecycle import AWAITS, SNOOZED, awaited_signal
from ..rules.new_jobs import KEPT_OPTIONS
from ..stores.control_client import BootView
from .error_groups import ErrorGroup
from .why import Why

V = TypeVar("V")


def like(kind: type[V], record: Any, **more: Any) -> V:
    """A view of a kind: the fields that a record has by the same names, and `more`, the others."""
    return kind(**{name: getattr(record, name) for name in kind.__annotations__ if name not in more}, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A count up to a maximum; `is_capped` if there may be more."""

    count: int
    is_capped: bool = False

    def __str__(self) -> str:
        """The number for people: `10,000+`."""
        return f"{self.count:,}{'+' if self.is_capped else ''}"

    def __add__(self, other: Amount) -> Amount:
        return Amount(count=self.count + other.count, is_capped=self.is_capped or other.is_capped)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """Whether the jobs of a store are done, as far as it can be seen from outside.

    Attributes:
        status: `green`; `yellow` when something waits or is away; `red` when a person must act.
        reasons: why it is not green.
    """

    status: Literal["green", "yellow", "red"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseView:
    """A pause of the jobs of a name; `until` is None if somebody must end it."""

    since: Instant | None
    by: str | None
    reason: str | None
    until: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameView:
    """The jobs of one name.

    Attributes:
        ready: queued and due; `scheduled` are queued and not due yet. None where the store cannot tell, as of
            `running`.
        oldest_ready: since when the longest due job has been due.
        limit: the most that run at once over the whole store.
        boots: the living ones with handlers for it; `is_parked` if there are none.
        lanes: how many run at once on these boots, of which `busy` are; None unless all of them have answered.
    """

    name: str
    ready: Amount | None
    scheduled: Amount | None
    running: Amount | None
    oldest_ready: Instant | None
    pause: PauseView | None
    limit: int | None
    boots: tuple[str, ...]
    is_parked: bool
    lanes: int | None
    busy: int | None


def _most(amount: Amount | None) -> int:
    return 0 if amount is None else -amount.count


NAME_ORDERS: Mapping[str, Callable[[NameView], Any]] = {
    "name": lambda one: one.name,
    "ready": lambda one: _most(one.ready),
    "oldest": lambda one: math.inf if one.oldest_ready is None else one.oldest_ready,
    "running": lambda one: _most(one.running),
    "scheduled": lambda one: _most(one.scheduled),
}
"""The keys by which lists of names are sorted; the most first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A store at one instant.

    Attributes:
        parked: ready, of names that no boot handles.
        oldest_ready: since when the longest due job has been due, without parked or paused ones.
        has_more_names: whether there are more names; all numbers but `dead` are of these.
        boots: without their own views.
    """

    at: Instant
    store: str
    health: StoreHealth
    ready: Amount | None
    running: Amount | None
    scheduled: Amount | None
    parked: Amount | None
    dead: Amount | None
    oldest_ready: Instant | None
    names: tuple[NameView, ...]
    has_more_names: bool
    boots: tuple[BootView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs are in each state that the store can count."""

    at: Instant
    name: str | None
    of: dict[str, Amount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How many jobs match a query, among `looked_at`."""

    at: Instant
    amount: Amount
    looked_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The application's data, hidden unless the viewer asked for it and may see it.

    Attributes:
        is_shown: whether `value` is the data.
        shape: its types and keys: `object of 2: to (text), items (list of 3)`.
        bytes: the length of its JSON text.
    """

    is_shown: bool
    value: Any
    shape: str
    bytes: int

    @property
    def text(self) -> str:
        return json.dumps(self.value, ensure_ascii=False, indent=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job in a list.

    Attributes:
        corr: its root, or itself.
        attempt: how many attempts are counted, including the running one.
        why: what keeps it from running, or how it is held; None of one that has ended.
        awaits: the signal that it waits for, if it waits for one.
        progress: the handler's last report; it is data, and hidden like it.
    """

    id: str
    name: str
    state: str
    attempt: int
    max_attempts: int | None
    claim_no: int
    priority: int
    queued_at: Instant
    run_at: Instant
    claimed_at: Instant | None
    ended_at: Instant | None
    expires_at: Instant | None
    timeout: Seconds | None
    boot: str | None
    corr: str
    schedule: str | None
    slot: Instant | None
    unique: str | None
    group: str | None
    debounce: str | None
    reason: str | None
    error: str | None
    data: Payload
    result: Payload | None
    progress: Payload | None
    awaits: str | None
    why: Why | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """A page of matching jobs.

    Attributes:
        next: the cursor of the next page; None when there are no more jobs.
        is_complete: whether the page is full, or the last. Otherwise the search has reached its limit of examined jobs
            (`looked_at`), and `next` goes on from there.
    """

    at: Instant
    jobs: tuple[JobView, ...]
    next: str | None
    looked_at: int
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleName:
    """The schedule of a job; `when` is None where the schedule is not there any more."""

    id: str
    key: str | None
    when: str | None
    words: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLine:
    """A line that a claim of a job has logged by `job.log`."""

    claim_no: int
    at: Instant
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Everything known about one job.

    Attributes:
        reasons: all that is known to keep it from running, the first to go at the front; or its fate.
        attempts: those that failed or were interrupted, oldest first; None where the store does not keep them.
        output: the last lines that attempts have logged by `job.log`, oldest first; also one that runs, if it is heard.
        output_unheard: why it is not known what the attempt that runs has logged; None if that is known, or none runs.
        steps: the newest of those that are kept, oldest first; None where the store keeps none.
        steps_kept: how many are.
        children: jobs that descend from the same root, the oldest first, if this is the root.
        parents: jobs that it waits for, or has waited for, in the order of the call that has queued it.
        gone_parents: those of them that retention has removed, each with its `no`, `id`, `name`, `state` and `rev`.
        waiting: jobs that wait for it, or have, the oldest first.
    """

    at: Instant
    job: JobView
    traceback: str | None
    reasons: tuple[Why, ...]
    attempts: tuple[Attempt, ...] | None
    output: tuple[LoggedLine, ...]
    output_unheard: str | None
    steps: tuple[StepMark, ...] | None
    steps_kept: int
    children: tuple[JobView, ...]
    has_more_children: bool
    parents: tuple[JobView, ...]
    has_more_parents: bool
    gone_parents: tuple[dict[str, Any], ...]
    waiting: tuple[JobView, ...]
    has_more_waiting: bool
    schedule: ScheduleName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsPage:
    """Failures in groups, the largest first. `looked_at` jobs are in them, the newest; `is_capped` if there may be
    more.
    """

    at: Instant
    groups: tuple[ErrorGroup, ...]
    looked_at: int
    is_capped: bool


KEYS_SHOWN_MAX = 12
KEY_CHARACTERS_MAX = 40


def job_view(job: JobRecord, why: Why | None, *, shows_data: bool) -> JobView:
    """A job as people see it.

    Args:
        why: what keeps it from running, or how it is held.
        shows_data: whether its data, its result and its progress may be seen.
    """
    is_over = job.state == JobState.RUNNING and (job.reason or "").startswith((SNOOZED, AWAITS))
    return like(
        JobView,
        job,
        attempt=job.attempt + (job.state == JobState.RUNNING),
        corr=job.root_id,
        debounce=job.debounce_key,
        **{option: getattr(job, kept.column) for option, kept in KEPT_OPTIONS.items()},
        data=payload(job.data, is_shown=shows_data),
        result=None if job.result is None else payload(job.result, is_shown=shows_data),
        progress=None if job.progress is None else payload(job.progress, is_shown=shows_data),
        # A snooze or a wait is over once the job runs again.
        reason=None if is_over else job.reason,
        awaits=awaited_signal(job),
        why=None if job.state in ENDED else why,
    )


def payload(text: str, *, is_shown: bool) -> Payload:
    try:
        value = decode(text)
    except ValueError:
        # Invalid JSON comes from no version of Lamplighter.
        return Payload(is_shown=False, value=None, shape="unreadable", bytes=len(text))
    if "\\ud" in text:
        # There may be half of a surrogate pair, which another program has queued.
        value = valid(value)
    return Payload(is_shown=is_shown, value=value if is_shown else None, shape=shape_of(value), bytes=len(text))


def shape_of(value: Any) -> str:
    """The shape of a value without its content: the keys of an object, which are the application's own words, one level
    deep.
    """
    if not isinstance(value, dict) or not value:
        return _kind(value)
    items = list(value.items())
    told = [f"{_cut(key)} ({_kind(item)})" for key, item in items[:KEYS_SHOWN_MAX]]
    more = [f"{len(items) - KEYS_SHOWN_MAX} more"] if len(items) > KEYS_SHOWN_MAX else []
    return f"object of {len(items)}: {', '.join([*told, *more])}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return f"list of {len(value)}"
    return f"object of {len(value)}"


def _cut(key: str) -> str:
    return key if len(key) <= KEY_CHARACTERS_MAX else f"{key[: KEY_CHARACTERS_MAX - 1]}…"
