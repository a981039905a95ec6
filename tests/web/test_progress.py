"""What somebody sees of something that is being done, and how it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator

from lamplighter.web.live import TOLD_SECONDS, told
from lamplighter.web.pages.page import PageContent


class Work:
    """Steps that each take as long as they are told to, and what became of them."""

    def __init__(self, steps: int, step_seconds: float) -> None:
        self.done = 0
        self.is_closed = False
        self._steps = steps
        self._step_seconds = step_seconds
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def pages(self) -> Generator[PageContent, None, None]:
        try:
            while self.done < self._steps:
                self.done += 1
                self._now += self._step_seconds
                yield PageContent("", "", self.done)
        finally:
            self.is_closed = True


def read(work: Work, pieces: int | None = None) -> list[bytes]:
    async def follow() -> list[bytes]:
        found = []
        async with contextlib.aclosing(told(work.pages(), lambda page: f"<b>\n{page.model}", work.monotonic)) as stream:
            async for piece in stream:
                found.append(piece)
                if len(found) == pieces:
                    break
        return found

    return asyncio.run(follow())


def event(number: int) -> bytes:
    return f'event: page\ndata: "<b>\\n{number}"\n\n'.encode()


def test_steps_are_told_now_and_then_and_the_last_one_always() -> None:
    work = Work(10, TOLD_SECONDS / 4)

    assert read(work) == [event(4), event(8), event(10)]
    assert work.is_closed


def test_whoever_leaves_stops_it() -> None:
    work = Work(1_000_000, TOLD_SECONDS)

    assert read(work, pieces=2) == [event(1), event(2)]
    assert work.is_closed
    assert work.done <= 3
