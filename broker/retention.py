"""Retention: removes jobs that ended long ago and slots that nobody needs, a batch a turn."""

from __future__ import annotations

from ..messages.jobs import Seconds
from ..messages.mail import Housekeep
from .alarms import Alarms
from .outbox import Outbox
from .state import BrokerState
from .turn_context import TurnContext

SLOTS_SECONDS = 3600.0
"""Interval between prunings of slots, which are kept for days."""

PRUNED_ROWS_MAX = 500


class Retention:
    """Sets an alarm for each next `Housekeep`. A new broker's first one prunes the slots too."""

    def __init__(self, state: BrokerState, alarms: Alarms) -> None:
        self._state = state
        self._alarms = alarms
        self._slots_due = 0.0

    def put_off(self) -> None:
        self._wake_after(self._retention_step())

    def prune(self, context: TurnContext) -> None:
        """Remove a batch. While there is more, the next follows at once."""
        limits, now = self._state.limits, context.turn.now
        with_slots = self._slots_due <= self._state.monotonic()
        rows = context.turn.prune(
            done_before=now - limits.keep_done_seconds,
            dead_before=now - limits.keep_dead_seconds,
            slots_before=now if with_slots else None,
            batch=PRUNED_ROWS_MAX,
        )
        if rows:
            context.say("retention.pruned", rows=rows)
        if with_slots and rows < PRUNED_ROWS_MAX:
            context.out.slots_are_pruned = True
        context.out.housekeep_after = 0.0 if rows >= PRUNED_ROWS_MAX else self._retention_step()

    def take(self, out: Outbox) -> None:
        if out.slots_are_pruned:
            self._slots_due = self._state.monotonic() + SLOTS_SECONDS
        self._wake_after(out.housekeep_after or 0.0)

    def _retention_step(self) -> Seconds:
        limits = self._state.limits
        return max(1.0, min(300.0, limits.keep_done_seconds / 4, limits.keep_dead_seconds / 4))

    def _wake_after(self, seconds: Seconds) -> None:
        self._alarms.after("retention", seconds, Housekeep())
