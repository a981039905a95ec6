"""`lamplighter errors`: what went wrong, as groups of failures that are the same one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial

from ..admin.error_groups import ErrorGroup
from ..admin.inspector import Inspector
from ..messages.jobs import Instant, JobState
from ..rules.wording import many
from .acting import Act, acting, add_expect, declare_acting
from .inspecting import declare_inspecting, inspecting
from .job_pages import HEADS as JOB_HEADS
from .job_pages import NUMBERS as JOB_NUMBERS
from .job_pages import rows
from .options import Subcommand, Times, add_delay, add_limit, argument, declare_group, delay_of, limit_of
from .page import ago, listed, note, page_of, print_json

HEADS = ("id", "name", "jobs", "dead", "exception", "message", "where", "last", "first")
NUMBERS = ("jobs", "dead")

OF_NAME = argument("--name", metavar="NAME", help="of jobs of this name")
GROUP = argument("group", metavar="GROUP", help="its id, or the beginning of it")


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "What went wrong: the jobs that died last and those that have failed and are tried again, in groups of one "
        "name, exception, message (without digits, ids and what is in quotes) and place in the application's code.",
        {
            "list": Subcommand(
                "list groups of failures, the largest first", (OF_NAME, add_limit, declare_inspecting), _list
            ),
            "show": Subcommand(
                "show a group, with its jobs and a traceback", (GROUP, add_limit, declare_inspecting), _show
            ),
            "requeue": Subcommand(
                "put the dead jobs of a group back into the queue",
                (GROUP, add_delay, add_expect, declare_acting),
                _requeue,
            ),
        },
    )


@inspecting
def _list(arguments: argparse.Namespace, inspector: Inspector) -> int:
    limit = limit_of(arguments)
    found = inspector.errors(arguments.name)
    groups = found.groups[:limit]
    code = listed(arguments, groups, HEADS, partial(_row, now=found.at), NUMBERS)
    if len(found.groups) > limit and not arguments.json:
        note(f"{many(len(found.groups) - limit, 'more group')}: --limit shows more of them")
    if found.is_capped and not arguments.json:
        note(f"among the {found.looked_at:,} jobs that failed last")
    return code


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


@inspecting
def _show(arguments: argparse.Namespace, inspector: Inspector) -> int:
    limit = limit_of(arguments)
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
        note(f"{many(group.count - len(jobs), 'more job')}: --limit shows more of them")
    return 0


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
