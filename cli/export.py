"""`lamplighter export`: all jobs, slots or tallies of a store, as JSON lines or CSV."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from ..admin.exporting import SlotRow, StepRow, all_jobs, all_slots, all_steps, all_tallies
from ..admin.inspector import readable_table
from ..admin.query import read_instant
from ..admin.views import JobView, Payload
from ..environment.clock import SystemClock
from ..errors import UnknownSchedule, shown
from ..messages.tallies import BOUNDS, EVER, HOUR, MINUTE, Tally
from ..rules.printable import visible
from .inspecting import SCHEDULES, declare_query, id_meant, query_of
from .options import Subcommand, add_show_data, add_since, add_store, add_until, argument, declare_group, store_of
from .page import print_json

SPANS = {"minute": MINUTE, "hour": HOUR, "ever": EVER}

JOB_COLUMNS = tuple(field.name for field in fields(JobView) if field.name != "why")
STEP_COLUMNS = tuple(field.name for field in fields(StepRow))
SLOT_COLUMNS = tuple(field.name for field in fields(SlotRow))
TALLY_COLUMNS = ("span", "start", "name", "kind", "n", "seconds", *(f"to_{bound:g}_s" for bound in BOUNDS), "longer")

NAME = argument("name", metavar="NAME", nargs="?", help="of the jobs of this name only")
PER = argument("--per", choices=SPANS, default="hour", help="of each minute, of each hour, or of ever (hour)")
SINCE = add_since("8d")

INSTANTS = frozenset({"queued_at", "run_at", "claimed_at", "ended_at", "expires_at", "slot", "last", "start", "at"})
"""The columns that are times: in CSV in UTC, as ISO 8601."""


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "All jobs, steps, slots or tallies of a store, one a line. It never has more than some of them in memory.",
        {
            "jobs": Subcommand(
                "all jobs, or those that match, the newest first",
                (declare_query, add_show_data, _declare_export),
                _jobs,
            ),
            "slots": Subcommand(
                "what became of the slots of schedules", (*SCHEDULES, SINCE, add_until, _declare_export), _slots
            ),
            "steps": Subcommand(
                "what is kept of steps, signals and waits of jobs, of all or of those that match",
                (declare_query, add_show_data, _declare_export),
                _steps,
            ),
            "tallies": Subcommand("the sums of what became of jobs", (NAME, PER, SINCE, _declare_export), _tallies),
        },
    )


def _declare_export(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--json", action="store_true", help="JSON, one object a line, times as seconds since the epoch")
    how.add_argument("--csv", action="store_true", help="CSV with a head, times in UTC as ISO 8601")


def _jobs(arguments: argparse.Namespace) -> int:
    query = query_of(arguments)
    with closing(readable_table(store_of(arguments), "export")) as store:
        jobs = all_jobs(store, query, shows_data=arguments.show_data)
        return _written(arguments, jobs, JOB_COLUMNS, partial(_cells, JOB_COLUMNS))


def _steps(arguments: argparse.Namespace) -> int:
    query = query_of(arguments)
    with closing(readable_table(store_of(arguments), "export")) as store:
        steps = all_steps(store, query, shows_data=arguments.show_data)
        return _written(arguments, steps, STEP_COLUMNS, partial(_cells, STEP_COLUMNS))


def _slots(arguments: argparse.Namespace) -> int:
    now = SystemClock().now()
    since, until = read_instant(arguments.since, now), read_instant(arguments.until, now)
    wanted = None if arguments.schedule is None else id_meant(arguments)
    with closing(readable_table(store_of(arguments), "export")) as store:
        if wanted is not None:
            with store.snapshot() as seen:
                if seen.schedules.one(wanted) is None:
                    raise UnknownSchedule(f"no schedule {shown(wanted)} on {store.address}")
        return _written(arguments, all_slots(store, wanted, since, until), SLOT_COLUMNS, attrgetter(*SLOT_COLUMNS))


def _tallies(arguments: argparse.Namespace) -> int:
    now, span = SystemClock().now(), SPANS[arguments.per]
    since = read_instant(arguments.since, now)
    with closing(readable_table(store_of(arguments), "tallies")) as store:
        tallies = all_tallies(store, span, since, now, arguments.name)
        return _written(arguments, tallies, TALLY_COLUMNS, _tally_row)


def _written(
    arguments: argparse.Namespace, all_of: Iterable[Any], columns: Sequence[str], row: Callable[[Any], Sequence[Any]]
) -> int:
    """Write all of them as they come; 1 if there are none."""
    rows = iter(all_of)
    # The first read comes before the first line: of a store that cannot be read nothing is written.
    first = list(islice(rows, 1))
    table = csv.writer(sys.stdout, lineterminator="\n") if arguments.csv else None
    if table is not None:
        table.writerow(columns)
    for one in chain(first, rows):
        if table is None:
            print_json(one._asdict() if isinstance(one, Tally) else one)
        else:
            table.writerow(_cell(column, cell) for column, cell in zip(columns, row(one), strict=True))
    return 0 if first else 1


def _cells(columns: Sequence[str], row: object) -> Sequence[Any]:
    return [_payload(cell) if isinstance(cell := getattr(row, column), Payload) else cell for column in columns]


def _payload(one: Payload) -> str:
    return json.dumps(one.value, separators=(",", ":")) if one.is_shown else one.shape


def _tally_row(one: Tally) -> Sequence[Any]:
    buckets = one.buckets or [""] * (len(BOUNDS) + 1)
    return [one.span, None if one.span == EVER else one.start, one.name, one.kind, one.n, one.seconds, *buckets]


def _cell(column: str, value: Any) -> Any:
    """Text for programs; the data of a job never moves the cursor of a terminal."""
    if value is not None and column in INSTANTS:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return visible(value) if isinstance(value, str) and sys.stdout.isatty() else value
