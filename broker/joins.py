"""Callers of `join` by job id. They are kept outside of the broker, so that they survive its death."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import repeat
from typing import TypeVar

from ..environment.replies import answer_all
from ..messages.jobs import ENDED, JobRecord
from ..messages.mail import Reply
from ..rules.validation import unknown_job
from ..stores.ports import Store

R = TypeVar("R", bound=Reply)


class Joins:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: dict[str, list[Reply]] = {}

    def add(self, job_id: str, reply: R) -> R:
        with self._lock:
            self._replies.setdefault(job_id, []).append(reply)
        return reply

    def drop(self, job_id: str, reply: Reply) -> None:
        with self._lock:
            replies = self._replies.get(job_id, [])
            if reply in replies:
                replies.remove(reply)
            if not replies:
                self._replies.pop(job_id, None)

    def awaited(self) -> list[str]:
        return list(self._replies)

    def wake(self, jobs: Iterable[JobRecord]) -> None:
        """Answer the callers of those that have ended."""
        if not self._replies:
            return
        answers: list[tuple[Reply, JobRecord, None]] = []
        with self._lock:
            for job in jobs:
                if job.state in ENDED:
                    answers += zip(self._replies.pop(job.id, ()), repeat(job), repeat(None))
        if answers:
            answer_all(answers)

    def look(self, store: Store) -> None:
        """Answer callers whose jobs ended or were removed where this runtime did not see it."""
        if not (awaited := self.awaited()):
            return
        known = store.jobs.known(awaited)
        self.wake(job for job in known.values() if job.is_counted)
        if store.table is None:
            # Such a store may have jobs that this runtime does not know.
            return
        with self._lock:
            gone = [(unknown_job(job_id), self._replies.pop(job_id, [])) for job_id in awaited if job_id not in known]
        answer_all((reply, None, error) for error, replies in gone for reply in replies)

    def fail(self, error: BaseException) -> None:
        """Refuse all callers: no answer will come."""
        with self._lock:
            waiting = list(self._replies.values())
            self._replies.clear()
        answer_all((reply, None, error) for replies in waiting for reply in replies)
