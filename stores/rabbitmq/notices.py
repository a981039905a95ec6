"""Events of a link, on whichever thread reads them, kept in order until the next turn looks at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ...messages.jobs import Seconds
from ..ports import Answer
from .environment import StoreEnvironment
from .link import Link
from .questions import Answering
from .topology import ASKS


class IncomingNotices:
    def __init__(self, environment: StoreEnvironment, link: Link) -> None:
        self._environment = environment
        self._link = link
        self._answering = Answering(link)
        self._inbox: deque[Callable[[], object]] = deque()
        self._stirred = environment.event()
        self._heard: Callable[[], None] | None = None
        self._is_hinted = False

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this, from any thread, whenever a turn may be worth while."""
        self._heard = heard

    def answer(self, call: Answer | None) -> str:
        """Set, or remove, what answers questions from outside, on any thread. Returns the address for questions."""
        self._answering.call = call
        return ASKS

    def _later(self, call: Callable[[], object]) -> None:
        """Have the thread that takes turns make a call. Any thread calls this."""
        self._inbox.append(call)
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        if not self._is_hinted and self._heard is not None:
            self._is_hinted = True
            self._heard()

    def _wait(self, give_up_at: Seconds) -> bool:
        remaining = give_up_at - self._environment.clock.monotonic()
        if not self._inbox and remaining > 0:
            self._link.wait(self._stirred, remaining)
        self._stirred.clear()
        # The caller looks at events between this and the clearing, whatever the result.
        return bool(self._inbox) or give_up_at > self._environment.clock.monotonic()
