"""The output of a turn, collected while it runs, sent after its commit, dropped if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from ..log.emitter import Log, Said, Speaker
from ..log.events import EVENTS
from ..messages.boots import MOVES_MAX, BootRecord, LedgerTurn
from ..messages.jobs import UNATTRIBUTED, Attribution, Claim, ClaimKey, Instant, JobRecord, Seconds, Transition
from ..messages.mail import Reply, WatchExternalCommit
from ..messages.names import NameLimits
from ..messages.outcomes import Policy
from ..rules.codec import digest
from ..rules.ledger_moves import ledger_line
from ..stores.ports import Born


class QuietSwitch(NamedTuple):
    is_quiet: bool
    at: Instant
    who: Attribution


AWAKE = QuietSwitch(is_quiet=False, at=0.0, who=UNATTRIBUTED)


@dataclass(slots=True)
class HandlerCapacity:
    incarnation: int
    lanes: int
    prefetch: int
    limits: NameLimits
    policy: Policy
    held: dict[ClaimKey, JobRecord]


class Membership(NamedTuple):
    """The other living boots; boots without a lock file and since when (monotonic); reasons why a lock file cannot be
    opened here. Not `is_whole`: the next turn looks again, for more to log or to take back.
    """

    others: Sequence[BootRecord]
    untraced: dict[str, Seconds]
    hidden: Sequence[str]
    is_whole: bool = True


@dataclass(slots=True, kw_only=True)
class Outbox:
    """The effects of a turn after its commit, dropped if it is rolled back.

    Attributes:
        lines: each is made of fields, a transition, or a job that is only named, and only if somebody listens.
        tells: (actor, message, root).
        transitions: those that `lines` has so far.
        slots: how many slots fired or were skipped, by job name.
        fenced: the names of jobs that an attempt without a claim tried to end.
        did: the ledger's record of the turn; None if it has changed nothing.
        unlogged: earlier turns that this one logs in place of their boot.
        hint: whether other boots must look, though no job says so.
        settled: endings that HandlerActors may drop, by job name, not yet sent to them.
        ticked: accounted schedules: (id, up to when, change number).
        served: which name got the last of the limited places.
        freed: claims that HandlerActors hold no more.
        capacities: as reported by HandlerActors; None for one that has died.
        reconciled: actors whose claims have been compared with the store.
        membership: which boots live, if the turn has looked.
        stored_names: the names for which other boots now know lanes here.
        next_due: by job name, from when on it pays to look again; None where the turn has not looked.
        expiry: no queued job expires before then.
        drains: whether nothing more is claimed.
        quieted: the quiet switch that is now logged.
        known: the boots on the store, if nobody else may leave files beside it.
        buried: dead boots whose jobs the turn has taken back.
        expected: jobs and changes of schedules in hosts' own transactions.
        steps: how many of the noticed clock steps the turn has corrected.
        parked: names logged as having no handler on a living boot, and when (monotonic).
        is_renewed: whether the store knows the boot that this runtime has become.
        slots_are_pruned: whether no removable slots are left.
        housekeep_after: seconds until the next batch is removed.
        is_tallied: whether the turn has stored the counts.
        is_held_up: whether open turns of others keep jobs that are to be freed.
    """

    lines: list[Said] = field(default_factory=list)
    replies: list[tuple[Reply, Any, BaseException | None]] = field(default_factory=list)
    tells: list[tuple[str, Any, Speaker]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    slots: list[tuple[str, str, int]] = field(default_factory=list)
    fenced: list[str] = field(default_factory=list)
    did: LedgerTurn | None = None
    unlogged: Sequence[LedgerTurn] = ()
    hint: bool = False
    settled: dict[str, list[ClaimKey]] = field(default_factory=dict)
    ticked: list[tuple[str, Instant, int]] = field(default_factory=list)
    claimed: dict[str, Sequence[Claim]] = field(default_factory=dict)
    served: str | None = None
    freed: dict[str, set[ClaimKey]] = field(default_factory=dict)
    capacities: dict[str, HandlerCapacity | None] = field(default_factory=dict)
    reconciled: set[str] = field(default_factory=set)
    progress: dict[ClaimKey, str] = field(default_factory=dict)
    membership: Membership | None = None
    stored_names: list[str] | None = None
    next_due: dict[str, Instant] | None = None
    version: int = 0
    expiry: Instant | None = None
    drains: bool = False
    quieted: QuietSwitch | None = None
    known: set[str] | None = None
    buried: list[BootRecord] = field(default_factory=list)
    expected: list[WatchExternalCommit] = field(default_factory=list)
    steps: int = 0
    parked: dict[str, Seconds] = field(default_factory=dict)
    is_renewed: bool = False
    slots_are_pruned: bool = False
    housekeep_after: Seconds | None = None
    is_tallied: bool = False
    is_held_up: bool = False


MAIL_SECONDS_MIN = 0.001
"""A shorter wait in a mailbox is left out of `job.done`, to keep it short."""

EVENT = attrgetter("event")


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
            # It repeats something in the ledger line of the same turn, unless it names a turn of its own.
            return {"turn": number, **said} if "turn" in EVENTS[event].fields else said
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
