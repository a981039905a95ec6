"""How many of a queue's messages may be with this runtime: as many as its lanes can take, and the adaptive few.

AMQP fixes a consumer's prefetch when it begins. So a queue has a stack of consumers here: to take more, one is added
with the difference; to take fewer, the newest are ended. Jobs of an ended consumer still count until they are
let go. And what it was given and has no lane for a while is given back, which the server counts as a delivery that
failed: so a window becomes smaller only once less has been wanted for a while, and one that breathes with the load does
not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...messages.jobs import Seconds

LAG_SECONDS = 1.0
"""A window becomes smaller only when less has been wanted for so long."""


@dataclass(slots=True)
class Consumer:
    """One consumer of the stack.

    Attributes:
        held: how many deliveries it has that are neither acknowledged nor given back.
        has_left: whether it is over, and what waited for a lane was given back: lanes have the rest.
    """

    tag: str
    prefetch: int
    held: int = 0
    is_over: bool = False
    has_left: bool = False


class ConsumerStack:
    """The consumers of one queue in one session.

    Args:
        begin: called with a tag and a prefetch: begin a consumer.
        end: called with a tag: end one.
        name: a tag that no consumer has had yet.
    """

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
        """How many unsettled deliveries there can be."""
        return sum(one.held if one.is_over else one.prefetch for one in self._by_tag.values())

    def delivered(self, tag: str) -> None:
        """Note that a consumer was given a delivery."""
        if tag in self._by_tag:
            self._by_tag[tag].held += 1

    def let_go(self, tag: str) -> None:
        """Note that one of its deliveries is acknowledged, or given back."""
        one = self._by_tag.get(tag)
        if one is None:
            return
        one.held -= 1
        if one.is_over and one.held <= 0:
            del self._by_tag[tag]

    def cancelled(self, tag: str) -> None:
        """Note that the server has ended a consumer."""
        one = self._by_tag.get(tag)
        if one is not None and not one.is_over:
            self._stack.remove(one)
            self._over(one)

    def left(self, tag: str) -> None:
        """Note that those of an ended one's deliveries that had no lane were given back."""
        one = self._by_tag.get(tag)
        if one is not None:
            one.has_left = True

    def resize(self, wanted: int, now: Seconds, *, may_shrink_later: bool = False, is_stuck: bool = False) -> list[str]:
        """Let so many be delivered: more, or none, at once, and fewer from `shrinks_at` on.

        Args:
            may_shrink_later: whether none counts as fewer, too.
            is_stuck: whether a delivery has waited for too long: all consumers are ended at once.

        Returns:
            The tags of the consumers that were ended for it, newest first.
        """
        target = wanted
        if wanted < self.size and (wanted > 0 or may_shrink_later) and not is_stuck:
            if self.shrinks_at is None:
                self._peak, self.shrinks_at = 0, now + LAG_SECONDS
            self._peak = max(self._peak, wanted)
            if now < self.shrinks_at:
                return []
            target = self._peak
        # Less may be wanted now than at the peak, and this may not be called again for long, so the next look is
        # planned here.
        self._peak, self.shrinks_at = wanted, now + LAG_SECONDS if target > wanted else None
        ended: list[str] = []
        # Jobs of an ended one count only once lanes have all of them: the others may go back, and then no other
        # consumer need end. But a lane that works for it has no room for what another consumer gets.
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
