"""The audit: follows every job of a log through the state machine, and finds what cannot have happened if all is well.

A line at a time, in the order in which the logs were written. Memory follows the number of open jobs, not the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...log.events import EVENTS
from ..log_files.lines import Line, line_of
from .file_replay import Fold
from .queue_replay import QueueFold
from .report import Finding, Findings, Report, many
from .stores_of_boots import PART, Homes
from .verdicts import judge_end

if TYPE_CHECKING:
    from .store_view import StoreView

__all__ = ["Audit", "Finding", "Report"]

SAMPLE_JOBS_MAX = 1_000
"""Stored jobs that say which of several stores a log is of."""

NEWER_NAMED_MAX = 10
"""Kinds of events that this version does not know, and that are named."""


class Audit:
    """Audits the logs of any number of boots and stores at once.

    Args:
        homes: the store of each boot, if the caller knows more about it than the boots have logged.

    """

    def __init__(self, homes: Mapping[str, str] | None = None) -> None:
        self.lines = 0
        self._findings = Findings()
        self._homes = Homes(self._findings, homes or {})
        self._newer: Counter[str] = Counter()

    @property
    def collides(self) -> bool:
        """Whether two lines have had the same revision so far."""
        return any(finding.kind == "revision twice" for finding in self._findings.kept)

    @property
    def home_by_boot(self) -> dict[str, str]:
        """Which store each boot was taken to be on, by the name that its runtimes give it."""
        name_of = {id(fold): name for name, fold in self._homes.folds.items()}
        return {boot: name_of[id(fold)] for boot, fold in self._homes.fold_by_boot.items()}

    def feed(self, line: Line | dict[str, Any]) -> None:
        """Take the next line in."""
        if isinstance(line, dict):
            line = line_of(line)
        self.lines += 1
        if line.event not in EVENTS:
            self._newer[line.event] += 1
        fold = self._homes.fold_by_boot.get(line.boot)
        if fold is not None:
            fold.hear(line)
        else:
            self._homes.settle(line)

    def finish(self, store: StoreView | None = None) -> Report:
        """Return the report. With a store, also check that it agrees with the log. Feed nothing after this."""
        self._homes.settle_all()
        folds: list[Fold | QueueFold] = list(self._homes.folds.values()) or [Fold(self._findings)]
        for fold in folds:
            fold.flush()
        files = [fold for fold in folds if isinstance(fold, Fold)]
        compared = None if store is None or not files else self._of_store(store, files)
        notes = [*self._notes_on_newer()]
        for fold in folds:
            if isinstance(fold, QueueFold):
                notes += fold.judge_end()
            else:
                notes += judge_end(fold, self._findings, store if fold is compared else None)
        return Report(
            findings=tuple(self._findings.kept),
            more=self._findings.more,
            notes=tuple(notes),
            lines=self.lines,
            jobs=sum(fold.born for fold in folds),
            transitions=sum(fold.transitions for fold in folds),
            slots=sum(fold.slots.accounted for fold in folds),
            boots=len(self._homes.fold_by_boot),
            crashes=sum(fold.crashes for fold in folds),
            unfinished=sum(fold.unfinished for fold in folds),
            is_whole=all(fold.is_whole for fold in folds),
        )

    def _notes_on_newer(self) -> Iterator[str]:
        if self._newer:
            kinds = ", ".join(sorted(self._newer)[:NEWER_NAMED_MAX])
            yield (
                f"{many(self._newer.total(), 'line')} of a kind that this version does not know ({kinds}): they count "
                "as told, and a newer version can check them"
            )

    def _of_store(self, store: StoreView, folds: list[Fold]) -> Fold:
        """Of several stores' logs, the one whose runtimes named this store, or that knows most of its jobs."""
        by_id = self._homes.name_by_id.get(store.store_id or "")
        named = [
            fold
            for name, fold in self._homes.folds.items()
            if isinstance(fold, Fold) and (store.is_named(name) if by_id is None else _is_part_of(name, by_id))
        ]
        if len(named) == 1 or len(folds) == 1:
            return (named or folds)[0]
        stored = store.read()
        ids = [job.id for job in islice(stored.jobs(), SAMPLE_JOBS_MAX)]
        stored.close()
        return max(named or folds, key=lambda fold: sum(fold.jobs.knows(job_id) for job_id in ids))


def _is_part_of(name: str, whole: str) -> bool:
    """Whether a fold is that of a store, or a part of what was taken for it."""
    return name == whole or name.startswith(f"{whole}{PART}")
