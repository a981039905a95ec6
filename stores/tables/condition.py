"""The doctor's reads of a store's tables beside the jobs themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from ...messages.jobs import ENDED, Instant, JobState
from .database import Database


class Uncounted(NamedTuple):
    """Changes by applications' own transactions that no turn has counted yet.

    Attributes:
        changes: counted only up to a limit.
        oldest: when the first job was queued, or the first change of a schedule requested.
    """

    changes: int
    oldest: Instant | None


class Suspect(NamedTuple):
    """A queued job that has killed its processes, or was blamed for it."""

    id: str
    name: str
    interruptions: int
    until: Instant


class TableCondition(ABC):
    """The part of a `Condition` that is read from tables."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Database]:
        """A connection for a look."""

    def moved_to(self) -> str | None:
        with self._reading() as reader:
            address: str | None = reader.execute("select moved_to from lamplighter_store").fetchone()[0]
        return address

    def oldest_ended(self) -> dict[JobState, Instant]:
        """For each end state, when its oldest remaining job ended."""
        query = """select min(ended_at) from lamplighter_jobs indexed by lamplighter_jobs_ended
                   where state = ? and ended_at is not null"""
        with self._reading() as reader:
            found = {state: reader.execute(query, (state.value,)).fetchone()[0] for state in sorted(ENDED)}
        return {state: at for state, at in found.items() if at is not None}

    def uncounted(self, most: int) -> tuple[Uncounted, Uncounted]:
        """Jobs that applications have moved, and changes of schedules."""
        jobs = "select queued_at at from lamplighter_jobs indexed by lamplighter_jobs_uncounted where rev <= 0"
        changes = "select at from lamplighter_schedule_changes order by no"
        with self._reading() as reader:
            asked = (
                reader.execute(f"select count(*), min(at) from ({one} limit ?) as found", (most,))
                for one in (jobs, changes)
            )
            found, of_schedules = (Uncounted(*one.fetchone()) for one in asked)
        return found, of_schedules

    def suspects(self, now: Instant, most: int) -> Sequence[Suspect]:
        query = """select id, name, interruptions, suspect_until
                   from lamplighter_jobs indexed by lamplighter_jobs_suspect
                   where state = 'queued' and suspect_until is not null and suspect_until > ? limit ?"""
        with self._reading() as reader:
            return list(map(Suspect._make, reader.execute(query, (now, most))))
