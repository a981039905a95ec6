"""Checks of job names: their handlers and pauses, and whether their jobs are late, fail, or kill processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..admin.error_groups import grouped
from ..admin.stats import Stats, stats_by_name
from ..admin.views import Amount, NameView
from ..errors import alike
from ..messages.jobs import JobRecord, JobState
from ..messages.queries import JobQuery
from ..messages.steps import WAIT
from ..messages.tallies import MINUTE, Tally
from ..messages.views import HandlerView
from ..rules.lifecycle import AWAITS, awaited_signal
from ..rules.wording import brief, many, span
from .diagnosis import Symptom, Symptoms, error, minutes, note, ok, unknown, warning
from .evidence import Evidence

PAUSED_SECONDS_MAX = 24 * 3600.0
"""A longer pause may have been forgotten."""

PAUSED_JOBS_MAX = 1_000

AWAITING_MAX = 1_000
"""The most jobs looked at that wait for signals."""

TOLD_MAX = 10
"""The most names listed; the others are counted."""


def parked(seen: Evidence) -> Symptoms:
    waiting = [name for name in seen.names if name.is_parked and name.ready is not None and name.ready.count]
    handled = [name.name for name in seen.names if not name.is_parked]
    for name in waiting[:TOLD_MAX]:
        near = "".join(f"; {close!r} has one: was it renamed?" for close in alike(name.name, handled))
        yield warning(
            f"no living runtime has a handler for {name.name!r}, and {_ready(name, seen)}{near}",
            "start a process that has it, or register it under the old name too; `lamplighter jobs cancel` if nobody "
            "wants them",
        )
    if len(waiting) > TOLD_MAX:
        more = Amount(count=len(waiting) - TOLD_MAX, is_capped=not seen.whole_names.has_all_stuck)
        yield warning(f"{more} more names have due jobs and no handler", "`lamplighter names list`")
    names = Amount(count=len(seen.whole_names.first), is_capped=seen.whole_names.has_more)
    says = f"of {names} {'name' if str(names) == '1' else 'names'}, none has due jobs that no living runtime takes"
    if not waiting and not seen.whole_names.has_all_stuck:
        yield unknown(f"{says}, and not all names were looked at")
    return says


def _ready(name: NameView, seen: Evidence) -> str:
    oldest = "" if name.oldest_ready is None else f", the oldest for {span(seen.at - name.oldest_ready)}"
    return f"{name.ready} of its jobs {'waits' if name.ready is not None and name.ready.count == 1 else 'wait'}{oldest}"


def paused(seen: Evidence) -> Symptoms:
    pauses = [name for name in seen.names if name.pause is not None]
    for name in pauses[:TOLD_MAX]:
        pause = name.pause
        assert pause is not None
        whom = "" if pause.by is None else f" by {pause.by}"
        because = ", and nobody has said why" if pause.reason is None else f": {brief(pause.reason)}"
        since = "" if pause.since is None else f" for {span(seen.at - pause.since)}"
        waits = "" if name.ready is None else f"; {name.ready} of its jobs wait"
        says = f"{name.name!r} is paused{since}{whom}{because}{waits}"
        is_long = pause.since is not None and seen.at - pause.since > PAUSED_SECONDS_MAX
        is_many = name.ready is not None and name.ready.count > PAUSED_JOBS_MAX
        if is_long or is_many:
            yield warning(says, f"`lamplighter names resume {name.name}`, or ask whoever has paused it")
        elif pause.since is None and name.ready is None:
            yield unknown(f"{says}, since when and before how many jobs this store does not tell")
        else:
            yield note(says)
    if len(pauses) > TOLD_MAX:
        more = Amount(count=len(pauses) - TOLD_MAX, is_capped=not seen.whole_names.has_all_stuck)
        yield note(f"{more} more names are paused", "`lamplighter names list`")
    return "no name is paused"


BEHIND_SECONDS_MAX = 300.0

LATELY_SECONDS = 900.0
"""The period of the outcomes."""

ATTEMPTS_MIN = 5
"""With fewer attempts no share is reported."""

FAILED_PERCENT_MAX, ONE_ERROR_PERCENT = 50.0, 80.0

FAILURES_MAX = 100
"""The most failed jobs of a name that are examined, the newest."""

FAILURES_LOOKED_MAX = 1_000
"""The most waiting jobs that are searched for failed ones."""

POISON_SECONDS = 24 * 3600.0
POISON = "poison: "
"""The beginning of the reason of a job that has killed its processes too often."""

DEAD_LOOKED_MAX = 500
SUSPECTS_MAX = 1_000

LOOKED_INTO_MAX = 3
"""The most names whose failures are named."""


def behind(seen: Evidence) -> Iterator[Symptom]:
    late = [
        name
        for name in seen.names
        if not name.is_parked
        and name.pause is None
        and name.oldest_ready is not None
        and seen.at - name.oldest_ready > BEHIND_SECONDS_MAX
    ]
    stats = _lately(seen) if late else {}
    for name in late[:TOLD_MAX]:
        yield _behind(seen, name, None if stats is None else stats.get(name.name))
    if len(late) > TOLD_MAX:
        yield warning(f"jobs of {len(late) - TOLD_MAX} more names are as late", "`lamplighter names list`")
    if any(name.ready is None for name in seen.names):
        yield unknown("this store does not tell which jobs are due")
    elif not late:
        says = f"no job that somebody takes has been due for {minutes(BEHIND_SECONDS_MAX)}"
        looked = seen.whole_names
        yield unknown(f"{says} among the first {len(looked.first):,} names of more") if looked.has_more else ok(says)


def _behind(seen: Evidence, name: NameView, stats: Stats | None) -> Symptom:
    assert name.oldest_ready is not None
    jobs = "job" if name.ready is not None and name.ready.count == 1 else "jobs"
    says = f"{name.ready} due {jobs} of {name.name!r}, the oldest for {span(seen.at - name.oldest_ready)}"
    if name.lanes is None:
        says += "; how many run at once not all runtimes have said"
    else:
        says += f"; {name.busy} of {many(name.lanes, 'lane')} {'is' if name.lanes == 1 else 'are'} busy"
    lanes = [lane for view in seen.views for lane in view.lanes if lane.job_name == name.name]
    longest = max((lane for lane in lanes if lane.abandoned is None), key=lambda lane: lane.seconds, default=None)
    if longest is not None:
        says += f", with {longest.job_id} for {span(longest.seconds)}"
    remedy = (
        "give its handler a higher concurrency, or start another process; see in `lamplighter stats` what takes so long"
    )
    if name.lanes and name.busy is not None and name.busy < name.lanes:
        remedy = f"`lamplighter jobs why` with one of its jobs says what holds it back: lanes are free ({name.name})"
    if stats is None:
        return warning(f"{says}; whether more come than end nobody knows", remedy)
    ended = stats.done + stats.dead + stats.cancelled
    rates = f"in the last {minutes(LATELY_SECONDS)} {stats.queued:,} were queued and {ended:,} ended"
    if stats.queued < ended:
        return note(f"{says}; {rates}: it gets less")
    return warning(f"{says}; {rates}", remedy)


def _tallies(seen: Evidence) -> Sequence[Tally] | None:
    with seen.store.snapshot() as stored:
        if stored.tallies is None:
            return None
        return stored.tallies.between(MINUTE, seen.at - LATELY_SECONDS, seen.at)


def _lately(seen: Evidence) -> dict[str, Stats] | None:
    tallies = _tallies(seen)
    return None if tallies is None else stats_by_name(tallies)


def failing(seen: Evidence) -> Symptoms:
    stats = _lately(seen)
    if stats is None:
        yield unknown("this store keeps no sums of what became of jobs", "look at the log")
        return None
    bad = [
        (name, one)
        for name, one in stats.items()
        if one.attempts >= ATTEMPTS_MIN and (one.failed_percent or 0.0) > FAILED_PERCENT_MAX
    ]
    for number, (name, one) in enumerate(bad[:TOLD_MAX]):
        most = _most_of(seen, name) if number < LOOKED_INTO_MAX else ""
        yield warning(
            f"{one.failed_percent:.0f} % of {many(one.attempts, 'attempt')} of {name!r} have failed in the last "
            f"{minutes(LATELY_SECONDS)}{most}",
            f"`lamplighter errors list --name {name}` shows what went wrong and where; requeue the dead when it is "
            "mended",
        )
    if len(bad) > TOLD_MAX:
        yield warning(f"so do those of {len(bad) - TOLD_MAX} more names", "`lamplighter errors list`")
    tried = sum(one.attempts for one in stats.values())
    if not tried:
        yield note(f"no attempt has ended in the last {minutes(LATELY_SECONDS)}")
    return f"in the last {minutes(LATELY_SECONDS)} {many(tried, 'attempt')} ended, and of no name did most fail"


def _most_of(seen: Evidence, name: str) -> str:
    """The error behind most failures of a name, in words; empty if no error prevails."""
    queries = (
        JobQuery(names=(name,), states=(JobState.DEAD,), fate="no"),
        JobQuery(names=(name,), states=(JobState.QUEUED, JobState.RUNNING), attempt_min=1),
    )
    with seen.store.snapshot() as stored:
        if stored.table is None:
            return ""
        failed = [
            job
            for query in queries
            for job in stored.table.find(query, limit=FAILURES_MAX, looked_max=FAILURES_LOOKED_MAX).jobs
            if job.error is not None or job.reason is not None
        ]
    groups = grouped(failed)
    if not groups or groups[0].count * 100.0 < ONE_ERROR_PERCENT * len(failed):
        return ""
    where = f" at {groups[0].line}" if groups[0].line else ""
    return f"; {groups[0].count} of the {len(failed)} looked at with: {brief(groups[0].error)}{where}"


def differ(seen: Evidence) -> Symptoms:
    handlers: dict[str, dict[str, list[HandlerView]]] = defaultdict(lambda: defaultdict(list))
    for view in seen.views:
        for handler in view.handlers:
            handlers[handler.name][view.boot].append(handler)
    differing = {name: by_boot for name, by_boot in handlers.items() if len(_options(by_boot)) > 1}
    for name, by_boot in sorted(differing.items())[:TOLD_MAX]:
        told = "; ".join(f"{options} on {boot}" for options, boot in sorted(_options(by_boot).items()))
        yield warning(
            f"runtimes have {name!r} with different options: {told}",
            "that is well while a deployment is under way; otherwise restart those that have the old code",
        )
    if len(differing) > TOLD_MAX:
        yield warning(f"so it is with {len(differing) - TOLD_MAX} more names", "restart the runtimes with the old code")
    if seen.unheard:
        yield unknown(f"{many(len(seen.unheard), 'runtime')} did not say with which options they have their handlers")
    elif not seen.views:
        yield note("no runtime is on the store")
    return f"{many(len(handlers), 'name')} with handlers on {many(len(seen.views), 'runtime')}, the same on each"


def _options(by_boot: dict[str, list[HandlerView]]) -> dict[str, str]:
    """By the options, one of the boots that have them."""
    found: dict[str, str] = {}
    for boot, handlers in by_boot.items():
        words = sorted(
            f"{one.kind}, {many(one.attempts, 'attempt')}, {many(one.concurrency, 'lane')}, "
            + ("no timeout" if one.timeout is None else f"timeout {span(one.timeout)}")
            + "".join(f", {limit}" for limit in _limits(one))
            for one in handlers
        )
        found.setdefault(" and ".join(words), boot)
    return found


def _limits(one: HandlerView) -> Iterator[str]:
    """The note about limits over the whole store: each runtime enforces its own."""
    limits = {
        "concurrency_total": one.total,
        "concurrency_per_group": one.per_group,
        "rate": one.rate,
        "rate_per_group": one.rate_per_group,
    }
    return (f"{name} {limit}" for name, limit in limits.items() if limit is not None)


def poison(seen: Evidence) -> Symptoms:
    suspects = seen.rows.suspects(seen.at, SUSPECTS_MAX)
    if suspects:
        names = ", ".join(sorted({one.name for one in suspects})[:TOLD_MAX])
        worst = max(suspects, key=lambda one: one.interruptions)
        yield warning(
            f"{many(len(suspects), 'job')} may have killed their processes ({names}): {worst.id} was interrupted "
            f"{many(worst.interruptions, 'time')}",
            f"`lamplighter jobs show {worst.id}` has its attempts; such jobs run one at a time until one succeeds",
        )
    query = JobQuery(states=(JobState.DEAD,), ended_since=seen.at - POISON_SECONDS)
    with seen.store.snapshot() as stored:
        assert stored.table is not None, "a file has a table of jobs"
        found = stored.table.find(query, limit=DEAD_LOOKED_MAX)
        killers = [job for job in found.jobs if (job.reason or "").startswith(POISON)]
        boots = sorted({one.boot for one in stored.table.attempts(killers[0].id)}) if killers else []
    if killers:
        yield error(_killed(killers, boots), f"`lamplighter jobs show {killers[0].id}`; mend its handler, then requeue")
    more = "" if found.complete and found.next is None else f", the newest {len(found.jobs)} looked at"
    return f"no job is suspect, and none died as poison in the last {minutes(POISON_SECONDS)}{more}"


def _killed(killers: Sequence[JobRecord], boots: Sequence[str]) -> str:
    first = killers[0]
    others = f" and {len(killers) - 1} more" if len(killers) > 1 else ""
    on = f", on runtimes {', '.join(boots)}" if boots else ""
    return f"{first.id} ({first.name}){others} died as poison in the last {minutes(POISON_SECONDS)}: {first.reason}{on}"


def signals(seen: Evidence) -> Symptoms:
    with seen.store.snapshot() as stored:
        assert stored.table is not None, "this check is about files"
        query = JobQuery(states=(JobState.QUEUED,), error=AWAITS)
        found = stored.table.find(query, limit=AWAITING_MAX)
        waits = [
            (step.at, job.id, job.name, step.name.removeprefix(WAIT))
            for job in found.jobs
            if (signal := awaited_signal(job)) is not None
            and (step := stored.table.step(job.row_id, WAIT + signal)) is not None
        ]
    if not waits:
        return "no job waits for a signal"
    since, job_id, name, signal = min(waits)
    jobs = Amount(count=len(waits), is_capped=found.next is not None)
    yield note(
        f"{jobs} {'job waits for a signal' if str(jobs) == '1' else 'jobs wait for signals'}, the longest for "
        f"{span(seen.at - since)}: job {job_id} of {name!r} for {signal!r}"
    )
    return None
