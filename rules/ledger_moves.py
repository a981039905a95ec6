from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import repeat
from typing import Any

from ..messages.boots import FORMAT, UNLOGGED_MAX, LedgerTurn, Move
from ..messages.jobs import UNATTRIBUTED, Instant, Transition
from ..messages.schedules import ScheduleRecord, SlotRange
from .codec import checksum, digest


class TurnRecord:
    """The record that a `Turn` keeps of itself.

    Attributes:
        notes: its changes besides moves of jobs, each after so many transitions.
        takes_number: it gets a number also if it changes nothing.
    """

    takes_number = False

    def __init__(self, boot: str, now: Instant) -> None:
        self.boot = boot
        self.now = now
        self.transitions: list[Transition] = []
        self.unlogged: list[LedgerTurn] = []
        self.did: LedgerTurn | None = None
        self.news: list[tuple[str, dict[str, Any]]] = []
        self.notes: list[tuple[int, Move]] = []

    def note(self, move: Move) -> None:
        """Add a change besides moves of jobs to the ledger."""
        self.notes.append((len(self.transitions), move))

    def sum_up(self, boot_no: int, turns_before: int) -> Sequence[LedgerTurn]:
        """Give the turn its number, if it has changed something, or takes one all the same. Returns the turns that its
        boot must keep until they are logged: this one and those before it, or nothing if it has no number.

        Args:
            turns_before: how many turns of the boot have changed something.
        """
        moves = list(map(told_move, self.transitions, repeat(self.now)))
        for place, note in reversed(self.notes):
            moves.insert(place, note)
        if not moves and not self.takes_number:
            return ()
        self.did = LedgerTurn(self.boot, boot_no, turns_before + 1, self.now, moves)
        return [*self.unlogged, self.did][-UNLOGGED_MAX:]


LONG_AGO_SECONDS = 1.0
"""A job that was queued so long before its turn is logged with its own instant: a host transaction queued it."""

BESIDES = {
    "outcome": "o",
    "run_at": "u",
    "redeliveries": "p",
    "digest": "d",
    "then": "x",
    "then_of": "q",
    "parents": "m",
    "named": "y",
    "group": "g",
    "of_group": "z",
    "limit": "e",
    "rate": "rate",
    "priority": "priority",
    "step": "step",
    "steps": "steps",
    "until": "until",
}
"""The fields of an event that a move has, unless they are empty, and their keys. The order of the keys counts for the
checksum, whatever the order of the fields.
"""


@cache
def _besides(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Those of `BESIDES` that have these names."""
    return [(name, key) for name, key in BESIDES.items() if name in names]


def told_move(step: Transition, at: Instant) -> Move:
    """A move of a job as the ledger has it; `at` is the instant of its turn."""
    job = step.job
    told: Move = {"k": step.event[4:], "j": job.id, "n": job.name, "r": job.move_no}
    if step.before is None:
        if job.run_at > job.queued_at:
            told["u"] = job.run_at
        told["d"] = digest(job.data)
        if job.schedule is not None:
            told["s"] = job.schedule
        if job.slot is not None:
            told["t"] = job.slot
        if at - job.queued_at >= LONG_AGO_SECONDS:
            told["w"] = job.queued_at
        if "then_of" in step.fields:
            told["q"] = step.fields["then_of"]
        if "parents" in step.fields:
            told["m"] = step.fields["parents"]
        if job.group_key is not None:
            told["g"] = job.group_key
        if job.debounce_until is not None:
            told["until"] = job.debounce_until
        return told if step.who is UNATTRIBUTED else {**told, **step.who.told}
    told["f"] = step.before
    if job.claim_no:
        told["c"] = job.claim_no
    if job.attempt:
        told["a"] = job.attempt
    if step.boot_was is not None:
        told["b"] = step.boot_was
    for name, key in _besides(tuple(step.fields)):
        if value := step.fields[name]:
            told[key] = value
    return told if step.who is UNATTRIBUTED else {**told, **step.who.told}


def skipped_move(schedule_id: str, gone: SlotRange) -> Move:
    return {"k": "skipped", "s": schedule_id, "t": gone.first, "l": gone.last, "x": gone.count}


def schedule_move(what: str, schedule: ScheduleRecord, now: Instant) -> Move:
    """A schedule that was added or changed, with its definition."""
    return {
        "k": f"schedule.{what}",
        "n": schedule.name,
        "s": schedule.id,
        "no": schedule.change_no,
        "when": schedule.when,
        "tz": schedule.timezone,
        "gap": schedule.dst_gap,
        "fold": schedule.dst_fold,
        **({} if schedule.key is None else {"key": schedule.key}),
        **({} if schedule.changed_at >= now else {"since": schedule.changed_at}),
    }


def ledger_line(
    turn: LedgerTurn, store_id: str | None, told_by: str | None, moves: Any, part: int = 1, parts: int = 1
) -> dict[str, Any]:
    """The fields of one line of a turn.

    Args:
        told_by: the boot that logs it instead of the turn's own broker, if one does.
        moves: those of this `part` of `parts`, as a list or `ready`.
    """
    boot_no = turn.boot_no or None
    place = (part, parts) if parts > 1 else (None, None)
    line: dict[str, Any] = {
        "v": FORMAT,
        "store_id": store_id,
        "boot_no": boot_no,
        "turn": turn.turn,
        "at": turn.at,
        "crc": checksum((FORMAT, store_id, turn.boot, boot_no, turn.turn, turn.at, *place, moves)),
    }
    if told_by is not None:
        line["of"], line["told_by"] = turn.boot, told_by
    if parts > 1:
        line["part"], line["parts"] = place
    line["moves"] = moves
    return line
