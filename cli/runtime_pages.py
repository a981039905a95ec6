"""How a runtime looks on a page: as a line in a list, all that is known of it, its actors, its jobs; and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..messages.jobs import Instant
from ..messages.views import ActorView, HandlerView, LaneView, ProcessView, QuietView, TurnView
from ..rules.wording import Tone, brief, many, span
from ..stores.control_client import BootView
from .options import Times
from .page import Cell

HEADS = ("boot", "no", "kind", "process", "condition", "jobs", "last turn", "memory", "version", "started")

ACTOR_HEADS = ("actor", "life", "status", "mail", "oldest", "busy", "restarts", "jobs", "last death")

LANE_HEADS = ("job", "name", "attempt", "for", "until", "is to end because")

NUMBERS = ("no", "jobs", "last turn", "memory")
TONES: Mapping[str, Tone] = {
    "green": "good",
    "yellow": "warning",
    "red": "bad",
    "silent": "bad",
    "stopped": "bad",
    "dead": "bad",
    "unknown": "warning",
    "answers": "warning",
    "up": "good",
    "waiting": "warning",
    "quarantined": "bad",
    "abandoned": "bad",
}

JOBS_NAMED_MAX = 3


def condition(one: BootView) -> tuple[str, Tone]:
    """How it is, in a word or two."""
    view = one.view
    if view is None:
        return one.condition, TONES[one.condition]
    does = ", stops" if view.is_draining else ", quiet" if view.quiet is not None else ""
    return f"{one.status}{does}", TONES[one.status or ""]


def row(one: BootView, now: Instant) -> Sequence[Cell]:
    view = one.view
    turn = None if view is None else view.turns.took_seconds
    return [
        one.boot,
        str(one.boot_no or ""),
        one.kind,
        f"{one.pid} on {one.host}",
        condition(one),
        "" if view is None else str(view.lanes_open),
        "" if turn is None else span(turn),
        "" if view is None else _memory(view.process),
        one.version,
        f"{span(max(0.0, now - one.started_at))} ago",
    ]


def fields(one: BootView, times: Times) -> Sequence[tuple[str, Cell]]:
    """All that is known of one, but for its jobs and its actors."""
    view = one.view
    known: list[tuple[str, Cell]] = [
        ("boot", one.boot),
        ("number", str(one.boot_no or "")),
        ("kind", one.kind),
        ("process", f"{one.pid} on {one.host}"),
        ("version", f"{one.version}, Python {one.python}" if one.version else ""),
        ("started", _at(one.started_at, times)),
        ("names", ", ".join(one.names)),
        ("condition", condition(one)),
    ]
    if view is None:
        return [*known, ("because", one.unheard or ""), ("silent since", _at(one.silent_since, times))]
    return [
        *known,
        ("because", "\n".join(one.reasons)),
        ("quiet", "" if view.quiet is None else _quiet(view.quiet, times)),
        ("leads", "" if view.leads is None else "yes: it fires the slots of all" if view.leads else "no"),
        ("handlers", "\n".join(map(_handler, view.handlers))),
        ("runs", many(view.lanes_open, "job")),
        ("last write batch", _last_turn(view.turns)),
        ("write batch now", _turn_now(view.turns)),
        ("memory", _memory(view.process)),
        ("threads", "" if view.process.threads is None else str(view.process.threads)),
        ("open files", _descriptors(view.process)),
    ]


def lane_row(one: LaneView, times: Times) -> Sequence[Cell]:
    why: Cell = (one.abandoned, "bad") if one.abandoned is not None else (one.cancelled or "", "warning")
    return [one.job_id, one.job_name, str(one.attempt), span(one.seconds), _at(one.deadline, times), why]


def actor_row(one: ActorView, times: Times) -> Sequence[Cell]:
    busy = "" if one.busy_seconds is None else f"{one.busy_with or 'something'} for {span(one.busy_seconds)}"
    most = "" if one.restarts_max is None else f" of {one.restarts_max}"
    more = len(one.jobs) - JOBS_NAMED_MAX
    jobs = ", ".join(one.jobs[:JOBS_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    last = one.deaths[-1] if one.deaths else None
    return [
        one.name,
        str(one.incarnation),
        (one.status, TONES.get(one.status, "plain")),
        str(one.mailbox),
        "" if one.oldest_seconds is None else span(one.oldest_seconds),
        busy,
        f"{one.restarts_in_window}{most}",
        jobs,
        "" if last is None else f"{_at(last.at, times)}: {brief(last.why)}",
    ]


def _at(instant: Instant | None, times: Times) -> str:
    return "" if instant is None else times.at(datetime.fromtimestamp(instant, UTC))


def _quiet(quiet: QuietView, times: Times) -> str:
    by = "" if quiet.by is None else f" by {quiet.by}"
    return f"since {_at(quiet.since, times)}{by}" + ("" if quiet.reason is None else f": {brief(quiet.reason)}")


def _handler(one: HandlerView) -> str:
    timeout = "" if one.timeout is None else f", {span(one.timeout)} each"
    total = "" if one.total is None else f", {one.total} on the whole store"
    rate = "" if one.rate is None else f", {one.rate} on the whole store"
    of_group = [f"{limit}" for limit in (one.per_group, one.rate_per_group) if limit is not None]
    rate += f", {' and '.join(of_group)} of a group" if of_group else ""
    return f"{one.name}: {one.concurrency} at once ({one.kind}), {many(one.attempts, 'attempt')}{timeout}{total}{rate}"


def _last_turn(turns: TurnView) -> str:
    if turns.took_seconds is None or turns.waited_seconds is None:
        return ""
    return f"{span(turns.took_seconds)}, of which {span(turns.waited_seconds)} until it could write"


def _turn_now(turns: TurnView) -> str:
    if turns.under_way_seconds is None:
        return ""
    does = "it waits until it can write, for" if turns.is_waiting else "it is under way, for"
    return f"{does} {span(turns.under_way_seconds)}"


def _memory(process: ProcessView) -> str:
    return "" if process.rss_bytes is None else f"{process.rss_bytes / 2**20:.0f} MiB"


def _descriptors(process: ProcessView) -> str:
    if process.descriptors is None:
        return ""
    most = "" if process.descriptors_max is None else f" of {process.descriptors_max:,}"
    return f"{process.descriptors}{most}"
