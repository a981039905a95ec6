"""The whole system at one instant: jobs by state, what each actor had in hand, and who was being restarted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ..events import EVENTS
from .lines import read_structs

SAMPLES_MAX = 20
"""Jobs that are named of each actor."""


class Moment(msgspec.Struct, rename={"before": "from"}):
    """What a line says of the system."""

    event: str
    boot: str
    seq: int
    ts: float = 0.0
    actor: str | None = None
    incarnation: int | None = None
    job_id: str | None = None
    job_name: str | None = None
    claim_no: int | None = None
    before: str | None = None
    to: str | None = None
    rev: int | None = None
    revs: list[int] | None = None
    times: list[float] | None = None
    lane: int | None = None
    child: str | None = None
    child_incarnation: int | None = None
    restarts_in_window: int | None = None
    dead_boot: str | None = None
    reason: str | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A job in somebody's hand."""

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
        boots: living boots, with the pid of each.
        states: how many jobs were in each state, of those that the log knows.
        held: running jobs.
        actors: by (boot, name).
        abandoned: lanes that still ran though nothing that they did counted.
        last: the time of the last line that was taken in.
    """

    at: float
    boots: dict[str, int | None] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    held: dict[str, Held] = field(default_factory=dict)
    actors: dict[tuple[str, str], ActorState] = field(default_factory=dict)
    abandoned: dict[tuple[str, int], Held] = field(default_factory=dict)
    last: float = 0.0
    open: dict[str, str] = field(default_factory=dict)
    loud: bool = False

    def hear(self, line: Moment) -> None:
        """Take in a line of that instant or before."""
        self.last = max(self.last, line.ts)
        if line.rev is not None and line.job_id is not None and line.to is not None:
            self._move(line)
            return
        match line.event:
            case "runtime.started":
                self.boots[line.boot] = line.pid
            case "runtime.stopped" | "runtime.failed":
                self._gone(line.boot)
            case "runtime.recovered" if line.dead_boot is not None:
                self._gone(line.dead_boot)
            case "job.started" if line.job_id in self.held:
                held = self.held[line.job_id]
                if held.claim_no == line.claim_no:
                    self.held[line.job_id] = Held(
                        held.job_id, held.job_name, held.claim_no, line.ts, line.boot, True, line.lane,
                        line.incarnation,
                    )  # fmt: skip
            case "lane.abandoned" if line.lane is not None:
                self.abandoned[line.boot, line.lane] = Held(
                    line.job_id or "?", line.job_name or "?", line.claim_no or 0, line.ts, line.boot, True, line.lane
                )
            case "lane.returned" if line.lane is not None:
                self.abandoned.pop((line.boot, line.lane), None)
        if line.child is not None:
            self._child(line, line.child)

    def hear_later(self, line: Moment) -> None:
        """Take in a line from after that instant: in a log at info it sums up what happened before."""
        if line.revs is None or line.times is None or line.job_id is None or line.job_id in self.held:
            return
        passed = [at for at in line.times if at <= self.at]
        if not passed or line.job_id in self.open:
            return
        # Quiet steps take turns, counted back from the state that the line came from.
        odd = (len(line.times) - 1 - len(passed)) % 2 == 1
        running = (line.before == "running") != odd
        state = "running" if running else "queued"
        self._enter(line, state, since=passed[-1])

    def _move(self, line: Moment) -> None:
        if line.event in ("job.queued", "job.claimed", "job.released"):
            self.loud = True
        assert line.to is not None
        self._enter(line, line.to, since=line.ts)

    def _enter(self, line: Moment, state: str, *, since: float) -> None:
        job_id = line.job_id or ""
        known = self.open.pop(job_id, None)
        if known is None and line.before in ("done", "dead", "cancelled"):
            known = line.before
        if known is not None:
            self.states[known] -= 1
        self.states[state] += 1
        self.held.pop(job_id, None)
        if state in ("queued", "running"):
            self.open[job_id] = state
        if state == "running":
            self.held[job_id] = Held(job_id, line.job_name or "?", line.claim_no or 0, since, line.boot)

    def _gone(self, boot: str) -> None:
        self.boots.pop(boot, None)
        for key in [key for key in self.actors if key[0] == boot]:
            del self.actors[key]
        for lane in [key for key in self.abandoned if key[0] == boot]:
            del self.abandoned[lane]

    def _child(self, line: Moment, child: str) -> None:
        self.boots.setdefault(line.boot, None)
        status = {
            "actor.started": "up", "actor.restarted": "up", "actor.stopped": "stopped", "actor.crashed": "restarting",
            "actor.quarantined": "quarantined", "supervisor.gave_up": "given up",
        }.get(line.event)  # fmt: skip
        if status is None:
            return
        known = self.actors.get((line.boot, child))
        restarts = line.restarts_in_window or (known.restarts_in_window if known and status != "up" else 0)
        number = line.child_incarnation or (known.incarnation if known else 0)
        reason = line.reason or (known.reason if known else None)
        self.actors[line.boot, child] = ActorState(number, status, line.ts, restarts, reason)


def snapshot(paths: Sequence[str], at: float) -> Snapshot:
    """Fold all lines up to an instant. After it, only a log at info is read on: its sums tell of before.

    Raises:
        UsageError: a log cannot be read.
    """
    seen = Snapshot(at)
    for line in read_structs(paths, Moment):
        if line.event not in EVENTS:
            continue
        if line.ts <= at:
            seen.hear(line)
        elif seen.loud:
            break
        else:
            seen.hear_later(line)
    return seen
