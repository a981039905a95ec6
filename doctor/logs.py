"""The facts in the logs of the runtimes, where somebody has given them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..messages.jobs import Instant

if TYPE_CHECKING:
    from ..history.audit.report import Report
    from ..history.log_files.lines import Line

DAY, HOUR = 24 * 3600.0, 3600.0

WITHIN = {"clock.jumped": DAY, "store.waiting": HOUR, "log.dropped": DAY}
"""The greatest age of each event that is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvidence:
    """The facts in logs.

    Attributes:
        report: what the audit finds.
        jumps: how often the clock was set within a day.
        waits: how often a write batch had to wait for the lock within an hour.
        drops: how often lines were lost within a day.
    """

    report: Report
    jumps: int
    waits: int
    drops: int


def read_logs(paths: Sequence[str], store: str | None, at: Instant) -> LogEvidence:
    """Audit logs, and count what else the checks want of them.

    Args:
        store: the file to compare with, if the store is one.
        at: when this is.

    Raises:
        UsageError: one of them cannot be read, or none has a line of ours.
    """
    # Imported only here: most examinations are given no log.
    from ..history.audit.audit import audit_logs
    from ..history.audit.store_view import StoreView

    counts = Counter[str]()

    def count(line: Line) -> None:
        if (seconds := WITHIN.get(line.event)) is not None and at - line.ts <= seconds:
            counts[line.event] += 1

    return LogEvidence(
        report=audit_logs(paths, None if store is None else StoreView(store), heard=count),
        jumps=counts["clock.jumped"],
        waits=counts["store.waiting"],
        drops=counts["log.dropped"],
    )
