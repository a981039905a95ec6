"""Names whose jobs wait because no living runtime has a handler for them: it is said at once, and while it lasts."""

from __future__ import annotations

from collections.abc import Callable

from ..messages.jobs import Instant, JobState, Seconds
from ..stores.ports import Store
from .state import BrokerState

PARKED_SECONDS: Seconds = 60.0
"""How often it is said of a name that no living runtime has a handler for it."""

PARKED_JOBS_MAX = 10_000
"""So many of its jobs are counted to say it again."""


def is_news(state: BrokerState, said: Seconds | None) -> bool:
    """Whether it is to be said of a name, of which it was said at this monotonic time."""
    return said is None or state.monotonic() - said >= PARKED_SECONDS


def say_still_parked(state: BrokerState, store: Store, now: Instant, say: Callable[..., None]) -> None:
    """Say it again of the names of which it still holds, and forget those of which it does not.

    Raises:
        StoreUnavailable, StoreError: the jobs cannot be counted.
    """
    for name in [name for name, said in state.parked.items() if is_news(state, said)]:
        waiting = 0 if state.is_handled(name, state.others) else _waiting(store, name, now)
        if not waiting:
            del state.parked[name]
            continue
        state.parked[name] = state.monotonic()
        say("name.parked", job_name=name, jobs=waiting, meant=state.meant(name, state.others))


def _waiting(store: Store, name: str, now: Instant) -> int:
    if store.table is None:
        return store.jobs.counts(name)[JobState.QUEUED]
    found = store.table.census((name,), PARKED_JOBS_MAX, now)[name]
    return found.ready + found.scheduled
