"""How the edge asks the broker: again when one dies over it, and not for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..environment.replies import BrokerLost
from ..errors import StoreUnavailable
from ..messages.jobs import Seconds
from ..messages.mail import Reply

if TYPE_CHECKING:
    from .boot import Life

BROKER_DEATHS_MAX = 3
"""A message that was in the hands of so many dying brokers is not given to another."""


class Asking:
    """One question to the broker: told again to the next incarnation when one dies over it, until its time is up."""

    def __init__(self, life: Life, make: Callable[[Reply], Any], job_ids: Sequence[str], corr: str | None) -> None:
        self._life = life
        self._make = make
        self._job_ids = job_ids
        self._corr = corr
        self._deaths = 0
        self._give_up_at = life.clock.monotonic() + life.limits.reply_seconds_max

    def tell(self, reply: Reply) -> bool:
        """Put the question, to be answered there; False when there is no broker at this moment.

        Raises:
            StoreUnavailable: the time is up, the broker is too far behind, or the runtime has been stopped.
        """
        if self.remaining() <= 0:
            raise self.gave_up()
        broker = self._life.post.find("broker")
        most = self._life.limits.mailbox_messages_max
        if broker is not None and broker.behind > most:
            why = self._life.store_trouble or "the broker is busy"
            raise StoreUnavailable(
                f"{broker.behind} messages wait to be stored, more than mailbox_messages_max={most}: {why}; try later",
                self._job_ids,
            )
        told = self._life.post.tell("broker", self._make(reply), corr=self._corr)
        if not told and self._life.is_over:
            raise StoreUnavailable("the runtime was stopped before this was answered", self._job_ids)
        return told

    def remaining(self) -> Seconds:
        """Seconds that are left."""
        return self._give_up_at - self._life.clock.monotonic()

    def lost(self, lost: BrokerLost) -> None:
        """A broker died before it answered.

        Raises:
            StoreUnavailable: it was not the first to die with this question in its hands.
        """
        self._deaths += lost.read
        if self._deaths >= BROKER_DEATHS_MAX:
            raise StoreUnavailable(f"{self._deaths} brokers died while they handled this", self._job_ids)

    def gave_up(self) -> StoreUnavailable:
        """The error for the caller."""
        likely = self._life.store_trouble
        if likely is None:
            likely = "the broker is busy or being restarted"
        elif not self._life.store.is_server:
            likely += ". Is a write transaction open on the file? If it is this process's own, pass connection="
        return StoreUnavailable(
            f"no answer within reply_seconds_max={self._life.limits.reply_seconds_max:g} s: {likely}", self._job_ids
        )
