"""Checks whether the log can tell everything that the store has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..messages.jobs import Instant
from ..rules.wording import many, span
from ..stores.places import StorePlace
from .diagnosis import Symptom, error, note, ok, warning
from .evidence import Evidence

if TYPE_CHECKING:
    from ..history.audit.audit import Report
    from ..history.log_files.lines import Line


DAY, HOUR = 24 * 3600.0, 3600.0

WITHIN = {"clock.jumped": DAY, "store.waiting": HOUR, "log.dropped": DAY}
"""The greatest age of each counted event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvidence:
    """The facts in logs.

    Attributes:
        report: the audit's.
        jumps: how often the clock was set within a day.
        waits: how often a write batch had to wait for the lock within an hour.
        drops: how often lines were lost within a day.
    """

    report: Report
    jumps: int
    waits: int
    drops: int


def read_logs(paths: Sequence[str], place: StorePlace, at: Instant) -> LogEvidence:
    """Audit logs, and count the other events that the checks need.

    Args:
        place: of the store to compare with, if it keeps all jobs.
        at: the present instant.

    Raises:
        UsageError: one of them cannot be read, or none has a line of ours.
    """
    # Imported only here: most examinations have no log.
    from ..history.audit.audit import audit_logs
    from ..history.audit.store_check import StoreView

    counts = Counter[str]()

    def count(line: Line) -> None:
        if (seconds := WITHIN.get(line.event)) is not None and at - line.ts <= seconds:
            counts[line.event] += 1

    return LogEvidence(
        report=audit_logs(paths, None if place.lives is None else StoreView(place.lives), heard=count),
        jumps=counts["clock.jumped"],
        waits=counts["store.waiting"],
        drops=counts["log.dropped"],
    )


UNCOUNTED_SECONDS_MAX = 5.0
"""A runtime counts the jobs that host transactions have moved, and applies their changes of schedules, within a second.
"""

COUNTED_MAX = 10_000

FINDINGS_TOLD_MAX = 5


def gaps(seen: Evidence) -> Iterator[Symptom]:
    left = list(_left_by_transactions(seen))
    yield from left
    is_well = not left
    for view in seen.views:
        health = view.health
        dropped = [
            (health.log_dropped, "line of its log", "lines of its log"),
            (health.subscriber_dropped, "event for a subscriber", "events for subscribers"),
        ]
        told = [f"{count:,} {one if count == 1 else some}" for count, one, some in dropped if count]
        if told:
            is_well = False
            yield warning(
                f"boot {view.boot} has dropped {' and '.join(told)} since its start",
                "its outlet is too slow, or full: look at the disk, the pipe, or what the subscriber does",
            )
    yield from _of_logs(seen, is_well)


def _left_by_transactions(seen: Evidence) -> Iterator[Symptom]:
    """Changes by applications' own transactions that no turn has handled."""
    jobs, changes = seen.rows.uncounted(COUNTED_MAX)
    for count, oldest, (one, some), done, still in (
        (*jobs, ("job", "jobs"), "queued or moved", "in no log"),
        (*changes, ("change of schedules", "changes of schedules"), "made", "carried out by nobody"),
    ):
        if oldest is not None and seen.at - oldest > UNCOUNTED_SECONDS_MAX:
            more = "+" if count >= COUNTED_MAX else ""
            what, verb = (one, "is") if count == 1 else (some, "are")
            yield warning(
                f"{count:,}{more} {what} that an application's own transaction has {done} {verb} {still}, the oldest "
                f"for {span(seen.at - oldest)}",
                "start a runtime, or see why those that live do not write: `lamplighter doctor --only boots`",
            )


def _of_logs(seen: Evidence, is_well: bool) -> Iterator[Symptom]:
    log = seen.log
    if log is None:
        if is_well:
            yield ok("each move of a job is counted, and no runtime that answers has dropped a line; --log LOG audits")
        return
    report = log.report
    for finding in report.findings[:FINDINGS_TOLD_MAX]:
        says = f"audit: {finding.kind}: {finding.says}"
        if finding.excused:
            yield note(f"{says} (the log itself says so)")
        else:
            yield error(says, "`lamplighter audit LOG --store FILE` shows the lines")
    if report.count > FINDINGS_TOLD_MAX:
        yield error(f"audit: {report.count - FINDINGS_TOLD_MAX} more findings", "`lamplighter audit LOG --store FILE`")
    if log.drops:
        yield warning(f"lines were lost {many(log.drops, 'time')} within a day (`log.dropped`)", "see why there")
    if log.waits:
        yield note(
            f"write batches had to wait for the lock {many(log.waits, 'time')} within an hour (`store.waiting`)",
            "its lines say for how long, and who is likely to have it",
        )
    if is_well and report.ok:
        yield ok(report.summary)
