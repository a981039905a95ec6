"""The claims of one HandlerActor that have no lane yet. Its own thread adds to them; lanes that end take from them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..messages.jobs import Claim, ClaimKey, Seconds
from .lane import Lane


class Waiting(NamedTuple):
    """A claim, and since when by monotonic time it waits."""

    claim: Claim
    since: Seconds


class Backlog:
    """Whoever takes a claim has it alone. Once closed, no lane takes any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self.closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, claims: Sequence[Claim], now: Seconds) -> None:
        """To the end."""
        with self._lock:
            self._waiting.extend(Waiting(claim, now) for claim in claims)

    def put_first(self, claim: Claim, now: Seconds) -> None:
        """To the front."""
        with self._lock:
            self._waiting.appendleft(Waiting(claim, now))

    def take(self) -> Claim | None:
        """The first; None when nothing waits."""
        with self._lock:
            return self._waiting.popleft().claim if self._waiting else None

    def serve(self, open_lane: Callable[[Claim], Lane | None]) -> Lane | None:
        """A lane for the first, which goes only if it gets one: at no moment has it neither place."""
        with self._lock:
            lane = open_lane(self._waiting[0].claim) if self._waiting and not self.closed else None
            if lane is not None:
                self._waiting.popleft()
            return lane

    def remove(self, goes: Callable[[Waiting], bool]) -> list[Claim]:
        """Take out those that must go."""
        with self._lock:
            gone = [waiting.claim for waiting in self._waiting if goes(waiting)]
            if gone:
                self._waiting = deque(waiting for waiting in self._waiting if not goes(waiting))
            return gone

    def clear(self) -> list[Claim]:
        """Take out all."""
        return self.remove(lambda _: True)

    def keys(self) -> list[ClaimKey]:
        """What fences them."""
        with self._lock:
            return [waiting.claim.key for waiting in self._waiting]

    def close(self) -> None:
        """From now on no lane is opened."""
        with self._lock:
            self.closed = True
