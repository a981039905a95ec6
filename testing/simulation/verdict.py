"""How a simulation is judged: by the audit of its log, the store, and the jobs that applications were told are
stored.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ...history.audit.audit import Audit, Report
from ...history.audit.store_check import StoreView
from ...history.log_files.lines import parse
from ...messages.jobs import Instant, Seconds
from ...rules.limits import Limits
from ...stores.sqlite.read_only import ReadOnlyView

SHOWN_BY_LINES = (
    "missing lines",
    "missing turns",
    "missing moves",
    "missing boot",
    "told otherwise",
    "illegal transition",
    "slot without an account",
    "lost",
    "orphan",
)
"""Findings that a lost line makes. The loss is then looked for in the store alone."""


TELLING_SECONDS_MAX = 3600.0
"""Longer than any event is told after it happened."""


class Violation(AssertionError):
    """A promise was broken in a simulation."""


def kept_since_of(limits: Limits, now: Instant, stepped: Seconds) -> Instant:
    """Retention has removed no job known at this time or later. `stepped`: how far the clock moved, to and fro."""
    kept = min(limits.keep_done_seconds, limits.keep_dead_seconds)
    return now - kept + 2.0 * stepped + TELLING_SECONDS_MAX


def verdict(
    lines: Iterable[bytes],
    store: Path | sqlite3.Connection,
    *,
    accepted: Mapping[str, Instant],
    kept_since: Instant | None = None,
    set_back: Instant | None = None,
) -> tuple[Report, Sequence[str], Counter[str]]:
    """Audit a log against its store: the report, what is wrong in words, and how often each event was logged.

    Args:
        accepted: the ids of the jobs that applications were told are stored, and when they were.
        kept_since: given if lines were lost on purpose: the effects of such a loss are then no finding. A job that was
            known at this time or later must be in the store all the same: retention cannot have removed it since.
        set_back: given if the store was set back then, so that no log can agree with it: what was accepted since must
            be in the store.
    """
    audit, logged, said = Audit(), set[str](), Counter[str]()
    known = dict(accepted)
    for raw in lines:
        line = parse(raw)
        if line is None:
            continue
        audit.feed(line)
        said[line.event] += 1
        for move in line.moves or ():
            if move.j:
                logged.add(move.j)
                if kept_since is not None and line.at is not None:
                    known[move.j] = max(line.at, known.get(move.j, line.at))
    view = StoreView(partial(ReadOnlyView, store))
    with contextlib.closing(view.read()) as stored:
        ids = {job.id for job in stored.jobs()}
    report = audit.finish(view)
    if set_back is not None:
        gone = [job_id for job_id, at in accepted.items() if at > set_back and job_id not in ids]
        return report, [f"accepted after the store was set back, and lost: {job_id}" for job_id in gone], said
    if kept_since is None:
        lost = [f"accepted and lost: {job_id}" for job_id in accepted if job_id not in logged and job_id not in ids]
        return report, [*map(str, report.unexcused), *lost], said
    findings = [finding for finding in report.unexcused if finding.kind not in SHOWN_BY_LINES]
    gone = [job_id for job_id, at in known.items() if at >= kept_since and job_id not in ids]
    return report, [*map(str, findings), *(f"lost: the store has no job {job_id}" for job_id in gone)], said
