"""What a simulation is judged by: the audit of its log, the store, and what hosts were told."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..history.audit import Audit, Report
from ..history.lines import parse
from ..history.store import StoreView

SHOWN_BY_LINES = ("missing lines", "missing revisions", "illegal transition", "slot without an account", "lost")
"""Findings that a lost line makes."""


class Violation(AssertionError):
    """A promise was broken in a simulation."""


def verdict(
    lines: Iterable[bytes], store: Path, *, accepted: Iterable[str], lossy: bool
) -> tuple[Report, Sequence[str], Counter[str]]:
    """Audit a log against its store.

    Args:
        accepted: the ids of the jobs that hosts were told are stored.
        lossy: whether lines were lost on purpose; what such a loss makes is then no finding.

    Returns:
        The audit's report, what is wrong in words, and how often each event was said.
    """
    audit, told, said = Audit(), set[str](), Counter[str]()
    for raw in lines:
        line = parse(raw)
        if line is None:
            continue
        audit.feed(line)
        said[line.event] += 1
        if line.job_id is not None:
            told.add(line.job_id)
        told.update(deed[2] for deed in line.told or ())
    view = StoreView(str(store))
    with contextlib.closing(view.read()) as stored:
        told.update(job.id for job in stored.jobs())
    report = audit.finish(view)
    findings = [finding for finding in report.unexcused if not (lossy and finding.kind in SHOWN_BY_LINES)]
    lost = [f"accepted and lost: {job_id}" for job_id in accepted if job_id not in told]
    return report, [*map(str, findings), *lost], said
