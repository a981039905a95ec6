"""Builds the log lines of a turn, after its commit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any

from ..log.emitter import Log, Said, Speaker
from ..messages.boots import MOVES_MAX, LedgerTurn
from ..messages.jobs import UNATTRIBUTED, JobRecord, Transition
from ..rules.codec import digest
from ..rules.ledger_moves import ledger_line
from ..stores.ports import Born
from .outbox import Outbox

MAIL_SECONDS_MIN = 0.001
"""A shorter wait in a mailbox is left out of `job.done`, to keep it short."""

EVENT = attrgetter("event")

OF_TURNS = frozenset(
    {
        "slot.fired",
        "slot.caught_up",
        "slot.skipped",
        "slot.taken",
        "schedule.added",
        "schedule.changed",
        "schedule.removed",
        "schedule.paused",
        "schedule.resumed",
        "name.paused",
        "name.resumed",
        "name.limited",
        "name.unlimited",
        "retention.pruned",
        "job.forgotten",
        "job.stepped",
        "job.signalled",
    }
)
"""Events besides moves of jobs that repeat something in the ledger line of the same turn."""


def log_lines(log: Log, out: Outbox, itself: Speaker, boot: str, store_id: str | None) -> None:
    """Log a committed turn: first the ledger, then the lines for people. `itself` is the broker."""
    if out.did is not None and not out.unlogged and log.emit_turn(out.did, store_id, itself, out.lines):
        return
    number = None if out.did is None else out.did.turn
    told: list[tuple[LedgerTurn, str | None]] = list(zip(out.unlogged, repeat(boot)))
    if out.did is not None:
        told.append((out.did, None))
    parts = []
    for turn, told_by in told:
        some = [turn.moves[first : first + MOVES_MAX] for first in range(0, max(len(turn.moves), 1), MOVES_MAX)]
        parts += [(turn, store_id, told_by, moves, part, len(some)) for part, moves in enumerate(some, start=1)]
    log.emit_all((Said("turn.committed", itself, parts), *out.lines), partial(_fields, number))


def log_born(log: Log, born: Born, parked: Sequence[JobRecord], itself: Speaker, store_id: str | None) -> None:
    """`log_lines` of a turn that has only queued and claimed jobs, some of which have no handler. No message is its
    cause.
    """
    lines = [Said(event, itself, list(moves)) for event, moves in groupby(born.moves, EVENT)]
    if parked:
        lines.append(Said("job.parked", itself, parked))
    if not log.emit_turn(born.did, store_id, itself, lines):
        ledger = Said("turn.committed", itself, ((born.did, store_id, None, list(born.did.moves)),))
        log.emit_all((ledger, *lines), partial(_fields, born.did.turn))


def _fields(number: int | None, event: str, said: Any) -> dict[str, Any]:
    match said:
        case Transition():
            return line_of(said, number)
        case JobRecord():
            return of_job(said)
        case dict():
            return {"turn": number, **said} if event in OF_TURNS else said
        case _:
            return ledger_line(*said)


def briefly(speaker: Speaker) -> Speaker:
    """The speaker of `job.done` at info: the ledger has the whole, and message numbers only help at debug."""
    waited = speaker.mail_seconds
    return Speaker(mail_seconds=waited if (waited or 0.0) >= MAIL_SECONDS_MIN else None)


def names_job(job: JobRecord) -> dict[str, Any]:
    return {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "attempt": job.attempt}


def of_job(job: JobRecord) -> dict[str, Any]:
    """The job's fields and its root: the causing message may have another root."""
    return {"corr": job.root_id, **names_job(job)}


def line_of(moved: Transition, turn: int | None) -> dict[str, Any]:
    """The fields of a move's line for people. The ledger has the rest, under the turn's number."""
    job = moved.job
    line = {**of_job(job), "turn": turn, **moved.fields}
    # The ledger names a job's parents, and so does a line of its own.
    line.pop("named", None)
    line.pop("waits_for", None)
    match moved.event:
        case "job.queued":
            line |= {
                "priority": job.priority,
                "run_at": job.run_at,
                "bytes": len(job.data),
                "digest": digest(job.data),
                "schedule": job.schedule,
                "slot": job.slot,
                "unique_key": job.unique_key,
                "group": job.group_key,
                "debounce": job.debounce_key,
                "until": job.debounce_until,
            }
        case "job.replaced":
            line |= {"bytes": len(job.data), "debounce": job.debounce_key}
        case "job.claimed":
            line["waited"] = round((job.claimed_at or 0.0) - job.run_at, 6)
        case "job.done":
            line |= {"outcome": None, "schedule": job.schedule, "slot": job.slot}
            if job.root_id == job.id:
                del line["corr"]
            if job.claimed_at is not None and job.ended_at is not None:
                line["took"] = round(job.ended_at - job.claimed_at, 6)
        case "job.failed":
            line |= {"error": job.error, "traceback": job.traceback, "boot_was": moved.boot_was}
        case "job.dead":
            line |= {
                "error": job.error,
                "traceback": job.traceback,
                "boot_was": moved.boot_was,
                "schedule": job.schedule,
                "slot": job.slot,
            }
    return line if moved.who is UNATTRIBUTED else {**line, **moved.who.said}
