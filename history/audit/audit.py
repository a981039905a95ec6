"""The audit: replays a log, and says what cannot have happened if all is well."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...rules.wording import many
from ..log_files.lines import Line, Unread, line_of, read
from ..replay.findings import Finding, named
from ..replay.replay import Replay
from .store_check import compare
from .verdicts import Verdicts

if TYPE_CHECKING:
    from .store_check import StoreView


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of an audit, and how much it has seen.

    Attributes:
        more: how many further findings of each kind there were than are kept.
        notes: what could not be checked, and why.
        acts: how often somebody has acted from outside of any runtime.
        unfinished: jobs that had not ended when the log did.
        is_whole: whether these are all: a log at warning tells no moves.
    """

    findings: tuple[Finding, ...]
    more: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lines: int = 0
    jobs: int = 0
    transitions: int = 0
    slots: int = 0
    boots: int = 0
    crashes: int = 0
    acts: int = 0
    unfinished: int = 0
    is_whole: bool = True

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def count(self) -> int:
        return len(self.findings) + sum(self.more.values())

    @property
    def unexcused(self) -> tuple[Finding, ...]:
        """The findings that the log itself did not announce."""
        return tuple(finding for finding in self.findings if not finding.excused)

    @property
    def summary(self) -> str:
        seen = ", ".join(
            many(number, noun)
            for number, noun in (
                (self.jobs, "job"),
                (self.transitions, "transition"),
                (self.slots, "slot"),
                (self.boots, "boot"),
                (self.crashes, "crash"),
                *(((self.acts, "act"),) if self.acts else ()),
            )
        )
        if self.ok:
            hidden = "" if self.is_whole else ", or more: a log at warning does not tell"
            return f"all is well: {seen}; {self.unfinished} unfinished{hidden}"
        kinds = Counter(finding.kind for finding in self.findings)
        said = ", ".join(_counted(number + self.more.get(kind, 0), kind) for kind, number in kinds.items())
        excused = "" if self.unexcused else "; the log itself says that lines were lost"
        return f"not well: {said}; in {seen}{excused}"


def _counted(number: int, kind: str) -> str:
    return f"{number} {kind.removesuffix('s') if number == 1 and kind.startswith('missing') else kind}"


__all__ = ["Audit", "Finding", "Report", "audit_logs"]


class Audit:
    """Audits the logs of any number of boots and stores at once."""

    def __init__(self) -> None:
        self.replay = Replay()

    def feed(self, line: Line | dict[str, Any]) -> None:
        self.replay.hear(line_of(line) if isinstance(line, dict) else line)

    def finish(self, store: StoreView | None = None) -> Report:
        """The findings. With a store, also whether it agrees with the log; feed nothing more."""
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
    """Audit logs, whatever the order of their lines; `heard` gets each line, too."""
    unread, audit = Unread(), Audit()
    for line in read(paths, unread):
        audit.feed(line)
        heard(line)
    if not audit.replay.lines:
        unread.refuse()
    report = audit.finish(store)
    return replace(report, notes=(*unread.notes, *report.notes))
