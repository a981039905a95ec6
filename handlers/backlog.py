"""The claims of one HandlerActor that have no lane yet. The thread that handles its mail adds; ending lanes take."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..messages.jobs import Claim, ClaimKey, Seconds
from .lane import Lane


class Waiting(NamedTuple):
    claim: Claim
    since: Seconds


class Backlog:
    """Claims without a lane, in order. No two threads take the same claim. Once closed, lanes take none.
    Any thread may look at `waiting`; only this class changes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting: deque[Waiting] = deque()
        self.closed = False

    def add(self, claims: Sequence[Claim], now: Seconds) -> None:
        with self._lock:
            self.waiting.extend(Waiting(claim, now) for claim in claims)

    def put_first(self, claim: Claim, now: Seconds) -> None:
        with self._lock:
            self.waiting.appendleft(Waiting(claim, now))

    def take(self) -> Claim | None:
        with self._lock:
            return self.waiting.popleft().claim if self.waiting else None

    def serve(self, open_lane: Callable[[Claim], Lane | None]) -> Lane | None:
        """Open a lane for the first claim, and only then remove it: at every moment it is here or on a lane."""
        with self._lock:
            lane = open_lane(self.waiting[0].claim) if self.waiting and not self.closed else None
            if lane is not None:
                self.waiting.popleft()
            return lane

    def remove(self, goes: Callable[[Waiting], bool]) -> list[Claim]:
        with self._lock:
            gone = [waiting.claim for waiting in self.waiting if goes(waiting)]
            if gone:
                self.waiting = deque(waiting for waiting in self.waiting if not goes(waiting))
            return gone

    def clear(self) -> list[Claim]:
        return self.remove(lambda _: True)

    def keys(self) -> list[ClaimKey]:
        with self._lock:
            return [waiting.claim.key for waiting in self.waiting]

    def close(self) -> None:
        with self._lock:
            self.closed = True
