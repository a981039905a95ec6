"""A runtime's memory of the jobs that it has queued or ended, bounded in number and in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from sys import getsizeof
from typing import Generic, TypeVar

from ...messages.jobs import ENDED, JobRecord
from ...messages.outcomes import Outcome, Verdict

REMEMBERED_MAX = 100_000

BYTES_MAX = 64_000_000
"""Bytes of each kind from hosts and handlers: data, results, errors."""

FORGOTTEN = ""
"""Replaces a job's data: no JSON is empty."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Newest(Generic[Key, Value]):
    def __init__(
        self, weigh: Callable[[Value], int] = lambda _: 0, *, most: int = REMEMBERED_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._weigh = weigh
        self._most = most
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def put(self, key: Key, value: Value) -> None:
        self.pop(key)
        self._kept[key] = value
        self._bytes += self._weigh(value)
        while len(self._kept) > self._most or self._bytes > self._bytes_max:
            self._bytes -= self._weigh(self._kept.popitem(last=False)[1])

    def get(self, key: Key) -> Value | None:
        return self._kept.get(key)

    def pop(self, key: Key) -> Value | None:
        value = self._kept.pop(key, None)
        if value is not None:
            self._bytes -= self._weigh(value)
        return value

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


class QueuedJobs:
    """The jobs that this runtime has queued. Data of many big jobs, and of ended ones, is forgotten before the ids."""

    def __init__(self, *, most: int = REMEMBERED_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._jobs: Newest[str, JobRecord] = Newest(most=most)
        self._data: Newest[str, str] = Newest(getsizeof, most=most, bytes_max=bytes_max)

    def put(self, job: JobRecord) -> None:
        self._jobs.put(job.id, job._replace(data=FORGOTTEN))
        self._data.put(job.id, job.data)

    def get(self, job_id: str) -> JobRecord | None:
        """The job as it was queued. Its data may be FORGOTTEN; its state may be its end."""
        job = self._jobs.get(job_id)
        return None if job is None else job._replace(data=self._data.get(job_id) or FORGOTTEN)

    def pop(self, job_id: str) -> None:
        self._jobs.pop(job_id)
        self._data.pop(job_id)

    def ended(self, job: JobRecord) -> None:
        known = self._jobs.get(job.id)
        if known is not None:
            self._jobs.put(job.id, known._replace(state=job.state))
            self._data.pop(job.id)


class Remembered:
    """What this runtime remembers.

    Attributes:
        doubtful: perhaps queued: a second try is the same job.
        endings: for later joins.
        kept: endings of attempts whose delivery was lost, by the delivered copy.
        ended_copies: the copies that have ended here.
        last: by job, the last attempt that ended here; without data of host and handler.
    """

    def __init__(self) -> None:
        self.queued = QueuedJobs()
        self.doubtful: Newest[str, JobRecord] = Newest(_weight)
        self.endings: Newest[str, JobRecord] = Newest(_weight)
        self.kept: Newest[Hashable, tuple[JobRecord, Outcome, Verdict]] = Newest(_weight_of_kept)
        self.ended_copies: Newest[Hashable, bool] = Newest()
        self.last: Newest[str, JobRecord] = Newest()

    def job(self, job_id: str) -> JobRecord | None:
        """A job that was queued here or has ended; None once its end is forgotten."""
        ended = self.endings.get(job_id)
        if ended is not None:
            return ended
        queued = self.queued.get(job_id)
        return None if queued is None or queued.state in ENDED else queued

    def note_ended(self, copy: Hashable, job: JobRecord) -> None:
        self.ended_copies.put(copy, True)
        self.last.put(job.id, job._replace(data=FORGOTTEN, result=None, error=None, traceback=None))

    def end(self, job: JobRecord) -> None:
        self.endings.put(job.id, job)
        self.queued.ended(job)


def _weight(job: JobRecord) -> int:
    return 1_000 + sum(map(getsizeof, (job.data, job.result, job.error, job.traceback)))


def _weight_of_kept(kept: tuple[JobRecord, Outcome, Verdict]) -> int:
    job, outcome, _ = kept
    follow_ups = sum(1_000 + getsizeof(one.data) for one in outcome.then)
    return _weight(job) + sum(map(getsizeof, (outcome.result, outcome.error, outcome.traceback))) + follow_ups
