"""Acts on all jobs that a query asks for: a batch a turn, each job once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from ..messages.acts import Attribution
from ..messages.jobs import JobState, Seconds
from ..messages.mail import CancelMany, Reply, RequeueMany
from ..messages.queries import JobQuery
from ..rules.batches import batches
from ..rules.capabilities import needed
from ..stores.ports import Store
from .boot import Boot

BATCH_JOBS_MAX = 500
"""On how many jobs one turn acts: messages of others wait for so long."""

T = TypeVar("T")

Make = Callable[[tuple[str, ...]], Callable[[Reply], Any]]
"""For the ids of some jobs, what is asked of the broker."""


def at_hand(store: Store, job_id: str) -> AbstractContextManager[object]:
    """While this lasts, a turn finds the job that a host names, if the store can find it at all."""
    return contextlib.nullcontext() if store.dead is None else store.dead.one_at_hand(job_id)


def requeueing(query: JobQuery, delay: Seconds, who: Attribution, *, afresh: bool = False) -> Make:
    """Asks for some jobs to be requeued, as far as the query still asks for them."""
    return lambda some: partial(RequeueMany, some, query, delay, who=who, afresh=afresh)


def cancelling(query: JobQuery, who: Attribution) -> Make:
    """Asks for some jobs to be cancelled, as far as the query still asks for them."""
    return lambda some: partial(CancelMany, some, query, who=who)


def act_on_all(boot: Boot, query: JobQuery, make: Make) -> int:
    """Act on the jobs that match, the oldest first, and say on how many. Jobs that come to match meanwhile are left
    out.

    Raises:
        NotSupported: the store cannot look for them.
    """
    done = 0
    with contextlib.closing(_found(boot.store, query)) as found:
        for ids in found:
            for some in batches(ids, BATCH_JOBS_MAX):
                done += boot.requests.ask(make(some))
    return done


async def act_on_all_async(boot: Boot, query: JobQuery, make: Make) -> int:
    """The same, without blocking the event loop."""
    done = 0
    with contextlib.closing(_found(boot.store, query)) as found:
        while ids := await _next(found):
            for some in batches(ids, BATCH_JOBS_MAX):
                done += await boot.requests.ask_async(make(some))
    return done


@contextlib.asynccontextmanager
async def off_loop(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context whose beginning may block, and whose end does not."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        manager.__exit__(None, None, None)


def _found(store: Store, query: JobQuery) -> Generator[Sequence[str]]:
    """The ids of what matches, some at a time: while whoever asks has them, a turn finds each."""
    if store.dead is None or set(query.states) != {JobState.DEAD}:
        yield from needed(store.table, "list").sweep(query)
        return
    seen: set[str] = set()
    while True:
        with store.dead.all_at_hand(query, seen) as ids:
            if not ids:
                return
            yield ids
        seen.update(ids)


async def _next(found: Iterator[Sequence[str]]) -> Sequence[str]:
    """The next ids, if there are any. A caller that is cancelled waits for the look that is under way: a generator
    cannot be closed while another thread is in it.
    """
    look = asyncio.ensure_future(asyncio.to_thread(next, found, ()))
    try:
        return await asyncio.shield(look)
    except asyncio.CancelledError:
        await asyncio.wait([look])
        raise
