"""Puts many dead jobs back into the queue: a batch a turn, each job once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from ..messages.acts import Attribution
from ..messages.jobs import Seconds
from ..messages.mail import RequeueDead
from ..rules.capabilities import needed
from ..stores.ports import Store
from .boot import Boot

REVIVED_A_TURN_MAX = 500
"""How many dead jobs one turn requeues: messages of others wait for so long."""

T = TypeVar("T")


def at_hand(store: Store, job_id: str) -> AbstractContextManager[object]:
    """While this lasts, a turn finds the job that a host names, if the store can find it at all."""
    return contextlib.nullcontext() if store.dead is None else store.dead.one_at_hand(job_id)


def dead_at_hand(store: Store, name: str | None, but: Collection[str]) -> AbstractContextManager[Sequence[str]]:
    """The ids of dead jobs, oldest first, `but` for some: all, or the first many. While this lasts, a turn finds each.

    Raises:
        NotSupported: the store finds none.
    """
    if store.dead is not None:
        return store.dead.all_at_hand(name, but)
    dead = needed(store.table, "list").dead(name)
    return contextlib.nullcontext([job_id for job_id in dead if job_id not in but])


def revive(boot: Boot, name: str | None, delay: Seconds, who: Attribution) -> int:
    """Requeue the dead jobs of a name, or all; how many. One that dies again meanwhile is not revived again."""
    seen: set[str] = set()
    revived = 0
    while True:
        with dead_at_hand(boot.store, name, seen) as ids:
            if not ids:
                return revived
            for some in _batches(ids):
                revived += boot.requests.ask(partial(RequeueDead, some, delay, who=who))
        seen.update(ids)


async def revive_async(boot: Boot, name: str | None, delay: Seconds, who: Attribution) -> int:
    """The same, without blocking the event loop."""
    seen: set[str] = set()
    revived = 0
    while True:
        async with off_loop(dead_at_hand(boot.store, name, seen)) as ids:
            if not ids:
                return revived
            for some in _batches(ids):
                revived += await boot.requests.ask_async(partial(RequeueDead, some, delay, who=who))
        seen.update(ids)


@contextlib.asynccontextmanager
async def off_loop(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context whose beginning may block, and whose end does not."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        manager.__exit__(None, None, None)


def _batches(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for first in range(0, len(ids), REVIVED_A_TURN_MAX):
        yield tuple(ids[first : first + REVIVED_A_TURN_MAX])
