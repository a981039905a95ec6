"""Acts on many jobs at once: their number is confirmed first, then they are done, one write batch after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from ...admin.matching import TYPED_FROM, actionable, counted, failed_alike, matching
from ...admin.sweeping import Sweep, Swept
from ...admin.views import Amount
from ...errors import UsageError
from ...messages.jobs import Instant
from ...rules.wording import many
from .acts import RIGHTS, Form
from .page import PageContent, PageProgress, PageRefused, PageVisit

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
        "type_it": amount.count > TYPED_FROM,
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
    if count > TYPED_FROM and form.one("typed").strip().replace(",", "") != str(count):
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
