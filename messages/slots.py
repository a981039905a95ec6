"""The terms of schedules: due slots, their fate, and how far they are accounted for.

All instants are seconds since the Unix epoch (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

FireOutcome = Literal["fired", "late", "caught_up"]


class Due(NamedTuple):
    """An instant at which a schedule is due.

    Attributes:
        slot: the instant, in seconds since the Unix epoch.
        note: what is special about it (it was moved out of a gap of local time, or stands for several), or None.
    """

    slot: float
    note: str | None = None


class Fire(NamedTuple):
    """A slot that is to be fired now.

    Attributes:
        slot: the instant, in seconds since the Unix epoch.
        outcome: `fired` on time (less than a second late), `late`, or `caught_up` because the policy asks for it.
        reason: why it is late or caught up, and the slot's own note; None when there is nothing to say.
    """

    slot: float
    outcome: FireOutcome
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRange:
    """Neighbouring slots that did not fire and never will.

    Attributes:
        first: the first of them, in seconds since the Unix epoch.
        last: the last of them; equal to `first` when there is one.
        count: how many there are, exactly; at least 1.
        reason: why none of them fired.
    """

    first: float
    last: float
    count: int
    reason: str


class Accounting(NamedTuple):
    """The fate of every slot up to an instant.

    Attributes:
        fires: the slots to fire, in order.
        skipped: the slots that do not fire, as ranges in order.
        accounted_to: every slot up to and including this instant is in `fires`, in `skipped`, or in an earlier
            accounting.
    """

    fires: tuple[Fire, ...]
    skipped: tuple[SlotRange, ...]
    accounted_to: float
