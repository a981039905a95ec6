"""What can be read of a store that keeps every job, from outside: all of it for an audit, and when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, Self

from ..messages.boots import BootRecord
from .ports import Readable


class StoredJob(NamedTuple):
    """The fields of a job that an audit compares.

    Attributes:
        due_at: None for a wait in seconds, which is corrected when the clock is set.
    """

    id: str
    name: str
    state: str
    claim_no: int
    attempt: int
    move_no: int
    data: str
    due_at: float | None

    @property
    def is_counted(self) -> bool:
        """Whether a turn has counted its last move by a host's own transaction."""
        return self.move_no > 0


class StoredSlots(NamedTuple):
    """A fired slot with its job, or a range of slots that did not fire."""

    schedule: str
    slot: float
    last: float
    number: int
    outcome: str
    job_id: str | None


class StoredLives(Protocol):
    """All that a store keeps, as it is at one instant, for whoever compares it with a log. Close it, or use it as a
    context manager. `boot_no` is the number of the newest boot, and `boots` has none that was buried; `slots` come in
    the order of schedules and instants; `steps` are ids of jobs with names of kept steps; `accounted` tells by schedule
    up to where its slots are accounted for.
    """

    def store_id(self) -> str: ...
    def boot_no(self) -> int: ...
    def boots(self) -> Sequence[BootRecord]: ...
    def jobs(self) -> Iterator[StoredJob]: ...
    def slots(self) -> Iterator[StoredSlots]: ...
    def steps(self) -> Iterator[tuple[str, str]]: ...
    def accounted(self) -> dict[str, float]: ...
    def orphans(self) -> Iterator[tuple[str, str | None]]:
        """Running jobs whose boot is not in the store, as (job id, boot): a start or a peer reclaims them."""

    def left_waiting(self) -> Iterator[str]:
        """The ids of jobs that wait although all their parents have ended, with no check pending."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class WatchedReadable(Readable, Protocol):
    """A store with a table of all jobs, of which a commit of anybody can be noticed from outside."""

    def watch(self) -> AbstractContextManager[Callable[[], object]]:
        """A function whose value changes with every commit of anybody, valid in the block."""

    def version(self) -> str:
        """A text that changes with every commit, comparable between processes and times, unlike `watch`."""
