"""An examination that several people look at, made anew now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..messages.jobs import Seconds
from .diagnosis import Examination

KEPT_SECONDS = 30.0
"""How long an examination is shown before another is made."""


class DiagnosisCache:
    """Examines a store for whoever asks, from any thread, and at most once in a while.

    Args:
        examine: examines it.
        monotonic: the time that only passes.
    """

    def __init__(self, examine: Callable[[], Examination], monotonic: Callable[[], Seconds]) -> None:
        self._examine = examine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: tuple[Seconds, Examination] | None = None

    def latest(self) -> Examination:
        """The last examination, or a new one if it is old. While somebody makes a new one, others get the old."""
        last = self._last
        if last is not None and self._monotonic() - last[0] < KEPT_SECONDS:
            return last[1]
        if not self._lock.acquire(blocking=last is None):
            assert last is not None, "only then it does not wait"
            return last[1]
        try:
            if self._last is last:
                found = self._examine()
                self._last = self._monotonic(), found
            assert self._last is not None, "it was made here, or by whoever had the lock"
            return self._last[1]
        finally:
            self._lock.release()
