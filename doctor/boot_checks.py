"""Checks of the boots: whether they live, answer and take jobs; hung threads, crashing actors, clocks, resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..admin.views import Amount
from ..admin.why import MOVED, moved
from ..messages.controls import HUNG_SECONDS_MAX
from ..messages.jobs import JobRecord, JobState
from ..messages.queries import JobQuery
from ..messages.views import ActorView, RuntimeView
from ..rules.wording import brief, many, span
from ..stores.control_client import hung_parts
from .diagnosis import Symptom, Symptoms, error, note, ok, unknown, warning
from .evidence import Evidence

DEFERRED_SECONDS_MAX = 3600.0
"""A job may wait so long to be marked done, where nothing else ends it."""

RUNNING_LOOKED_MAX = 2_000


def dead(seen: Evidence) -> Symptoms:
    workers = [boot for boot in seen.living if boot.view is not None and not boot.stops]
    for boot in seen.boots:
        if boot.is_alive is None:
            yield unknown(
                f"{boot.words} has no lock file that can be opened here, so nobody can know whether it lives: "
                f"{boot.unheard}",
                "a lock file that is missing is made anew within seconds if its process lives; one that may not be "
                "opened here is removed by hand once its process is gone: then its jobs are taken back",
            )
        if boot.is_alive is not False:
            continue
        held = seen.inspector.count(JobQuery(boot=boot.boot, states=(JobState.RUNNING,))).amount
        holds = f"{boot.words} is dead, and holds {held} {'job' if held.count == 1 else 'jobs'}"
        if workers:
            yield note(f"{holds}; a runtime that lives takes them back within seconds", "look again")
        else:
            yield warning(f"{holds}; no runtime lives that answers and could take them back", "start one")
    return f"{many(len(seen.boots), 'runtime')} on the store, none of them dead"


def hung(seen: Evidence) -> Symptoms:
    for boot in seen.living:
        where = boot.words
        if boot.condition == "stopped":
            yield error(
                f"{where} does nothing: {boot.unheard}; its jobs stand still, and it cannot be taken for dead",
                f"kill -CONT {boot.pid} lets it go on; kill -9 {boot.pid} ends it: its jobs run again",
            )
        elif boot.condition == "silent":
            yield warning(
                f"{where} lives and does not answer: {boot.unheard}",
                "look again, with a longer --timeout if this machine is busy; see what it does (`py-spy dump -p "
                f"{boot.pid}`); if it hangs, end it and start it anew",
            )
        elif boot.view is None and boot.condition != "dead":
            yield unknown(f"{where} has said nothing of itself: {boot.unheard}")
        for part in () if boot.view is None else hung_parts(boot.view, HUNG_SECONDS_MAX):
            yield error(
                f"{where}: {part}",
                f"`lamplighter runtimes stacks {boot.boot}` says where it is; if it hangs, end it and start it anew",
            )
    if not seen.living:
        yield note("no runtime is on the store")
    return f"of {many(len(seen.living), 'runtime')} on the store that live, all answer"


def none(seen: Evidence) -> Iterator[Symptom]:
    if (address := seen.rows.moved_to()) is not None:
        yield warning(moved(address), MOVED)
        return
    due = sum(
        (name.ready for name in seen.names if name.ready is not None),
        Amount(count=0, is_capped=seen.whole_names.has_more),
    )
    workers = [boot for boot in seen.living if boot.kind == "worker"]
    awake = [boot for boot in workers if not (boot.stops or boot.is_quiet)]
    waits = f"and {due} due {'job waits' if due.count == 1 else 'jobs wait'}" if due.count else "and no job is due"
    if awake:
        says = f"{many(len(awake), 'runtime')} {'runs' if len(awake) == 1 else 'run'} jobs"
        if all(boot.view is None for boot in awake):
            yield unknown(f"{says} as their rows say, and none has answered whether it still takes any")
        else:
            yield ok(says)
        return
    if workers:
        quiet = [boot for boot in workers if boot.is_quiet]
        what, was, be = (
            (f"all {len(workers)} runtimes", "were", "are") if workers[1:] else ("the only runtime", "was", "is")
        )
        how = f"{was} told to be quiet" if quiet else f"{be} about to stop"
        yield _idle(
            due.count, f"{what} that could run jobs {how}, {waits}", "`lamplighter runtimes go --all`" if quiet else ""
        )
        return
    queues = "only queues" if len(seen.living) == 1 else "only queue"
    only = f": the {many(len(seen.living), 'runtime')} on the store {queues}" if seen.living else ""
    start = "start your application's worker: `lamplighter run MODULE:RUNTIME`, or what starts it on this machine"
    yield _idle(due.count, f"no process runs jobs{only}, {waits}", start)


def _idle(due: int, evidence: str, remedy: str) -> Symptom:
    return error(evidence, remedy or "start another") if due else note(evidence, remedy)


def orphans(seen: Evidence) -> Symptoms:
    with seen.store.snapshot() as stored:
        if stored.table is None:
            yield unknown("this store keeps no table of what runs")
            return
        # Read at the same instant as the jobs: a boot that started after the others were asked may have claimed one.
        on_store = {record.boot for record in stored.boots()}
        found = stored.table.find(JobQuery(states=(JobState.RUNNING,)), limit=RUNNING_LOOKED_MAX)
    lost = [job for job in found.jobs if job.boot not in on_store and not job.deferred]
    forgotten = [
        job
        for job in found.jobs
        if job.deferred and job.timeout is None and seen.at - (job.claimed_at or seen.at) > DEFERRED_SECONDS_MAX
    ]
    if lost:
        shows = ", ".join(job.id for job in lost[:3])
        yield error(
            f"{many(len(lost), 'running job')} of runtimes that are not on the store: {shows}",
            "the next start of a runtime takes them back; if one has started since, look at the log with "
            "`lamplighter audit LOG --store FILE`",
        )
    if forgotten:
        oldest = min(forgotten, key=lambda job: job.claimed_at or 0.0)
        yield warning(
            f"{many(len(forgotten), 'job')} with `auto_done=False` {'waits' if len(forgotten) == 1 else 'wait'} to "
            f"be marked done, without a time-out: {oldest.id} ({oldest.name}) for "
            f"{span(seen.at - (oldest.claimed_at or seen.at))}",
            "mark them done or requeue them, and give their handler a timeout: then what is forgotten is tried again",
        )
    more = "" if found.complete and found.next is None else ", the newest; others were not looked at"
    return f"of {many(len(found.jobs), 'job')} that run, each is held by a runtime on the store{more}"


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


def zombies(seen: Evidence) -> Symptoms:
    for view in seen.views:
        hung, most = view.health.abandoned, view.limits.get("abandoned_threads_max")
        halted = [actor.name.removeprefix("handler:") for actor in view.actors if actor.is_halted]
        for one in hung[:5]:
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
            yield error(
                f"boot {view.boot} takes no more jobs of {', '.join(sorted(halted))}: too many of its threads hang",
                "restart that process: its jobs run again, or go on elsewhere",
            )
    yield from _not_all(seen, "which of their threads hang")
    return f"no thread hangs in {many(len(seen.views), 'runtime')}"


def restarts(seen: Evidence) -> Symptoms:
    for view in seen.views:
        for actor in view.actors:
            yield from _crashes(view, actor)
    yield from _not_all(seen, "how often their actors have crashed")
    return f"no actor of {many(len(seen.views), 'runtime')} crashes again and again"


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


def clock(seen: Evidence) -> Symptoms:
    first, last = seen.asked_between
    for view in seen.views:
        off = view.at - last if view.at > last else min(0.0, view.at - first)
        if abs(off) > CLOCK_SECONDS_MAX:
            way = "ahead of" if off > 0 else "behind"
            yield warning(
                f"the clock of boot {view.boot} on {view.host} is {span(abs(off))} {way} the one here",
                "have both machines, or containers, set their clocks by NTP",
            )
    found = _newest(seen)
    ahead = [job for job in found if job.queued_at > seen.at + CLOCK_SECONDS_MAX]
    if ahead:
        farthest = max(ahead, key=lambda job: job.queued_at)
        yield warning(
            f"{len(ahead)} of the {len(found)} newest jobs {'was' if len(ahead) == 1 else 'were'} queued in the "
            f"future: {farthest.id} in {span(farthest.queued_at - seen.at)}",
            "the clock here is behind, or was set back: waits until an instant take longer by that",
        )
    log = seen.log
    if log is not None and log.jumps:
        yield warning(
            f"the clock was set {many(log.jumps, 'time')} in the last 24 hours, as the log says (`clock.jumped`)",
            "have it set by NTP, which slews it instead of setting it",
        )
    if not seen.views and not found and not (log is not None and log.jumps):
        yield unknown("there is neither a runtime that answers nor a job, by which the clock here could be checked")
    told = [f"the clocks of {many(len(seen.views), 'runtime')} agree with the one here"] if seen.views else []
    told += [f"no job of the {len(found)} newest was queued in the future"] if found else []
    return "; ".join(told)


def _newest(seen: Evidence) -> Sequence[JobRecord]:
    """The jobs that were queued last, where a store can tell."""
    if "table" not in seen.condition.parts:
        return ()
    with seen.store.snapshot() as stored:
        return () if stored.table is None else stored.table.find(JobQuery(), limit=QUEUED_LOOKED_MAX).jobs


def process(seen: Evidence) -> Symptoms:
    is_known = True
    for view in seen.views:
        used, who = view.process, f"boot {view.boot} (pid {view.pid})"
        if used.descriptors is None or used.threads is None:
            is_known = False
        most = used.descriptors_max
        if used.descriptors is not None and most and used.descriptors > SHARE_MAX * most:
            yield warning(
                f"{who} has {used.descriptors:,} of {most:,} files open",
                f"see which (`ls -l /proc/{view.pid}/fd`): connections that are never closed, say; or `ulimit -n`",
            )
        if used.threads is not None and used.threads > THREADS_MAX:
            yield warning(
                f"{who} has {used.threads:,} threads",
                "lower `workers_max` or the concurrency of its handlers; see what they do in `lamplighter runtimes "
                f"stacks {view.boot}`",
            )
    if not is_known:
        yield unknown("this system does not tell how many files and threads a process has")
    yield from _not_all(seen, "how many files and threads they have")
    return f"{many(len(seen.views), 'runtime')} well within what the system gives"
