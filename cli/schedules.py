"""`lamplighter schedules`: when schedules are due, who declares them, and what became of their slots."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from ..admin.inspector import Inspector
from ..admin.query import read_instant
from ..admin.schedule_views import ComingSlot, ScheduleView, SlotView, slots_of
from ..cron.zones import load_zone
from ..environment.clock import SystemClock
from ..errors import UnknownSchedule, UsageError, shown
from ..messages.jobs import Instant
from ..rules.validation import check_whole
from ..rules.wording import Tone, span
from .acting import Act, acting, declare_acting
from .inspecting import SCHEDULE, SCHEDULES, declare_inspecting, id_meant, inspecting
from .job_pages import payload
from .options import LIMIT_MAX, Subcommand, Times, add_paging, add_since, add_until, argument, declare_group, limit_of
from .page import Cell, Page, ago, listed, note, print_one

HEADS = ("id", "key", "name", "rule", "zone", "next", "last", "what")
NEXT_HEADS = ("at", "in", "schedule", "name", "what")
SLOT_HEADS = ("slot", "outcome", "slots", "job", "reason")

OF_NAME = argument("--name", metavar="NAME", help="of jobs of this name")
COUNT = argument("-n", type=int, default=10, metavar="N", help="so many (%(default)s)")
ACT = (*SCHEDULE, declare_acting)
SCHEDULES_MAX = 1_000
"""The most schedules whose next slots are listed together."""

TONES: dict[str, Tone] = {
    "fired": "good",
    "late": "good",
    "caught_up": "good",
    "skipped": "warning",
    "due": "plain",
    "unknown": "quiet",
}


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "The schedules of a store.",
        {
            "list": Subcommand("list schedules, by their ids", (OF_NAME, add_paging, declare_inspecting), _list),
            "show": Subcommand(
                "show one, with its slots of yesterday and tomorrow", (*SCHEDULE, declare_inspecting), _show
            ),
            "next": Subcommand(
                "tell which slots come next, of one schedule or of all", (*SCHEDULES, COUNT, declare_inspecting), _next
            ),
            "explain": Subcommand(
                "tell what each slot of a schedule did or will do, and why",
                (*SCHEDULE, add_since("1d"), add_until, declare_inspecting),
                _explain,
            ),
            "run": Subcommand("queue one of its jobs now, beside its slots", ACT, _run),
            "pause": Subcommand("let its slots pass", ACT, _pause),
            "resume": Subcommand("let its slots fire again", ACT, _resume),
            "remove": Subcommand("remove one that is durable", ACT, _remove),
        },
    )


@inspecting
def _list(arguments: argparse.Namespace, inspector: Inspector) -> int:
    limit, times = limit_of(arguments), Times(is_utc=arguments.utc)
    found = inspector.schedules(arguments.name, limit=limit, after=arguments.after)
    if len(found) == limit and not arguments.json:
        note(f"perhaps more: --after {found[-1].id}")
    return listed(arguments, found, HEADS, partial(_row, times=times))


def _row(one: ScheduleView, times: Times) -> list[Cell]:
    coming = times.of(one.next[0].at) if one.next else ""
    return [one.id, one.key or "", one.name, one.words, one.timezone, coming, times.of(one.last_slot), _what(one)]


def _what(one: ScheduleView) -> Cell:
    told = ["paused"] if one.is_paused else []
    if one.trouble is not None:
        told.append(one.trouble)
    elif not one.next:
        told.append("is never due again")
    if not one.is_durable and one.declared_by == ():
        told.append("no process that lives declares it")
    return "; ".join(told), "warning"


@inspecting
def _show(arguments: argparse.Namespace, inspector: Inspector) -> int:
    times = Times(is_utc=arguments.utc)
    found = inspector.schedule(arguments.schedule, key=arguments.key)

    def show(page: Page) -> None:
        page.fields(_fields(found.schedule, found.at, times))
        if found.slots:
            page.line("")
            page.table(SLOT_HEADS, [_slot(one, times) for one in found.slots], right=["slots"])

    return print_one(arguments, found, show)


def _local(one: ScheduleView, instant: Instant, times: Times) -> str:
    """An instant by the clock on the wall in the schedule's own zone, as its next slots are told."""
    try:
        zone = load_zone(one.timezone)
    except UsageError:
        return times.of(instant)
    return datetime.fromtimestamp(instant, zone).isoformat(timespec="seconds")


def _fields(one: ScheduleView, now: Instant, times: Times) -> list[tuple[str, Cell]]:
    declared = "not all processes have said whether they do" if one.declared_by is None else ", ".join(one.declared_by)
    told = "nobody that lives: it does not fire" if one.declared_by == () else declared
    return [
        ("id", one.id),
        ("key", one.key or ""),
        ("name", one.name),
        ("rule", f"{one.words} ({one.when})"),
        ("zone", one.timezone),
        ("trouble", (one.trouble or "", "bad")),
        ("next", "\n".join(": ".join(filter(None, (f"{on.local} ({ago(now, on.at)})", on.note))) for on in one.next)),
        ("last", "" if one.last_slot is None else f"{_local(one, one.last_slot, times)} ({ago(now, one.last_slot)})"),
        ("paused", ("yes: its slots pass" if one.is_paused else "", "warning")),
        ("declared by", "the store, until it is removed" if one.is_durable else told),
        ("missed slots", f"catch_up={one.catch_up}, within {span(one.catch_up_window)}"),
        ("overlap", one.overlap),
        ("jitter", span(one.jitter) if one.jitter else ""),
        ("data", payload(one.data)),
    ]


@inspecting
def _next(arguments: argparse.Namespace, inspector: Inspector) -> int:
    count, times = check_whole(arguments.n, "-n", least=1, most=LIMIT_MAX), Times(is_utc=arguments.utc)
    if arguments.schedule is None:
        found, is_capped = inspector.coming_slots(limit=SCHEDULES_MAX, count=count)
        if is_capped:
            note(f"of the first {SCHEDULES_MAX:,} schedules alone")
    else:
        found = slots_of(inspector.schedule(arguments.schedule, key=arguments.key, slots=count).schedule)
    now = SystemClock().now()

    def row(one: ComingSlot) -> Sequence[Cell]:
        left = span(max(0.0, one.slot.at - now))
        return times.of(one.slot.at), left, one.key or one.schedule, one.name, one.slot.note or ""

    return listed(arguments, found, NEXT_HEADS, row)


@inspecting
def _explain(arguments: argparse.Namespace, inspector: Inspector) -> int:
    now, times = SystemClock().now(), Times(is_utc=arguments.utc)
    since, until = read_instant(arguments.since, now), read_instant(arguments.until, now)
    found = inspector.schedule(arguments.schedule, key=arguments.key, since=since, until=until)
    if not (found.slots or arguments.json):
        note("it has no slot in this span")
    return listed(arguments, found.slots, SLOT_HEADS, partial(_slot, times=times), ["slots"])


def _slot(one: SlotView, times: Times) -> list[Cell]:
    last = "" if one.last == one.slot else f" to {times.of(one.last)}"
    count, outcome = f"{one.count:,}" if one.count > 1 else "", (one.outcome, TONES.get(one.outcome, "plain"))
    return [f"{times.of(one.slot)}{last}", outcome, count, one.job_id or "", one.reason or ""]


@acting
def _run(act: Act) -> int:
    schedule_id = _meant(act)
    if act.is_dry:
        act.done("run", f"would queue a job of {schedule_id}", schedule=schedule_id)
        return 0
    job = act.operator.run_now(schedule_id, reason=act.reason)
    act.done("run", job.id, schedule=schedule_id, id=job.id, name=job.name, state=job.state)
    return 0


@acting
def _pause(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        act.operator.pause_schedule(schedule_id, reason=act.reason)
    told = f"the slots of {schedule_id} {'would ' if act.is_dry else ''}pass until it is resumed"
    act.done("pause", told, schedule=schedule_id)
    return 0


@acting
def _resume(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        act.operator.resume_schedule(schedule_id, reason=act.reason)
    act.done("resume", f"{schedule_id} {'would fire' if act.is_dry else 'fires'} again", schedule=schedule_id)
    return 0


@acting
def _remove(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        if not act.is_sure(f"remove the schedule {schedule_id}"):
            return 1
        act.operator.remove_schedule(schedule_id, reason=act.reason)
    told = f"{schedule_id} {'would be' if act.is_dry else 'is'} removed"
    act.done("remove", told, schedule=schedule_id)
    return 0


def _meant(act: Act) -> str:
    """The id of the schedule that was named, which must be there."""
    schedule_id = id_meant(act.arguments)
    if act.can_look:
        with act.store.snapshot() as seen:
            if seen.schedules.one(schedule_id) is None:
                raise UnknownSchedule(f"no schedule {shown(schedule_id)} on {act.store.address}")
    return schedule_id
