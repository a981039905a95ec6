"""Questions to the server outside of turns. The caller's own thread waits for the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from ...errors import StoreError, StoreUnavailable
from ...messages.jobs import Seconds
from ..ports import Answer
from . import topology
from .ledger_records import leader_in
from .link import LOCKED, NOT_FOUND, Arrival, Browsed, Link, LinkLost, Message, Refused, Sent
from .topology import ASKS

ASKED = "lamplighter-asks"

LIVES_SECONDS = 5.0
"""After this time nobody waits for a question or an answer any more."""


def answered(link: Link, arrival: Arrival, call: Answer | None) -> bool:
    """Whether an arrival is a question, which is then answered. The link's reader calls this.

    Args:
        call: answers a line; None while there is no answerer.
    """
    reply_to = arrival.reply_to
    if reply_to is None or ASKED not in (arrival.headers or {}):
        return False

    def say(line: bytes) -> None:
        link.send([_message("", reply_to, line)])

    link.acknowledge(arrival.session, (arrival.tag,))
    answer = b"" if call is None else call(arrival.body, say)
    if answer:
        say(answer)
    return True


def question(line: bytes, reply_to: str) -> Message:
    return _message(ASKS, "all", line)._replace(reply_to=reply_to, headers={ASKED: 1})


def _message(exchange: str, key: str, body: bytes) -> Message:
    # Not mandatory: the caller may have gone, and there may be no runtime.
    return Message(exchange=exchange, key=key, body=body, mandatory=False, lives=LIVES_SECONDS)


ANSWER_SECONDS_MAX = 10.0
"""After this time without an answer or confirmation, a turn's outcome is called unknown."""

LOCKED_SECONDS, LOCKED_TRIES_MAX = 0.05, 200


class ServerClient:
    """Asks the server outside of turns: the caller's own thread waits for the answer.

    Args:
        address: without a password.
        event: makes a thread's event.
    """

    answer_seconds_max: Seconds = ANSWER_SECONDS_MAX

    def __init__(self, address: str, link: Link, event: Callable[[], Any]) -> None:
        self.address = address
        self._link = link
        self._event = event

    def answer(self, future: Future[Any], seconds: Seconds | None = None) -> Any:
        """The answer; None if the requested object does not exist.

        Raises:
            StoreUnavailable: no answer in time, or a refusal.
        """
        try:
            return future.result(self.answer_seconds_max if seconds is None else max(0.0, seconds))
        except Refused as error:
            if error.code == NOT_FOUND:
                return None
            raise self._refused(error) from error
        except (LinkLost, FutureTimeout) as error:
            raise self._unanswered(error) from error

    def _refused(self, error: Refused) -> StoreUnavailable:
        return StoreUnavailable(f"the store {self.address} refuses: {error}")

    def _unanswered(self, error: Exception) -> StoreUnavailable:
        why = str(error) or "it is slow, or has an alarm, or has lost the majority of its nodes"
        return StoreUnavailable(f"the store {self.address} did not answer in time: {why}")

    def _missing(self, error: Refused) -> Exception:
        """A runtime declares its queues, so one that is missing comes back."""
        return self._refused(error)

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Browsed:
        """As `Link.browse`, once nobody else browses the queue.

        Raises:
            StoreError: there is no such queue, which only a visitor takes for an answer.
            StoreUnavailable: as `answer`.
        """
        tries_left = LOCKED_TRIES_MAX
        while True:
            asked = self._link.browse(queue, see)
            try:
                return asked.result(self.answer_seconds_max)
            except Refused as error:
                tries_left -= 1
                if error.code == NOT_FOUND:
                    raise self._missing(error) from error
                if error.code != LOCKED or not tries_left:
                    raise self._refused(error) from error
            except (LinkLost, FutureTimeout) as error:
                # A late answer has no receiver, and must not block the next caller.
                asked.add_done_callback(_put_all_back)
                raise self._unanswered(error) from error
            self._event().wait(LOCKED_SECONDS)

    def leader(self) -> str:
        """The leader in words, by its own latest record."""
        found: list[bytes] = []
        with contextlib.suppress(StoreError, StoreUnavailable):
            self.browse(topology.LEADER, lambda arrival: found.append(arrival.body)).done(())
        return leader_in(found)

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        """Publish messages; the indexes of those that are in their queues."""
        sent: Sent = self.answer(self._link.send(messages))
        astray = {*sent.returned, *sent.refused}
        return [index for index in range(len(messages)) if index not in astray]


def _put_all_back(asked: Future[Browsed]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        asked.result().done(())
