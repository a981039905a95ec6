"""`lamplighter errors`: what went wrong, as groups of failures that are the same one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from ..admin.error_groups import ErrorGroup
from ..admin.inspector import Inspector
from ..messages.jobs import Instant, JobState
from .acting import Act, acting, add_expect, declare_acting
from .groups import Subcommand, declare_group
from .inspecting import ago, declare_inspecting, inspected, note, page_of
from .job_pages import HEADS as JOB_HEADS
from .job_pages import NUMBERS as JOB_NUMBERS
from .job_pages import rows
from .options import Times, add_delay, add_limit, delay_of, limit_of
from .page import print_json

HEADS = ("id", "name", "jobs", "dead", "exception", "message", "where", "last", "first")
NUMBERS = ("jobs", "dead")


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    parser.description = (
        "What went wrong: the jobs that died last and those that have failed and are tried again, in groups of one "
        "name, exception, message (without digits, ids and what is in quotes) and place in the application's code."
    )
    return declare_group(
        parser,
        {
            "list": Subcommand("list groups of failures, the largest first", _declare_list, _list),
            "show": Subcommand("show a group, with its jobs and a traceback", _declare_one, _show),
            "requeue": Subcommand("put the dead jobs of a group back into the queue", _declare_requeue, _requeue),
        },
    )


def _declare_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="of jobs of this name")
    add_limit(parser)
    declare_inspecting(parser)


def _declare_group(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", metavar="GROUP", help="its id, or the beginning of it")


def _declare_requeue(parser: argparse.ArgumentParser) -> None:
    _declare_group(parser)
    add_delay(parser)
    add_expect(parser)
    declare_acting(parser)


def _declare_one(parser: argparse.ArgumentParser) -> None:
    _declare_group(parser)
    add_limit(parser)
    declare_inspecting(parser)


def _list(arguments: argparse.Namespace) -> int:
    limit = limit_of(arguments)

    def show(inspector: Inspector) -> int:
        found = inspector.errors(arguments.name)
        groups = found.groups[:limit]
        if arguments.json:
            for group in groups:
                print_json(group)
            return 0 if groups else 1
        if groups:
            page_of(arguments).table(HEADS, [_row(group, found.at) for group in groups], right=NUMBERS)
        if len(found.groups) > limit:
            note(f"{len(found.groups) - limit} more groups: --limit shows more of them")
        if found.is_capped:
            note(f"among the {found.looked_at:,} jobs that failed last")
        return 0 if groups else 1

    return inspected(arguments, show)


def _row(group: ErrorGroup, now: Instant) -> list[str]:
    return [
        group.id,
        group.name,
        f"{group.count:,}",
        f"{group.dead:,}",
        group.exception,
        group.message,
        group.where,
        ago(now, group.last_seen),
        ago(now, group.first_seen),
    ]


def _show(arguments: argparse.Namespace) -> int:
    limit = limit_of(arguments)

    def show(inspector: Inspector) -> int:
        group, jobs = inspector.failed_in(arguments.group, limit=limit)
        if group is None:
            return _unknown(arguments.group)
        if arguments.json:
            print_json({"group": group, "jobs": jobs})
            return 0
        page, times, sample = page_of(arguments), Times(is_utc=arguments.utc), inspector.job(group.sample)
        page.fields(
            [
                ("id", group.id),
                ("name", group.name),
                ("jobs", f"{group.count:,}: {group.dead:,} dead, {group.failing:,} tried again"),
                ("exception", group.exception),
                ("message", group.message),
                ("where", group.where),
                ("first seen", times.of(group.first_seen)),
                ("last seen", times.of(group.last_seen)),
                ("last error", (group.error, "bad")),
                ("at", group.line),
                ("traceback", (sample.traceback or "", "quiet")),
            ]
        )
        page.line("")
        page.table(JOB_HEADS, rows(jobs, sample.at), right=JOB_NUMBERS)
        if len(jobs) < group.count:
            note(f"{group.count - len(jobs):,} more jobs: --limit shows more of them")
        return 0

    return inspected(arguments, show)


@acting
def _requeue(act: Act) -> int:
    delay, inspector = delay_of(act.arguments), act.inspector()
    group, _ = inspector.failed_in(act.arguments.group, limit=0)
    if group is None:
        return _unknown(act.arguments.group)
    return act.sweep_found("requeue", lambda: inspector.dead_in(group), (JobState.DEAD,), delay)


def _unknown(group: str) -> int:
    note(f"no group of failures {group!r}: `lamplighter errors list` lists them")
    return 1
