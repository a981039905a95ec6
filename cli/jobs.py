"""`lamplighter jobs`: the jobs of a store, which are listed, shown, counted and steered; and why one does not run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ..admin.inspector import Inspector
from ..admin.views import JobsPage
from ..messages.queries import JobQuery
from .inspecting import declare_inspecting, declare_query, inspecting, query_of
from .job_acts import ACTS, JOB
from .job_pages import HEADS, NUMBERS, row, show_graph, show_job, show_why
from .options import Subcommand, Times, add_paging, declare_group, limit_of
from .page import listed, note, page_of, print_json, print_one


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "The jobs of a store.",
        {
            "list": Subcommand(
                "list jobs, those that were queued or ended last first",
                (declare_query, add_paging, declare_inspecting),
                _list,
            ),
            "show": Subcommand("show all that is known of a job", (JOB, declare_inspecting), _show),
            "count": Subcommand(
                "count jobs by state, or those that match", (declare_query, declare_inspecting), _count
            ),
            "why": Subcommand("tell why a job does not run, and what would change it", (JOB, declare_inspecting), _why),
            "graph": Subcommand(
                "tell how far the jobs are that hang together with one", (JOB, declare_inspecting), _graph
            ),
            **ACTS,
        },
    )


@inspecting
def _list(arguments: argparse.Namespace, inspector: Inspector) -> int:
    query, limit = query_of(arguments), limit_of(arguments)
    found = inspector.jobs(query, limit=limit, after=arguments.after)
    code = listed(arguments, found.jobs, HEADS, partial(row, now=found.at), NUMBERS)
    if arguments.json:
        print_json({"next": found.next, "looked_at": found.looked_at, "is_complete": found.is_complete})
    else:
        _note_more(found)
    return code


def _note_more(found: JobsPage) -> None:
    """Say how to go on, and how far was looked."""
    if not found.is_complete:
        note(f"looked at {found.looked_at:,} jobs, and no further: go on with --after '{found.next}'")
    elif found.next is not None:
        note(f"more: --after '{found.next}'")
    elif not found.jobs:
        note(f"no such job among the {found.looked_at:,} that were looked at")


@inspecting
def _show(arguments: argparse.Namespace, inspector: Inspector) -> int:
    found = inspector.job(arguments.job)
    return print_one(arguments, found, lambda page: show_job(page, found, Times(is_utc=arguments.utc)))


@inspecting
def _why(arguments: argparse.Namespace, inspector: Inspector) -> int:
    reasons = inspector.why(arguments.job)
    if arguments.json:
        for one in reasons:
            print_json(one)
    else:
        show_why(page_of(arguments), reasons)
    return 0


@inspecting
def _graph(arguments: argparse.Namespace, inspector: Inspector) -> int:
    found = inspector.graph(arguments.job)
    return print_one(arguments, found, lambda page: show_graph(page, found))


@inspecting
def _count(arguments: argparse.Namespace, inspector: Inspector) -> int:
    query = query_of(arguments)
    if replace(query, names=()) != JobQuery() or len(query.names) > 1:
        return _count_matching(arguments, inspector, query)
    counts = inspector.counts(query.names[0] if query.names else None)
    fields = [(state, str(amount)) for state, amount in counts.of.items()]
    print_one(arguments, counts, lambda page: page.fields(fields))
    return 0 if any(amount.count for amount in counts.of.values()) else 1


def _count_matching(arguments: argparse.Namespace, inspector: Inspector, query: JobQuery) -> int:
    found = inspector.count(query)
    print_one(arguments, found, lambda page: page.line(str(found.amount)))
    if found.amount.is_capped and not arguments.json:
        note(f"looked at {found.looked_at:,} jobs, and no further")
    return 0 if found.amount.count else 1
