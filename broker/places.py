"""Shares `workers_max` places among the names when their lanes are more than that.

Names get equal numbers of claims per round, and the next round begins after the name served last. So no name waits for
more than one round of the others, however much they have queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..stores.turn_ports import Want
from .outbox import HandlerCapacity

Claimer = Callable[[Sequence[Want]], Mapping[str, int]]


def is_limited(capacities: Mapping[str, HandlerCapacity], most: int) -> bool:
    return sum(capacity.lanes for capacity in capacities.values()) > most


def share_out(wants: Sequence[Want], places: int, claim: Claimer, *, names: Sequence[str], served: str) -> str:
    """Fill `places`. Return the name served last, for the next call.

    Args:
        wants: as without a limit.
        names: all names with lanes, in a stable order.
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
    """The wants, beginning after the name that was served last."""
    after = names.index(served) + 1 if served in names else 0
    turn = {name: (place - after) % len(names) for place, name in enumerate(names)}
    return sorted(wants, key=lambda want: turn[want.name])
