"""Which store a boot is on. Each store counts its own revisions, so boots of different stores are replayed apart.

A boot says the id of its store when it starts. Older ones have none: there the name counts, host and path. The same
path on another host is another machine's file, or the same file seen from another container: the revisions tell. On one
file they never repeat and follow one another. Where a log begins after a boot has said where it is, its lines tell the
kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...stores.ports import SERVER_SCHEMES
from ..log_files.lines import Line
from .file_replay import Fold
from .queue_replay import QueueFold
from .report import Findings

UNSETTLED_LINES_MAX = 1_000
"""Lines of a boot that wait until its transitions say which store it is on."""

NEAR_REVISIONS = 500
"""How far two processes on one file may be apart in their logs when the second one comes."""

RISING_MIN = 8
"""So many transitions whose revisions rise: jobs that count each by itself would have begun anew by then."""

SERVER = "server:"
"""What the name of a store begins with that is a RabbitMQ."""

PART = "\0"
"""Between the name of a store and what tells it from another one of that name."""

UNNAMED_SERVER = f"{SERVER}{PART}"
"""Where boots are that have not said on which RabbitMQ: the default virtual host has an empty name."""

SERVER_EVENTS = frozenset({"scheduler.leads", "claim.kept", "job.duplicate", "message.unreadable"})
"""What is only ever said on a RabbitMQ."""


class Homes:
    """Finds each boot its fold."""

    def __init__(self, findings: Findings, given: Mapping[str, str]) -> None:
        self.folds: dict[str, Fold | QueueFold] = {}
        self.fold_by_boot: dict[str, Fold | QueueFold] = {}
        self.name_by_id: dict[str, str] = {}
        self._findings = findings
        self._given = given
        # Boots that are on this file, or on another one of the same path; and boots that have not said where they are.
        self._rivals: dict[str, tuple[str, Fold, list[Line]]] = {}
        self._strays: dict[str, list[Line]] = {}

    def settle(self, line: Line) -> None:
        """Take in a line of a boot that has no fold yet."""
        boot = line.boot
        if boot in self._given:
            self._fold_of(boot, self._given[boot]).hear(line)
        elif boot in self._rivals:
            self._hear_rival(boot, *self._rivals[boot], line)
        elif line.event == "runtime.started" and line.store:
            self._hear_start(line, line.store)
        else:
            self._hear_stray(boot, line)

    def settle_all(self) -> None:
        """There are no further lines: boots that still wait are taken to be on one of the known stores."""
        for boot, (_, rival, lines) in list(self._rivals.items()):
            self._move_in_rival(boot, rival, lines)
        for boot in list(self._strays):
            is_server = is_of_server(self._strays[boot])
            if is_server is None:
                is_server = bool(self.folds) and all(name.startswith(SERVER) for name in self.folds)
            self._move_in_stray(boot, is_server=is_server)

    def _hear_start(self, line: Line, store: str) -> None:
        name = self._name_of(line, store)
        rival = None if line.store_id else self._rival_of(name)
        if rival is not None:
            self._rivals[line.boot] = name, rival, [line]
            return
        fold = self._enter(line.boot, name)
        for earlier in self._strays.pop(line.boot, ()):
            fold.hear(earlier)
        fold.hear(line)

    def _name_of(self, line: Line, store: str) -> str:
        if store.partition("://")[0] in SERVER_SCHEMES:
            # Whichever of its nodes a runtime names, and from whichever host: the virtual host is the store.
            name = f"{SERVER}{store.rpartition('/')[2]}"
        else:
            name = f"{line.host or ''}:{store}"
            name = f"{name}#{line.boot}" if store == ":memory:" else name
        if not line.store_id:
            return name
        if line.store_id not in self.name_by_id:
            # The first id goes with what boots without one have said of this name.
            is_taken = name in self.name_by_id.values()
            self.name_by_id[line.store_id] = f"{name}{PART}{line.store_id}" if is_taken else name
        return self.name_by_id[line.store_id]

    def _rival_of(self, name: str) -> Fold | None:
        """The fold of the same path on another host, if this one is not known."""
        if name in self.folds or "" in self.folds or "#" in name or name.startswith(SERVER):
            return None
        path = name.partition(":")[2]
        return next(
            (fold for known, fold in self.folds.items() if isinstance(fold, Fold) and known.partition(":")[2] == path),
            None,
        )

    def _hear_rival(self, boot: str, name: str, rival: Fold, lines: list[Line], line: Line) -> None:
        lines.append(line)
        if line.event == "runtime.recovered":
            same = line.dead_boot in rival.boots
        elif line.rev is not None or len(lines) > UNSETTLED_LINES_MAX:
            same = line.rev is None or rival.might_follow(line.rev, NEAR_REVISIONS)
        else:
            return
        self._move_in_rival(boot, rival if same else self._enter(boot, name), lines)

    def _move_in_rival(self, boot: str, fold: Fold | QueueFold, lines: list[Line]) -> None:
        del self._rivals[boot]
        self.fold_by_boot[boot] = fold
        for line in lines:
            fold.hear(line)

    def _hear_stray(self, boot: str, line: Line) -> None:
        lines = self._strays.setdefault(boot, [])
        lines.append(line)
        if line.dead_boot in self.fold_by_boot:
            # Only a boot on the same file takes another for dead.
            self.fold_by_boot[boot] = self.fold_by_boot[line.dead_boot]
            for earlier in self._strays.pop(boot):
                self.fold_by_boot[boot].hear(earlier)
            return
        is_server = is_of_server(lines)
        is_beginning = lines[0].seq == 1
        if len(lines) > UNSETTLED_LINES_MAX or (is_server is not None and not is_beginning):
            self._move_in_stray(boot, is_server=bool(is_server))

    def _move_in_stray(self, boot: str, *, is_server: bool) -> None:
        unnamed = UNNAMED_SERVER if is_server else ""
        name = next((name for name in self.folds if name.startswith(SERVER) == is_server), unnamed)
        fold = self._fold_of(boot, name)
        for line in self._strays.pop(boot):
            fold.hear(line)

    def _enter(self, boot: str, name: str) -> Fold | QueueFold:
        unnamed = UNNAMED_SERVER if name.startswith(SERVER) else ""
        if unnamed in self.folds:
            self.folds.setdefault(name, self.folds.pop(unnamed))
        return self._fold_of(boot, name)

    def _fold_of(self, boot: str, name: str) -> Fold | QueueFold:
        fold = self.folds.get(name)
        if fold is None:
            kind = QueueFold if name.startswith(SERVER) else Fold
            fold = self.folds[name] = kind(self._findings)
        self.fold_by_boot[boot] = fold
        return fold


def is_of_server(lines: Sequence[Line]) -> bool | None:
    """Whether a boot is on a RabbitMQ, where each job counts its own revisions; None if its lines do not show it."""
    latest: Line | None = None
    rising = 0
    for line in lines:
        if line.event in SERVER_EVENTS or line.redeliveries is not None:
            return True
        if line.event == "runtime.recovered":
            return False
        if line.rev is None:
            continue
        if latest is not None and line.job_id != latest.job_id and line.rev <= (latest.rev or 0):
            return True
        latest, rising = line, rising + 1
        if rising >= RISING_MIN:
            return False
    return None
