"""A graph: the jobs that hang together, counted by name and state, and what holds them up. It is read by narrow rows,
never by all records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ..messages.jobs import ENDED, FAILED_END, WAITS_FOR_JOBS, Instant, JobRecord, JobState, Seconds
from ..messages.queries import GRAPH_JOBS_MAX, GraphJob, GraphRows, JobQuery
from ..rules.capabilities import needed
from ..rules.validation import unknown_job
from ..stores.ports import StoreSnapshot
from .views import JobView, job_view
from .why import Why

if TYPE_CHECKING:
    from .operator import Operator
    from .sweeping import Swept

LEVELS_MAX = 50
"""The most levels that are told apart: the last one has all deeper jobs, too."""

HOLDS_MAX = 20

FAILED = (JobState.DEAD, JobState.CANCELLED)

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """The jobs of one name on one level of a graph.

    Attributes:
        level: 0 for the first; each job is on a deeper level than those that it waits for.
        of: how many there are in each state that one is in.
    """

    level: int
    name: str
    of: Mapping[str, int]

    @property
    def jobs(self) -> int:
        return sum(self.of.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphHold:
    """Jobs that a graph waits for, in one state, and held by the same.

    Attributes:
        jobs: how many they are.
        names: of these jobs.
        first: the oldest of them, with why it does not run, or how it is held.
    """

    jobs: int
    names: tuple[str, ...]
    first: JobView


@dataclass(frozen=True, kw_only=True)
class GraphView:
    """A graph at one instant: a job, all jobs of its root, and all that one of these waits for, or that wait for one,
    however far away.

    Attributes:
        id: of the job that was asked for.
        state: `running` if one of its jobs runs; `waiting` if others have not ended; `failed` if all have ended, and
            one of them dead or cancelled, but for those that were not needed (`after_failed`); else `done`.
        total: how many jobs it has, those that retention has removed excluded; `is_capped` if it has more, and only
            `GRAPH_JOBS_MAX` were read.
        of: how many are in each state.
        names: the same by name, in the order in which the names came first.
        nodes: the same by level and name, the first level first.
        edges: pairs of places in `nodes`, the second of which waits for the first, or has been queued by it, and how
            many jobs it is that do.
        held_up_by: the jobs that others wait for and that can move themselves, the oldest first. One job of each
            name and state is looked at, for `HOLDS_MAX` of these.
    """

    at: Instant
    id: str
    state: Literal["running", "waiting", "failed", "done"]
    total: int
    is_capped: bool
    of: Mapping[str, int]
    names: Mapping[str, Mapping[str, int]]
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[int, int, int], ...]
    held_up_by: tuple[GraphHold, ...]

    @property
    def ended(self) -> int:
        """How many of its jobs have ended."""
        return sum(self.of[state] for state in ENDED)

    @property
    def query(self) -> str:
        """The query for its jobs."""
        return str(JobQuery(graph=self.id))

    @property
    def failed_query(self) -> str:
        """The query for its jobs that are dead or cancelled, but for those that share the fate of others."""
        return str(JobQuery(graph=self.id, states=FAILED, fate="no"))

    @property
    def unfinished_query(self) -> str:
        """The query for its jobs that have not ended."""
        return str(JobQuery(graph=self.id, states=UNFINISHED))


def graph_facts(
    seen: StoreSnapshot, job_id: str, *, now: Instant, why: Callable[[JobRecord], Why], shows_data: bool
) -> dict[str, Any]:
    """The fields of a `GraphView`.

    Raises:
        UnknownJob: the job is not in the store.
        NotSupported: the store is a RabbitMQ.
    """
    rows = needed(seen.table, "graph").graph(job_id, GRAPH_JOBS_MAX)
    if not any(job.id == job_id for job in rows.jobs):
        raise unknown_job(job_id)
    names: dict[str, Counter[str]] = {}
    for job in rows.jobs:
        names.setdefault(job.name, Counter())[job.state] += 1
    of = {state.value: sum(count[state] for count in names.values()) for state in JobState}
    nodes, edges = _drawn(rows)
    return {
        "at": now,
        "id": job_id,
        "state": _state(of, _not_needed(rows)),
        "total": len(rows.jobs),
        "is_capped": rows.is_capped,
        "of": of,
        "names": {name: dict(count) for name, count in names.items()},
        "nodes": nodes,
        "edges": edges,
        "held_up_by": tuple(_holds(seen, rows, why, shows_data)),
    }


def _not_needed(rows: GraphRows) -> int:
    """How many jobs were cancelled because none of those has failed whose failure it was to follow, or share the fate
    of such a job. A parent is read before its children.
    """
    awaited: dict[int, list[int]] = {}
    for child, parent, any_end in rows.links:
        if not any_end or any_end == FAILED_END:
            awaited.setdefault(child, []).append(parent)
    failed, count = {job.row_id for job in rows.jobs if job.state != JobState.DONE}, 0
    for job in rows.jobs:
        is_told = job.state == JobState.CANCELLED and job.waits == WAITS_FOR_JOBS and job.row_id in awaited
        if is_told and failed.isdisjoint(awaited[job.row_id]):
            failed.discard(job.row_id)
            count += 1
    return count


def _state(of: Mapping[str, int], not_needed: int) -> str:
    if of[JobState.RUNNING]:
        return "running"
    if of[JobState.QUEUED]:
        return "waiting"
    return "failed" if sum(of[state] for state in FAILED) > not_needed else "done"


def _drawn(rows: GraphRows) -> tuple[tuple[GraphNode, ...], tuple[tuple[int, int, int], ...]]:
    """The jobs by level and name, and the ties between these. A parent was stored before its child."""
    by_id, levels = {job.id: job for job in rows.jobs}, dict[int, int]()
    parents: dict[int, list[int]] = {}
    known = {job.row_id for job in rows.jobs}
    for child, parent, _ in rows.links:
        if parent in known:
            parents.setdefault(child, []).append(parent)
    counts: dict[tuple[int, str], Counter[str]] = {}
    node_of: dict[int, tuple[int, str]] = {}
    ties: Counter[tuple[tuple[int, str], tuple[int, str]]] = Counter()
    for job in rows.jobs:
        above = parents.get(job.row_id) or list(_begot(job, by_id))
        level = levels[job.row_id] = min(LEVELS_MAX - 1, max((levels[one] + 1 for one in above), default=0))
        node = node_of[job.row_id] = level, job.name
        counts.setdefault(node, Counter())[job.state] += 1
        ties.update({(node_of[one], node) for one in above} - {(node, node)})
    ordered = sorted(counts, key=lambda node: node[0])
    places = {node: place for place, node in enumerate(ordered)}
    nodes = tuple(GraphNode(level=level, name=name, of=dict(counts[level, name])) for level, name in ordered)
    return nodes, tuple((places[parent], places[child], jobs) for (parent, child), jobs in ties.items())


def _begot(job: GraphJob, by_id: Mapping[str, GraphJob]) -> Iterator[int]:
    """The job that has queued one by `job.then`, as its id tells, or else its root."""
    before, *numbers = job.id.rsplit(".", 2)
    is_own = len(numbers) == 2 and all(number.isdecimal() for number in numbers)
    parent = (by_id.get(before) if is_own else None) or (by_id.get(job.root_id) if job.root_id != job.id else None)
    if parent is not None and parent.row_id < job.row_id:
        yield parent.row_id


def _holds(
    seen: StoreSnapshot, rows: GraphRows, why: Callable[[JobRecord], Why], shows_data: bool
) -> Iterator[GraphHold]:
    waiting = {job.row_id for job in rows.jobs if job.is_waiting}
    awaited = {parent for child, parent, _ in rows.links if child in waiting}
    able = [job for job in rows.jobs if job.state not in ENDED and not job.is_waiting]
    # All have ended that the rest waits for: the next write batch frees it.
    able = [job for job in able if job.row_id in awaited] or able or [job for job in rows.jobs if job.is_waiting]
    alike: dict[tuple[str, str], list[GraphJob]] = {}
    for job in able:
        alike.setdefault((job.name, job.state), []).append(job)
    some = list(islice(alike.values(), HOLDS_MAX))
    found = seen.jobs.known([jobs[0].id for jobs in some])
    holds: dict[tuple[str, str], GraphHold] = {}
    for jobs in some:
        record = found[jobs[0].id]
        view = job_view(record, why(record), shows_data=shows_data)
        said = record.state, "" if view.why is None else view.why.sentence
        same = holds.get(said, GraphHold(jobs=0, names=(), first=view))
        holds[said] = replace(same, jobs=same.jobs + len(jobs), names=(*same.names, record.name))
    yield from holds.values()


@dataclass(frozen=True, kw_only=True)
class OperatorGraph(GraphView):
    """A graph as `Operator.graph` has read it. Its methods act anew, and say on how many jobs."""

    _operator: Operator = field(repr=False, compare=False)

    def cancel(self, *, reason: str | None = None) -> Swept:
        """End all of its jobs that have not ended."""
        return self._operator.sweep_matching(JobQuery(graph=self.id, states=UNFINISHED), "cancel", reason=reason)

    def requeue(
        self, *, delay: Seconds | timedelta | None = None, afresh: bool = False, reason: str | None = None
    ) -> Swept:
        """Put all of its jobs that are dead or cancelled back into the queue, parents first. Those that share the fate
        of others wait for these again.
        """
        query = JobQuery(graph=self.id, states=FAILED, fate="no")
        return self._operator.sweep_matching(query, "requeue", delay=delay, afresh=afresh, reason=reason)
