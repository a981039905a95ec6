"""The acts of the pages' forms: each is an act of an operator, in the visitor's name, for a reason."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from ...admin.query import read_instant, read_json
from ...errors import UsageError, shown
from ...messages.jobs import Attribution, JobRecord, JobState
from ...messages.views import QuietAnswer
from ...rules.lifecycle import awaited_signal
from ...rules.validation import check_name
from ..faces.http import Response, redirect
from .looks import runtime_of
from .page import PageContent, PageRefused, PageVisit, Right

RIGHTS: Mapping[str, Right] = {"requeue": "requeue", "cancel": "cancel"}
"""The acts on jobs, and the right that each needs."""

RIGHTS_ON_ONE: Mapping[str, Right] = {**RIGHTS, "signal": "signal", "reprioritize": "requeue"}


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

    def whole(self, name: str) -> int:
        number = self.number(name)
        if number != int(number):
            raise UsageError(f"expected {name} to be a whole number, got: {shown(self.one(name))}")
        return int(number)


VIA = "web"

ASKED_ABOUT: Mapping[str, frozenset[JobState]] = {
    "requeue": frozenset({JobState.DONE, JobState.RUNNING}),
    "cancel": frozenset({JobState.RUNNING}),
}


def on_job(visit: PageVisit) -> Response | PageContent:
    """Requeue, cancel or reprioritize a job, or send it a signal. People are asked whether they are sure before a job
    that runs is stopped, and before one that is done runs again: a key is soon pressed.
    """
    form = Form(visit)
    job_id, action = form.one("id"), form.choice("action", RIGHTS_ON_ONE)
    if action == "signal":
        data, signal = read_json(form.one("data").strip() or "null", "data"), form.one("signal")
        awaited = {awaited_signal(job) for job in _known(visit, job_id)}
        visit.operator.signal(job_id, signal, data, reason=form.reason)
        return visit.back("/jobs/", job_id, "signalled" if awaited <= {None, signal} else "kept")
    if action == "reprioritize":
        visit.operator.reprioritize(job_id, form.whole("priority"), reason=form.reason)
        return visit.back("/jobs/", job_id, "reprioritized")
    record = next(iter(_known(visit, job_id)), None)
    if record is not None and record.state in ASKED_ABOUT[action] and form.one("sure") != record.state:
        model = {"id": job_id, "action": action, "state": record.state, "reason": form.reason or ""}
        return PageContent("sure.job.html", f"{action.capitalize()} this job?", model)
    if action == "requeue":
        visit.operator.requeue(job_id, reason=form.reason)
        return visit.back("/jobs/", job_id, "requeued")
    job = visit.operator.cancel(job_id, reason=form.reason)
    return visit.back("/jobs/", job_id, "cancelled" if job.state == JobState.CANCELLED else "ended")


def _known(visit: PageVisit, job_id: str) -> Collection[JobRecord]:
    with visit.inspector.store.snapshot() as seen:
        return seen.jobs.known((job_id,)).values()


def on_new_job(visit: PageVisit) -> Response:
    """Queue a job of a name that is known, or a copy of a job, with other data where the visitor may see data."""
    form = Form(visit)
    data = form.one("data").strip()
    if form.choice("action", {"queue": "queue", "copy": "requeue"}) == "copy":
        if data and not visit.may("data"):
            raise PageRefused(403, f"{visit.visitor.name} may not change what jobs carry")
        changes = {"": read_json(data, "data")} if data else {}
        job = visit.operator.copy(form.one("id"), changes=changes, reason=form.reason)
    else:
        name = check_name(form.one("name"))
        if visit.inspector.name(name) is None:
            raise UsageError(f"expected the name of a handler, or of earlier jobs, got: {shown(name)}")
        job = visit.operator.queue(name, read_json(data or "null", "data"), reason=form.reason)
    return visit.back("/jobs/", job.id, "there" if job.deduplicated else "queued")


def on_name(visit: PageVisit) -> Response:
    form = Form(visit)
    name = form.one("name")
    match form.choice("action", dict.fromkeys(("pause", "resume", "limit"), "pause")):
        case "pause":
            visit.operator.pause(name, until=_until(visit, form), reason=form.reason)
            return visit.back("/names/", name, "paused")
        case "limit":
            most = form.whole("most") if form.one("most") else None
            visit.operator.limit(name, most, reason=form.reason)
            return visit.back("/names/", name, "unlimited" if most is None else "limited")
    visit.operator.resume(name, reason=form.reason)
    return visit.back("/names/", name, "resumed")


def _until(visit: PageVisit, form: Form) -> datetime | None:
    """When a pause ends: None if somebody must end it."""
    text = form.one("until").strip()
    if not text:
        return None
    instant = read_instant(text, visit.now)
    if instant <= visit.now:
        raise UsageError(f"expected a time in the future, such as +2h or 2026-07-01T06:30Z, got: {shown(text)}")
    return datetime.fromtimestamp(instant, UTC)


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
    who = Attribution(visit.visitor.name, VIA, form.reason)
    visit.client.ask(boot, "quiet" if verb == "quiet" else "go", QuietAnswer, who)
    return visit.back("/runtimes/", boot, verb)
