"""Checks of the boots: whether they live, answer, and take jobs."""

from __future__ import annotations

from collections.abc import Iterator

from ..admin.probing import hung_parts
from ..admin.views import Amount
from ..messages.jobs import JobState
from ..messages.queries import JobQuery
from ..rules.wording import many, span
from .diagnosis import Symptom, error, note, ok, unknown, warning
from .evidence import Evidence

HUNG_SECONDS_MAX = 30.0
"""No part of a runtime may handle one message, or let one wait, for longer."""

DEFERRED_SECONDS_MAX = 3600.0
"""A job may wait so long to be marked done, where nothing else ends it."""

RUNNING_LOOKED_MAX = 2_000


def dead(seen: Evidence) -> Iterator[Symptom]:
    workers = [boot for boot in seen.living if boot.view is not None and not boot.stops]
    is_well = True
    for boot in seen.boots:
        if boot.is_alive is None:
            is_well = False
            yield unknown(
                f"{boot.words} has no lock file that can be opened here, so nobody can know whether it lives: "
                f"{boot.unheard}",
                "a lock file that is missing is made anew within seconds if its process lives; one that may not be "
                "opened here is removed by hand once its process is gone: then its jobs are taken back",
            )
        if boot.is_alive is not False:
            continue
        is_well = False
        held = seen.inspector.count(JobQuery(boot=boot.boot, states=(JobState.RUNNING,))).amount
        holds = f"{boot.words} is dead, and holds {held} {'job' if held.count == 1 else 'jobs'}"
        if workers:
            yield note(f"{holds}; a runtime that lives takes them back within seconds", "look again")
        else:
            yield warning(f"{holds}; no runtime lives that answers and could take them back", "start one")
    if is_well:
        yield ok(f"{many(len(seen.boots), 'runtime')} on the store, none of them dead")


def hung(seen: Evidence) -> Iterator[Symptom]:
    is_well = True
    for boot in seen.living:
        where = boot.words
        if boot.condition == "stopped":
            is_well = False
            yield error(
                f"{where} does nothing: {boot.unheard}; its jobs stand still, and it cannot be taken for dead",
                f"kill -CONT {boot.pid} lets it go on; kill -9 {boot.pid} ends it: its jobs run again",
            )
        elif boot.condition == "silent":
            is_well = False
            yield warning(
                f"{where} lives and does not answer: {boot.unheard}",
                "look again, with a longer --timeout if this machine is busy; see what it does (`py-spy dump -p "
                f"{boot.pid}`); if it hangs, end it and start it anew",
            )
        elif boot.view is None and boot.condition != "dead":
            yield unknown(f"{where} has said nothing of itself: {boot.unheard}")
        for part in () if boot.view is None else hung_parts(boot.view, HUNG_SECONDS_MAX):
            is_well = False
            yield error(
                f"{where}: {part}",
                f"`lamplighter runtimes stacks {boot.boot}` says where it is; if it hangs, end it and start it anew",
            )
    if not seen.living:
        yield note("no runtime is on the store")
    elif is_well and not seen.unheard:
        yield ok(f"of {many(len(seen.living), 'runtime')} on the store that live, all answer")


def none(seen: Evidence) -> Iterator[Symptom]:
    waiting = [name for name in seen.names if name.ready is not None and name.ready.count]
    due = sum(
        (name.ready for name in waiting if name.ready is not None), Amount(count=0, is_capped=seen.whole_names.has_more)
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
        what = f"all {len(workers)} runtimes" if len(workers) > 1 else "the only runtime"
        how = "was told to be quiet" if quiet else "is about to stop"
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


def orphans(seen: Evidence) -> Iterator[Symptom]:
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
    if not lost and not forgotten:
        more = "" if found.complete and found.next is None else ", the newest; others were not looked at"
        yield ok(f"of {many(len(found.jobs), 'job')} that run, each is held by a runtime on the store{more}")
