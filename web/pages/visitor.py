"""Who looks at the page, and what they may do there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import UsageError, shown
from ..faces.http import Request, Response

Right = Literal["look", "data", "requeue", "cancel", "pause", "schedule", "quiet"]
"""The rights of a visitor: to see all but data; data, results and progress; to requeue or copy jobs; to cancel or
forget them; to pause, resume and limit names; to pause, resume, run and remove schedules; to have a runtime take
nothing new."""

RIGHTS: frozenset[str] = frozenset(get_args(Right))

LOOK: frozenset[Right] = frozenset({"look"})
"""Everything can be seen but what jobs carry."""

STEER: frozenset[Right] = frozenset({"look", "requeue", "cancel", "pause", "schedule", "quiet"})
"""Whatever there is to do, without seeing what jobs carry."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at the page.

    Attributes:
        name: goes into the log, as `by`, with all that they do; 1 to 200 characters.
        may: their rights. `LOOK` and `STEER` are sets of them.
        log_out: the path below the page to which the button "Log out" sends a form, for `who` to answer; "" for none.

    Raises:
        UsageError: the name is none, or a right is not known.
    """

    name: str
    may: Collection[Right] = LOOK
    log_out: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 200:
            raise UsageError(f"expected a visitor's name of 1 to 200 characters, got: {shown(self.name)}")
        if isinstance(self.may, str) or not RIGHTS.issuperset(self.may):
            raise UsageError(f"expected rights out of {', '.join(sorted(RIGHTS))}, got: {shown(self.may)}")


Who = Callable[[Request], "Visitor | Response | None"]
"""Says who has sent a request: None where nobody is known, or an answer instead of the page, such as a redirect to
where one logs in."""
