"""The acts of the pages' forms: each is an act of an operator, in the visitor's name, for a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import UsageError, shown
from ...messages.jobs import JobState
from ...messages.views import QuietAnswer
from ..faces.http import Response, redirect
from .looks import runtime_of
from .page import PageContent, PageRefused, PageVisit, Right

RIGHTS: Mapping[str, Right] = {"requeue": "requeue", "cancel": "cancel"}
"""The acts on jobs, and the right that each needs."""


class Form:
    def __init__(self, visit: PageVisit) -> None:
        self._fields = visit.request.form()
        self._visit = visit
        self.reason = self.one("reason").strip() or None

    def one(self, name: str) -> str:
        """A field; "" if it is not there."""
        return self._fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def choice(self, name: str, rights: Mapping[str, Right]) -> str:
        """The act that is asked for, if it can be done here and the visitor may."""
        chosen = self.one(name)
        if chosen not in rights:
            raise UsageError(f"expected {name} to be one of {', '.join(rights)}, got: {shown(chosen)}")
        if not self._visit.may(rights[chosen]):
            raise PageRefused(403, f"{self._visit.visitor.name} may not {rights[chosen]}")
        return chosen

    def number(self, name: str) -> float:
        try:
            number = float(self.one(name))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"expected {name} to be a number, got: {shown(self.one(name))}")
        return number


VIA = "web"

ASKED_ABOUT = frozenset({JobState.DONE, JobState.RUNNING})


def on_job(visit: PageVisit) -> Response | PageContent:
    """Requeue or cancel a job. One that is done or runs is asked about first: a key is soon pressed."""
    form = Form(visit)
    job_id, action = form.one("id"), form.choice("action", RIGHTS)
    with visit.inspector.store.snapshot() as seen:
        record = seen.jobs.known((job_id,)).get(job_id)
    if record is not None and record.state in ASKED_ABOUT and form.one("sure") != record.state:
        model = {"id": job_id, "action": action, "state": record.state, "reason": form.reason or ""}
        return PageContent("sure.job.html", f"{action.capitalize()} this job?", model)
    if action == "requeue":
        visit.operator.requeue(job_id, reason=form.reason)
        return visit.back("/jobs/", job_id, "requeued")
    job = visit.operator.cancel(job_id, reason=form.reason)
    return visit.back("/jobs/", job_id, "cancelled" if job.state == JobState.CANCELLED else "ended")


def on_name(visit: PageVisit) -> Response:
    form = Form(visit)
    name = form.one("name")
    if form.choice("action", dict.fromkeys(("pause", "resume"), "pause")) == "pause":
        visit.operator.pause(name, reason=form.reason)
        return visit.back("/names/", name, "paused")
    visit.operator.resume(name, reason=form.reason)
    return visit.back("/names/", name, "resumed")


def on_schedule(visit: PageVisit) -> Response:
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
    form = Form(visit)
    verb = form.choice("action", dict.fromkeys(("quiet", "go"), "quiet"))
    boot = runtime_of(visit, form.one("boot")).boot
    visit.client.ask(
        boot, "quiet" if verb == "quiet" else "go", QuietAnswer, by=visit.visitor.name, via=VIA, reason=form.reason
    )
    return visit.back("/runtimes/", boot, verb)
