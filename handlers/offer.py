"""What a HandlerActor offers to the broker: how many claims it can take."""

from __future__ import annotations

from collections.abc import Sequence

from ..messages.mail import Capacity
from .handler import Handler
from .pace import Pace


def offer(
    job_name: str, incarnation: int, handlers: Sequence[Handler], *, lanes: int, pace: Pace, answers: int
) -> Capacity:
    """What the handlers of a job name can take together, before what is held is added.

    Args:
        lanes: how many jobs may run at once, if there is a handler.
        answers: the last `Resync` that this answers.
    """
    totals = [handler.concurrency_total for handler in handlers if handler.concurrency_total is not None]
    return Capacity(
        name=job_name,
        incarnation=incarnation,
        lanes=lanes if handlers else 0,
        prefetch=pace.prefetch(lanes),
        total=min(totals, default=None),
        interruptions_max=max((handler.policy.interruptions_max for handler in handlers), default=None),
        held=(),
        answers=answers,
    )
