"""Views of a store as a whole: its job names, its boots, its health."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import NamedTuple

from ..messages.jobs import Instant
from ..messages.names import PauseRecord
from ..messages.queries import Census
from ..messages.views import RuntimeView
from ..rules.wording import attributed
from ..stores.control_client import BootView
from ..stores.ports import StoreSnapshot
from .views import Amount, NameView, Overview, PauseView, StoreHealth, like

NAMES_TOLD_MAX = 5
"""The most names of a kind in a reason."""


DUE_NAMES_MAX = 10_000
"""The most names with due jobs that are checked for a handler, where there are very many names."""


class WholeNames(NamedTuple):
    """The names in an overview.

    Attributes:
        first: the first ones.
        has_more: whether there are more after these.
        stuck: of those after, the paused ones and those that have due jobs and no handler.
        has_all_stuck: whether these are all of them.
    """

    first: Sequence[NameView]
    has_more: bool = False
    stuck: Sequence[NameView] = ()
    has_all_stuck: bool = True


def names_seen(
    seen: StoreSnapshot, boots: Sequence[BootView], now: Instant, cap: int, *, first: str = "", limit: int
) -> Sequence[NameView]:
    """The names from one on, at most `limit`."""
    pauses = {pause.name: pause for pause in seen.jobs.pauses()}
    queues = () if seen.queues is None else seen.queues.names()
    stored = queues if seen.table is None else seen.table.names(first, limit)
    names = sorted(name for name in {*stored, *_handled(boots), *pauses} if name >= first)[:limit]
    return _views(seen, names, boots, now, cap)


def whole_names(seen: StoreSnapshot, boots: Sequence[BootView], now: Instant, cap: int, most: int) -> WholeNames:
    """The first names, and the stuck ones after them."""
    names = names_seen(seen, boots, now, cap, limit=most + 1)
    if len(names) <= most:
        return WholeNames(names)
    due = () if seen.table is None else seen.table.due_names(now, DUE_NAMES_MAX)
    paused = {pause.name for pause in seen.jobs.pauses() if pause.is_paused(now)}
    stuck = sorted(name for name in paused | {*due} - _handled(boots) if name >= names[most].name)
    has_all = seen.table is not None and len(due) < DUE_NAMES_MAX and len(stuck) <= most
    return WholeNames(names[:most], True, _views(seen, stuck[:most], boots, now, cap), has_all)


def _handled(boots: Sequence[BootView]) -> set[str]:
    return {name for boot in boots if boot.is_alive is not False for name in boot.names}


def _views(
    seen: StoreSnapshot, names: Sequence[str], boots: Sequence[BootView], now: Instant, cap: int
) -> list[NameView]:
    pauses = {pause.name: pause for pause in seen.jobs.pauses()}
    census = {} if seen.table is None else seen.table.census(names, cap, now)
    ready = {} if seen.queues is None else seen.queues.ready(names)
    return [
        name_view(name, census.get(name), cap, pauses.get(name), boots, now, in_queue=ready.get(name)) for name in names
    ]


def name_view(
    name: str,
    census: Census | None,
    cap: int,
    pause: PauseRecord | None,
    boots: Sequence[BootView],
    now: Instant,
    *,
    in_queue: int | None = None,
) -> NameView:
    """The jobs of one name.

    Args:
        census: None where the store cannot count.
        cap: the maximum of its counts.
        in_queue: the length of its queue, where it has one: running jobs are then known if all boots have answered.
        boots: all on the store.
    """
    handling = [boot for boot in boots if boot.is_alive is not False and name in boot.names]
    views = [boot.view for boot in handling if boot.view is not None]
    has_all = len(views) == len(handling)
    ready, scheduled, running = (None, None, None) if census is None else _amounts(census, cap)
    is_paused = pause is not None and pause.is_paused(now)
    said = running_on(views, name) if has_all else None
    if in_queue is not None:
        ready, running = Amount(count=in_queue), said
    return NameView(
        name=name,
        ready=ready,
        scheduled=scheduled,
        running=running,
        oldest_ready=None if census is None else census.oldest_ready,
        pause=like(PauseView, pause, since=pause.since or None) if pause is not None and is_paused else None,
        limit=None if pause is None else pause.limit,
        boots=tuple(boot.boot for boot in handling),
        is_parked=not handling,
        lanes=sum(one.concurrency for view in views for one in view.handlers if one.name == name) if has_all else None,
        busy=None if said is None else said.count,
    )


def running_on(views: Sequence[RuntimeView], name: str | None) -> Amount:
    """How many jobs of a name, or of all, run on these boots."""
    lanes = [lane for view in views for lane in view.lanes if name in (None, lane.job_name) and lane.abandoned is None]
    return Amount(count=len(lanes), is_capped=any(view.lanes_open > len(view.lanes) for view in views))


def _amounts(census: Census, cap: int) -> tuple[Amount, Amount, Amount]:
    """The counts, each with whether there may be more."""
    counts = census.ready, census.scheduled, census.running
    # None has reached the cap: some jobs counted as ready have turned out to be something else.
    is_unclear = census.capped and max(counts) < cap
    ready, scheduled, running = (Amount(count=count, is_capped=count >= cap) for count in counts)
    return Amount(count=ready.count, is_capped=ready.is_capped or is_unclear), scheduled, running


def overview_of(
    store: str,
    whole: WholeNames,
    boots: Sequence[BootView],
    dead: Amount | None,
    now: Instant,
) -> Overview:
    names = whole.first

    def total(amounts: Iterable[Amount | None]) -> Amount | None:
        return _sum(amounts, is_capped=whole.has_more)

    served = [name for name in names if not name.is_parked and name.pause is None]
    oldest = [name.oldest_ready for name in served if name.oldest_ready is not None]
    return Overview(
        at=now,
        store=store,
        health=health_of_store(store, whole, boots),
        ready=total(name.ready for name in names),
        running=total(name.running for name in names),
        scheduled=total(name.scheduled for name in names),
        parked=total(name.ready for name in names if name.is_parked),
        dead=dead,
        oldest_ready=min(oldest, default=None),
        names=tuple(names),
        has_more_names=whole.has_more,
        boots=tuple(replace(boot, view=None) for boot in boots),
    )


def health_of_store(store: str, names: WholeNames, boots: Sequence[BootView]) -> StoreHealth:
    """Whether the jobs of a store are done, as far as it can be seen from outside."""
    red, yellow = [*_red(store, names, boots)], [*_yellow(store, names, boots)]
    return StoreHealth(status="red" if red else "yellow" if yellow else "green", reasons=(*red, *yellow))


def _red(store: str, names: WholeNames, boots: Sequence[BootView]) -> Iterator[str]:
    waits = _sum((name.ready for name in names.first), is_capped=names.has_more)
    if not _workers(boots) and waits is not None and waits.count:
        yield f"no process runs jobs on {store}, and {waits} due {'job waits' if waits.count == 1 else 'jobs wait'}"
    for boot in boots:
        yield from _said_by(boot, "red")
        if boot.is_alive and boot.condition == "stopped":
            yield f"{boot.words} does nothing: {boot.unheard}"


def _yellow(store: str, names: WholeNames, boots: Sequence[BootView]) -> Iterator[str]:
    waits = _sum((name.ready for name in names.first), is_capped=names.has_more)
    if not _workers(boots) and not (waits is not None and waits.count):
        yield f"no process runs jobs on {store}"
    for boot in boots:
        yield from _said_by(boot, "yellow")
        if boot.is_alive is False:
            yield f"{boot.words} is dead, and nobody has taken back its jobs yet"
        elif boot.condition == "silent":
            yield f"{boot.words} does not answer: {boot.unheard}"
        elif boot.is_alive is None and boot.view is None:
            yield f"nobody can know whether {boot.words} lives: {boot.unheard}"
    paused = {
        name.name: f"the jobs of {name.name!r} are paused"
        f"{attributed(by=pause.by, until=pause.until, reason=pause.reason)}"
        for name in (*names.first, *names.stuck)
        if (pause := name.pause) is not None
    }
    parked = {
        name.name: f"no living runtime has a handler for {name.name!r}, and {name.ready} of its jobs wait"
        for name in (*names.first, *names.stuck)
        if name.is_parked and _workers(boots) and name.ready is not None and name.ready.count
    }
    yield from _folded(paused, "names are paused", names.has_all_stuck)
    yield from _folded(parked, "names with due jobs have no handler in a living runtime", names.has_all_stuck)


def _said_by(boot: BootView, status: str) -> Iterator[str]:
    """Why a boot is not green."""
    if boot.status == status:
        for reason in boot.reasons:
            yield f"boot {boot.boot}: {reason}"


def _folded(told: Mapping[str, str], some: str, are_all: bool) -> Iterator[str]:
    """One reason for all names of a kind: the sentence of a single name, or their number and the first of them."""
    if len(told) == 1:
        yield from told.values()
    elif told:
        first = ", ".join(repr(name) for name in list(told)[:NAMES_TOLD_MAX])
        more = " and more" if len(told) > NAMES_TOLD_MAX else ""
        yield f"{Amount(count=len(told), is_capped=not are_all)} {some}: {first}{more}"


def _workers(boots: Sequence[BootView]) -> list[BootView]:
    return [boot for boot in boots if boot.is_alive is not False and boot.kind == "worker"]


def _sum(amounts: Iterable[Amount | None], *, is_capped: bool) -> Amount | None:
    """The sum; None if an amount is unknown."""
    told = list(amounts)
    known = [one for one in told if one is not None]
    return reduce(add, known, Amount(count=0, is_capped=is_capped)) if len(known) == len(told) else None
