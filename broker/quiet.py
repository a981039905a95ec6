"""Whether a boot claims jobs: somebody may have it be quiet, for as long as it lives."""

from __future__ import annotations

import threading
from typing import NamedTuple

from ..messages.jobs import Attribution, Instant


class QuietSwitch(NamedTuple):
    """The last time that somebody had a boot be quiet, or go on."""

    is_quiet: bool
    at: Instant
    who: Attribution


class Quiet:
    """The request that a boot was given, by any thread; the broker heeds it at once, also before it has read a message
    about it.

    Attributes:
        switched: what it was told last; None if it never was.
        is_on: whether it claims nothing.
        logged: which of what it was told the log has.
    """

    def __init__(self) -> None:
        self.switched: QuietSwitch | None = None
        self.is_on = False
        self.logged: QuietSwitch | None = None
        self._lock = threading.Lock()

    @property
    def is_untold(self) -> bool:
        """Whether the log does not have yet what holds now."""
        logged = self.logged
        return self.is_on != (logged is not None and logged.is_quiet)

    def switch(self, is_quiet: bool, at: Instant, who: Attribution) -> None:
        """Be quiet, or go on. Nothing changes where it is so already: whoever was first has done it."""
        with self._lock:
            if self.is_on != is_quiet:
                self.switched, self.is_on = QuietSwitch(is_quiet, at, who), is_quiet
