"""Shares the places for running jobs out among the names, where all their lanes together are more than `workers_max`.

A name is asked for so many at a time that all that wait for a place get as many, and next time the one behind the last
that was served is asked first. So no name has to wait for more than one round of the others, whatever they have queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..stores.turn_ports import Want
from .outbox import HandlerCapacity

Claimer = Callable[[Sequence[Want]], Mapping[str, int]]
"""Claims for some wants; how many claims each name has got."""


def is_limited(capacities: Mapping[str, HandlerCapacity], most: int) -> bool:
    """Whether there may be more lanes than places."""
    return sum(capacity.lanes for capacity in capacities.values()) > most


def share_out(wants: Sequence[Want], places: int, claim: Claimer, *, names: Sequence[str], served: str) -> str:
    """Have so many places be filled. Which name was served last, for the next time.

    Args:
        wants: as they would be without a limit.
        names: all that have lanes, in an order that stays.
        served: which one was served last.
    """
    pending = deque(_in_turn(wants, names, served))
    while pending and places > 0:
        share = max(1, places // len(pending))
        asked = [pending.popleft() for _ in range(min(len(pending), places))]
        some = [want._replace(begun=min(want.begun, share), prefetched=0) for want in asked]
        got = claim([want for want in some if want.begun])
        for want, part in zip(asked, some, strict=True):
            count = got.get(want.name, 0)
            places -= count
            if count:
                served = want.name
            if count == part.begun and want.begun > count:
                pending.append(want._replace(begun=want.begun - count))
    return served


def _in_turn(wants: Sequence[Want], names: Sequence[str], served: str) -> list[Want]:
    """The wants, those first whose names come after the one that was served last."""
    after = names.index(served) + 1 if served in names else 0
    turn = {name: (place - after) % len(names) for place, name in enumerate(names)}
    return sorted(wants, key=lambda want: turn[want.name])
