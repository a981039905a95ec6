"""How many of a queue's messages may be with this runtime: as many as its lanes can take, plus the adaptive prefetch.

AMQP fixes a consumer's prefetch when it begins, so a queue has a stack of consumers here: a larger window adds one with
the difference, a smaller one ends the newest. Jobs of an ended consumer count until they are settled. Its jobs without
a lane are given back, which the server counts as a failed delivery: so a window shrinks only after less was wanted for
a while, and does not follow each change of load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...messages.jobs import Seconds

LAG_SECONDS = 1.0


@dataclass(slots=True)
class Consumer:
    """One consumer of the stack.

    Attributes:
        held: its unsettled deliveries.
        has_left: it has ended, and its jobs without a lane were given back.
    """

    tag: str
    prefetch: int
    held: int = 0
    is_over: bool = False
    has_left: bool = False


class ConsumerStack:
    def __init__(
        self, begin: Callable[[str, int], object], end: Callable[[str], object], name: Callable[[], str]
    ) -> None:
        self._begin = begin
        self._end = end
        self._name = name
        self._stack: list[Consumer] = []
        self._by_tag: dict[str, Consumer] = {}
        self._peak = 0
        self.shrinks_at: Seconds | None = None

    @property
    def size(self) -> int:
        return sum(one.held if one.is_over else one.prefetch for one in self._by_tag.values())

    def delivered(self, tag: str) -> None:
        if tag in self._by_tag:
            self._by_tag[tag].held += 1

    def let_go(self, tag: str) -> None:
        one = self._by_tag.get(tag)
        if one is None:
            return
        one.held -= 1
        if one.is_over and one.held <= 0:
            del self._by_tag[tag]

    def cancelled(self, tag: str) -> None:
        one = self._by_tag.get(tag)
        if one is not None and not one.is_over:
            self._stack.remove(one)
            self._over(one)

    def left(self, tag: str) -> None:
        """Note that the ended consumer's deliveries without a lane were given back."""
        one = self._by_tag.get(tag)
        if one is not None:
            one.has_left = True

    def resize(self, wanted: int, now: Seconds, *, may_shrink_later: bool = False, is_stuck: bool = False) -> list[str]:
        """Set how many may be delivered. More, or none, holds at once; fewer only from `shrinks_at` on.

        Args:
            may_shrink_later: treat none as fewer, too.
            is_stuck: a delivery has waited too long: end all consumers at once.

        Returns:
            Tags of the ended consumers, newest first.
        """
        target = wanted
        if wanted < self.size and (wanted > 0 or may_shrink_later) and not is_stuck:
            if self.shrinks_at is None:
                self._peak, self.shrinks_at = 0, now + LAG_SECONDS
            self._peak = max(self._peak, wanted)
            if now < self.shrinks_at:
                return []
            target = self._peak
        # The next look is planned here, because less may be wanted now than at the peak, and no other call may follow
        # soon.
        self._peak, self.shrinks_at = wanted, now + LAG_SECONDS if target > wanted else None
        ended: list[str] = []
        # Jobs of an ended consumer count only once lanes have all of them: before that they may go back, and then no
        # other consumer need end. But a lane with such a job has no room for another consumer's.
        with_lanes = sum(one.held for one in self._by_tag.values() if one.has_left)
        while self._stack and (is_stuck or sum(one.prefetch for one in self._stack) + with_lanes > target):
            one = self._stack.pop()
            self._end(one.tag)
            self._over(one)
            ended.append(one.tag)
        more = target - self.size
        if more > 0:
            one = Consumer(self._name(), more)
            self._stack.append(one)
            self._by_tag[one.tag] = one
            self._begin(one.tag, one.prefetch)
        return ended

    def _over(self, one: Consumer) -> None:
        one.is_over = True
        if one.held <= 0:
            del self._by_tag[one.tag]
