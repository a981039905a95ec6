"""The acts of the pages' forms: each is an act of an operator, in the visitor's name, for a reason."""

from __future__ import annotations

from ...messages.jobs import JobState
from ...messages.views import QuietAnswer
from ..faces.http import Response, redirect
from .forms import RIGHTS, Form
from .page import PageVisit
from .runtimes import runtime_of

VIA = "web"
"""As the log calls the page."""


def on_job(visit: PageVisit) -> Response:
    """Requeue or cancel a job."""
    form = Form(visit)
    job_id = form.one("id")
    if form.choice("action", RIGHTS) == "requeue":
        visit.operator.requeue(job_id, reason=form.reason)
        return visit.back("/jobs/", job_id, "requeued")
    job = visit.operator.cancel(job_id, reason=form.reason)
    return visit.back("/jobs/", job_id, "cancelled" if job.state == JobState.CANCELLED else "ended")


def on_name(visit: PageVisit) -> Response:
    """Pause or resume a name."""
    form = Form(visit)
    name = form.one("name")
    if form.choice("action", dict.fromkeys(("pause", "resume"), "pause")) == "pause":
        visit.operator.pause(name, reason=form.reason)
        return visit.back("/names/", name, "paused")
    visit.operator.resume(name, reason=form.reason)
    return visit.back("/names/", name, "resumed")


def on_schedule(visit: PageVisit) -> Response:
    """Pause, resume, run or remove a schedule."""
    form = Form(visit)
    schedule_id = form.one("id")
    match form.choice("action", dict.fromkeys(("pause", "resume", "run", "remove"), "schedule")):
        case "pause":
            visit.operator.pause_schedule(schedule_id, reason=form.reason)
        case "resume":
            visit.operator.resume_schedule(schedule_id, reason=form.reason)
        case "run":
            job = visit.operator.run_now(schedule_id, reason=form.reason)
            return visit.back("/jobs/", job.id, "queued")
        case _:
            visit.operator.remove_schedule(schedule_id, reason=form.reason)
            return redirect(visit.request.link("/schedules"))
    return visit.back("/schedules/", schedule_id, "done")


def on_runtime(visit: PageVisit) -> Response:
    """Have a runtime claim nothing more, or go on."""
    form = Form(visit)
    verb = form.choice("action", dict.fromkeys(("quiet", "go"), "quiet"))
    boot = runtime_of(visit, form.one("boot")).record.boot
    visit.place.room.ask(
        boot, "quiet" if verb == "quiet" else "go", QuietAnswer, by=visit.visitor.name, via=VIA, reason=form.reason
    )
    return visit.back("/runtimes/", boot, verb)
