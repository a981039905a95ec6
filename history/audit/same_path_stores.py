"""Boots that cannot be on one store though nothing else tells them apart: the same path on two hosts, a log that begins
after they have said where they are, a file that was made anew.

On one store no revision is told twice. Two boots that both tell nearly all revisions of a range, each by itself, are on
two stores if they live at the same time, or if both begin at the first revision. A store that has lost its last
transitions to a power cut looks otherwise: the boot that tells revisions again comes after the one that has died. And
boots on one store have jobs in common, so that what one queues the other claims.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..log_files.lines import Line, Part, Unread, read
from ..log_files.order import parts_of
from .audit import Audit
from .job_replay import walk
from .number_ranges import Revisions
from .report import Report
from .stores_of_boots import PART, SERVER

if TYPE_CHECKING:
    from .store_view import StoreView

COMMON_MIN = 3
"""So many revisions two boots must both tell at the least."""

COMMON_SHARE_MIN = 0.8
"""The share of the revisions in a range that two boots must both have logged."""


READ_ONCE = (
    "standard input cannot be read twice: if it holds several logs one after another, or the newest line first, give "
    "them as files"
)
"""Where something was found in what came through a pipe."""


@dataclass(slots=True)
class Told:
    """What a boot has logged: its revisions, its jobs, the boots that it found dead, and where in the log its
    transitions lie.
    """

    boot: str
    revs: Revisions = field(default_factory=Revisions)
    buried: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    born: set[str] = field(default_factory=set)
    first: int = 0
    last: int = -1

    def hear(self, line: Line, place: int) -> None:
        """Take one of its lines in."""
        if line.dead_boot is not None:
            self.buried.add(line.dead_boot)
        if line.rev is None or line.rev < 1:
            return
        if line.job_id is not None:
            self.jobs.add(line.job_id)
            if line.before is None or (line.revs and walk(None, len(line.revs) - 1)[0] == line.before):
                self.born.add(line.job_id)
        for rev in (*(line.revs or ()), line.rev):
            self.revs.add(rev)
        self.first, self.last = place if self.last < 0 else self.first, place


def audit_logs(paths: Sequence[str], store: StoreView | None = None) -> Report:
    """Audit logs; if all is not well, once more with what lies one after another in one file apart.

    An order of the lines in which all is well, or more of it, is the one in which they were written.

    Raises:
        UsageError: one of them cannot be read, or none has a line of ours.
    """
    report = _audited(paths, store)
    if report.ok:
        return report
    if "-" in paths:
        return replace(report, notes=(*report.notes, READ_ONCE))
    parts = parts_of(paths)
    again = report if len(parts) == len(paths) else _audited(parts, store)
    if again.count >= report.count:
        return report
    several = dict.fromkeys(os.path.basename(part.path) for part in parts if isinstance(part, Part))
    note = f"several logs lie one after another in {', '.join(several)}: their lines are taken in the order of time"
    return replace(again, notes=(note, *again.notes))


def _audited(paths: Sequence[str | Part], store: StoreView | None) -> Report:
    """The report on logs; if revisions collide, they are read again with the boots of different stores apart."""
    unread, notes = Unread(), list[str]()
    audit = _fed(paths, Audit(), unread)
    if not audit.lines:
        unread.refuse()
    if "-" not in paths and audit.collides:
        homes, notes = _parted(paths, audit.home_by_boot)
        audit = _fed(paths, Audit(homes)) if notes else audit
    report = audit.finish(store)
    return replace(report, notes=(*unread.note_on_them, *notes, *report.notes))


def _fed(paths: Sequence[str | Part], audit: Audit, unread: Unread | None = None) -> Audit:
    for line in read(paths, unread):
        audit.feed(line)
    return audit


def _parted(paths: Sequence[str | Part], home_by_boot: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The home of each boot, those that collide apart, and what is to be said about that."""
    told: dict[str, Told] = {}
    for place, line in enumerate(read(paths)):
        if line.boot in home_by_boot:
            told.setdefault(line.boot, Told(line.boot)).hear(line, place)
    homes, notes = dict(home_by_boot), []
    for home in sorted(set(home_by_boot.values())):
        if home.startswith(SERVER):
            # Each of its jobs has revisions of its own.
            continue
        parts = _parts([one for boot, one in told.items() if home_by_boot[boot] == home])
        for number, part in enumerate(parts):
            for one in part:
                homes[one.boot] = f"{home}{PART}{number}" if number else home
        if len(parts) > 1:
            said = "; ".join(", ".join(one.boot for one in part) for part in parts)
            where = f"on {home.partition(PART)[0].partition(':')[2]}" if home else "that do not say where they are"
            notes.append(
                f"boots {where} tell the same revisions: they are taken for those of {len(parts)} stores: {said}"
            )
    return homes, notes


def _parts(boots: list[Told]) -> list[list[Told]]:
    """Boots that may be on one store together; each joins those whose revisions it goes on from."""
    parts: list[list[Told]] = []
    for one in boots:
        free = [part for part in parts if not any(_collide(one, other) for other in part)]
        if not free:
            parts.append([one])
            continue
        min(free, key=lambda part: (not _is_akin(one, part), _distance(one, part))).append(one)
    return parts


def _is_akin(one: Told, part: list[Told]) -> bool:
    """Whether a boot has found another one dead, or has a line about a job that the other has seen queued."""
    return any(
        other.boot in one.buried or one.boot in other.buried or (one.jobs & other.jobs & (one.born ^ other.born))
        for other in part
    )


def _distance(one: Told, part: list[Told]) -> int:
    return abs(one.revs.first - max(other.revs.last for other in part))


def _collide(one: Told, other: Told) -> bool:
    """Whether two boots cannot be on one store."""
    if _is_akin(one, [other]):
        return False
    first, last = max(one.revs.first, other.revs.first), min(one.revs.last, other.revs.last)
    together = one.first <= other.last and other.first <= one.last
    newborn = 1 in one.revs and 1 in other.revs
    if first > last or not (together or newborn):
        return False
    told = [set(told.revs.numbers(first, last)) for told in (one, other)]
    common = len(told[0] & told[1])
    return common >= COMMON_MIN and common >= COMMON_SHARE_MIN * len(told[0] | told[1])
