"""The replay of jobs that wait for others or follow one: each starts only after all of them have ended as it wants,
none shares a fate that nobody had, and what a job has queued with its end is there.

A move that frees a job names each parent with the number of the move that was its end. So the order of the logs does
not matter: a named end that is not logged yet is checked when it comes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from ...messages.jobs import ENDED, FAILED_END, JobState
from ...rules.lifecycle import MOVES
from ...rules.wording import many
from ..log_files.lines import Line, LoggedMove
from .findings import Findings, Kind


class FollowUpReplay:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        # For turns of which a part is yet to come: how many jobs must still follow each done one.
        self._open: dict[tuple[str, int], Counter[str]] = {}

    def hear(self, boot: str, turn: int, moves: Sequence[LoggedMove], line: Line, *, is_whole: bool) -> None:
        """Replay a turn, or a part of one; `is_whole` if none of it is yet to come."""
        ties = [move for move in moves if move.q is not None or (move.x is not None and move.k == "done")]
        due = self._open.pop((boot, turn), Counter[str]()) if self._open else Counter[str]()
        for move in ties:
            if move.q is None:
                due[move.j] += move.x or 0
            else:
                due[move.q] -= 1
        if not is_whole:
            self._open[boot, turn] = due
            return
        for job_id, number in due.items():
            if number > 0:
                says = f"job {job_id} is done, and its turn lacks {many(number, 'job')} that should follow it"
                self._findings.say("lost follow-up", says, line)
            elif number < 0:
                says = f"{many(-number, 'job')} followed job {job_id}, whose end says nothing of it"
                self._findings.say("lost follow-up", says, line)


UNTOLD_MAX = 100_000
"""Named ends that are not logged yet. Beyond that, the oldest of them began before the log."""

DOUBTS_MAX = 10_000
"""Ends that contradict a move, kept until it is known to which life of an id they belong."""

DONE = frozenset({JobState.DONE})


FAILED = frozenset({JobState.DEAD, JobState.CANCELLED})


def _any_end(parent: Sequence[Any]) -> int:
    return parent[2] if len(parent) > 2 and isinstance(parent[2], int) else 0


class NamedEnd(NamedTuple):
    """The end of a parent, as a move of the child names it.

    Attributes:
        states: the end must lead to one of these.
    """

    child: str
    kind: Kind
    states: frozenset[JobState]
    line: Line


class LinkReplay:
    """Replays what the jobs of a store wait for.

    Args:
        end_of: the newest remembered end of a job: (move number, state).
    """

    def __init__(self, findings: Findings, end_of: Callable[[str], tuple[int, str] | None]) -> None:
        self._findings = findings
        self._end_of = end_of
        # The ends that freed a job, as far as they did not fit into its move.
        self._more: dict[str, int] = {}
        self._untold: OrderedDict[tuple[str, int], list[NamedEnd]] = OrderedDict()
        self._doubts: list[tuple[str, NamedEnd, str]] = []

    def linked(self, move: LoggedMove, line: Line) -> None:
        self._more[move.j] = self._more.get(move.j, 0) + len(move.y or ())
        self._freed_by(move, line)

    def hear(self, move: LoggedMove, waits_for: int | None, line: Line) -> int | None:
        """How many other jobs a job waits for after a move.

        Args:
            waits_for: the same before; None if no line has it.
        """
        if self._untold:
            for named in self._untold.pop((move.j, move.r), ()):
                self._judge(named, move.j, move.r, MOVES[f"job.{move.k}"][1])
        match move.k:
            case "queued" | "requeued":
                return move.m or 0
            case "freed":
                self._freed(move, waits_for, line)
                return 0
            case "doomed" | "cancelled" if move.m or move.k == "doomed":
                self._shares(move, line)
            case "claimed":
                return 0
        return waits_for

    def _freed(self, move: LoggedMove, waits_for: int | None, line: Line) -> None:
        named = self._more.pop(move.j, 0) + len(move.y or ())
        wanted = move.m if waits_for is None else waits_for
        if named != wanted or named != move.m:
            says = f"job {move.j}: it was freed by {named} jobs, and waited for {wanted}"
            self._findings.say("started too soon", says, line)
        self._freed_by(move, line)

    def _shares(self, move: LoggedMove, line: Line) -> None:
        state = JobState.DEAD if move.k == "doomed" else JobState.CANCELLED
        if not move.y:
            self._findings.say("doomed without cause", f"job {move.j}: it names no job whose fate it shares", line)
        for parent in move.y or ():
            wanted = DONE if _any_end(parent) == FAILED_END else frozenset({state})
            self._name(parent, NamedEnd(move.j, "doomed without cause", wanted, line))

    def _freed_by(self, move: LoggedMove, line: Line) -> None:
        watched = sum(_any_end(parent) == FAILED_END for parent in move.y or ())
        for parent in move.y or ():
            any_end = _any_end(parent)
            # Of several, one that has failed is enough.
            states = DONE if not any_end else FAILED if any_end == FAILED_END and watched == 1 else ENDED
            self._name(parent, NamedEnd(move.j, "started too soon", states, line))

    def _name(self, parent: Sequence[Any], named: NamedEnd) -> None:
        job_id, move_no = str(parent[0]), parent[1] if isinstance(parent[1], int) else 0
        end = self._end_of(job_id)
        if end is None or end[0] < move_no:
            self._untold.setdefault((job_id, move_no), []).append(named)
            if len(self._untold) > UNTOLD_MAX:
                self._untold.popitem(last=False)
        elif end[0] == move_no:
            self._judge(named, job_id, move_no, end[1])

    def settle(self, lives: Collection[str]) -> None:
        """No further move will come.

        Args:
            lives: jobs with several known moves of one number: which of them a move has named cannot be known.
        """
        for job_id, named, says in self._doubts:
            if job_id not in lives:
                self._findings.say(named.kind, says, named.line)
        self._doubts.clear()

    def _judge(self, named: NamedEnd, job_id: str, move_no: int, state: str) -> None:
        if state in named.states:
            return
        wanted = " or ".join(sorted(named.states))
        says = f"job {named.child}: expected move {move_no} of job {job_id} to be its end as {wanted}, got: {state}"
        if len(self._doubts) < DOUBTS_MAX:
            self._doubts.append((job_id, named, says))
        else:
            self._findings.say(named.kind, says, named.line)
