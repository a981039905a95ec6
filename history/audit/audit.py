"""The audit: replays a log, and says what cannot have happened if all is well."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...rules.wording import many
from ..log_files.lines import Line, Unread, line_of, read
from ..replay.findings import Finding, named
from ..replay.replay import Replay
from .report import Report
from .store_check import compare
from .verdicts import Verdicts

if TYPE_CHECKING:
    from .store_view import StoreView

__all__ = ["Audit", "Finding", "Report", "audit_logs"]


class Audit:
    """Audits the logs of any number of boots and stores at once."""

    def __init__(self) -> None:
        self.replay = Replay()

    def feed(self, line: Line | dict[str, Any]) -> None:
        """Take the next line in."""
        self.replay.hear(line_of(line) if isinstance(line, dict) else line)

    def finish(self, store: StoreView | None = None) -> Report:
        """Say what was found. With a store, also whether it agrees with the log; feed nothing more."""
        replay = self.replay
        verdicts = Verdicts(replay)
        stores = list(replay.stores.values())
        compared = None if store is None else replay.stores.get(store.store_id)
        if store is not None and compared is not None:
            verdicts.kept = compare(replay, compared, store)
        elif store is not None:
            verdicts.notes += self._say_unknown(store)
        verdicts.judge(compared, store)
        return Report(
            findings=tuple(replay.findings.kept),
            more=replay.findings.more,
            notes=(*verdicts.notes, *self._notes_on_newer()),
            lines=replay.lines,
            jobs=sum(one.jobs.born for one in stores),
            transitions=sum(one.jobs.moves for one in stores),
            slots=sum(one.slots.accounted for one in stores),
            boots=len(replay.boots) - len(replay.operators),
            acts=len(replay.operators),
            crashes=verdicts.crashes,
            unfinished=sum(
                len(one.jobs.open) if one.stored_unfinished is None else one.stored_unfinished for one in stores
            ),
            is_whole=not verdicts.hushed,
        )

    def _notes_on_newer(self) -> list[str]:
        newer = self.replay.newer
        if not newer:
            return []
        return [
            f"{many(newer.total(), 'line')} of a kind that this version does not know ({named(sorted(newer))}): they "
            "count as told, and a newer version can check them"
        ]

    def _say_unknown(self, view: StoreView) -> list[str]:
        """No line is of the store. If lines are of others, it is the wrong file, or was put in the place of one."""
        with contextlib.closing(view.read()) as stored:
            jobs = sum(1 for _ in stored.jobs())
        says = "the log has no line of this store's ledger"
        if not jobs or not self.replay.stores:
            return [says]
        others = named(sorted(self.replay.stores))
        says += f": the store is {view.store_id}, and has {many(jobs, 'job')}; the log tells of {others}"
        self.replay.findings.say("orphan", says)
        return []


def audit_logs(
    paths: Sequence[str], store: StoreView | None = None, *, heard: Callable[[Line], object] = lambda line: None
) -> Report:
    """Audit logs, in whichever order their lines lie.

    Args:
        heard: is told each line, too.

    Raises:
        UsageError: one of them cannot be read, or none has a line of ours.
    """
    unread, audit = Unread(), Audit()
    for line in read(paths, unread):
        audit.feed(line)
        heard(line)
    if not audit.replay.lines:
        unread.refuse()
    report = audit.finish(store)
    return replace(report, notes=(*unread.notes, *report.notes))
