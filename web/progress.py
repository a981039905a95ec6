"""Sends a browser a page again and again while something is done: whoever closes the stream stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor

from ..messages.jobs import Seconds
from .pages.page import PageContent

TOLD_SECONDS = 0.25
"""How often a page is sent; the last one always is."""


async def told(
    pages: Generator[PageContent, None, None], render: Callable[[PageContent], str], monotonic: Callable[[], Seconds]
) -> AsyncIterator[bytes]:
    """The stream to the browser.

    Args:
        pages: does something between one page and the next.
        render: makes HTML of a page.
        monotonic: the time that only passes.
    """
    loop = asyncio.get_running_loop()
    # All of it on one thread: what is opened for the first step belongs to the thread that takes it.
    thread = ThreadPoolExecutor(1, "page")
    try:
        while (page := await loop.run_in_executor(thread, _next, pages, monotonic)) is not None:
            yield b"event: page\ndata: " + json.dumps(render(page)).encode() + b"\n\n"
    finally:
        # The step that is being taken when the browser leaves, a write batch at most, is taken to its end.
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
