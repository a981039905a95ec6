"""The tools that change something: only those that were allowed, for a reason, and on jobs that are named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from ...admin.operator import Operator
from ...admin.sweeping import Sweep
from ...errors import UsageError, shown
from ...rules.wording import many
from .answers import Answer, answer

Right = Literal["requeue", "cancel", "pause"]

RIGHTS: tuple[Right, ...] = ("requeue", "cancel", "pause")
"""The acts that can be allowed."""

JOBS_MAX = 100
"""The most jobs of one call."""

BY_CHARACTERS_MAX = 100


class ActingTools:
    """Acts on a store for a model; each method but `tools` is what a tool does.

    Args:
        address: the path of a store's file.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def requeue(self, client: str, ids: Sequence[str], reason: str) -> Answer:
        """Put jobs that have ended back into the queue."""
        return self._sweep(client, ids, "requeue", reason)

    def cancel(self, client: str, ids: Sequence[str], reason: str) -> Answer:
        """Cancel jobs that wait or run."""
        return self._sweep(client, ids, "cancel", reason)

    def pause(self, client: str, name: str, reason: str, paused: bool) -> Answer:
        """Have no job of a name be started, or have them be started again."""
        operator, why = self._operator(client), _reason(reason)
        if paused:
            operator.pause(name, reason=why)
        else:
            operator.resume(name, reason=why)
        return answer("no more job of it will be started" if paused else "its jobs are started again", {"name": name})

    def _sweep(self, client: str, ids: Sequence[str], action: Sweep, reason: str) -> Answer:
        if not 1 <= len(ids) <= JOBS_MAX:
            raise UsageError(f"expected 1 to {JOBS_MAX} ids, got: {len(ids)}; nothing was done")
        # They are few enough for one turn.
        page = list(dict.fromkeys(ids))
        swept = next(self._operator(client).sweep([page], action, reason=_reason(reason)))
        left = f"{swept.changed:,} left as they are: gone, or not in a state in which this can be done"
        taken = f"{swept.refused:,} left as they are: another unfinished job has their unique key"
        return answer(f"{action}: {many(swept.done, 'job')} done; {left}; {taken}", swept._asdict())

    def _operator(self, client: str) -> Operator:
        return Operator(self._address, by=f"mcp:{client[:BY_CHARACTERS_MAX] or 'unknown'}", via="mcp")


def _reason(text: str) -> str:
    """
    Raises:
        UsageError: there is none.
    """
    if not text.strip():
        raise UsageError("expected a reason, which stands in the log, got none; nothing was done")
    return text.strip()


def rights_of(text: str) -> Collection[Right]:
    """The rights that a list with commas names.

    Raises:
        UsageError: one of them is none.
    """
    known: Mapping[str, Any] = {right: right for right in RIGHTS}
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in known]
    if unknown:
        raise UsageError(f"expected --allow to be out of {', '.join(RIGHTS)}, got: {shown(unknown[0])}")
    return [known[word] for word in wanted]
