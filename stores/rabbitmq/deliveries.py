"""The jobs that the server has delivered to this runtime: waiting for a lane, or running.

A delivery is the fence: only the runtime that has it may end its job. It is lost with its session. A running job whose
delivery is lost stays known: if the server delivers it here again, that delivery replaces the old one.

AMQP fixes a consumer's prefetch when it begins, so a queue has a stack of consumers here, for as many jobs as lanes can
take plus the adaptive prefetch: a larger window adds one with the difference, a smaller one ends the newest. Jobs of an
ended consumer count until they are settled. Its jobs without a lane are given back, which the server counts as a failed
delivery: so a window shrinks only after less was wanted for a while, and does not follow each change of load.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ...messages.jobs import ClaimKey, Instant, JobRecord, Seconds
from . import job_message as wire
from .link import Arrival, Link
from .topology import queue_of
from .unreadable import UnreadableMessage

STUCK_SECONDS = 0.5
"""A job goes back to its queue if it has waited here so long, while fewer jobs are wanted and no other of its name went
to a lane. Where a busy machine alone is slow, it would wait as long elsewhere.
"""

Birth = tuple[Any, ...]

Copy = tuple[str, Birth, int]
"""(job id, birth, claim number) of a waiting job: messages with the same are copies of one another."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A delivered job, compared by identity.

    Attributes:
        since: when it arrived, by the monotonic clock.
    """

    arrival: Arrival
    job: JobRecord
    since: Seconds

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def deadline(self) -> int | None:
        """When it expires, by the `SharedTime`; None unless its expiry was given in seconds."""
        return None if self.job.expires_at is None else wire.deadline_of(self.arrival.headers)

    def is_expired(self, now: Instant, shared_now: Instant) -> bool:
        """Whether the job must not start any more: seconds count by the shared time, instants by wall time."""
        deadline = self.deadline
        if deadline is not None:
            return deadline <= shared_now * 1000
        return self.job.expires_at is not None and self.job.expires_at <= now

    @property
    def copy(self) -> Copy:
        return self.job.id, birth_of(self.job), self.job.claim_no


def birth_of(job: JobRecord) -> Birth:
    """All runtimes fire a slot as the same job. Any other job is told by its birth and arguments."""
    if job.schedule is not None and job.slot is not None:
        return job.schedule, job.slot
    return job.queued_at, job.root_id, job.name, hash(job.data)


@dataclass(slots=True, eq=False)
class HeldJob:
    """A job that a lane has, or is about to have.

    Attributes:
        job: as it was claimed.
        is_lost: its session is over.
        is_marked: the ledger has its begin.
        deadline: when the claim of a returned handler is overdue, by the `SharedTime`.
    """

    delivery: Delivery
    job: JobRecord
    is_lost: bool = False
    is_marked: bool = False
    deadline: Instant = float("inf")


class HeldJobs:
    def __init__(self) -> None:
        self._by_key: dict[ClaimKey, HeldJob] = {}
        self._keys: dict[str, list[ClaimKey]] = {}

    def put(self, held: HeldJob) -> None:
        self._by_key[held.job.key] = held
        self._keys.setdefault(held.job.id, []).append(held.job.key)

    def pop(self, key: ClaimKey) -> HeldJob | None:
        held = self._by_key.pop(key, None)
        if held is not None:
            keys = self._keys[held.job.id]
            keys.remove(key)
            if not keys:
                del self._keys[held.job.id]
        return held

    def get(self, key: ClaimKey) -> HeldJob | None:
        return self._by_key.get(key)

    def newest(self, job_id: str) -> HeldJob | None:
        keys = self._keys.get(job_id)
        return self._by_key[keys[-1]] if keys else None

    def __iter__(self) -> Iterator[HeldJob]:
        """In the order of claims. Another thread may iterate, too."""
        return iter(list(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)


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


class Deliveries:
    """The deliveries of this runtime. Only the thread that takes turns calls this.

    Args:
        new_tag: a consumer's tag that was never used.
        wake: called when `adjust` is due.
    """

    def __init__(
        self, link: Link, monotonic: Callable[[], Seconds], new_tag: Callable[[], str], wake: Callable[[], None]
    ) -> None:
        self._link = link
        self._monotonic = monotonic
        self._new_tag = new_tag
        self._wake = wake
        self._stirs_at = 0.0
        self._session = 0
        self._names: dict[str, str] = {}
        self.fresh: deque[Delivery] = deque()
        self.unreadable_messages: deque[UnreadableMessage] = deque()
        self.waiting: dict[str, deque[Delivery]] = {}
        self.held = HeldJobs()
        self.stacks: dict[str, ConsumerStack] = {}
        self.wishes: dict[str, int] = {}
        self._lagging: set[str] = set()
        self._leaving: dict[str, Seconds] = {}
        self._taken_at: dict[str, Seconds] = {}

    def begin(self, session: int) -> None:
        """Begin a new session: the server will deliver anew, to any runtime, what was not acknowledged."""
        self._session, self._stirs_at = session, 0.0
        self._names.clear()
        self._leaving.clear()
        self.fresh.clear()
        self.unreadable_messages.clear()
        self.waiting.clear()
        self.stacks.clear()
        for held in self.held:
            held.is_lost = True

    def arrived(self, arrival: Arrival) -> None:
        name = self._names.get(arrival.consumer)
        if arrival.session != self._session:
            return
        if name is None:
            # The delivery was on its way when its consumer was ended.
            self._link.acknowledge(arrival.session, (), (arrival.tag,))
            return
        self.stacks[name].delivered(arrival.consumer)
        try:
            job = wire.read(arrival.body)
            if job.name != name:
                raise wire.UnreadableJob("it is a job of another name")
            wire.rest_of(arrival.headers)
            wire.deadline_of(arrival.headers)
        except wire.UnreadableJob as error:
            self.unreadable_messages.append(UnreadableMessage(arrival, queue_of(name), name, error))
        else:
            self.fresh.append(Delivery(arrival, job, self._monotonic()))

    def wait(self, delivery: Delivery, *, is_first: bool = False) -> None:
        """Have a job wait here for a lane. One whose consumer has left meanwhile goes to others at once."""
        name, consumer = delivery.job.name, delivery.arrival.consumer
        if delivery.arrival.session != self._session:
            return
        waiting = self.waiting.setdefault(name, deque())
        (waiting.appendleft if is_first else waiting.append)(delivery)
        if consumer not in self._names:
            self._names[consumer], self._leaving[consumer] = name, self._monotonic()

    def take(self, delivery: Delivery) -> None:
        """Have a job wait no longer."""
        self.waiting[delivery.name].remove(delivery)
        self._taken_at[delivery.name] = self._monotonic()

    def drop(self, one: Delivery | UnreadableMessage) -> None:
        for waiting in (
            (self.unreadable_messages,)
            if isinstance(one, UnreadableMessage)
            else (self.fresh, self.waiting.get(one.name))
        ):
            if waiting is not None and one in waiting:
                waiting.remove(one)  # type: ignore[arg-type]
        stack = self.stacks.get(one.name or "")
        if stack is not None and one.arrival.session == self._session:
            stack.let_go(one.arrival.consumer)

    def cancelled(self, session: int, consumer: str) -> None:
        name = self._names.get(consumer)
        if session == self._session and name is not None:
            self.stacks[name].cancelled(consumer)
            self._leaving.setdefault(consumer, self._monotonic() + LAG_SECONDS)

    def set_window(self, name: str, size: int, *, may_shrink_later: bool = False) -> None:
        """Set how many jobs of a name this runtime wants, held ones included. `adjust` tells the server.

        Args:
            may_shrink_later: a window of none may be temporary.
        """
        self.wishes[name] = size
        (self._lagging.add if may_shrink_later else self._lagging.discard)(name)

    def is_short(self, name: str) -> bool:
        """Whether fewer jobs of a name can come than are wanted, or the window is not set yet."""
        stack = self.stacks.get(name)
        return stack is None or (stack.size < self.wishes.get(name, 1))

    def is_unwanted(self, name: str) -> bool:
        return self.wishes.get(name) == 0

    def notice_surplus(self) -> bool:
        """Whether a window should shrink now. Sets an alarm if one should later."""
        due = [stack.shrinks_at for stack in self.stacks.values() if stack.shrinks_at is not None]
        due += self._leaving.values()
        due += map(self._stuck_at, self.stacks)
        now, first = self._monotonic(), min(due, default=math.inf)
        if first == math.inf:
            return False
        if now < first and not now < self._stirs_at <= first:
            self._stirs_at = first
            self._link.after(first - now, self._wake)
        return first <= now

    def adjust(self) -> list[Delivery]:
        """Begin and end consumers to match the windows. Jobs of an ended consumer without a lane are given back after a
        while, or at once if none are wanted. The server counts that as a failed delivery, so the next attempt costs two
        ledger records; short jobs end before the delay does.

        Where a job is stuck for `STUCK_SECONDS`, the consumers of its name are ended, and the next turn publishes
        `stuck` jobs anew, without a failed delivery.
        """
        if not self.wishes and not self._leaving:
            return []
        now = self._monotonic()
        back = self._leave(now)
        for name, size in self.wishes.items():
            stack = self.stacks.get(name)
            if stack is None:
                if size <= 0:
                    continue
                stack = self.stacks[name] = self._stack(name)
            is_stuck = self._stuck_at(name) <= now
            for tag in stack.resize(size, now, may_shrink_later=name in self._lagging, is_stuck=is_stuck):
                self._leaving[tag] = now + LAG_SECONDS
        back += self._leave(now)
        self._link.acknowledge(self._session, (), [one.arrival.tag for one in back])
        if self.notice_surplus():
            self._link.after(0.0, self._wake)
        return back

    def stuck(self) -> list[Delivery]:
        """Jobs of ended consumers that wait too long, or wait behind such a job."""
        now = self._monotonic()
        over = {tag: at <= now or self._stuck_at(self._names[tag]) <= now for tag, at in self._leaving.items()}
        waiting = chain.from_iterable(self.waiting.values() if over else ())
        return [one for one in waiting if over.get(one.arrival.consumer) and not one.arrival.redeliveries]

    def _stuck_at(self, name: str) -> Seconds:
        first = next((one.since for one in self.waiting.get(name, ()) if not one.arrival.redeliveries), math.inf)
        first = max(first, self._taken_at.get(name, first))
        return first + STUCK_SECONDS if self.stacks[name].size > self.wishes.get(name, 0) else math.inf

    def _leave(self, now: Seconds) -> list[Delivery]:
        """Remove and return the jobs of ended consumers that have had no lane for a while."""
        back: list[Delivery] = []
        for tag in [tag for tag, at in self._leaving.items() if at <= now or self.is_unwanted(self._names[tag])]:
            del self._leaving[tag]
            name = self._names.pop(tag)
            of_it = [one for one in self.waiting.get(name, ()) if one.arrival.consumer == tag]
            for one in of_it:
                self.drop(one)
            self.stacks[name].left(tag)
            back += of_it
        return back

    def _stack(self, name: str) -> ConsumerStack:
        session, queue = self._session, queue_of(name)

        def begin(tag: str, prefetch: int) -> None:
            self._names[tag] = name
            self._link.consume(session, queue, tag, prefetch=prefetch)

        return ConsumerStack(begin, lambda tag: self._link.cancel(session, tag), self._new_tag)
