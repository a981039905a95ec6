"""Tasks of Django's, which can be made only when Django has been set up."""

from __future__ import annotations

import asyncio
from typing import Any

from django.tasks import task
from lamplighter import Cancel


@task
def add(one: int, other: int = 0) -> int:
    """Works."""
    return one + other


@task(priority=5, queue_name="mail")
async def later(word: str) -> str:
    """A coroutine, of another queue."""
    await asyncio.sleep(0)
    return word


@task(takes_context=True)
def told(context: Any) -> list[Any]:
    """What it is told of itself."""
    return [context.attempt, context.task_result.id, context.task_result.status]


class Refused(Exception):
    """An error with a path."""


@task
def refuse() -> None:
    """Fails."""
    raise Refused("no")


@task
def leave() -> None:
    """Is not needed any more."""
    raise Cancel("the order was deleted")


@task
def fall() -> None:
    """Fails with an error of Python's own."""
    raise KeyError("no")
