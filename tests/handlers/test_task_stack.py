"""Where a task is, whatever it awaits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from lamplighter.handlers.tasks import AWAITS_MAX, is_running, task_stack


async def one_deep() -> None:
    await asyncio.sleep(100)


async def many_deep(more: int = 3 * AWAITS_MAX) -> None:
    await (many_deep(more - 1) if more else asyncio.sleep(100))


@types.coroutine
def as_a_generator() -> Any:
    yield from one_deep().__await__()


async def through_a_generator() -> None:
    await as_a_generator()


async def at_another_task() -> None:
    await asyncio.gather(one_deep())


async def at_a_future() -> None:
    await asyncio.get_running_loop().create_future()


async def stack_of(work: Callable[[], Coroutine[Any, Any, None]]) -> tuple[str, bool]:
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    try:
        return task_stack(task), is_running(task)
    finally:
        task.cancel()


@pytest.mark.parametrize(
    ("work", "shows"),
    [
        (one_deep, "await asyncio.sleep(100)"),
        (through_a_generator, "in as_a_generator\n"),
        (at_another_task, "await asyncio.gather(one_deep())"),
        (at_a_future, "await asyncio.get_running_loop().create_future()"),
    ],
)
def test_a_stack_shows_what_the_innermost_coroutine_awaits(
    work: Callable[[], Coroutine[Any, Any, None]], shows: str
) -> None:
    stack, runs = asyncio.run(stack_of(work))

    assert stack.startswith("Stack for <Task pending ")
    assert f"in {work.__name__}\n" in stack
    assert shows in stack
    assert not runs


def test_a_stack_is_shown_to_some_depth() -> None:
    stack, _ = asyncio.run(stack_of(many_deep))

    assert "Previous line repeated" in stack
    assert len(stack.splitlines()) < 3 * AWAITS_MAX


def test_a_task_that_has_ended_is_nowhere() -> None:
    async def ended() -> tuple[str, bool]:
        task = asyncio.ensure_future(asyncio.sleep(0))
        await task
        return task_stack(task), is_running(task)

    stack, runs = asyncio.run(ended())

    assert (len(stack.splitlines()), runs) == (1, False)


def test_a_task_that_runs_is_told_from_one_that_waits() -> None:
    async def running() -> bool:
        task = asyncio.current_task()
        assert task is not None
        return is_running(task)

    assert asyncio.run(running())
