"""Names whose jobs wait because no living runtime has a handler for them: it is said at once, and while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..messages.jobs import Instant, JobState, Seconds
from ..stores.ports import Store

PARKED_SECONDS: Seconds = 60.0
"""How often the store is asked which names have due jobs, and how often it is said again of a name."""

PARKED_JOBS_MAX = 10_000
"""So many jobs of a name are counted."""

PARKED_NAMES_MAX = 10_000
"""So many names that have due jobs are read."""

NAMES_KEPT_MAX = 100
"""So many names are remembered from one look at the store to the next."""

NAMES_TOLD_MAX = 10
"""So many names have a line, and a reason in `health()`, each. If there are more, one line says how many."""

EXAMPLES_MAX = 5
"""So many names that line gives as examples."""


@dataclass(slots=True)
class ParkedNames:
    """The facts about such names.

    Attributes:
        said: when each was said last, by monotonic time.
        count: how many there were at the last look at the store, of which `said` may have the first ones only.
    """

    said: dict[str, Seconds] = field(default_factory=dict)
    count: int = 0

    def is_any_news(self, monotonic: Seconds) -> bool:
        """Whether one of the names was said a minute ago or longer."""
        return any(is_news(said, monotonic) for said in self.said.values())

    def look(
        self,
        store: Store,
        now: Instant,
        monotonic: Seconds,
        is_handled: Callable[[str], bool],
        meant: Callable[[str], str | None],
    ) -> Sequence[Mapping[str, Any]]:
        """Judge by the store which names wait now. Returns the fields of the lines that are to say it.

        Raises:
            StoreUnavailable, StoreError: the store cannot be read.
        """
        found = dict.fromkeys(name for name in store.due_names(now, PARKED_NAMES_MAX) if not is_handled(name))
        # A name whose jobs are all to run later was said when one of them was queued.
        rest = [name for name in islice(self.said, NAMES_KEPT_MAX) if name not in found and not is_handled(name)]
        names = [*found, *(name for name in rest if waiting(store, name, now))]
        news = [name for name in names if is_news(self.said.get(name), monotonic)]
        news.sort(key=self.said.__contains__)
        lines = list(told(news, len(names), lambda name: waiting(store, name, now), meant))
        kept, said_now = names[:NAMES_KEPT_MAX], set(names if len(names) > NAMES_TOLD_MAX and news else news)
        self.said = {name: monotonic if name in said_now else self.said[name] for name in kept}
        self.count = len(names)
        return lines


def is_news(said: Seconds | None, monotonic: Seconds) -> bool:
    """Whether it is to be said of a name for which it was said last at a monotonic time; None if never."""
    return said is None or monotonic - said >= PARKED_SECONDS


def told(
    news: Sequence[str], count: int, jobs: Callable[[str], int], meant: Callable[[str], str | None]
) -> Iterator[dict[str, Any]]:
    """The fields of the lines about some names, of so many that wait: a line for each name, or one for all."""
    if news and count > NAMES_TOLD_MAX:
        yield {"names": count, "examples": news[:EXAMPLES_MAX]}
        return
    for name in news:
        yield {"job_name": name, "jobs": jobs(name), "meant": meant(name)}


def waiting(store: Store, name: str, now: Instant) -> int:
    """How many jobs of a name wait."""
    if store.table is None:
        return store.jobs.counts(name)[JobState.QUEUED]
    found = store.table.census((name,), PARKED_JOBS_MAX, now)[name]
    return found.ready + found.scheduled
