"""How a caller's thread asks the broker: again when a broker dies over the question, and within a time limit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..actors.base import ActorContext, RuntimeActor
from ..actors.job_broker import JobBroker
from ..environment.replies import ENDING, BrokerLost, run_here
from ..environment.threads import has_ended
from ..errors import StoreUnavailable, UsageError
from ..handlers.lanes import SERVING
from ..messages.jobs import NewJob
from ..messages.mail import Declare, Reply
from ..messages.schedules import ScheduleRecord
from ..rules.limits import batches

BROKER_DEATHS_MAX = 3
"""After so many brokers died while handling a message, it is not sent to the next."""

LOST_SECONDS = 0.01
"""Polling interval for a broker that is being restarted."""

WRITTEN_HERE = (
    "expected this call before your SQLAlchemy transaction writes to the store's file, or after its end: the runtime "
    "would wait for the transaction, and this caller for the runtime. queue, mark_done, signal, a Step, and what adds "
    "or removes a schedule can join it: connection="
)

BUSY_HERE = (
    "expected a call that may wait for the runtime, got one in the midst of the runtime's own work, which waits for "
    "this thread: from a processor, a filter or a handler of its log lines, or from a finalizer (__del__, "
    "weakref.finalize) that Python has called there; hand it over to another thread"
)

DECLARED_MAX = 1_000
"""How many schedules one turn stores: messages of others wait meanwhile."""


@dataclass(eq=False)
class Requests:
    """The questions of a boot's callers to its broker.

    Attributes:
        before_waiting: raises where the calling thread itself holds what the answer would wait for, as far as a web
            framework knows that.
    """

    context: ActorContext
    is_over: bool = False
    before_waiting: Callable[[], None] | None = None

    @property
    def broker(self) -> JobBroker | None:
        """The newest broker, dead or alive; None before the first."""
        found = self.context.post.find("broker")
        return found if isinstance(found, JobBroker) else None

    @property
    def store_trouble(self) -> str | None:
        """Why the store is unavailable, by the broker's last report."""
        error = None if self.broker is None else self.broker.store_error
        return None if error is None else str(error)

    @property
    def has_given_up(self) -> bool:
        """Whether a stop has ceased to wait for the store."""
        return self.broker is not None and self.broker.has_given_up

    def ask(self, make: Callable[[Reply], Any], **how: Any) -> Any:
        """`asked` by a thread that waits."""
        return run_here(self.asked(make, **how))

    async def asked(
        self,
        make: Callable[[Reply], Any],
        *,
        awaits: bool = False,
        jobs: Sequence[NewJob] = (),
        root_id: str | None = None,
        here: bool = False,
    ) -> Any:
        """Send the broker a message and wait for its answer; ask the next incarnation when one dies over it.

        Args:
            awaits: whether the caller runs on an event loop, which goes on meanwhile. Otherwise nothing is awaited.
            jobs: those to be stored, whose ids callers need that must ask again.
            here: whether the calling thread may take the broker's turn itself, if the broker waits for mail.

        Raises:
            StoreUnavailable: no answer within `reply_seconds_max`. A turn that the thread takes itself is waited for.
            UsageError: the call would wait for its own transaction or itself; or the interpreter ends.
            LamplighterError: the broker refused, or `before_waiting` does.
        """
        environment, clock, host, deaths = self.context.environment, self.context.clock, self.context.store.host, 0
        here = here and not awaits
        if not awaits:
            broker = self.check_caller()
            if here and jobs and isinstance(broker, JobBroker) and environment.may_stand_in():
                try:
                    if (stored := broker.queue_here(jobs)) is not None:
                        if environment.accepted is not None:
                            environment.accepted(stored)
                        return stored
                except BrokerLost:
                    deaths = 1
        elif host is not None and host.written_here(blocks=False):
            raise UsageError(WRITTEN_HERE)
        give_up_at = clock.monotonic() + self.context.limits.reply_seconds_max
        while True:
            reply: Any = environment.loop_reply() if awaits else environment.reply()
            if clock.monotonic() >= give_up_at:
                raise self._gave_up(jobs)
            # The turn of a question of which a broker has died is not taken here.
            stands_in = here and not deaths and environment.may_stand_in()
            if not self._tell(make(reply), jobs, root_id, here=stands_in):
                if awaits:
                    await asyncio.sleep(LOST_SECONDS)
                elif sys.is_finalizing():
                    raise UsageError(ENDING)
                else:
                    environment.event().wait(LOST_SECONDS)
                continue
            try:
                left = give_up_at - clock.monotonic()
                return await reply.wait(left) if awaits else reply.wait(left)
            except TimeoutError:
                raise self._gave_up(jobs) from None
            except BrokerLost as lost:
                deaths += lost.read
                if deaths >= BROKER_DEATHS_MAX:
                    says = f"{deaths} brokers died while they handled this"
                    raise StoreUnavailable(says, _ids_of(jobs)) from lost

    def _tell(self, body: Any, jobs: Sequence[NewJob], root_id: str | None, *, here: bool) -> bool:
        """Send the broker a message; False when there is no broker at this moment.

        Raises:
            StoreUnavailable: the broker is too far behind, or the runtime has been stopped.
        """
        post, most = self.context.post, self.context.limits.mailbox_messages_max
        broker = post.find("broker")
        if broker is not None and broker.behind > most:
            why = self.store_trouble or "the broker is busy"
            raise StoreUnavailable(
                f"{broker.behind} messages wait to be stored, more than mailbox_messages_max={most}: {why}; try later",
                _ids_of(jobs),
            )
        is_sent = post.tell("broker", body, root_id=root_id, here=here)
        if not is_sent and self.is_over:
            raise StoreUnavailable("the runtime was stopped before this was answered", _ids_of(jobs))
        return is_sent

    def _gave_up(self, jobs: Sequence[NewJob]) -> StoreUnavailable:
        likely = self.store_trouble or (None if self.broker is None else self.broker.held_up)
        if likely is None:
            likely = "the broker is busy or being restarted"
        elif self.context.store.place.one_writer:
            likely += ". Is a write transaction open on the file? If it is this process's own, pass connection="
        return StoreUnavailable(
            f"no answer within reply_seconds_max={self.context.limits.reply_seconds_max:g} s: {likely}", _ids_of(jobs)
        )

    def check_caller(self) -> RuntimeActor | None:
        """Check that the calling thread may wait for the broker, which is returned; raises as `ask`."""
        broker = self.context.post.find("broker")
        # The thread of a broker that is dead may have had the number that this thread has.
        takes_a_turn = broker is not None and broker.mailbox.is_read_here() and not has_ended(broker.thread)
        if takes_a_turn or self.context.log.is_written_here or getattr(SERVING, "here", False):
            raise UsageError(BUSY_HERE)
        host = self.context.store.host
        if host is not None and host.written_here():
            raise UsageError(WRITTEN_HERE)
        if self.before_waiting is not None:
            self.before_waiting()
        return broker

    def declare(self, schedules: Sequence[ScheduleRecord]) -> None:
        """Store schedules, which count from now on. Many take several turns, each committed by itself.

        Raises:
            StoreUnavailable, LamplighterError: as `ask`; the stored ones stay, and may be declared again.
        """
        for some in batches(schedules, DECLARED_MAX):
            self.ask(partial(Declare, some))


def _ids_of(jobs: Sequence[NewJob]) -> tuple[str, ...]:
    return tuple(job.id for job in jobs)
