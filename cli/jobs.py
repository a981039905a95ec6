"""`lamplighter jobs`: the jobs of a store, which are listed, shown, counted and steered; and why one does not run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..admin.inspector import Inspector
from ..admin.query import read_json, read_setting
from ..admin.views import JobsPage
from ..errors import SignalRefused, UsageError
from ..messages.jobs import ENDED, JobRecord, JobState
from ..messages.queries import JobQuery
from ..rules.capabilities import needed
from ..rules.codec import decode
from ..rules.lifecycle import awaited_signal
from ..rules.new_jobs import check_priority
from ..rules.validation import unknown_job
from ..rules.wording import many
from .acting import Act, acting, add_expect, declare_acting, declare_new, new_of, told
from .inspecting import declare_inspecting, declare_query, inspecting, query_of
from .job_pages import HEADS, NUMBERS, row, show_graph, show_job, show_why
from .options import Part, Subcommand, Times, add_delay, add_paging, argument, declare_group, delay_of, limit_of
from .page import listed, note, page_of, print_json, print_one

JOB = argument("job", metavar="ID")


def _which(example: str) -> tuple[Part, ...]:
    where = argument("--where", metavar="QUERY", help=f"all jobs that match, as in: {example}")
    return argument("jobs", metavar="ID", nargs="*"), where, add_expect, declare_acting


REQUEUE = (
    add_delay,
    argument("--afresh", action="store_true", help="without the steps that are kept of them"),
    *_which("state:dead error:refused"),
)
CANCEL = _which("state:queued name:send-mail")
COPY = (
    JOB,
    argument(
        "--set",
        metavar="PLACE=VALUE",
        action="append",
        default=[],
        help="what stands at a place in its data instead, as user.id=7; several times for several",
    ),
    declare_new,
    declare_acting,
)
SIGNAL = (
    JOB,
    argument("name", metavar="NAME", help="what its handler waits for"),
    argument("data", metavar="DATA", nargs="?", default="null", help="JSON; null if it is left out"),
    declare_acting,
)
REPRIORITIZE = (
    JOB,
    argument("priority", metavar="PRIORITY", type=int, help="higher runs first, and may be negative"),
    declare_acting,
)
FORGET = (argument("jobs", metavar="ID", nargs="+"), declare_acting)


def declare(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return declare_group(
        parser,
        "The jobs of a store.",
        {
            "list": Subcommand(
                "list jobs, those that were queued or ended last first",
                (declare_query, add_paging, declare_inspecting),
                _list,
            ),
            "show": Subcommand("show all that is known of a job", (JOB, declare_inspecting), _show),
            "count": Subcommand(
                "count jobs by state, or those that match", (declare_query, declare_inspecting), _count
            ),
            "why": Subcommand("tell why a job does not run, and what would change it", (JOB, declare_inspecting), _why),
            "graph": Subcommand(
                "tell how far the jobs are that hang together with one", (JOB, declare_inspecting), _graph
            ),
            "requeue": Subcommand("put jobs back into the queue, with their attempts reset", REQUEUE, _requeue),
            "copy": Subcommand("queue a job like another one, with other data", COPY, _copy),
            "signal": Subcommand("tell a job what its handler waits for", SIGNAL, _signal),
            "reprioritize": Subcommand("give a queued job another priority", REPRIORITIZE, _reprioritize),
            "cancel": Subcommand("end jobs that are queued or run", CANCEL, _cancel),
            "forget": Subcommand("remove jobs that have ended, with all that is kept of them", FORGET, _forget),
        },
    )


@inspecting
def _list(arguments: argparse.Namespace, inspector: Inspector) -> int:
    query, limit = query_of(arguments), limit_of(arguments)
    found = inspector.jobs(query, limit=limit, after=arguments.after)
    code = listed(arguments, found.jobs, HEADS, partial(row, now=found.at), NUMBERS)
    if arguments.json:
        print_json({"next": found.next, "looked_at": found.looked_at, "is_complete": found.is_complete})
    else:
        _note_more(found)
    return code


def _note_more(found: JobsPage) -> None:
    """Say how to go on, and how far was looked."""
    if not found.is_complete:
        note(f"looked at {found.looked_at:,} jobs, and no further: go on with --after '{found.next}'")
    elif found.next is not None:
        note(f"more: --after '{found.next}'")
    elif not found.jobs:
        note(f"no such job among the {found.looked_at:,} that were looked at")


@inspecting
def _show(arguments: argparse.Namespace, inspector: Inspector) -> int:
    found = inspector.job(arguments.job)
    return print_one(arguments, found, lambda page: show_job(page, found, Times(is_utc=arguments.utc)))


@inspecting
def _why(arguments: argparse.Namespace, inspector: Inspector) -> int:
    reasons = inspector.why(arguments.job)
    if arguments.json:
        for one in reasons:
            print_json(one)
    else:
        show_why(page_of(arguments), reasons)
    return 0


@inspecting
def _graph(arguments: argparse.Namespace, inspector: Inspector) -> int:
    found = inspector.graph(arguments.job)
    return print_one(arguments, found, lambda page: show_graph(page, found))


@inspecting
def _count(arguments: argparse.Namespace, inspector: Inspector) -> int:
    query = query_of(arguments)
    if replace(query, names=()) != JobQuery() or len(query.names) > 1:
        return _count_matching(arguments, inspector, query)
    counts = inspector.counts(query.names[0] if query.names else None)
    fields = [(state, str(amount)) for state, amount in counts.of.items()]
    print_one(arguments, counts, lambda page: page.fields(fields))
    return 0 if any(amount.count for amount in counts.of.values()) else 1


def _count_matching(arguments: argparse.Namespace, inspector: Inspector, query: JobQuery) -> int:
    found = inspector.count(query)
    print_one(arguments, found, lambda page: page.line(str(found.amount)))
    if found.amount.is_capped and not arguments.json:
        note(f"looked at {found.looked_at:,} jobs, and no further")
    return 0 if found.amount.count else 1


@acting
def _requeue(act: Act) -> int:
    arguments = act.arguments
    delay, ids = delay_of(arguments), _ids(arguments)
    if not ids:
        return act.sweep("requeue", arguments.where, delay, afresh=arguments.afresh)
    found = _known(act, ids)
    if act.is_dry:
        return _would(act, "requeue", found)
    operator = act.operator

    def one(job_id: str) -> int:
        job = operator.requeue(job_id, delay=delay, afresh=arguments.afresh, reason=act.reason)
        act.done("requeue", f"{job.id} is {job.state}", id=job.id, name=job.name, state=job.state)
        return 0

    return act.each(ids, one)


@acting
def _cancel(act: Act) -> int:
    ids = _ids(act.arguments)
    if not ids:
        return act.sweep("cancel", act.arguments.where, 0.0)
    found = _known(act, ids)
    if act.is_dry:
        return _would(act, "cancel", [job for job in found if not _has_ended(job)])
    operator = act.operator

    def one(job_id: str) -> int:
        before = next((job for job in found if job.id == job_id), None)
        if before is not None and _has_ended(before):
            return 1
        job = operator.cancel(job_id, reason=act.reason)
        act.done("cancel", f"{job.id} is {job.state}", id=job.id, name=job.name, state=job.state)
        return 0

    return act.each(ids, one)


@acting
def _copy(act: Act) -> int:
    arguments = act.arguments
    changes, options = dict(map(read_setting, arguments.set)), new_of(arguments)
    found = _known(act, [arguments.job])
    if act.is_dry:
        # Imported only here: it loads the code of turns.
        from ..admin.copying import changed

        for job in found:
            changed(decode(job.data), changes)
            act.done("copy", f"would queue a job like {job.id}, of {job.name}", id=job.id, name=job.name)
        return 0
    is_new = told(act, "copy", act.operator.copy(arguments.job, changes=changes, reason=act.reason, **options))
    return 0 if is_new else 1


@acting
def _signal(act: Act) -> int:
    arguments = act.arguments
    found, data = _known(act, [arguments.job]), read_json(arguments.data, "DATA")
    for awaited in {awaited_signal(job) for job in found} - {None, arguments.name}:
        note(
            f"job {arguments.job} waits for {awaited!r} now; {arguments.name!r} is kept until the handler waits for it"
        )
    if act.is_dry:
        sent = [job for job in found if not _has_ended(job)]
        return _would(act, "signal", sent, f"signal {arguments.name!r} to", signal=arguments.name)
    try:
        act.operator.signal(arguments.job, arguments.name, data, reason=act.reason)
    except SignalRefused as error:
        note(f"lamplighter: {error}")
        return 1
    act.done("signal", f"{arguments.job} has signal {arguments.name!r}", id=arguments.job, signal=arguments.name)
    return 0


@acting
def _reprioritize(act: Act) -> int:
    found, priority = _known(act, [act.arguments.job]), check_priority(act.arguments.priority)
    if act.is_dry:
        for job in found:
            if job.state != JobState.QUEUED:
                note(f"{job.id} would keep its priority: it is {job.state}")
        queued = [job for job in found if job.state == JobState.QUEUED]
        return _would(act, "reprioritize", queued, f"give priority {priority} to", priority=priority)
    operator = act.operator

    def one(job_id: str) -> int:
        job = operator.reprioritize(job_id, priority, reason=act.reason)
        act.done("reprioritize", f"{job.id} has priority {priority}", id=job.id, name=job.name, priority=priority)
        return 0

    return act.each([act.arguments.job], one)


@acting
def _forget(act: Act) -> int:
    ids = list(dict.fromkeys(act.arguments.jobs))
    found = _known(act, ids)
    if act.is_dry:
        return _would(act, "forget", _forgettable(act, found))
    operator = act.operator
    if not act.is_sure(f"remove {many(len(ids), 'job')} for good", len(ids)):
        return 1

    def one(job_id: str) -> int:
        operator.forget(job_id, reason=act.reason)
        act.done("forget", f"{job_id} is removed", id=job_id)
        return 0

    return act.each(ids, one)


def _known(act: Act, ids: Sequence[str]) -> Sequence[JobRecord]:
    """The jobs of these ids, all of which must be there; nothing where the store cannot be looked at."""
    if not act.can_look:
        return ()
    with act.store.snapshot() as seen:
        found = seen.jobs.known(ids)
    for job_id in ids:
        if job_id not in found:
            raise unknown_job(job_id)
    return [found[job_id] for job_id in ids]


def _ids(arguments: argparse.Namespace) -> list[str]:
    """The ids that were given, each once; none if a query was given. Exactly one is allowed."""
    if bool(arguments.jobs) is (arguments.where is not None):
        raise UsageError("expected the ids of jobs, or --where QUERY")
    if arguments.where is None and arguments.expect is not None:
        raise UsageError("expected --expect beside --where, got ids")
    return list(dict.fromkeys(arguments.jobs))


def _has_ended(job: JobRecord) -> bool:
    if job.state in ENDED:
        note(f"{job.id} has ended already, as {job.state}; nothing was done")
        return True
    return False


def _forgettable(act: Act, jobs: Sequence[JobRecord]) -> Sequence[JobRecord]:
    """The jobs that would be removed, one after the other; for each of the others the reason is printed."""
    gone: dict[str, JobRecord] = {}
    for job in jobs:
        waiting = needed(act.store.table, "list").linked(job.row_id, len(jobs))
        child = next((one.id for one in waiting if one.id not in gone), None)
        if job.state not in ENDED:
            note(f"{job.id} would stay: it is {job.state}")
        elif child is not None:
            note(f"{job.id} would stay: job {child} waits for it, or has")
        else:
            gone[job.id] = job
    return list(gone.values())


def _would(act: Act, action: str, jobs: Sequence[JobRecord], does: str | None = None, **view: Any) -> int:
    """Tell what would be done to each job: people in the words of `does`, if the action's name does not say all."""
    if not act.can_look:
        note("on a server nobody knows beforehand which jobs are dead or held by a runtime; nothing was done")
    for job in jobs:
        told = f"would {does or action} {job.id}, which is {job.state}"
        act.done(action, told, id=job.id, name=job.name, state=job.state, **view)
    return 0 if jobs else 1
