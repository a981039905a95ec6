"""A read-only view of a RabbitMQ, for readers without a runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ...messages.boots import BootRecord
from ...messages.jobs import Instant, JobRecord, JobState, Seconds
from ...messages.names import PauseRecord
from ..ports import DeadJobs, DueCheck, JobReader, JobTable, QueueReader, ScheduleReader, TallyReader
from . import ledger_records as records
from . import topology
from .admin_connection import AdminConnection, Depth
from .dead_jobs import Dead
from .ledger_sums import LedgerSchedules
from .shared_state import SharedState


class ServerView:
    """The `StoreSnapshot` of an admin connection: each question is answered afresh, but the ledger is read once."""

    table: JobTable | None = None
    tallies: TallyReader | None = None

    def __init__(self, visit: AdminConnection) -> None:
        shared = visit.ledger()
        self._shared = shared
        # A reader does not move unreadable messages.
        self._dead = Dead(visit.browse, lambda unreadable_messages: (), lambda job_id: False)
        queues = ServerQueues(visit, shared)
        self.jobs: JobReader = ServerJobs(visit, shared, queues, self._dead)
        self.queues: QueueReader | None = queues
        self.dead: DeadJobs | None = self._dead
        self.schedules: ScheduleReader = LedgerSchedules(shared, lambda: None)

    def boots(self) -> Sequence[BootRecord]:
        """Boots that have introduced themselves and have not ended; oldest first."""
        shared = self._shared
        found = [records.boot_of(row, shared.handled.get(runtime, ())) for runtime, row in shared.boots.items()]
        return sorted(found, key=lambda boot: (boot.started_at, boot.boot))

    def declared(self) -> Mapping[str, Collection[str]]:
        shared = self._shared
        return {row["boot"]: shared.runtimes.get(runtime, {}).keys() for runtime, row in shared.boots.items()}

    def close(self) -> None:
        self._dead.await_return()


class ServerQueues:
    def __init__(self, visit: AdminConnection, shared: SharedState) -> None:
        self._visit = visit
        self._shared = shared

    def names(self) -> Sequence[str]:
        return sorted({*self._declared(), *(one.name for one in self._shared.schedules.values())})

    def ready(self, names: Collection[str]) -> dict[str, int]:
        # A name that was only paused, or whose schedule has never fired, has no queue.
        queues = {name: topology.queue_of(name) for name in self._declared().intersection(names)}
        depths = self._visit.depths(list(queues.values()))
        return {name: _ready(depths.get(queues.get(name, ""))) for name in names}

    def _declared(self) -> set[str]:
        return self._shared.names.union(*self._shared.handled.values())


class ServerJobs:
    """The `JobReader` of an admin connection. It finds no job by id."""

    def __init__(self, visit: AdminConnection, shared: SharedState, queues: ServerQueues, dead: Dead) -> None:
        self._visit = visit
        self._shared = shared
        self._queues = queues
        self._dead = dead

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        return {}

    def outlook(self, names: Collection[str], now: Instant) -> DueCheck:
        return DueCheck(False)

    def counts(self, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
        """Waiting and dead jobs. Only runtimes know running jobs, and jobs that ended well are known to none."""
        ready = self._queues.ready(self._queues.names() if name is None else (name,))
        # Delayed jobs of all names lie together.
        depths = self._visit.depths([*topology.ladder(), topology.DEAD]) if name is None else {}
        dead = _ready(depths.pop(topology.DEAD)) if name is None else self._dead.count(name)
        delayed = sum(map(_ready, depths.values()))
        return {JobState.QUEUED.value: sum(ready.values()) + delayed, JobState.DEAD.value: dead}

    def pauses(self) -> Sequence[PauseRecord]:
        return sorted(self._shared.pauses.values())


def _ready(depth: Depth | None) -> int:
    return 0 if depth is None else depth.ready


class ServerReadable:
    """The `Readable` of a RabbitMQ: each look is a visit."""

    path: str | None = None
    table: JobTable | None = None

    def __init__(self, visit: Callable[[], AdminConnection]) -> None:
        self._visit = visit
        self.address = visit().address

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[ServerView]:
        with self._visit() as visit:
            view = ServerView(visit)
            try:
                yield view
            finally:
                view.close()
