"""What the forms of the pages do: each is an act of an operator, in the visitor's name, for a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import UsageError
from ...messages.jobs import JobState
from ...messages.queries import JobQuery
from ...messages.views import QuietAnswer
from ...operating.matching import TYPED_FROM, actionable, count_matching, matching
from ...operating.query import parse_query
from ...operating.sweeping import Sweep, Swept
from ...operating.views import Amount
from ..faces.http import Response, redirect
from .page import PageContent, PageRefused, PageVisit
from .visitor import Right

VIA = "web"
"""As the log calls the page."""

GROUP_MAX = 10_000
"""As many jobs of a group as there can be."""

SWEEP_SECONDS_MAX = 2.0
"""How long one request works on a sweep. The page that answers it sends the next."""

RIGHTS: Mapping[str, Right] = {"requeue": "requeue", "cancel": "cancel"}


class Form:
    """The fields that a form has sent."""

    def __init__(self, visit: PageVisit) -> None:
        self._fields = visit.request.form()
        self._visit = visit
        self.reason = self.one("reason").strip() or None

    def one(self, name: str) -> str:
        """A field; "" if it is not there."""
        return self._fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        """A field that may be there several times."""
        return self._fields.get(name, [])

    def choice(self, name: str, rights: Mapping[str, Right]) -> str:
        """What is to be done, if the visitor may.

        Raises:
            UsageError: it is nothing that can be done here.
            PageRefused: the visitor may not.
        """
        chosen = self.one(name)
        if chosen not in rights:
            raise UsageError(f"expected {name} to be one of {', '.join(rights)}, got: {chosen!r}")
        if not self._visit.may(rights[chosen]):
            raise PageRefused(403, f"{self._visit.visitor.name} may not {rights[chosen]}")
        return chosen

    def number(self, name: str) -> float:
        """A number.

        Raises:
            UsageError: it is none.
        """
        try:
            return float(self.one(name))
        except ValueError:
            raise UsageError(f"expected {name} to be a number, got: {self.one(name)!r}") from None


def on_job(visit: PageVisit) -> Response:
    """Requeue or cancel a job."""
    form = Form(visit)
    job_id = form.one("id")
    if form.choice("action", RIGHTS) == "requeue":
        visit.operator.requeue(job_id, reason=form.reason)
        return visit.back("/jobs/", job_id, "It was put back into the queue.")
    job = visit.operator.cancel(job_id, reason=form.reason)
    said = "It was cancelled." if job.state == JobState.CANCELLED else "It had ended already; nothing was done."
    return visit.back("/jobs/", job_id, said)


def on_name(visit: PageVisit) -> Response:
    """Pause or resume a name."""
    form = Form(visit)
    name = form.one("name")
    if form.choice("action", dict.fromkeys(("pause", "resume"), "pause")) == "pause":
        visit.operator.pause(name, reason=form.reason)
        return visit.back("/names/", name, "No more job of it will be started.")
    visit.operator.resume(name, reason=form.reason)
    return visit.back("/names/", name, "Its jobs are started again.")


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
            return visit.back("/jobs/", job.id, "It was queued just now.")
        case _:
            visit.operator.remove_schedule(schedule_id, reason=form.reason)
            return redirect(visit.request.link("/schedules"))
    return visit.back("/schedules/", schedule_id, "Done.")


def on_runtime(visit: PageVisit) -> Response:
    """Have a runtime claim nothing more, or go on."""
    form = Form(visit)
    boot, verb = form.one("boot"), form.choice("action", dict.fromkeys(("quiet", "go"), "quiet"))
    visit.place.room.ask(
        boot, "quiet" if verb == "quiet" else "go", QuietAnswer, by=visit.visitor.name, via=VIA, reason=form.reason
    )
    return visit.back("/runtimes/", boot, "It takes nothing new." if verb == "quiet" else "It goes on.")


def on_jobs(visit: PageVisit) -> PageContent | Response:
    """Ask whether somebody is sure that all jobs of a list, or of a search, are to be requeued or cancelled; and then
    do it, for as long as one request may take.
    """
    form = Form(visit)
    if not form.one("sure"):
        return _asked(visit, form)
    action: Any = form.choice("sure", RIGHTS)
    ids = form.all("id")
    if ids:
        pages: Iterator[Sequence[str]] = iter([ids])
    else:
        query = actionable(parse_query(form.one("q"), visit.now), action, form.number("asked_at"))
        _check_count(visit, form, query)
        pages = matching(visit.place.store, query)
    swept, is_over = _swept(visit, pages, action, form.reason)
    done = int(form.number("done")) if form.one("done") else 0
    model = {"action": action, "done": done + swept.done, "shown": form.one("shown"), "is_over": is_over}
    more = {"form": form, "swept": swept, "query": form.one("q"), "reason": form.reason or ""}
    return PageContent("sweep.html", f"{action.capitalize()} jobs", model, more)


def on_group(visit: PageVisit) -> PageContent | Response:
    """Requeue the dead jobs of a group of failures."""
    form = Form(visit)
    group = form.one("group")
    _, jobs = visit.look.failed_in(group, limit=GROUP_MAX)
    ids = [job.id for job in jobs if job.state == JobState.DEAD]
    _check_number(form, len(ids))
    swept, _ = _swept(visit, iter([ids]), "requeue", form.reason)
    return redirect(visit.request.link("/errors", said=f"{swept.done} jobs were put back into the queue."))


def _asked(visit: PageVisit, form: Form) -> PageContent:
    action: Any = form.choice("action", RIGHTS)
    now, text, ids = visit.now, form.one("q"), form.all("id")
    if form.one("which") == "matching":
        ids = []
        query = actionable(parse_query(text, now), action, now)
        amount = count_matching(visit.place.store, query)
    elif not ids:
        raise UsageError("expected jobs to be selected, or all that match to be chosen, got neither")
    else:
        amount = Amount(count=len(ids))
    model = {
        "action": action,
        "which": form.one("which"),
        "ids": ids,
        "query": "" if ids else text,
        "count": amount.count,
        "is_capped": amount.is_capped,
        "asked_at": now,
        "reason": form.reason or "",
        "type_it": amount.count > TYPED_FROM,
    }
    return PageContent("sure.html", f"{action.capitalize()} {amount.count} jobs?", model)


def _check_count(visit: PageVisit, form: Form, query: JobQuery) -> None:
    """The first time, that there are as many jobs as somebody was shown.

    Raises:
        PageRefused: there are not.
    """
    if not form.one("done"):
        _check_number(form, count_matching(visit.place.store, query).count)


def _check_number(form: Form, count: int) -> None:
    shown = int(form.number("shown"))
    if shown != count:
        raise PageRefused(409, f"expected {shown} jobs, as you were shown, got: {count}; nothing was done, look again")
    if count > TYPED_FROM and form.one("typed").strip().replace(",", "") != str(count):
        raise PageRefused(409, f"expected {count} to be typed, got: {form.one('typed')!r}; nothing was done")


def _swept(visit: PageVisit, pages: Iterator[Sequence[str]], action: Sweep, reason: str | None) -> tuple[Swept, bool]:
    """Act on jobs until there are no more, or the time is up; and which of the two it was."""
    began, swept = visit.monotonic(), Swept()
    for swept in visit.operator.sweep(pages, action, reason=reason):
        if visit.monotonic() - began > SWEEP_SECONDS_MAX:
            return swept, False
    return swept, True
