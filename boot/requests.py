"""How a caller's thread asks the broker: again when a broker dies over the question, and within a time limit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..actors.base import ActorContext, RuntimeActor
from ..actors.job_broker import JobBroker
from ..environment.replies import ENDING, BrokerLost
from ..errors import StoreUnavailable, UsageError
from ..messages.jobs import NewJob, Seconds
from ..messages.mail import Declare, Reply
from ..messages.schedules import ScheduleRecord
from ..rules.limits import batches

BROKER_DEATHS_MAX = 3
"""After so many brokers died while handling a message, it is not sent to the next."""

LOST_SECONDS = 0.01
"""Polling interval for a broker that is being restarted."""

WRITTEN_HERE = (
    "expected this call before your SQLAlchemy transaction writes to the store's file, or after its end: the runtime "
    "would wait for the transaction, and this caller for the runtime. queue, aqueue, mark_done and amark_done can join "
    "it: connection="
)

BUSY_HERE = (
    "expected a call that may wait for the runtime, got one in the midst of the runtime's own work, which waits for "
    "this thread: from a processor, a filter or a handler of its log lines, or from a finalizer (__del__, "
    "weakref.finalize) that Python has called there; hand it over to another thread"
)

DECLARED_MAX = 1_000
"""How many schedules one turn stores: messages of others wait meanwhile."""


class Requests:
    """The questions of a boot's callers to its broker.

    Attributes:
        before_waiting: raises where the calling thread itself holds what the answer would wait for, as far as a web
            framework knows that.
    """

    def __init__(self, context: ActorContext) -> None:
        self.context = context
        self.is_over = False
        self.before_waiting: Callable[[], None] | None = None
        self._host = context.store.host
        self._environment = context.environment

    @property
    def broker(self) -> JobBroker | None:
        """The newest broker, dead or alive; None before the first."""
        found = self.context.post.find("broker")
        return found if isinstance(found, JobBroker) else None

    @property
    def store_trouble(self) -> str | None:
        """Why the store is unavailable, by the broker's last report."""
        return None if self.broker is None else self.broker.store_trouble

    @property
    def has_given_up(self) -> bool:
        """Whether a stop has ceased to wait for the store."""
        return self.broker is not None and self.broker.has_given_up

    def ask(
        self,
        make: Callable[[Reply], Any],
        *,
        jobs: Sequence[NewJob] = (),
        root_id: str | None = None,
        here: bool = False,
    ) -> Any:
        """Send the broker a message and wait for its answer.

        Args:
            jobs: those to be stored, whose ids callers need that must ask again.
            here: whether the calling thread may take the broker's turn itself, if the broker waits for mail.

        Raises:
            StoreUnavailable: no answer within `reply_seconds_max`. A turn that the thread takes itself is waited for.
            UsageError: the call would wait for its own transaction or itself; or the interpreter ends.
            LamplighterError: the broker refused, or `before_waiting` does.
        """
        broker, deaths = self.check_caller(), 0
        if here and jobs and isinstance(broker, JobBroker) and self._environment.may_stand_in():
            try:
                if (stored := broker.queue_here(jobs)) is not None:
                    if self._environment.accepted is not None:
                        self._environment.accepted(stored)
                    return stored
            except BrokerLost:
                deaths = 1
        request = BrokerRequest(self, make, jobs, root_id, deaths)
        while True:
            reply = self._environment.reply()
            if not request.tell(reply, here=here and self._environment.may_stand_in()):
                if sys.is_finalizing():
                    raise UsageError(ENDING)
                self._environment.event().wait(LOST_SECONDS)
                continue
            try:
                return reply.wait(request.remaining())
            except TimeoutError:
                raise request.gave_up() from None
            except BrokerLost as lost:
                request.lost(lost)

    def check_caller(self) -> RuntimeActor | None:
        """Check that the calling thread may wait for the broker, which is returned; raises as `ask`."""
        broker = self.context.post.find("broker")
        if broker is not None and (broker.mailbox.is_read_here() or self.context.log.is_written_here):
            raise UsageError(BUSY_HERE)
        if self._host is not None and self._host.written_here():
            raise UsageError(WRITTEN_HERE)
        if self.before_waiting is not None:
            self.before_waiting()
        return broker

    async def ask_async(
        self, make: Callable[[Reply], Any], *, jobs: Sequence[NewJob] = (), root_id: str | None = None
    ) -> Any:
        """`ask` without blocking the event loop."""
        if self._host is not None and self._host.written_here(blocks=False):
            raise UsageError(WRITTEN_HERE)
        request = BrokerRequest(self, make, jobs, root_id)
        while True:
            reply = self._environment.loop_reply()
            if not request.tell(reply):
                await asyncio.sleep(LOST_SECONDS)
                continue
            try:
                return await reply.wait(request.remaining())
            except TimeoutError:
                raise request.gave_up() from None
            except BrokerLost as lost:
                request.lost(lost)

    def declare(self, schedules: Sequence[ScheduleRecord]) -> None:
        """Store schedules, which count from now on. Many take several turns, each committed by itself.

        Raises:
            StoreUnavailable, LamplighterError: as `ask`; the stored ones stay, and may be declared again.
        """
        for some in batches(schedules, DECLARED_MAX):
            self.ask(partial(Declare, some))


class BrokerRequest:
    """One question to the broker, sent again to the next incarnation when one dies over it, until its time is up."""

    def __init__(
        self,
        requests: Requests,
        make: Callable[[Reply], Any],
        jobs: Sequence[NewJob],
        root_id: str | None,
        deaths: int = 0,
    ) -> None:
        self._requests = requests
        self._make = make
        self._jobs = jobs
        self._root_id = root_id
        self._deaths = deaths
        self._give_up_at = requests.context.clock.monotonic() + requests.context.limits.reply_seconds_max

    @property
    def _job_ids(self) -> tuple[str, ...]:
        return tuple(job.id for job in self._jobs)

    def tell(self, reply: Reply, *, here: bool = False) -> bool:
        """Send the question; False when there is no broker at this moment.

        Args:
            here: whether the calling thread may take the broker's turn, unless a broker has died of this question.

        Raises:
            StoreUnavailable: the time is up, the broker is too far behind, or the runtime has been stopped.
        """
        if self.remaining() <= 0:
            raise self.gave_up()
        post, most = self._requests.context.post, self._requests.context.limits.mailbox_messages_max
        broker = post.find("broker")
        if broker is not None and broker.behind > most:
            why = self._requests.store_trouble or "the broker is busy"
            raise StoreUnavailable(
                f"{broker.behind} messages wait to be stored, more than mailbox_messages_max={most}: {why}; try later",
                self._job_ids,
            )
        is_sent = post.tell("broker", self._make(reply), root_id=self._root_id, here=here and not self._deaths)
        if not is_sent and self._requests.is_over:
            raise StoreUnavailable("the runtime was stopped before this was answered", self._job_ids)
        return is_sent

    def remaining(self) -> Seconds:
        return self._give_up_at - self._requests.context.clock.monotonic()

    def lost(self, lost: BrokerLost) -> None:
        """A broker died before it answered. Raises StoreUnavailable if it was not the first to die over this."""
        self._deaths += lost.read
        if self._deaths >= BROKER_DEATHS_MAX:
            raise StoreUnavailable(f"{self._deaths} brokers died while they handled this", self._job_ids)

    def gave_up(self) -> StoreUnavailable:
        broker = self._requests.broker
        likely = self._requests.store_trouble or (None if broker is None else broker.held_up)
        if likely is None:
            likely = "the broker is busy or being restarted"
        elif self._requests.context.store.place.one_writer:
            likely += ". Is a write transaction open on the file? If it is this process's own, pass connection="
        return StoreUnavailable(
            f"no answer within reply_seconds_max={self._requests.context.limits.reply_seconds_max:g} s: {likely}",
            self._job_ids,
        )
