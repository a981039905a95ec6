"""The whole system at one instant: jobs by state, what each actor had in hand, and who was being restarted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...messages.jobs import ENDED
from ..log_files.lines import Line, Unread, read
from ..replay.logged_moves import AFTER
from ..replay.replay import Replay

__all__ = ["ActorState", "Held", "Snapshot", "snapshot"]

SAMPLES_MAX = 20

STATUS = {
    "actor.started": "up",
    "actor.restarted": "up",
    "actor.stopped": "stopped",
    "actor.crashed": "restarting",
    "actor.quarantined": "quarantined",
    "supervisor.gave_up": "given up",
}

OF_BOOTS = frozenset({"runtime.started", "runtime.stopped", "runtime.failed", "runtime.renewed", "runtime.recovered"})
OF_LANES = frozenset({"lane.abandoned", "lane.returned"})


@dataclass(frozen=True, slots=True)
class Held:
    job_id: str
    job_name: str
    claim_no: int
    since: float
    boot: str
    started: bool = False
    lane: int | None = None
    incarnation: int | None = None


@dataclass(slots=True)
class ActorState:
    incarnation: int
    status: str
    since: float
    restarts_in_window: int = 0
    reason: str | None = None


@dataclass(slots=True)
class Snapshot:
    """The system at one instant, by its lines so far.

    Attributes:
        boots: boots without a logged end, with the pid of each.
        gone: boots that have stopped, failed or were found dead.
        spoke: the time of the last line of each.
        bereft: silent boots of which a server had given a job to another one.
        states: how many jobs were in each state, of those that the log knows.
        held: running jobs, those that run longest first.
        actors: by (boot, name).
        abandoned: lanes that still ran after their claim was lost.
        last: the time of the last line.
        has_ledger: whether any boot has a ledger: at warning, none does.
    """

    at: float
    boots: dict[str, int | None] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    spoke: dict[str, float] = field(default_factory=dict)
    bereft: set[str] = field(default_factory=set)
    states: Counter[str] = field(default_factory=Counter)
    held: list[Held] = field(default_factory=list)
    actors: dict[tuple[str, str], ActorState] = field(default_factory=dict)
    abandoned: dict[tuple[str, int], Held] = field(default_factory=dict)
    last: float = 0.0
    has_ledger: bool = False


class _System:
    """Reads beside the replay of the ledger what lines say of boots, actors and lanes."""

    def __init__(self, at: float) -> None:
        self.seen = Snapshot(at)
        self.replay = Replay()
        # The start of its function in each claim of a job, by (boot, job): an id may be a job in each of two stores.
        self._starts: dict[tuple[str, str], dict[int, Line]] = {}
        self._of_system: list[Line] = []

    def hear(self, line: Line) -> None:
        seen = self.seen
        if line.ts <= seen.at:
            seen.last = max(seen.last, line.ts)
            seen.spoke[line.boot] = max(line.ts, seen.spoke.get(line.boot, 0.0))
        self.replay.hear(line)
        for move in line.moves or ():
            if AFTER.get(move.k) in ENDED:
                self._forget_starts((line.of or line.boot, move.j), move.c or 0)
        if line.event == "job.started" and line.job_id is not None:
            self._starts.setdefault((line.boot, line.job_id), {})[line.claim_no or 0] = line
        elif line.child is not None or line.event in OF_BOOTS or line.event in OF_LANES:
            self._of_system.append(line)

    def _forget_starts(self, key: tuple[str, str], claim_no: int) -> None:
        """Nobody holds an ended job. A later claim, after a requeue, may have been read earlier."""
        later = {number: line for number, line in self._starts.pop(key, {}).items() if number > claim_no}
        if later:
            self._starts[key] = later

    def _hear_of_system(self, line: Line) -> None:
        seen = self.seen
        match line.event:
            case "runtime.started" if line.boot not in seen.gone:
                seen.boots[line.boot] = line.pid
            case "runtime.stopped" | "runtime.failed" | "runtime.renewed":
                self._gone(line.boot)
            case "runtime.recovered" if line.dead_boot is not None:
                self._gone(line.dead_boot)
            case "lane.abandoned" if line.lane is not None and line.boot not in seen.gone:
                seen.abandoned[line.boot, line.lane] = Held(
                    line.job_id or "?", line.job_name or "?", line.claim_no or 0, line.ts, line.boot, True, line.lane
                )
            case "lane.returned" if line.lane is not None:
                seen.abandoned.pop((line.boot, line.lane), None)
        if line.child is not None:
            self._child(line, line.child)

    def finish(self) -> Snapshot:
        seen, stores = self.seen, self.replay.stores.values()
        # One file may hold several logs, one behind the other or mixed, and a boot's lines in any order.
        for line in sorted(self._of_system, key=lambda line: (line.boot, line.seq)):
            self._hear_of_system(line)
        for store in stores:
            # A move without a predecessor is believed: the state before it does not matter here.
            store.jobs.settle(may_be_missing=True)
            seen.states.update(job.state for job in store.jobs.open.values() if job.state)
            seen.states.update({state: number for state, number in store.jobs.in_state.items() if number})
            seen.held += [
                self._started(Held(job_id, job.name, job.claim_no, job.step.at, job.boot))
                for job_id, job in store.jobs.open.items()
                if job.state == "running"
            ]
            seen.bereft |= {
                boot
                for boot, step in store.jobs.bereft.items()
                if boot in seen.boots and seen.spoke.get(boot, 0.0) < step.line.ts
            }
        seen.held.sort(key=lambda one: one.since)
        seen.spoke = {boot: seen.spoke[boot] for boot in seen.boots if boot in seen.spoke}
        seen.has_ledger = bool(self.replay.stores)
        return seen

    def _started(self, held: Held) -> Held:
        start = self._starts.get((held.boot, held.job_id), {}).get(held.claim_no)
        if start is None:
            return held
        return replace(
            held, since=start.ts, boot=start.boot, started=True, lane=start.lane, incarnation=start.incarnation
        )

    def _gone(self, boot: str) -> None:
        seen = self.seen
        seen.gone.add(boot)
        seen.boots.pop(boot, None)
        for key in [key for key in seen.actors if key[0] == boot]:
            del seen.actors[key]
        for lane in [key for key in seen.abandoned if key[0] == boot]:
            del seen.abandoned[lane]

    def _child(self, line: Line, child: str) -> None:
        if line.boot in self.seen.gone:
            return
        self.seen.boots.setdefault(line.boot, None)
        status = STATUS.get(line.event)
        if status is None:
            return
        known = self.seen.actors.get((line.boot, child))
        restarts = line.restarts_in_window or (known.restarts_in_window if known and status != "up" else 0)
        number = line.child_incarnation or (known.incarnation if known else 0)
        reason = line.reason or (known.reason if known else None)
        self.seen.actors[line.boot, child] = ActorState(number, status, line.ts, restarts, reason)


def snapshot(paths: Sequence[str], at: float, unread: Unread | None = None) -> Snapshot:
    """The system as it was at an instant, by all lines: a late turn counts from its own instant.

    Args:
        unread: notes what could not be read.
    """
    system = _System(at)
    for line in read(paths, unread):
        if (line.ts if line.moves is None or line.at is None else line.at) <= at:
            system.hear(line)
    return system.finish()
