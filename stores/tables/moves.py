"""Moves of jobs: each is fenced on the state, the boot and the `claim_no` that the caller saw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby, starmap
from operator import attrgetter
from typing import Any

from ...messages.jobs import ENDED, WAITS_FOR_JOBS, WAITS_ITS_TURN, JobRecord, JobState, Transition
from ...rules.lifecycle import MOVES
from ...rules.limits import batches
from ..transitions import LET_GO
from ..troubles import TurnConflict
from . import steps, turns
from .job_rows import changed, update
from .open_turn import OpenTurn

TOGETHER_MIN = 4
"""So many jobs share a statement. Fewer are not faster than one by one."""

MOVED = "a job that the turn has read was moved by another writer before the turn could move it"

STATES = {event: state.value for event, (_, state) in MOVES.items()}


Move = tuple[JobRecord, str, dict[str, Any], dict[str, Any]]
"""A job as the caller saw it, the event of its move, the event's fields, and changed columns."""


def move(
    turn: OpenTurn, job: JobRecord, event: str, fields: dict[str, Any], changes: dict[str, Any]
) -> JobRecord | None:
    whole = _whole(job, event, changes)
    if not update(turn.connection, job, whole):
        return None
    return _moved(turn, job, event, fields, changed(job, tuple(whole), whole.values()))


def move_all(turn: OpenTurn, those: Sequence[Move]) -> list[JobRecord | None]:
    """`move` each, in order: in one statement where consecutive ones change the same columns."""
    if len(those) < TOGETHER_MIN:
        return list(starmap(partial(move, turn), those))
    moved: list[JobRecord | None] = []
    whole = [(job, event, fields, _whole(job, event, changes)) for job, event, fields, changes in those]
    for (_, _, columns), alike in groupby(whole, lambda one: (one[0].state, one[0].boot, tuple(one[3]))):
        for some in batches(list(alike), turn.together_max):
            jobs, values = [one[0] for one in some], [tuple(one[3].values()) for one in some]
            updated = list(turn.update_together(jobs, columns, values)) if len(some) >= TOGETHER_MIN else []
            if not updated:
                moved += [move(turn, *one) for one in some]
                continue
            for (job, event, fields, _), its in zip(some, values, strict=True):
                if job.row_id not in updated:
                    moved.append(None)
                    continue
                moved.append(_moved(turn, job, event, fields, changed(job, columns, its)))
    return moved


def tell(turn: OpenTurn, job: JobRecord, event: str, fields: dict[str, Any], changes: dict[str, Any]) -> JobRecord:
    """`move` a job that this transaction holds, in all but the table, see `write`."""
    whole = _whole(job, event, changes)
    return _moved(turn, job, event, fields, changed(job, tuple(whole), whole.values()))


def write(turn: OpenTurn, jobs: Sequence[JobRecord], columns: tuple[str, ...]) -> None:
    """Write columns of jobs as `tell` has left them, with the same state, boot and claim as before."""
    values_of = attrgetter(*columns)
    for some in batches(jobs, turn.together_max):
        if len(some) >= TOGETHER_MIN:
            done = len(turn.update_together(some, columns, list(map(values_of, some))))
        else:
            done = sum(update(turn.connection, job, dict(zip(columns, values_of(job), strict=True))) for job in some)
        if done < len(some):
            raise TurnConflict(MOVED)


def surely(moved: JobRecord | None) -> JobRecord:
    """The record of a job that this transaction has read. On SQLite its move cannot have failed."""
    if moved is None:
        raise TurnConflict(MOVED)
    return moved


def _whole(job: JobRecord, event: str, changes: dict[str, Any]) -> dict[str, Any]:
    state = STATES[event]
    changes = {**changes, "state": state, "move_no": abs(job.move_no) + 1}
    has_group = changes.get("group_key", job.group_key) is not None
    if state == JobState.QUEUED and has_group and changes.get("waits") != WAITS_FOR_JOBS:
        changes["waits"] = WAITS_ITS_TURN
    if job.debounce_until is not None and event != "job.replaced":
        # The job keeps its data: a later call makes another job.
        changes |= LET_GO
    return changes


def _moved(turn: OpenTurn, before: JobRecord, event: str, fields: dict[str, Any], moved: JobRecord) -> JobRecord:
    if before.waits == WAITS_ITS_TURN and before.state == JobState.QUEUED and moved.state != JobState.RUNNING:
        # The job may have another group or priority now, or none.
        turn.left_lines.add(turns.key_of(before))
    if moved.state == JobState.QUEUED:
        turn.heed(moved)
    elif moved.state in ENDED and turn.has_open_links:
        turn.ripen(moved.row_id)
    if turn.has_steps and moved.state == JobState.DONE:
        fields = {**fields, **without_steps(turn, before.row_id)}
    holder = before.boot if before.state == JobState.RUNNING and before.boot != turn.boot else None
    turn.transitions.append(Transition(event, moved, before.state, fields, holder))
    return moved


def without_steps(turn: OpenTurn, row_id: int) -> dict[str, Any]:
    """Remove the steps of a done job; returns what its end says of them, if there were any."""
    removed = steps.remove(turn, (row_id,))
    return {"steps": removed} if removed else {}
