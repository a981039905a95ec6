"""Tells the pages that are open that something has changed, and so that they are to be read again.

It tells only that something changed: a page is read again the way it was read first, with the same rights. While
nobody listens, nothing is asked.

A page says which version of the store it shows, and a browser that comes again says which it has heard of. So nothing
is missed between the page and its stream, nor between one stream and the next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock

from ..messages.jobs import Seconds
from .pages.page import PageContent

TOLD_SECONDS = 0.25
"""How often a page is sent; the last one always is."""


async def told(
    pages: Generator[PageContent, None, None], render: Callable[[PageContent], str], monotonic: Callable[[], Seconds]
) -> AsyncIterator[bytes]:
    """The stream to the browser. Between one page and the next, `pages` does something."""
    loop = asyncio.get_running_loop()
    # All of it on one thread: what is opened for the first step belongs to the thread that takes it.
    thread = ThreadPoolExecutor(1, "page")
    try:
        while (page := await loop.run_in_executor(thread, _next, pages, monotonic)) is not None:
            yield b"event: page\ndata: " + json.dumps(render(page)).encode() + b"\n\n"
    finally:
        # When the browser leaves, the current step, at most one write batch, is finished.
        await loop.run_in_executor(thread, pages.close)
        thread.shutdown()


def _next(pages: Generator[PageContent, None, None], monotonic: Callable[[], Seconds]) -> PageContent | None:
    """The page after so many steps as fit between two that are sent; None when there are no more."""
    began, last = monotonic(), None
    for page in pages:
        last = page
        if monotonic() - began >= TOLD_SECONDS:
            break
    return last


LOOK_SECONDS = 0.5
"""How often the store is asked whether it has changed, while somebody listens. It costs microseconds."""

STREAM_SECONDS_MAX = 60.0
"""A browser comes again then: some servers wait at their end for streams that are open."""

STREAMS_MAX = 200
"""How many streams of one site are open at once. A page that gets none asks at times, as where nothing streams."""

SHARE = 0.02
"""How much of the time the pages that are read again may take: one that takes long is read again more seldom."""


class Live:
    """The streams of one site. All of them share one watch, which is open while somebody listens.

    Args:
        watch: gives, for as long as it is open, something that tells the store's state now from another.
        version: gives a text that is another one after the store has changed, whoever is told it.
    """

    def __init__(
        self,
        watch: Callable[[], AbstractContextManager[Callable[[], object]]],
        version: Callable[[], str],
        monotonic: Callable[[], Seconds],
        sleep: Callable[[Seconds], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._watch = watch
        self.version = version
        self._time = monotonic
        self._sleep = sleep
        self._cost = 0.0
        self._listeners = 0
        self._shared = ExitStack()
        self._state: Callable[[], object] = self.version
        self._lock = Lock()

    @property
    def listeners(self) -> int:
        return self._listeners

    def note_cost(self, seconds: float) -> None:
        """Note how long a page took to make; the mean of the last ones counts."""
        self._cost += (seconds - self._cost) / 4

    async def stream(self, seen: str | None = None) -> AsyncIterator[bytes]:
        """The stream to one browser, which shows the version `seen`: an event for each change, but not too often."""
        with self._watched() as state:
            # Read the version first: a change between the two reads is then sent twice instead of never.
            version, now = self.version(), state()
            end, told = self._time() + STREAM_SECONDS_MAX, self._time()
            yield f"retry: 1000\nid: {version}\n\n".encode()
            if seen not in (None, version):
                yield _stale(version)
            while self._time() < end:
                await self._sleep(LOOK_SECONDS)
                if state() != now and self._time() - told >= self._cost * self._listeners / SHARE:
                    version, now, told = self.version(), state(), self._time()
                    yield _stale(version)

    @contextmanager
    def _watched(self) -> Iterator[Callable[[], object]]:
        """The version of the store's state now, for one more stream."""
        with self._lock:
            if not self._listeners:
                self._state = self._shared.enter_context(self._watch())
            self._listeners += 1
        try:
            yield self._state
        finally:
            with self._lock:
                self._listeners -= 1
                if not self._listeners:
                    self._shared.close()


def _stale(version: str) -> bytes:
    return f"id: {version}\nevent: stale\ndata: \n\n".encode()
