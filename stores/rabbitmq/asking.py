"""Questions to a runtime from outside, and its answers, over the server: past its broker, which may hang.

A question goes to all runtimes by an exchange of its own, into the queues in which they hear the leader. The thread of
the link answers it, straight into the queue of whoever asks; nobody else looks at it. A question that needs a turn is
answered by the thread that took the turn.
"""

from __future__ import annotations

from ..ports import Answer
from .link import Arrival, Link, Message
from .topology import ASKS

ASKED = "lamplighter-asks"
"""The header by which a question is told from news."""

LIVES_SECONDS = 5.0
"""A question that is not heard by then, or an answer, is wanted by nobody any more."""


class Answering:
    """Answers what comes to one runtime.

    Attributes:
        call: answers a line; None while nobody does.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.call: Answer | None = None

    def takes(self, arrival: Arrival) -> bool:
        """Whether something that has come is a question, which is answered then. The reader of the link calls it."""
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
    """A line for all runtimes."""
    return _message(ASKS, "all", line)._replace(reply_to=reply_to, headers={ASKED: 1})


def _message(exchange: str, key: str, body: bytes) -> Message:
    # The one who asked may have gone, and where no runtime is, nobody hears.
    return Message(exchange=exchange, key=key, body=body, mandatory=False, lives=LIVES_SECONDS)
