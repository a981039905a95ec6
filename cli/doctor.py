"""`lamplighter doctor`: what is wrong with a store and with who works on it, and what to do."""

from __future__ import annotations

import argparse
import contextlib
import os

from ..doctor.diagnosis import Examination, Level
from ..doctor.examining import CHECKS, chosen, evidence_at, examine
from ..errors import StoreError, StoreUnavailable, check_seconds
from ..messages.controls import ANSWER_SECONDS
from ..rules.wording import Tone, many
from .main import STORE_ERROR
from .options import HELP, add_store, log_paths, seconds, store_of
from .page import Page, print_json

TONES: dict[Level, Tone] = {"ok": "good", "note": "plain", "unknown": "quiet", "warning": "warning", "error": "bad"}


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check a store and who works on it; say what is wrong, what shows it, and what to do. Exits with 1 if there "
        "is something to do, with 3 if the store cannot be read."
    )
    add_store(parser)
    parser.add_argument(
        "--log", type=os.fsdecode, metavar="LOG", action="append", default=[], help=f"audit this too: {HELP}"
    )
    parser.add_argument("--deep", action="store_true", help="look through all of the file, which may take minutes")
    parser.add_argument(
        "--only", metavar="ID", action="append", default=[], help="this check alone, or those that begin so: store"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=ANSWER_SECONDS, metavar="SECONDS", help="for each to answer (%(default)g)"
    )
    parser.add_argument("--list", action="store_true", help="list the checks, and do nothing")
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")
    parser.add_argument("--color", choices=["auto", "always", "never"], default="auto", help="colours (auto)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    checks = chosen(arguments.only)
    if arguments.list:
        Page(arguments.color).table(("check", "looks at"), [(check.id, check.asks) for check in checks])
        return 0
    logs = log_paths(arguments.log) if arguments.log else []
    timeout = check_seconds(arguments.timeout, "--timeout")
    with evidence_at(store_of(arguments), logs=logs, is_deep=arguments.deep, timeout=timeout) as seen:
        # Files that are no logs are an error here; an unreadable store is reported by the checks.
        with contextlib.suppress(StoreError, StoreUnavailable):
            assert not logs or seen.log
        found = examine(seen, checks)
    code = STORE_ERROR if found.unread is not None else 0 if found.is_well else 1
    # The verdict counts even if the reader of the output leaves early.
    arguments.verdict = code
    if arguments.json:
        for finding in found.findings:
            print_json(finding)
    else:
        _show(Page(arguments.color), found)
    return code


def _show(page: Page, found: Examination) -> None:
    width = max((len(check.id) for check in CHECKS), default=0)
    for one in found.findings:
        page.line(f"{one.level:<7}  {one.check:<{width}}  {one.evidence}", TONES[one.level])
        if one.remedy:
            page.line(f"{'':<7}  {'':<{width}}  -> {one.remedy}", "quiet" if one.level in ("ok", "note") else "plain")
    if found.unread is not None:
        page.line(f"the store cannot be read: {found.unread}", "bad")
    page.line(_summary(found), "good" if found.is_well and found.unread is None else "bad")


def _summary(found: Examination) -> str:
    counts = found.counts
    wrong = [many(counts[level], level) for level in ("error", "warning") if counts[level]]
    said = " and ".join(wrong) if wrong else "nothing that is known is wrong"
    unsure = f"; {many(counts['unknown'], 'thing')} could not be known" if counts["unknown"] else ""
    return f"{said}{unsure}"
