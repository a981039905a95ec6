"""The jobs that hang together, as a store reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .jobs import WAITS_FOR_JOBS, JobState


class GraphJob(NamedTuple):
    """A job of a graph."""

    row_id: int
    id: str
    name: str
    state: str
    root_id: str
    waits: int

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for other jobs."""
        return self.state == JobState.QUEUED and self.waits == WAITS_FOR_JOBS


class GraphRows(NamedTuple):
    """The jobs of a graph in the order of their births; `links` are tuples (child, parent, any_end) with `row_id`s,
    where the parent may have been removed by retention. `is_capped` if there are more jobs.
    """

    jobs: Sequence[GraphJob]
    links: Sequence[tuple[int, int, int]]
    is_capped: bool
