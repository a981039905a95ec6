"""The whole system at one instant: jobs by state, what each actor had in hand, and who was being restarted."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from ...messages.jobs import ENDED
from ..audit.job_replay import AFTER
from ..log_files.blocks import Block, blocks_of, each
from ..log_files.files import is_plain, raw_lines
from ..log_files.lines import read
from ..log_files.search import DISORDER_SECONDS
from .digest import Digest, Held, Moment, digest

__all__ = ["ActorState", "Held", "Snapshot", "snapshot"]

SAMPLES_MAX = 20
"""Jobs that are named of each actor."""

STRETCH_LINES = 20_000
"""Digested at once where a log cannot be entered in its middle."""


@dataclass(slots=True)
class ActorState:
    """An actor at that instant."""

    incarnation: int
    status: str
    since: float
    restarts_in_window: int = 0
    reason: str | None = None


@dataclass(slots=True)
class Snapshot:
    """The system at one instant, as far as its lines had told it.

    Attributes:
        at: the instant.
        boots: boots of which nobody has said that they ended, with the pid of each.
        gone: boots that have stopped, failed or were found dead.
        spoke: when each of them had said its last line.
        bereft: those of which a server had given a job to another one, and that had said nothing since.
        states: how many jobs were in each state, of those that the log knows.
        held: running jobs.
        actors: by (boot, name).
        abandoned: lanes that still ran though nothing that they did counted.
        last: the time of the last line that was taken in.
        is_loud: whether a boot logged at debug: otherwise a job is told of when it ends, or fails.
    """

    at: float
    boots: dict[str, int | None] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    spoke: dict[str, float] = field(default_factory=dict)
    bereft: set[str] = field(default_factory=set)
    states: Counter[str] = field(default_factory=Counter)
    held: dict[str, Held] = field(default_factory=dict)
    actors: dict[tuple[str, str], ActorState] = field(default_factory=dict)
    abandoned: dict[tuple[str, int], Held] = field(default_factory=dict)
    last: float = 0.0
    is_loud: bool = False


class Folding:
    """A snapshot in the making."""

    def __init__(self, at: float) -> None:
        self.seen = Snapshot(at)
        self.is_loud = False
        self._open: dict[str, Held | None] = {}
        self._ended: Counter[str] = Counter()
        self._later: list[Moment] = []
        self._bereft: dict[str, float] = {}

    def add(self, found: Digest) -> None:
        """Take in what the next stretch of the log says."""
        self.is_loud = self.is_loud or found.is_loud
        self.seen.last = max(self.seen.last, found.last)
        for job_id, lines in found.started.items():
            for line in lines:
                held = self._open.get(job_id)
                if held is not None:
                    self._open[job_id] = held.after(line)
        for job_id in self._open.keys() & found.met:
            del self._open[job_id]
            if job_id in found.left:
                self._ended[found.left[job_id]] += 1
        self._open.update(found.open)
        self._ended.update(found.ended)
        self._later += found.later
        self._bereft.update(found.bereft)
        for boot, at in found.spoke.items():
            self.seen.spoke[boot] = max(at, self.seen.spoke.get(boot, 0.0))
        for line in found.system:
            self._hear(line)

    def finish(self) -> Snapshot:
        """What it has come to."""
        if not self.is_loud:
            for line in self._later:
                self._hear_later(line)
        seen = self.seen
        seen.is_loud = self.is_loud
        held = sorted((held for held in self._open.values() if held is not None), key=lambda held: held.since)
        seen.spoke = {boot: seen.spoke[boot] for boot in seen.boots if boot in seen.spoke}
        seen.bereft = {boot for boot, at in seen.spoke.items() if at < self._bereft.get(boot, 0.0)}
        seen.held = {held.job_id: held for held in held}
        queued = len(self._open) - len(seen.held)
        seen.states = Counter({**self._ended, "running": len(seen.held), "queued": queued})
        return seen

    def _hear_later(self, line: Moment) -> None:
        """In a log at info, a line from after that instant sums up what happened before."""
        job_id, times = line.job_id, line.times or []
        passed = [at for at in times if at <= self.seen.at]
        if job_id is None or job_id in self._open:
            return
        if line.before in ENDED:
            self._ended[line.before] -= 1
        if len(passed) == len(times):
            # A line is written a little after its turn.
            after = AFTER[line.event]
        else:
            # Quiet steps take turns, counted back from the state that the line came from.
            odd = (len(times) - 1 - len(passed)) % 2 == 1
            after = "running" if (line.before == "running") != odd else "queued"
        if after in ENDED:
            self._ended[after] += 1
            return
        held = Held(job_id, line.job_name or "?", line.claim_no or 0, passed[-1], line.boot)
        self._open[job_id] = held if after == "running" else None

    def _hear(self, line: Moment) -> None:
        """Take in a line about boots, actors and lanes."""
        seen = self.seen
        match line.event:
            case "runtime.started" if line.boot not in seen.gone:
                # Its end may stand before its beginning, where several logs lie in one file.
                seen.boots[line.boot] = line.pid
            case "runtime.stopped" | "runtime.failed" | "runtime.renewed":
                self._gone(line.boot)
            case "runtime.recovered" if line.dead_boot is not None:
                self._gone(line.dead_boot)
            case "lane.abandoned" if line.lane is not None:
                seen.abandoned[line.boot, line.lane] = Held(
                    line.job_id or "?", line.job_name or "?", line.claim_no or 0, line.ts, line.boot, True, line.lane
                )
            case "lane.returned" if line.lane is not None:
                seen.abandoned.pop((line.boot, line.lane), None)
        if line.child is not None:
            self._child(line, line.child)

    def _gone(self, boot: str) -> None:
        seen = self.seen
        seen.gone.add(boot)
        seen.boots.pop(boot, None)
        for key in [key for key in seen.actors if key[0] == boot]:
            del seen.actors[key]
        for lane in [key for key in seen.abandoned if key[0] == boot]:
            del seen.abandoned[lane]

    def _child(self, line: Moment, child: str) -> None:
        if line.boot in self.seen.gone:
            return
        self.seen.boots.setdefault(line.boot, None)
        status = {
            "actor.started": "up",
            "actor.restarted": "up",
            "actor.stopped": "stopped",
            "actor.crashed": "restarting",
            "actor.quarantined": "quarantined",
            "supervisor.gave_up": "given up",
        }.get(line.event)
        if status is None:
            return
        known = self.seen.actors.get((line.boot, child))
        restarts = line.restarts_in_window or (known.restarts_in_window if known and status != "up" else 0)
        number = line.child_incarnation or (known.incarnation if known else 0)
        reason = line.reason or (known.reason if known else None)
        self.seen.actors[line.boot, child] = ActorState(number, status, line.ts, restarts, reason)


def snapshot(paths: Sequence[str], at: float, *, processes: int = 1) -> Snapshot:
    """The system as all lines up to an instant tell it.

    After the instant only a log at info is read on: its sums tell of before.

    Args:
        processes: how many may work on a log that is one plain file.

    Raises:
        UsageError: a log cannot be read.
    """
    folding = Folding(at)
    with contextlib.closing(_digests(paths, at, processes)) as digests:
        for found in digests:
            folding.add(found)
            if folding.is_loud and found.first is not None and found.first > at + DISORDER_SECONDS:
                break
    return folding.finish()


def _digests(paths: Sequence[str], at: float, processes: int) -> Generator[Digest]:
    """Of one stretch of all logs after another."""
    if len(paths) == 1 and is_plain(paths[0]):
        yield from each(partial(_digest_block, at=at), blocks_of(paths[0]), processes)
        return
    lines = raw_lines(paths[0]) if len(paths) == 1 else (line.raw for line in read(paths))
    while stretch := list(islice(lines, STRETCH_LINES)):
        yield digest(stretch, at)


def _digest_block(block: Block, at: float) -> Digest:
    return digest(block.lines(), at)
