"""Checks of job names: handlers and pauses."""

from __future__ import annotations

from collections.abc import Iterator

from ..admin.views import Amount, NameView
from ..errors import alike
from ..rules.wording import brief, span
from .diagnosis import Symptom, note, ok, unknown, warning
from .evidence import Evidence

PAUSED_SECONDS_MAX = 24 * 3600.0
"""A longer pause may have been forgotten."""

PAUSED_JOBS_MAX = 1_000

TOLD_MAX = 10
"""The most names listed; the others are counted."""


def parked(seen: Evidence) -> Iterator[Symptom]:
    waiting = [name for name in seen.names if name.is_parked and name.ready is not None and name.ready.count]
    handled = [name.name for name in seen.names if not name.is_parked]
    for name in waiting[:TOLD_MAX]:
        near = "".join(f"; {close!r} has one: was it renamed?" for close in alike(name.name, handled))
        yield warning(
            f"no living runtime has a handler for {name.name!r}, and {_ready(name, seen)}{near}",
            "start a process that has it, or register it under the old name too; `lamplighter jobs cancel` if nobody "
            "wants them",
        )
    if len(waiting) > TOLD_MAX:
        more = Amount(count=len(waiting) - TOLD_MAX, is_capped=not seen.whole_names.has_all_stuck)
        yield warning(f"{more} more names have due jobs and no handler", "`lamplighter names list`")
    if not waiting and not seen.whole_names.has_all_stuck:
        yield unknown(f"{_whose(seen)} has due jobs that no living runtime takes, and not all names were looked at")
    elif not waiting:
        yield ok(f"{_whose(seen)} has due jobs that no living runtime takes")


def _whose(seen: Evidence) -> str:
    names = Amount(count=len(seen.whole_names.first), is_capped=seen.whole_names.has_more)
    return f"of {names} {'name' if str(names) == '1' else 'names'}, none"


def _ready(name: NameView, seen: Evidence) -> str:
    oldest = "" if name.oldest_ready is None else f", the oldest for {span(seen.at - name.oldest_ready)}"
    return f"{name.ready} of its jobs {'waits' if name.ready is not None and name.ready.count == 1 else 'wait'}{oldest}"


def paused(seen: Evidence) -> Iterator[Symptom]:
    pauses = [name for name in seen.names if name.pause is not None]
    is_well = True
    for name in pauses[:TOLD_MAX]:
        pause = name.pause
        assert pause is not None
        whom = "" if pause.by is None else f" by {pause.by}"
        because = ", and nobody has said why" if pause.reason is None else f": {brief(pause.reason)}"
        since = "" if pause.since is None else f" for {span(seen.at - pause.since)}"
        waits = "" if name.ready is None else f"; {name.ready} of its jobs wait"
        says = f"{name.name!r} is paused{since}{whom}{because}{waits}"
        is_long = pause.since is not None and seen.at - pause.since > PAUSED_SECONDS_MAX
        is_many = name.ready is not None and name.ready.count > PAUSED_JOBS_MAX
        if is_long or is_many:
            is_well = False
            yield warning(says, f"`lamplighter names resume {name.name}`, or ask whoever has paused it")
        elif pause.since is None and name.ready is None:
            is_well = False
            yield unknown(f"{says}, since when and before how many jobs this store does not tell")
        else:
            is_well = False
            yield note(says)
    if len(pauses) > TOLD_MAX:
        more = Amount(count=len(pauses) - TOLD_MAX, is_capped=not seen.whole_names.has_all_stuck)
        yield note(f"{more} more names are paused", "`lamplighter names list`")
    if is_well:
        yield ok("no name is paused")
