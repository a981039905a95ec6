"""Which store a boot is on. Revisions are counted by each store, so boots of different stores are folded apart.

A boot names its store by host and path. The same path on another host is another machine's file, or the same file seen
from another container: the revisions tell. On one file they never repeat and follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..stores.base import SERVER_SCHEMES
from .findings import Findings
from .fold import Fold
from .lines import Line
from .queues import QueueFold

UNSETTLED_LINES_MAX = 1_000
"""Lines of a boot that wait until its first transition says which store it is on."""

NEAR_REVISIONS = 500
"""How far two processes on one file may be apart in their logs when the second one comes."""

SERVER = "server:"
"""What the name of a store begins with that is a RabbitMQ."""


class Homes:
    """Finds each boot its fold."""

    def __init__(self, findings: Findings, given: Mapping[str, str]) -> None:
        self.folds: dict[str, Fold | QueueFold] = {}
        self.fold_by_boot: dict[str, Fold | QueueFold] = {}
        self._findings = findings
        self._given = given
        self._unsettled: dict[str, tuple[str, Fold, list[Line]]] = {}

    def settle(self, line: Line) -> None:
        """Take in a line of a boot that has no fold yet."""
        given = self._given.get(line.boot)
        if given is not None:
            self._fold_of(line.boot, given).hear(line)
            return
        waiting = self._unsettled.get(line.boot)
        if waiting is not None:
            lines = waiting[2]
            lines.append(line)
            if line.rev is not None or line.event == "runtime.recovered" or len(lines) > UNSETTLED_LINES_MAX:
                self._decide(line.boot, *waiting)
            return
        name = self._name_of(line)
        rival = self._rival_of(name)
        if rival is None:
            self._enter(line.boot, name).hear(line)
        else:
            self._unsettled[line.boot] = (name, rival, [line])

    def settle_all(self) -> None:
        """No further line will tell: whoever still waits is taken for one of the known."""
        for boot, (_, rival, lines) in list(self._unsettled.items()):
            self._move_in(boot, rival, lines)

    def _name_of(self, line: Line) -> str:
        if line.event != "runtime.started" or not line.store:
            # A log that begins in the middle of a boot does not say which store it is on.
            return next(iter(self.folds), "")
        if line.store.partition("://")[0] in SERVER_SCHEMES:
            # Whichever of its nodes a runtime names, and from whichever host: the virtual host is the store.
            return f"{SERVER}{line.store.rpartition('/')[2]}"
        name = f"{line.host or ''}:{line.store}"
        return f"{name}#{line.boot}" if line.store == ":memory:" else name

    def _rival_of(self, name: str) -> Fold | None:
        """The fold of the same path on another host, if this one is not known."""
        if name in self.folds or "" in self.folds or "#" in name or name.startswith(SERVER):
            return None
        path = name.partition(":")[2]
        return next(
            (fold for known, fold in self.folds.items() if isinstance(fold, Fold) and known.partition(":")[2] == path),
            None,
        )

    def _enter(self, boot: str, name: str) -> Fold | QueueFold:
        if name and "" in self.folds and not name.startswith(SERVER):
            self.folds.setdefault(name, self.folds.pop(""))
        return self._fold_of(boot, name)

    def _fold_of(self, boot: str, name: str) -> Fold | QueueFold:
        fold = self.folds.get(name)
        if fold is None:
            kind = QueueFold if name.startswith(SERVER) else Fold
            fold = self.folds[name] = kind(self._findings)
        self.fold_by_boot[boot] = fold
        return fold

    def _decide(self, boot: str, name: str, rival: Fold, lines: list[Line]) -> None:
        last = lines[-1]
        if last.event == "runtime.recovered":
            same = last.dead_boot in rival.boots
        else:
            same = last.rev is None or rival.might_follow(last.rev, NEAR_REVISIONS)
        self._move_in(boot, rival if same else self._enter(boot, name), lines)

    def _move_in(self, boot: str, fold: Fold | QueueFold, lines: list[Line]) -> None:
        del self._unsettled[boot]
        self.fold_by_boot[boot] = fold
        for line in lines:
            fold.hear(line)
