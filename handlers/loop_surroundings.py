"""The application's context around an event loop of coroutine handlers: one task enters it, waits, and leaves it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from ..log.json_line import safe_str
from .carriers import Carriers

Opened = Callable[[contextvars.Context], None]


class LoopSurroundings:
    """Around one loop. All but `__init__` runs on it.

    Args:
        opened: called when it is entered, with the context that each job gets a copy of.
        refused: called when a carrier has raised, and nothing is entered.
        left: called when it was to end, and has been left.
        say: logs that a carrier has raised where the loop is `entered` or `left`.
    """

    def __init__(
        self,
        carriers: Carriers,
        loop: asyncio.AbstractEventLoop,
        *,
        opened: Opened,
        refused: Callable[[str], None],
        left: Callable[[], None],
        say: Callable[[str, str], None],
    ) -> None:
        self._carriers = carriers
        self._opened = opened
        self._refused = refused
        self._left = left
        self._say = say
        self._is_open = False
        self._ending = loop.create_future()
        # A context that one task enters must be left by the same task.
        self._task = asyncio.Task(self._live(), loop=loop)

    def end(self) -> None:
        """Leave it, or enter it no further."""
        if not self._ending.done():
            self._ending.set_result(None)
            if not self._is_open:
                self._task.cancel()

    async def _live(self) -> None:
        entered = AsyncExitStack()
        refusal = await self._enter(entered)
        if refusal is None:
            self._is_open = True
            self._opened(contextvars.copy_context())
            # A job may cancel all tasks of its loop.
            while not self._ending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([self._ending])
        await self._leave(entered)
        if refusal is None or self._ending.done():
            self._left()
        else:
            self._refused(refusal)

    async def _enter(self, entered: AsyncExitStack) -> str | None:
        """Why it cannot be entered, if so."""
        for carrier in self._carriers:
            try:
                await entered.enter_async_context(carrier.around_loop())
            except BaseException as error:
                reason = f"{type(carrier).__qualname__}: {_shown(error)}"
                if not self._ending.done():
                    self._say("entered", reason)
                return reason
        return None

    async def _leave(self, entered: AsyncExitStack) -> None:
        try:
            await entered.aclose()
        except BaseException as error:
            self._say("left", _shown(error))


def _shown(error: Any) -> str:
    return f"{type(error).__name__}: {safe_str(error)}"[:500]
