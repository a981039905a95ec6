"""The tools that only look. They show the same as the command and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from ...admin.inspectors import inspector_at, inspector_factory, readable_file
from ...admin.query import parse_query
from ...doctor.examining import examine
from ...doctor.opening import evidence_at
from ...environment.clock import SystemClock
from ...errors import UsageError, shown
from ...history.trace.job import biography
from ...rules.wording import many
from .answers import ROWS_MAX, Answer, answer, some


class ReadingTools:
    """Looks at a store for a model; each method is a tool, and its docstring is what the model reads of it.

    Args:
        address: the path of a store's file.
        logs: log files of its runtimes, of which `job` tells a story.
        shows_data: whether data, results and progress of jobs are told.

    Raises:
        NotSupported: the store is on a server.
    """

    def __init__(self, address: str, *, logs: Sequence[str] = (), shows_data: bool = False) -> None:
        self._address = readable_file(address, "mcp").address
        self._logs = logs
        self._shows_data = shows_data

    @property
    def tools(self) -> Sequence[Any]:
        """All of them."""
        return (self.overview, self.find_jobs, self.job, self.errors, self.schedule, self.runtimes, self.doctor)

    def overview(self) -> Answer:
        """How the whole store fares: its health and why, how many jobs are ready, running, scheduled, parked and dead,
        and the same for each job name. Begin here.
        """
        with inspector_at(self._address) as inspector:
            seen = inspector.overview()
        names, more = some(seen.names)
        boots, _ = some(seen.boots)
        summary = f"health is {seen.health.status}; {many(len(seen.boots), 'runtime')}; jobs: {seen.ready} ready, "
        summary += f"{seen.parked} of these of names that nobody handles, {seen.running} running, "
        summary += f"{seen.scheduled} scheduled, {seen.dead} dead{more}"
        return answer(summary, {**_fields(seen), "names": names, "boots": boots})

    def find_jobs(self, query: str = "", limit: int = 20, after: str | None = None) -> Answer:
        """Jobs that match a query, the newest first, each with why it waits.

        Args:
            query: terms such as `name:mail state:dead error:timeout queued:<2h ended:>1d id:abc attempt:>3`; further
                words are looked for in ids, names and errors.
            limit: how many, 50 at most.
            after: the `next` of the answer before.
        """
        if not 1 <= limit <= ROWS_MAX:
            raise UsageError(f"expected limit to be 1 to {ROWS_MAX}, got: {limit}")
        wanted = parse_query(query, SystemClock().now())
        if wanted.data and not self._shows_data:
            raise UsageError("expected a query without data: what jobs carry is hidden here")
        with inspector_at(self._address, shows_data=self._shows_data) as inspector:
            found = inspector.jobs(wanted, limit=limit, after=after)
        more = "" if found.next is None else "; there may be more"
        summary = f"{many(len(found.jobs), 'job')}, {found.looked_at:,} looked at{more}"
        return answer(summary, found.jobs, next=found.next)

    def job(self, id: str) -> Answer:
        """All that is known of one job: its record, its failed attempts with the traceback, why it does not run, its
        descendants, what it waits for and what waits for it; and, if logs were given to this server, its story.

        Args:
            id: the whole of it.
        """
        with inspector_at(self._address, shows_data=self._shows_data) as inspector:
            found = inspector.job(id)
        codes = ", ".join(why.code for why in found.reasons)
        related = {name: some(getattr(found, name))[0] for name in ("children", "parents", "waiting")}
        known = {**_fields(found), "attempts": None, **related}
        if found.attempts is not None:
            known["attempts"] = found.attempts[-ROWS_MAX:]
        if self._logs:
            told = biography(self._logs, id)
            entries = () if told is None else told.entries[-ROWS_MAX:]
            known["story"] = [{"at": entry.at, "who": entry.who, "says": entry.says} for entry in entries]
        return answer(f"the job is {found.job.state}: {codes}; attempt {found.job.attempt}", known)

    def errors(self, name: str | None = None) -> Answer:
        """Failures in groups, the largest first: dead jobs, and those that are tried again.

        Args:
            name: of jobs of this name only.
        """
        with inspector_at(self._address) as inspector:
            found = inspector.errors(name)
        groups, more = some(found.groups)
        at_least = "the newest " if found.is_capped else ""
        summary = f"{many(len(found.groups), 'group')} of {at_least}{many(found.looked_at, 'job')} that failed{more}"
        return answer(summary, groups)

    def schedule(self, id: str | None = None, since: str | None = None, until: str | None = None) -> Answer:
        """One schedule with what became of each of its slots, or is to become; without an id, all schedules.

        Args:
            id: of the schedule, as the list has it.
            since: from when on slots are told, such as `2026-03-01T00:00:00Z`; a day ago unless it is said.
            until: up to when; a day from now unless it is said.
        """
        with inspector_at(self._address, shows_data=self._shows_data) as inspector:
            if id is None:
                listed = inspector.schedules(limit=ROWS_MAX)
                return answer(f"{many(len(listed), 'schedule')}, {ROWS_MAX} at most are shown", listed)
            found = inspector.schedule(id, since=_instant("since", since), until=_instant("until", until))
        slots, more = found.slots[-ROWS_MAX:], ""
        if len(slots) < len(found.slots):
            more = f"; the last {ROWS_MAX} are shown"
        return answer(f"{many(len(found.slots), 'slot')}{more}", {**_fields(found), "slots": slots})

    def runtimes(self) -> Answer:
        """The processes on the store and what each does now: its actors with their crashes, the jobs that run, and
        threads that hang, with their stacks.
        """
        store = readable_file(self._address, "list")
        try:
            seen = inspector_factory(store, now=SystemClock().now).runtimes.all()
        finally:
            store.close()
        boots, more = some(seen)
        hung = sum(len(boot.view.health.abandoned) for boot in seen if boot.view is not None)
        answers = sum(boot.condition == "answers" for boot in seen)
        threads = many(hung, "hung thread")
        return answer(f"{many(len(seen), 'runtime')}, of which {answers} answer; {threads}{more}", boots)

    def doctor(self) -> Answer:
        """Checks the store and who works on it: what is wrong, what shows it, what to do."""
        with evidence_at(self._address, logs=self._logs) as seen:
            found = examine(seen)
        findings, more = some(one for one in found.findings if one.level != "ok")
        return answer(f"{many(len(found.wrong), 'finding')} that somebody should see to{more}", findings)


def _fields(view: Any) -> dict[str, Any]:
    """The fields of a view."""
    return {field.name: getattr(view, field.name) for field in fields(view)}


def _instant(name: str, text: str | None) -> float | None:
    """An instant that a model has written.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"expected {name} to be an instant such as 2026-03-01T00:00:00Z, got: {shown(text)}") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
