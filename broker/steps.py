"""Steps of jobs that run: the broker keeps their results, if the claim still counts."""

from __future__ import annotations

from ..errors import LamplighterError, StaleClaim
from ..messages.jobs import JobRecord
from ..messages.steps import KeepStep
from ..rules.capabilities import needed
from ..rules.codec import digest
from ..rules.validation import unknown_job
from .log_lines import names_job
from .turn_context import TurnContext


def keep_step(context: TurnContext, body: KeepStep) -> str:
    """Keep what a step's function has returned; return the kept JSON text. A repeated message keeps the first result.

    Raises:
        StaleClaim: the claim no longer holds the job.
        UnknownJob: retention has removed it.
    """
    job = body.claim.job
    kept = needed(context.turn.steps, "steps").keep(job, body.name, body.result)
    if kept is None:
        # Nothing is logged: the attempt's own end is refused and logged.
        now = context.turn.jobs.get((job.id,)).get(job.id)
        raise stale_step(job, now, f"step {body.name!r} is not kept")
    if kept.is_new:
        result = digest(body.result)
        told = {"k": "stepped", "j": job.id, "n": job.name, "r": kept.move_no, "c": job.claim_no}
        context.turn.note({**told, "d": result, "step": body.name})
        line = {**names_job(job), "step": body.name, "took": round(body.took, 6)}
        context.say("job.stepped", root_id=job.root_id, **line, bytes=len(body.result), digest=result)
    return kept.step.result


def stale_step(claimed: JobRecord, now: JobRecord | None, says: str) -> LamplighterError:
    """The error of a step whose attempt no longer holds its job. `says`: what happens to the step."""
    if now is None:
        return unknown_job(claimed.id)
    return StaleClaim(
        f"claim {claimed.claim_no} of job {claimed.id} no longer holds it: the job is {now.state}, its claim number is "
        f"{now.claim_no}; {says}, and another attempt decides"
    )
