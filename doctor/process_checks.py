"""Checks of the processes' answers: hung threads, crashing actors, clocks, and resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..messages.jobs import JobRecord
from ..messages.queries import JobQuery
from ..messages.views import ActorView, RuntimeView
from ..rules.wording import brief, many, span
from .diagnosis import Symptom, error, note, ok, unknown, warning
from .evidence import Evidence

SAME_CRASHES_MAX = 3
"""So many deaths for the same reason are no coincidence."""

SHARE_MAX = 0.8
"""The share of its limits that a process should use at most."""

THREADS_MAX = 2_000
"""A process hardly means to have more threads."""

CLOCK_SECONDS_MAX = 1.0
QUEUED_LOOKED_MAX = 50


def _not_all(seen: Evidence, what: str) -> Iterator[Symptom]:
    """The note where not all boots have answered, or none is there."""
    if seen.unheard:
        yield unknown(f"{many(len(seen.unheard), 'runtime')} did not answer what they know alone: {what}")
    elif not seen.views:
        yield note("no runtime is on the store")


def zombies(seen: Evidence) -> Iterator[Symptom]:
    is_well = True
    for view in seen.views:
        hung, most = view.health.abandoned, view.limits.get("abandoned_threads_max")
        halted = [actor.name.removeprefix("handler:") for actor in view.actors if actor.is_halted]
        for one in hung[:5]:
            is_well = False
            where = brief((one.stack.strip().splitlines() or ["nobody knows where"])[-1].strip())
            yield warning(
                f"a thread of boot {view.boot} (pid {view.pid}) hangs in job {one.job_id} ({one.job_name}), {one.why}, "
                f"for {span(one.seconds)}, at: {where}",
                f"`lamplighter runtimes show {view.boot}` has its stack; only a restart of the process ends it",
            )
        if len(hung) > 5:
            yield warning(f"{len(hung) - 5} more threads of boot {view.boot} hang", "restart that process")
        if most and 2 * len(hung) >= most:
            yield warning(
                f"{len(hung)} of the {most} threads that may hang in boot {view.boot} do; then its handlers are halted",
                "restart that process soon",
            )
        if halted:
            is_well = False
            yield error(
                f"boot {view.boot} takes no more jobs of {', '.join(sorted(halted))}: too many of its threads hang",
                "restart that process: its jobs run again, or go on elsewhere",
            )
    yield from _not_all(seen, "which of their threads hang")
    if is_well and seen.views and not seen.unheard:
        yield ok(f"no thread hangs in {many(len(seen.views), 'runtime')}")


def restarts(seen: Evidence) -> Iterator[Symptom]:
    is_well = True
    for view in seen.views:
        for actor in view.actors:
            for symptom in _crashes(view, actor):
                is_well = False
                yield symptom
    yield from _not_all(seen, "how often their actors have crashed")
    if is_well and seen.views and not seen.unheard:
        yield ok(f"no actor of {many(len(seen.views), 'runtime')} crashes again and again")


def _crashes(view: RuntimeView, actor: ActorView) -> Iterator[Symptom]:
    who = f"{actor.name} of boot {view.boot} (pid {view.pid})"
    last = f"; the last: {brief(actor.last_crash)}" if actor.last_crash else ""
    remedy = f"look for `actor.crashed` in the log; `lamplighter runtimes tree {view.boot}` shows how it fares"
    if actor.status == "quarantined":
        yield error(
            f"{who} has crashed too often, and is not started again{last}",
            "mend what it crashes of, then restart that process",
        )
        return
    if actor.restarts_max is not None and 2 * actor.restarts_in_window > actor.restarts_max:
        window = "" if actor.restart_window_seconds is None else f" within {span(actor.restart_window_seconds)}"
        yield warning(
            f"{who} has crashed {many(actor.restarts_in_window, 'time')}{window}, of {actor.restarts_max} that it may"
            f"{last}",
            remedy,
        )
    reason, times = next(iter(Counter(death.why for death in actor.deaths).most_common(1)), ("", 0))
    if times >= SAME_CRASHES_MAX:
        yield warning(f"{who} has crashed {times} times in the same way: {brief(reason)}", remedy)


def clock(seen: Evidence) -> Iterator[Symptom]:
    is_well = True
    first, last = seen.asked_between
    for view in seen.views:
        off = view.at - last if view.at > last else min(0.0, view.at - first)
        if abs(off) > CLOCK_SECONDS_MAX:
            is_well = False
            way = "ahead of" if off > 0 else "behind"
            yield warning(
                f"the clock of boot {view.boot} on {view.host} is {span(abs(off))} {way} the one here",
                "have both machines, or containers, set their clocks by NTP",
            )
    found = _newest(seen)
    ahead = [job for job in found if job.queued_at > seen.at + CLOCK_SECONDS_MAX]
    if ahead:
        is_well = False
        farthest = max(ahead, key=lambda job: job.queued_at)
        yield warning(
            f"{len(ahead)} of the {len(found)} newest jobs {'was' if len(ahead) == 1 else 'were'} queued in the "
            f"future: {farthest.id} in {span(farthest.queued_at - seen.at)}",
            "the clock here is behind, or was set back: waits until an instant take longer by that",
        )
    log = seen.log
    if log is not None and log.jumps:
        is_well = False
        yield warning(
            f"the clock was set {many(log.jumps, 'time')} in the last 24 hours, as the log says (`clock.jumped`)",
            "have it set by NTP, which slews it instead of setting it",
        )
    if not is_well:
        return
    if not seen.views and not found:
        yield unknown("there is neither a runtime that answers nor a job, by which the clock here could be checked")
    else:
        told = [f"the clocks of {many(len(seen.views), 'runtime')} agree with the one here"] if seen.views else []
        told += [f"no job of the {len(found)} newest was queued in the future"] if found else []
        yield ok("; ".join(told))


def _newest(seen: Evidence) -> Sequence[JobRecord]:
    """The jobs that were queued last, where a store can tell."""
    if seen.kind == "server":
        return ()
    with seen.store.snapshot() as stored:
        return () if stored.table is None else stored.table.find(JobQuery(), limit=QUEUED_LOOKED_MAX).jobs


def process(seen: Evidence) -> Iterator[Symptom]:
    is_well, is_known = True, True
    for view in seen.views:
        used, who = view.process, f"boot {view.boot} (pid {view.pid})"
        if used.descriptors is None or used.threads is None:
            is_known = False
        most = used.descriptors_max
        if used.descriptors is not None and most and used.descriptors > SHARE_MAX * most:
            is_well = False
            yield warning(
                f"{who} has {used.descriptors:,} of {most:,} files open",
                f"see which (`ls -l /proc/{view.pid}/fd`): connections that are never closed, say; or `ulimit -n`",
            )
        if used.threads is not None and used.threads > THREADS_MAX:
            is_well = False
            yield warning(
                f"{who} has {used.threads:,} threads",
                "lower `workers_max` or the concurrency of its handlers; see what they do in `lamplighter runtimes "
                f"stacks {view.boot}`",
            )
    if not is_known:
        yield unknown("this system does not tell how many files and threads a process has")
    yield from _not_all(seen, "how many files and threads they have")
    if is_well and is_known and seen.views and not seen.unheard:
        yield ok(f"{many(len(seen.views), 'runtime')} well within what the system gives")
