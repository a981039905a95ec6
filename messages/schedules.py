"""A schedule, and the fate of each of its slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Literal, NamedTuple, TypedDict

from .jobs import Instant, Seconds

FireOutcome = Literal["fired", "late", "caught_up"]


class Due(NamedTuple):
    """An instant at which a schedule is due; `note` is a peculiarity (it was moved out of a gap of local time, or
    stands for several), or None.
    """

    slot: float
    note: str | None = None


class Fire(NamedTuple):
    """A slot that is to be fired now.

    Attributes:
        outcome: `fired` on time (less than a second late), `late`, or `caught_up` by the policy.
        reason: why it is late or caught up, and the slot's own note; None if there is neither.
    """

    slot: float
    outcome: FireOutcome
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRange:
    """Neighbouring slots that did not fire and never will, from `first` to `last`.

    Attributes:
        count: how many there are, exactly; at least 1.
        reason: why none of them fired.
    """

    first: float
    last: float
    count: int
    reason: str


class Accounting(NamedTuple):
    """The fate of every slot up to an instant.

    Attributes:
        fires: the slots to fire, in order.
        skipped: the slots that do not fire, as ranges in order.
        accounted_to: every slot up to and including this instant is in `fires`, in `skipped`, or in an earlier
            accounting.
    """

    fires: tuple[Fire, ...]
    skipped: tuple[SlotRange, ...]
    accounted_to: float


CatchUp = Literal["latest", "all", "skip"]
"""The treatment of missed slots."""

Overlap = Literal["allow", "skip", "queue_one"]
"""The treatment of a slot while an earlier job of its schedule is unfinished."""

DstGap = Literal["run_after", "skip"]
"""The treatment of a slot whose local time does not exist."""

DstFold = Literal["first", "second", "both"]
"""The slots of a local time that comes twice."""


class ScheduleKeywords(TypedDict, total=False):
    """The options of `scheduler.add` as keyword arguments."""

    key: str | None
    timezone: str
    catch_up: CatchUp
    catch_up_window: Seconds | timedelta
    catch_up_max: int
    overlap: Overlap
    dst_gap: DstGap
    dst_fold: DstFold
    jitter: Seconds | timedelta
    durable: bool
    priority: int
    max_attempts: int | None
    timeout: Seconds | timedelta | None
    expires: Seconds | timedelta | None


class ScheduleRecord(NamedTuple):
    """A schedule as the store keeps it; the fields are the columns of its table, in order.

    Attributes:
        id: a hash of the key, or of name, when, zone and data.
        data: JSON text of its jobs' data.
        durable: whether it lives in the store until removed, or only as long as the runtimes that declare it.
        accounted_to: every slot up to this instant is accounted for.
        changed_at: the time of its last change of definition; earlier slots are not its own.
        last_slot: the newest slot that fired.
        change_no: the number of its last change of definition or accounting. All schedules of a store share one count,
            which only rises.
        key: the application's own name for it, if any: for people, who cannot read the id.
        priority, max_attempts, timeout: those of its jobs.
        expires: for how many seconds a job may be due and not started.
    """

    id: str
    name: str
    when: str
    data: str
    timezone: str
    dst_gap: str
    dst_fold: str
    catch_up: str
    catch_up_window: Seconds
    catch_up_max: int
    overlap: str
    jitter: Seconds
    durable: int
    paused: int
    accounted_to: Instant
    changed_at: Instant
    last_slot: Instant | None
    change_no: int = 0
    key: str | None = None
    priority: int = 0
    max_attempts: int | None = None
    timeout: Seconds | None = None
    expires: Seconds | None = None

    @property
    def definition(self) -> tuple[object, ...]:
        """The parts that make it another schedule when they change: all but its key and the memory of its slots."""
        return _definition(self)


_MEMORY = ("id", "key", "paused", "accounted_to", "changed_at", "last_slot", "change_no")

_definition: Callable[[ScheduleRecord], tuple[object, ...]] = attrgetter(
    *(name for name in ScheduleRecord._fields if name not in _MEMORY)
)


class HostChange(NamedTuple):
    """The change of a durable schedule in an application's own transaction.

    Attributes:
        at: the time of the call; slots since then are the schedule's.
        record: the new schedule; None: it is removed.
        key: the key by which the application has removed it, if any.
    """

    schedule_id: str
    at: Instant
    record: ScheduleRecord | None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotEntry:
    """The fate of one slot, or of a range of `count` slots from `slot` to `last`.

    Attributes:
        outcome: `fired`, `late`, `caught_up` or `skipped`.
    """

    schedule_id: str
    slot: Instant
    last: Instant
    count: int
    outcome: str
    reason: str | None
    job_id: str | None
