"""Puts many dead jobs back into the queue: a batch a turn, each job once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from ..messages.acts import Attribution
from ..messages.jobs import Seconds
from ..messages.mail import RequeueDead
from ..messages.queries import JobQuery
from ..rules.capabilities import needed
from ..stores.ports import Store
from .boot import Boot

REVIVED_A_TURN_MAX = 500
"""How many dead jobs one turn requeues: messages of others wait for so long."""

T = TypeVar("T")


def at_hand(store: Store, job_id: str) -> AbstractContextManager[object]:
    """While this lasts, a turn finds the job that a host names, if the store can find it at all."""
    return contextlib.nullcontext() if store.dead is None else store.dead.one_at_hand(job_id)


def revive(boot: Boot, query: JobQuery, delay: Seconds, who: Attribution) -> int:
    """Requeue the dead jobs that match; how many. One that dies again meanwhile is not revived again.

    Raises:
        NotSupported: the store finds none.
    """
    revived, dead = 0, boot.store.dead
    if dead is None:
        for ids in needed(boot.store.table, "list").sweep(query):
            for some in _batches(ids):
                revived += boot.requests.ask(partial(RequeueDead, some, delay, who=who))
        return revived
    seen: set[str] = set()
    while True:
        with dead.all_at_hand(query, seen) as ids:
            if not ids:
                return revived
            for some in _batches(ids):
                revived += boot.requests.ask(partial(RequeueDead, some, delay, who=who))
        seen.update(ids)


async def revive_async(boot: Boot, query: JobQuery, delay: Seconds, who: Attribution) -> int:
    """The same, without blocking the event loop."""
    revived, dead = 0, boot.store.dead
    if dead is None:
        swept = needed(boot.store.table, "list").sweep(query)
        while found := await asyncio.to_thread(next, swept, None):
            for some in _batches(found):
                revived += await boot.requests.ask_async(partial(RequeueDead, some, delay, who=who))
        return revived
    seen: set[str] = set()
    while True:
        async with off_loop(dead.all_at_hand(query, seen)) as ids:
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
