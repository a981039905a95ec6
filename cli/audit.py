"""`lamplighter audit`: was anything lost, finished twice, fired twice, moved illegally, or left out of the log?"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ..errors import UsageError
from ..history.audit.audit import Report, audit_logs
from ..history.audit.store_check import StoreView
from ..history.replay.findings import Finding
from ..stores.opening import place_of
from .options import add_logs, log_paths
from .page import Page

SHOWN_MAX = 50
"""Findings that are shown to a person; --json gives all."""


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Follows the jobs and slots of a log, and names what cannot have happened. Exits with 1 if there is any."
    )
    add_logs(parser)
    parser.add_argument(
        "-s", "--store", type=os.fsdecode, metavar="FILE", help="compare with this store too; it is only read"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a finding, and one that sums up")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    paths = log_paths(arguments.logs)
    place = place_of(arguments.store) if arguments.store else None
    if place is not None and not place.has_table:
        raise UsageError(
            f"expected a store that keeps a table of all jobs, which a log could be compared with, got: {place.shown}; "
            "audit its logs without --store"
        )
    store = None if place is None else StoreView(place.lives)
    report = audit_logs(paths, store)
    code = 0 if report.ok else 1
    if code:
        # The verdict counts even if the reader of the output leaves early.
        arguments.verdict = code
    if arguments.json:
        _print_json(report)
    else:
        _show(report)
    return code


def _show(report: Report) -> None:
    page = Page()
    for finding in report.findings[:SHOWN_MAX]:
        page.line(f"{finding.kind}: {finding.says}", "warning" if finding.excused else "bad")
        for line in finding.lines:
            page.line(f"    {line}", "quiet", cut=True)
    hidden = len(report.findings) - SHOWN_MAX
    if hidden > 0:
        page.line(f"... and {hidden} more; --json gives them all", "warning")
    for note in report.notes:
        page.line(f"note: {note}", "quiet")
    page.line(report.summary, "good" if report.ok else "bad")


def _print_json(report: Report) -> None:
    for finding in report.findings:
        print(json.dumps(_as_dict(finding)))
    counts = {
        name: getattr(report, name)
        for name in ("lines", "jobs", "transitions", "slots", "boots", "crashes", "unfinished", "is_whole", "more")
    }
    print(json.dumps({"ok": report.ok, "summary": report.summary, **counts, "notes": list(report.notes)}))


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "says": finding.says,
        "excused": finding.excused,
        "lines": list(finding.lines),
    }
