"""What a runtime remembers of jobs that are in no queue any more, or never were in its own. All of it is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..messages.jobs import JobRecord

REMEMBERED_MAX = 100_000
"""Jobs of each kind, the newest."""

RESULTS_BYTES_MAX = 64_000_000
"""Of the endings that are kept for `join`."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Newest(Generic[Key, Value]):
    """A dict that forgets the oldest."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def put(self, key: Key, value: Value) -> None:
        """Keep it as the newest."""
        self._kept.pop(key, None)
        self._kept[key] = value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, key: Key) -> Value | None:
        """What is kept under a key."""
        return self._kept.get(key)

    def pop(self, key: Key) -> Value | None:
        """Keep it no longer."""
        return self._kept.pop(key, None)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


class Endings:
    """How jobs have ended, for whoever joins them later."""

    def __init__(self, bytes_max: int = RESULTS_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[str, JobRecord] = OrderedDict()

    def put(self, job: JobRecord) -> None:
        """Keep an ending as the newest."""
        self.pop(job.id)
        self._kept[job.id] = job
        self._bytes += _weight(job)
        while len(self._kept) > REMEMBERED_MAX or self._bytes > self._bytes_max:
            self._bytes -= _weight(self._kept.popitem(last=False)[1])

    def get(self, job_id: str) -> JobRecord | None:
        """How a job has ended, if that is known here."""
        return self._kept.get(job_id)

    def pop(self, job_id: str) -> None:
        """Keep it no longer."""
        known = self._kept.pop(job_id, None)
        if known is not None:
            self._bytes -= _weight(known)


def _weight(job: JobRecord) -> int:
    return 1_000 + len(job.data) + len(job.result or "") + len(job.traceback or "")
