"""A signal as a call gives it, and signals and steps as the log tells them. Loaded where there is one."""

from __future__ import annotations

from typing import Any

from ..messages.boots import Move
from ..messages.jobs import Attribution, JobRecord, Seconds
from ..messages.steps import SendSignal, StepRecord
from .codec import digest, encode
from .validation import check_name


def signal_to(job_id: str, name: Any, data: Any, who: Attribution, bytes_max: int) -> SendSignal:
    """A signal, checked."""
    name = check_name(name, "the name of a signal")
    return SendSignal(job_id, name, encode(data, what=f"data of signal {name!r}", bytes_max=bytes_max), None, who)


def signalled(job: JobRecord, step: StepRecord, who: Attribution) -> tuple[Move, dict[str, Any]]:
    """The ledger's entry, and the line, of a signal. It is no move of the job."""
    about, result = {"corr": job.root_id, "job_id": job.id, "job_name": job.name}, digest(step.result)
    told = {"k": "signalled", "j": job.id, "n": job.name, "r": job.move_no, "d": result, "step": step.name}
    return {**told, **who.told}, {**about, "step": step.name, "bytes": len(step.result), "digest": result, **who.said}


def stepped(
    job: JobRecord, name: str, result: str, move_no: int, took: Seconds, *, boot: str
) -> tuple[Move, dict[str, Any]]:
    """The ledger's entry, and the line, of a step of the claim that holds a job; `boot` tells of it."""
    about = {
        "corr": job.root_id,
        "job_id": job.id,
        "job_name": job.name,
        "claim_no": job.claim_no,
        "attempt": job.attempt,
    }
    told = {"k": "stepped", "j": job.id, "n": job.name, "r": move_no, "c": job.claim_no}
    hashed, holder = digest(result), {} if job.boot == boot else {"b": job.boot}
    line = {**about, "step": name, "took": round(took, 6), "bytes": len(result), "digest": hashed}
    return {**told, **holder, "d": hashed, "step": name}, line
