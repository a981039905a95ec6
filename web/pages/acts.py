"""The acts of the pages' forms: each is an act of an operator, in the visitor's name, for a reason. The number of many
jobs is confirmed first; then they are acted on, one write batch after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from ...admin.matching import TYPED_ABOVE, actionable, counted, failed_alike, matching
from ...admin.query import read_json, read_moment
from ...admin.sweeping import Sweep, Swept
from ...admin.views import Amount
from ...errors import UsageError, shown
from ...messages.jobs import Attribution, Instant, JobRecord, JobState
from ...messages.views import QuietAnswer
from ...rules.lifecycle import awaited_signal
from ...rules.validation import check_name
from ...rules.wording import many
from ..faces.http import Response, redirect
from .looks import runtime_of
from .page import PageContent, PageProgress, PageRefused, PageVisit, Right

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
    return read_moment(text, "a time", visit.now) if text else None


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


SWEEP_SECONDS_MAX = 2.0
"""How long a sweep that is not streamed goes on until it is answered: the page then sends the next request."""

NAMED_MAX = 10
"""So many jobs are named before something is done to them."""

Pages = Iterator[Sequence[str]]
"""The ids of jobs, some at a time, which are looked for when they are asked for."""


def on_jobs(visit: PageVisit) -> PageContent | PageProgress:
    """Ask whether somebody is sure that the selected jobs, all that match a search, or all that have failed alike are
    to be requeued or cancelled; and then do it: for as long as one request may take, or as somebody follows it.
    """
    form = Form(visit)
    if not form.one("sure"):
        return _asked(visit, form)
    action: Any = form.choice("sure", RIGHTS)
    find = _chosen(visit, form, action, form.number("asked_at"))
    if not form.one("done"):
        _check_number(form, _counted(visit, find).count)
    done = form.whole("done") if form.one("done") else 0
    pages = _swept(visit, form, action, find, done)
    if visit.streams:
        return PageProgress(pages)
    *_, page = pages
    return page


def _chosen(visit: PageVisit, form: Form, action: Sweep, asked_at: Instant) -> Callable[[], Pages]:
    """The search for the jobs that a form means."""
    match form.one("which"):
        case "matching":
            query = actionable(visit.search(form.one("q")), action, asked_at)
            return partial(matching, visit.inspector.store, query)
        case "group" if action == "requeue":
            return partial(failed_alike, visit.inspector.store, form.one("name"), form.one("group"), asked_at)
    if ids := form.all("id"):
        return lambda: iter([ids])
    raise UsageError("expected jobs to be selected, or all that match to be chosen, got neither")


def _asked(visit: PageVisit, form: Form) -> PageContent:
    action: Any = form.choice("action", RIGHTS)
    now = visit.now
    with visit.searching():
        pages = iter(_chosen(visit, form, action, now)())
        first = next(pages, ())
        amount = counted(chain([first], pages))
    model = {
        "action": action,
        "which": form.one("which"),
        "ids": form.all("id") if form.one("which") not in ("matching", "group") else [],
        "first": first[:NAMED_MAX],
        "query": form.one("q"),
        "group": form.one("group"),
        "name": form.one("name"),
        "count": amount.count,
        "is_capped": amount.is_capped,
        "asked_at": now,
        "reason": form.reason or "",
        "type_it": amount.count > TYPED_ABOVE,
    }
    return PageContent("sure.html", f"{action.capitalize()} {many(amount.count, 'job')}?", model)


def _counted(visit: PageVisit, find: Callable[[], Pages]) -> Amount:
    with visit.searching():
        return counted(find())


def _check_number(form: Form, count: int) -> None:
    """Refuse to act on another number of jobs than somebody was shown, or has typed."""
    shown = form.whole("shown")
    if shown != count:
        raise PageRefused(409, f"expected {shown} jobs, as you were shown, got: {count}; nothing was done, look again")
    if count > TYPED_ABOVE and form.one("typed").strip().replace(",", "") != str(count):
        raise PageRefused(409, f"expected {count} to be typed, got: {form.one('typed')!r}; nothing was done")


def _swept(visit: PageVisit, form: Form, action: Sweep, find: Callable[[], Pages], done: int) -> Iterator[PageContent]:
    """A page after each write batch, until there are no more jobs, or a request that is not streamed has taken its
    time. The last page says which it was.
    """
    began, swept, is_over = visit.monotonic(), Swept(), True
    # Jobs that are named by their ids are few, and a next request could not tell which of them are done.
    seconds_max = math.inf if visit.streams or form.all("id") else SWEEP_SECONDS_MAX
    asked_at = datetime.fromtimestamp(max(0.0, min(form.number("asked_at"), visit.now)), UTC)
    for swept in visit.operator.sweep(find(), action, until=asked_at, reason=form.reason):
        yield _page(visit, form, action, done, swept, is_over=False)
        if visit.monotonic() - began > seconds_max:
            is_over = False
            break
    yield _page(visit, form, action, done, swept, is_over=is_over)


def _page(visit: PageVisit, form: Form, action: Sweep, done: int, swept: Swept, *, is_over: bool) -> PageContent:
    model = {
        "action": action,
        "done": done + swept.done,
        "changed": swept.changed,
        "refused": swept.refused,
        "shown": form.whole("shown"),
        "is_over": is_over,
    }
    return PageContent("sweep.html", f"{action.capitalize()} jobs", model, {"form": form, "streams": visit.streams})
