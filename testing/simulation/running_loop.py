"""Which event loop and asyncio task run, where all loops of a simulation share one thread.

asyncio knows one running loop a thread, and since Python 3.14 one running task; before, it knew one a loop.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeAlias

if sys.version_info >= (3, 14):
    from asyncio.tasks import _swap_current_task
else:

    def _swap_current_task(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> asyncio.Task[Any] | None:
        return None


Left: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None] | None"
"""The loop that ran. None if none did."""


def leave_loop() -> Left:
    """Let another loop run on this thread, in the midst of whatever the one that runs does."""
    loop = asyncio._get_running_loop()
    if loop is None:
        return None
    task = _swap_current_task(loop, None)
    asyncio._set_running_loop(None)
    return loop, task


def enter_loop(left: Left) -> None:
    """Go on with what was left."""
    if left is not None:
        loop, task = left
        asyncio._set_running_loop(loop)
        _swap_current_task(loop, task)
