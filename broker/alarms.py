"""Alarms that wake the broker when time has made something due, one for each kind of thing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..environment.clock import Clock, Timer
from ..messages.jobs import Instant, Seconds


class Alarms:
    """Timers by kind: setting an alarm replaces the earlier one of its kind. `wake` runs on the clock's thread."""

    def __init__(self, clock: Clock, wake: Callable[[Any], object], is_over: Callable[[], bool]) -> None:
        self._clock = clock
        self._wake = wake
        self._is_over = is_over
        self._timers: dict[str, Timer] = {}
        self._instant: Instant | None = None
        self._polling = 0
        self._polls = False
        self._unheard = False

    def after(self, key: str, seconds: Seconds, body: Any) -> None:
        self._cancel(key)
        self._timers[key] = self._clock.after(seconds, partial(self._wake, body))

    def at(self, instant: Instant, body: Any) -> None:
        if self._instant == instant and instant > self._clock.now():
            return
        self._cancel("at")
        self._instant = instant
        self._timers["at"] = self._clock.at(instant, partial(self._wake, body))

    def poll(self, seconds: Seconds, body: Any, *, wanted: bool) -> None:
        """Wake every `seconds` while `wanted`. Call this when a poll is handled: no second one is sent before."""
        self._unheard = False
        if wanted == self._polls:
            return
        self._polls = wanted
        self._polling += 1
        if wanted:
            self._clock.after(seconds, partial(self._poll, self._polling, seconds, body))

    def _poll(self, polling: int, seconds: Seconds, body: Any) -> None:
        # Set again here and not in a turn, so that the clock knows its next call before it waits: an idle second has
        # two wake-ups, one of the clock and one of the broker.
        if polling == self._polling and not self._is_over():
            self._clock.after(seconds, partial(self._poll, polling, seconds, body))
            if not self._unheard:
                self._unheard = True
                self._wake(body)

    def _cancel(self, key: str) -> None:
        known = self._timers.get(key)
        if known is not None:
            known.cancel()
