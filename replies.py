"""How an answer reaches a waiting thread, and what it is told when nobody can answer any more."""

from __future__ import annotations

from concurrent.futures import InvalidStateError
from typing import Any

from .errors import LamplighterError
from .messages.mail import Reply


def reply_of(body: object) -> Reply | None:
    """Where a message's sender waits for an answer, if it does."""
    reply: Reply | None = getattr(body, "reply", None)
    return reply


class BrokerLost(LamplighterError):
    """The broker died before it answered; the edge asks the next incarnation.

    Attributes:
        read: whether it had taken the question out of its mailbox, and so may have died of it.
    """

    def __init__(self, message: str, *, read: bool) -> None:
        super().__init__(message)
        self.read = read


def answer(reply: Reply, value: Any, error: BaseException | None) -> None:
    """Answer, unless the caller has given up in this very moment."""
    try:
        if error is not None:
            reply.set_exception(error)
        else:
            reply.set_result(value)
    except InvalidStateError:
        # The caller was told that the outcome is unknown, and has the id with which to ask again.
        return
