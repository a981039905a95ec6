"""What a turn lets out after its commit, and how its lines are said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..log.emitter import Log, Speaker
from ..messages.jobs import ClaimKey, Instant, JobRecord, Transition
from ..messages.mail import Reply
from ..rules.codec import digest
from ..stores.ports import Deed
from ..stores.transitions import sums


@dataclass(slots=True)
class Outbox:
    """What a turn lets out after its commit, in order, and not at all if it is rolled back.

    Attributes:
        lines: the event, who says it, and its fields; of a transition, or of a job that is only named, they are made
            if somebody listens.
        did: what the boot remembers of the turn.
    """

    lines: list[tuple[str, Speaker, dict[str, Any] | Transition | JobRecord]] = field(default_factory=list)
    replies: list[tuple[Reply, Any, BaseException | None]] = field(default_factory=list)
    tells: list[tuple[str, Any, Speaker]] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)
    freed: dict[str, set[ClaimKey]] = field(default_factory=dict)
    settled: dict[str, list[ClaimKey]] = field(default_factory=dict)
    ticked: list[tuple[str, Instant, int]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    did: tuple[Deed, ...] = ()
    hint: bool = False


def log_lines(log: Log, out: Outbox) -> None:
    """Say what a turn has to say, now that it is committed."""
    for event, speaker, said in out.lines:
        match said:
            case Transition():
                log.emit_made(event, speaker, partial(line_of, said))
            case JobRecord():
                log.emit_made(event, speaker, partial(names_job, said))
            case fields:
                log.emit(event, speaker, **fields)


def names_job(job: JobRecord) -> dict[str, Any]:
    """The fields by which a line names a job."""
    return {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "attempt": job.attempt}


def line_of(moved: Transition) -> dict[str, Any]:
    """What the line of a transition carries."""
    job = moved.job
    line = {"corr": job.corr, **names_job(job), "from": moved.before, "to": job.state, "rev": moved.rev, **moved.fields}
    if moved.trail:
        line |= sums(moved.trail)
    match moved.event:
        case "job.queued":
            line |= {
                "priority": job.priority, "run_at": job.run_at, "bytes": len(job.data), "digest": digest(job.data),
                "schedule": job.schedule, "slot": job.slot, "unique_key": job.unique_key,
            }  # fmt: skip
        case "job.claimed":
            line["waited"] = round((job.claimed_at or 0.0) - job.run_at, 6)
        case "job.done" if job.claimed_at is not None and job.ended_at is not None:
            line |= {"took": round(job.ended_at - job.claimed_at, 6), "schedule": job.schedule, "slot": job.slot}
        case "job.dead":
            line |= {"schedule": job.schedule, "slot": job.slot}
    return line
