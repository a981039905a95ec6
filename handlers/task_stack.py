"""Where a task is: asyncio itself shows of one that waits no more than its outermost coroutine."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"))
"""The names of a coroutine's frame and awaited object, and those of a generator that is one."""

AWAITS_MAX = 100
"""How deep a stack is shown."""


def is_running(task: asyncio.Task[Any] | None) -> bool:
    """Whether the task is what its loop's thread executes now."""
    return bool(task is not None and getattr(task.get_coro(), "cr_running", False))


def task_stack(task: asyncio.Task[Any]) -> str:
    """Where a task waits, as a traceback reads: down to what the innermost of its coroutines awaits."""
    try:
        frames = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(task.get_coro()))
        return f"Stack for {task!r} (most recent call last):\n{''.join(frames.format())}"
    except Exception as error:
        # It runs on while its frames are read.
        return f"its stack could not be read: {error!r}"


def _frames(awaited: Any) -> Iterator[FrameType]:
    for _ in range(AWAITS_MAX):
        names = next((names for names in KINDS if hasattr(awaited, names[0])), None)
        if names is None:
            # It is a future, or a step of an asynchronous generator, into which nobody can look.
            return
        frame = getattr(awaited, names[0])
        if frame is not None:
            yield frame
        awaited = getattr(awaited, names[1])
