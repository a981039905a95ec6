"""Questions to the server outside of turns. The caller's own thread waits for the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from ...errors import StoreUnavailable
from ...messages.jobs import Seconds
from ..ports import Answer
from . import topology
from .environment import StoreEnvironment
from .health_issues import HealthIssues
from .ledger_sums import leader_in
from .link import LOCKED, NOT_FOUND, Arrival, Browsed, Link, LinkLost, Message, Refused, Sent
from .topology import ASKS
from .unreadable import UnreadableMessage, put_aside

ASKED = "lamplighter-asks"

LIVES_SECONDS = 5.0
"""After this time nobody waits for a question or an answer any more."""


class Answering:
    """Answers the questions to one runtime.

    Attributes:
        call: answers a line; None while there is no answerer.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.call: Answer | None = None

    def takes(self, arrival: Arrival) -> bool:
        """Answer an arrival if it is a question. The link's reader calls this."""
        reply_to = arrival.reply_to
        if reply_to is None or ASKED not in (arrival.headers or {}):
            return False

        def say(line: bytes) -> None:
            self._link.send([_message("", reply_to, line)])

        self._link.acknowledge(arrival.session, (arrival.tag,))
        call = self.call
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

LOCKED_SECONDS = 0.05


class Questions:
    """Asks and waits. Meanwhile the thread that takes turns handles the link's events.

    Args:
        address: without a password.
        is_moved: called with the headers of each message that was put aside.
    """

    def __init__(
        self,
        address: str,
        link: Link,
        environment: StoreEnvironment,
        ailing: HealthIssues,
        is_moved: Callable[[dict[str, Any]], object],
    ) -> None:
        self._address = address
        self._link = link
        self._environment = environment
        self._ailing = ailing
        self._is_moved = is_moved

    def answer(self, future: Future[Any], seconds: Seconds = ANSWER_SECONDS_MAX) -> Any:
        """The answer; None if the requested object does not exist.

        Raises:
            StoreUnavailable: no answer in time.
        """
        try:
            return future.result(max(0.0, seconds))
        except Refused as error:
            if error.code == NOT_FOUND:
                return None
            raise StoreUnavailable(f"the store {self._address} refuses: {error}") from error
        except (LinkLost, FutureTimeout) as error:
            raise self._unanswered(error) from error

    def _unanswered(self, error: Exception) -> StoreUnavailable:
        why = str(error) or "it is slow, or has an alarm, or has lost the majority of its nodes"
        return StoreUnavailable(f"the store {self._address} did not answer in time: {why}")

    def browse(self, queue: str, see: Callable[[Arrival], object]) -> Browsed:
        give_up_at = self._environment.clock.monotonic() + ANSWER_SECONDS_MAX
        while True:
            asked = self._link.browse(queue, see)
            try:
                return asked.result(ANSWER_SECONDS_MAX)
            except Refused as error:
                if error.code != LOCKED or self._environment.clock.monotonic() > give_up_at:
                    raise StoreUnavailable(f"the store {self._address} refuses: {error}") from error
            except (LinkLost, FutureTimeout) as error:
                # A late answer has no receiver, and must not block the next caller.
                asked.add_done_callback(_put_all_back)
                raise self._unanswered(error) from error
            self._environment.event().wait(LOCKED_SECONDS)

    def leader(self) -> str:
        found: list[bytes] = []
        with contextlib.suppress(StoreUnavailable):
            self.browse(topology.LEADER, lambda arrival: found.append(arrival.body)).done(())
        return leader_in(found)

    def put_aside(self, unreadable_messages: Sequence[UnreadableMessage]) -> Sequence[int]:
        """Move unreadable messages to their queue; the tags of those that arrived."""
        if not unreadable_messages:
            return ()
        now = self._environment.clock.now()
        sent: Sent = self.answer(
            self._link.send([put_aside(unreadable_message, now) for unreadable_message in unreadable_messages])
        )
        gone = [
            unreadable_message
            for index, unreadable_message in enumerate(unreadable_messages)
            if index not in (*sent.returned, *sent.refused)
        ]
        for unreadable_message in gone:
            self._is_moved(unreadable_message.fields)
        self._ailing.count_unreadable()
        return [unreadable_message.arrival.tag for unreadable_message in gone]


def _put_all_back(asked: Future[Browsed]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        asked.result().done(())
