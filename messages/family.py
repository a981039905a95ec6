"""The messages that the supervisor gets from its children."""

from __future__ import annotations

from typing import NamedTuple

from .mail import Mail


class Died(NamedTuple):
    """An actor's loop has ended. Sent from the `finally` around it, on its own thread.

    Attributes:
        over: the message that it had in hand.
        is_anothers: whether the error came to a thread of the application, which stood in for its own.
    """

    child: str
    incarnation: int
    reason: str
    traceback: str | None
    over: Mail | None
    is_anothers: bool = False


class StartChild(NamedTuple):
    """Start a child of the family, unless it lives already."""

    child: str


class StopChild(NamedTuple):
    """Stop a child for good."""

    child: str


class StopFamily(NamedTuple):
    """Stop every child for good, the last one first."""


class StartNow(NamedTuple):
    """The back-off of a child is over, or cut short."""

    child: str
    incarnation: int
