"""`lamplighter trace`: what became of a job, and other ways into a log."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..admin.stored_life import WHO, StoredLife, stored_life
from ..environment.clock import SystemClock
from ..errors import UnknownJob, UsageError
from ..history.log_files.files import processes_here
from ..history.log_files.lines import LATEST, Unread, check_readable, may_have
from ..history.trace.job import biography
from ..history.trace.others import schedules_in, trace_actor, trace_root, trace_schedule
from ..history.trace.sentences import Entry
from ..history.trace.snapshot import SAMPLES_MAX, Held, Snapshot, snapshot
from ..rules.printable import visible
from ..rules.validation import check_name
from ..rules.wording import clock, many, span
from ..stores.opening import place_of
from .options import add_logs, log_paths
from .page import Page

SCHEDULES_MAX = 20
"""How many schedules are named where none has the id that was asked for."""

EARLIEST = -62_135_596_800.0
"""The beginning of the year 1."""

NO_LEDGER = "these logs are at warning, and what turns do is told at info"
"""Why a job may be missing from a log in which nothing is."""

NO_STARTS = (
    "these logs are not at debug, where it is told that an actor starts and stops: at info, only that it died is"
)
"""A possible reason why an actor that never crashed is not found in a log."""

WAYS = {"schedule": trace_schedule, "actor": trace_actor, "corr": trace_root}


def declare(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "lamplighter trace (JOB_ID | --schedule ID_OR_KEY | --actor NAME | --corr ID | --at TIME) LOG... [--json]\n"
        "       lamplighter trace JOB_ID [LOG...] --store FILE [--json]"
    )
    parser.description = (
        "Tells from logs alone what happened, or what a store alone still knows of a job. Exits with 1 if nothing in "
        "them is about what was asked for."
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--schedule", metavar="ID_OR_KEY", help="why each slot of a schedule did or did not fire")
    way.add_argument(
        "--actor", metavar="NAME", help="starts, deaths and restarts, of handler:NAME, broker or scheduler"
    )
    way.add_argument(
        "--corr", metavar="ID", help="everything that descends from a call of the application (its job's id) or a slot"
    )
    way.add_argument(
        "--at", metavar="TIME", help="the whole system at an instant: ISO 8601 (UTC unless it says) or epoch"
    )
    add_logs(parser)
    parser.add_argument(
        "-s",
        "--store",
        type=os.fsdecode,
        metavar="FILE",
        help="what this store knows of the job too, or alone; it is only read",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.store and any(getattr(arguments, name) is not None for name in ("at", *WAYS)):
        raise UsageError(
            "expected a JOB_ID with --store: a store does not tell what schedules, actors and calls have done"
        )
    unread = Unread()
    if arguments.at is not None:
        at, paths = _instant(arguments.at), log_paths(arguments.logs)
        seen = snapshot(paths, at, unread)
        if not seen.last:
            check_readable(paths)
        return _show_instant(seen, unread.notes, as_json=arguments.json)
    for name, way in WAYS.items():
        wanted = getattr(arguments, name)
        if wanted is not None:
            paths = log_paths(arguments.logs)
            entries = way(paths, wanted, processes=processes_here(), unread=unread)
            if not entries:
                check_readable(paths)
            hint = _hint(name, paths) if not entries else ""
            missing = f"{name} {wanted}{hint}"
            return _show(f"{name} {wanted}", entries, unread.notes, as_json=arguments.json, missing=missing)
    if not arguments.logs:
        raise UsageError("expected JOB_ID LOG..., or one of --schedule, --actor, --corr and --at, got nothing")
    job_id, *logs = arguments.logs
    if not logs and not arguments.store:
        raise UsageError(f"expected a LOG, or --store FILE, after the job's id, got only: {job_id!r}")
    check_name(job_id, "JOB_ID")
    return _trace_job(job_id, log_paths(logs) if logs else [], arguments.store, as_json=arguments.json)


def _trace_job(job_id: str, paths: Sequence[str], address: str | None, *, as_json: bool) -> int:
    unread = Unread()
    life = biography(paths, job_id, processes=processes_here(), unread=unread) if paths else None
    stored, unknown = _stored(address, job_id)
    if life is not None:
        added = stored.beside(life) if stored is not None else _not_stored(unknown)
        return _show(life.title, [*life.entries, *added], unread.notes, as_json=as_json, missing="")
    if paths:
        check_readable(paths)
        no_ledger = "" if may_have(paths, lambda line: line.moves is not None) else f" ({NO_LEDGER})"
        _show("", [], unread.notes, as_json=as_json, missing=f"job {job_id}{no_ledger}")
    if unknown:
        print(f"lamplighter: {visible(unknown)}", file=sys.stderr)
    return 1 if stored is None else _show(stored.title, list(stored.entries), (), as_json=as_json, missing="")


def _stored(address: str | None, job_id: str) -> tuple[StoredLife | None, str]:
    """The facts that a store has about a job, if one was named; or that it has none of that id."""
    if not address:
        return None, ""
    place = place_of(address)
    if not place.has_table:
        raise UsageError(
            f"expected a store that keeps a table of all jobs, got: {place.shown}; trace its logs without --store"
        )
    try:
        return stored_life(address, job_id, SystemClock().now()), ""
    except UnknownJob as error:
        return None, str(error)


def _not_stored(unknown: str) -> list[Entry]:
    return [Entry(at=None, who="", says=unknown, tone="warning", begins=True)] if unknown else []


def _hint(name: str, paths: Sequence[str]) -> str:
    if name == "schedule":
        return _other_schedules(paths)
    if name == "actor" and not may_have(paths, lambda line: line.event == "actor.started"):
        return f" ({NO_STARTS})"
    return ""


def _other_schedules(paths: Sequence[str]) -> str:
    known = [f"{schedule} ({whose})" for schedule, whose in schedules_in(paths).items()]
    more = f" and {len(known) - SCHEDULES_MAX} more" if len(known) > SCHEDULES_MAX else ""
    return f"; the schedules in them are {', '.join(known[:SCHEDULES_MAX])}{more}" if known else ""


def _show(title: str, entries: list[Entry], notes: Sequence[str], *, as_json: bool, missing: str) -> int:
    code = 0 if entries else 1
    if as_json:
        noted = (Entry(at=None, who="", says=f"note: {note}") for note in notes)
        for entry in (*entries, *noted):
            print(json.dumps({"at": entry.at, "who": entry.who, "says": entry.says, **_line(entry)}))
        return code
    page = Page()
    if entries:
        page.line(title)
        page.timeline(entries)
    else:
        page.line(f"nothing in these logs is about {missing}", "bad")
    _show_notes(page, notes)
    return code


def _show_notes(page: Page, notes: Sequence[str]) -> None:
    for note in notes:
        page.line(f"note: {note}", "quiet")


def _line(entry: Entry) -> dict[str, Any]:
    return {"stored" if entry.who == WHO else "line": entry.said} if entry.said else {}


def _instant(text: str) -> float:
    try:
        at = float(text)
    except ValueError:
        at = _of_iso(text)
    if not EARLIEST <= at < LATEST:
        raise UsageError(f"expected --at between the years 1 and 9999, got: {text!r}")
    return at


def _of_iso(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"expected --at as ISO 8601 or seconds since the epoch, got: {text!r}") from error
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _show_instant(seen: Snapshot, notes: Sequence[str], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({**_instant_as_dict(seen), "notes": list(notes)}))
        return 0 if seen.last else 1
    page = Page()
    if not seen.last:
        page.line(f"these logs have no line from {clock(seen.at)} or before", "bad")
        _show_notes(page, notes)
        return 1
    page.line(f"at {clock(seen.at)} (the last line before is {span(seen.at - seen.last)} older)")
    _show_boots(page, seen)
    jobs = ", ".join(f"{number} {state}" for state, number in sorted(seen.states.items()) if number)
    page.line(f"jobs: {jobs or 'none'}" + ("" if seen.has_ledger else f" ({NO_LEDGER})"))
    for (boot, name), actor in sorted(seen.actors.items()):
        mine = _in_hand(seen, boot, name)
        restarts = f", {many(actor.restarts_in_window, 'restart')} in its window" if actor.restarts_in_window else ""
        why = f": {actor.reason}" if actor.status not in ("up", "stopped") and actor.reason else ""
        page.line(
            f"{name}/{actor.incarnation} · {boot[:6]}  {actor.status} for {span(seen.at - actor.since)}{restarts}{why}",
            "plain" if actor.status == "up" else "warning",
        )
        for held in mine[:SAMPLES_MAX]:
            how = f"runs on lane {held.lane}" if held.started else "is claimed, not started"
            page.line(f"    {held.job_id} claim {held.claim_no} {how} since {span(seen.at - held.since)}", "quiet")
        if len(mine) > SAMPLES_MAX:
            page.line(f"    ... and {len(mine) - SAMPLES_MAX} more", "quiet")
    for (boot, lane), held in seen.abandoned.items():
        since = span(seen.at - held.since)
        page.line(f"abandoned lane {lane} · {boot[:6]} of job {held.job_id}, given up {since} before", "bad")
    _show_notes(page, notes)
    return 0


def _show_boots(page: Page, seen: Snapshot) -> None:
    def named(boot: str) -> str:
        pid = f"pid {seen.boots[boot]}, " if seen.boots[boot] else ""
        return f"{boot} ({pid}last heard of {span(seen.at - seen.spoke.get(boot, 0.0))} before)"

    alive = ", ".join(named(boot) for boot in seen.boots if boot not in seen.bereft)
    page.line(f"boots alive: {alive or 'none'}")
    for boot in sorted(seen.bereft):
        says = "a job that it had was delivered again, and it has said nothing since"
        page.line(f"dead or without a connection: {named(boot)}: {says}", "warning")


def _instant_as_dict(seen: Snapshot) -> dict[str, Any]:
    actors = [
        {
            "boot": boot,
            "actor": name,
            "incarnation": actor.incarnation,
            "status": actor.status,
            "since": actor.since,
            "restarts_in_window": actor.restarts_in_window,
            "reason": actor.reason,
            "jobs": [held.job_id for held in _in_hand(seen, boot, name)],
        }
        for (boot, name), actor in sorted(seen.actors.items())
    ]
    running = [
        {"job_id": held.job_id, "claim_no": held.claim_no, "since": held.since, "boot": held.boot, "lane": held.lane}
        for held in seen.held
    ]
    abandoned = [{"boot": boot, "lane": lane, "job_id": held.job_id} for (boot, lane), held in seen.abandoned.items()]
    jobs = {state: number for state, number in seen.states.items() if number}
    return {
        "at": seen.at,
        "last": seen.last,
        "boots": seen.boots,
        "spoke": seen.spoke,
        "bereft": sorted(seen.bereft),
        "has_ledger": seen.has_ledger,
        "jobs": jobs,
        "actors": actors,
        "running": running,
        "abandoned": abandoned,
    }


def _in_hand(seen: Snapshot, boot: str, actor: str) -> list[Held]:
    return [held for held in seen.held if held.boot == boot and actor == f"handler:{held.job_name}"]
