"""The parts of a page, and its request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlencode

from ...admin.inspector import Inspector
from ...admin.operator import Operator
from ...admin.query import parse_query
from ...doctor.diagnosis import Examination
from ...errors import UsageError, shown
from ...messages.jobs import Instant, Seconds
from ...messages.queries import JobQuery
from ...stores.control_client import ControlClient
from ..faces.http import Request, Response, redirect

Right = Literal["look", "data", "queue", "requeue", "cancel", "signal", "pause", "schedule", "quiet"]
"""The rights of a visitor: to see all but data; data, results and progress; to queue jobs; to requeue, copy or
reprioritize jobs; to cancel or forget them; to send them signals; to pause, resume and limit names; to pause, resume,
run and remove schedules; to have a runtime take nothing new."""

RIGHTS: frozenset[str] = frozenset(get_args(Right))

LOOK: frozenset[Right] = frozenset({"look"})
"""Everything can be seen but what jobs carry."""

STEER: frozenset[Right] = frozenset({"look", "queue", "requeue", "cancel", "signal", "pause", "schedule", "quiet"})
"""Whatever there is to do, without seeing what jobs carry."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at the page.

    Attributes:
        name: goes into the log, as `by`, with all that they do; 1 to 200 characters.
        may: their rights. `LOOK` and `STEER` are sets of them.
        log_out: the path below the page to which the button "Log out" sends a form, for `who` to answer; "" for none.

    Raises:
        UsageError: the name is none, or a right is not known.
    """

    name: str
    may: Collection[Right] = LOOK
    log_out: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 200:
            raise UsageError(f"expected a visitor's name of 1 to 200 characters, got: {shown(self.name)}")
        if isinstance(self.may, str) or not RIGHTS.issuperset(self.may):
            raise UsageError(f"expected rights out of {', '.join(sorted(RIGHTS))}, got: {shown(self.may)}")


Who = Callable[[Request], "Visitor | Response | None"]
"""Says who has sent a request: None where nobody is known, or an answer instead of the page, such as a redirect to
where one logs in."""


STREAM = "text/event-stream"
"""The Accept header of a browser that follows something."""


NOTICES = {
    "requeued": "It was put back into the queue.",
    "cancelled": "It was cancelled.",
    "signalled": "The signal was sent.",
    "kept": "The job waits for another signal now; this one is kept until its handler waits for it.",
    "reprioritized": "Its priority was set.",
    "ended": "It had ended already; nothing was done.",
    "paused": "It was paused.",
    "resumed": "It was resumed.",
    "limited": "Its limit was set.",
    "unlimited": "It has no limit any more.",
    "queued": "It was queued.",
    "there": "It was there already, with the same unique key; nothing was queued.",
    "quiet": "It was told to take nothing new.",
    "go": "It was told to go on.",
    "done": "Done.",
}
"""The notice on a page about the form that led to it. Its address has only the code: a link says nothing else on a
page. A notice tells of an act, never of a state: anyone can make a link, and the state is what the page itself shows.
"""


def with_query(address: str, **fields: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"


class PageVisit(NamedTuple):
    """One look at a page.

    Attributes:
        rest: what follows the route in the path, such as a job's id.
        client: asks the boots on the store.
        trace_url: where a trace is shown, with `{trace_id}` in it.
        examined: what the doctor has found, not long ago.
        searching: held while jobs are searched or counted; raises `PageRefused` where others do so for too long.
    """

    request: Request
    visitor: Visitor
    rest: str
    inspector: Inspector
    operator: Operator
    client: ControlClient
    monotonic: Callable[[], Seconds]
    trace_url: str | None
    examined: Callable[[], Examination]
    searching: Callable[[], AbstractContextManager[None]]

    @property
    def now(self) -> Instant:
        return self.inspector.now()

    @property
    def streams(self) -> bool:
        """Whether the browser follows what is done bit by bit."""
        return STREAM in self.request.headers.get("accept", "")

    def one(self, name: str) -> str:
        """A field of the query; "" if it is not there."""
        return self.request.asked().get(name, [""])[-1]

    @property
    def notices(self) -> list[str]:
        """The notice of the form that led here; none for a link on another site, where nothing was done."""
        if self.request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return []
        said = self.one("said")
        return [NOTICES[said]] if said in NOTICES else []

    def back(self, page: str, name: str, said: str) -> Response:
        return redirect(with_query(self.request.path_of(page, name), said=said))

    def jobs_of(self, query: str) -> str:
        return self.request.link("/jobs", q=query)

    def search(self, text: str) -> JobQuery:
        """The terms of a search. Refused if its results would let a visitor guess what they may not see."""
        query = parse_query(text, self.now)
        if query.data and not self.may("data"):
            raise PageRefused(403, f"{self.visitor.name} may not search what jobs carry")
        return query

    def may(self, right: Right) -> bool:
        return right in self.visitor.may


@dataclass(frozen=True, slots=True)
class PageContent:
    """A page before it is HTML or JSON.

    Attributes:
        model: what it shows; also what programs get.
        more: what only the template needs.
        refresh_seconds: how often it changes though nothing in the store does; None for never.
    """

    template: str
    title: str
    model: Any
    more: dict[str, Any] = field(default_factory=dict)
    refresh_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class PageProgress:
    """A page again and again, while something is done. A browser that closes the stream stops it."""

    pages: Iterator[PageContent]


class PageRefused(Exception):
    """Nothing was done, and the page says why."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status = status


class NotThere(Exception):
    """There is no such page, name, runtime or group of failures."""
