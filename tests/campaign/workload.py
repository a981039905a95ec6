"""The project's own campaign: a host that uses all of the API, a few minutes of its life, every fault there is.

python -m lamplighter simulate workload:scenario --seeds 1000
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from functools import partial

import paths  # noqa: F401 (first: by it support is found)
from application import JOBS, Host
from callers import Caller
from deployments import LAST, DeployedHost
from inspection import (
    check_groups,
    check_lines,
    check_log,
    check_parts,
    check_pauses,
    check_rate,
    check_shares,
    check_stops,
    check_store,
    comes_to_nothing,
    gave_nothing_back,
    killed_stops,
    lines_of,
    moves_of,
    stored_turns,
)
from lamplighter import JobSpec, Runtime
from lamplighter.testing.simulation.faults import STRIKES, Faults
from lamplighter.testing.simulation.simulation import Simulation
from links_inspection import check_fates, check_links
from restored import RestoredHost

from support.disk.disk import Disk
from support.postgresql.simulated import SimulatedPostgres, on_postgres

POSTGRESQL = os.environ.get("LAMPLIGHTER_POSTGRESQL", "")
"""The address of a database: then the hosts are on it, and not on a file."""

MINUTES = 2.0
"""Virtual time with faults."""

SETTLE_SECONDS = 4 * 3600.0
"""Within this, without faults, whatever is due must be done; a clock that was stepped back has that far to go again."""

BURIED_SECONDS_MAX = 10.0
"""Within this, the store knows the boots that live and no others."""

PROMPT_SECONDS_MAX = 5.0
"""Within this, a job is done that nothing stands in the way of, whoever has queued it."""

LONG_LANES, LONG_SECONDS_MAX = 2, 300.0
"""The same where all places may be taken by long jobs of the schedules."""

TENANTS = {"heavy": 300, **{f"light{number}": 3 for number in range(9)}}
"""Groups, and how many jobs they have at once."""

SILENT_SECONDS_MAX = 150.0
"""Within this, every schedule has fired again: twice the longest interval of all, and some."""

REACH = (
    *sorted({kind for kinds in STRIKES.values() for kind in kinds}),
    "lost_hint",
    "deafen",
    "gave_up",
    "job.fenced",
    "job.dead",
    "job.cancelled",
    "job.requeued",
    "job.snoozed",
    "job.released",
    "job.parked",
    "lane.abandoned",
    "lane.returned",
    "runtime.recovered",
    "turn.recovered",
    "actor.crashed",
    "actor.restarted",
    "supervisor.restarted",
    "slot.fired",
    "slot.caught_up",
    "slot.skipped",
    "clock.jumped",
    "store.unavailable",
    "store.waiting",
    "log.dropped",
    "name.paused",
    "prefetched",
    "producer",
    "replace_store",
    "forked child left",
    "signal",
    "stopped",
    "killed stop",
    "killed in a drain",
    "operator acted",
    "operator killed",
    "operator hindered",
    "operator.acted",
    "requeued poison",
    "not begun",
    "has parts",
    "drops its parts",
    "freed by parents",
    "doomed by parents",
    "cancelled by parents",
    "revived",
    "as fast as may be",
    "steps",
    "stood in",
    "direct",
    "a full group",
    "job.replaced",
    "called for while it ran",
    *(f"release {number}" for number in range(LAST + 1)),
)
"""A campaign that never reached one of these has not tested it."""


def faults_of(seed: int, chance: random.Random) -> Faults:
    """Now this, now that goes wrong, now and then everything at once."""
    if seed % 16 == 12:
        # A process that dies again and again: some jobs are interrupted three times, and poison.
        return Faults(kill_process=0.01)
    if seed % 16 == 3:
        # Only the disk is in a bad way: each lost turn must be as if it had not been.
        return Faults(store_error=0.1)
    if seed % 16 == 7:
        # A clock that is a year off, for some seconds or for good.
        return Faults(clock_leap=0.003, clock_jump=0.001, kill_process=0.0005, crash_actor=0.002)
    kinds = {
        "crash_actor": 0.01,
        "crash_handler": 0.03,
        "hang": 0.03,
        "store_error": 0.01,
        "commit_unknown": 0.02,
        "kill_process": 0.0005,
        "power_cut": 0.001,
        "clock_jump": 0.002,
        "log_error": 0.01,
        "slow_log": 0.002,
        "lost_hint": 0.2,
        "kill_child": 0.1,
    }
    share = chance.choice((0.15, 0.4, 1.0))
    if chance.random() < 0.8:
        del kinds["power_cut"]
    if chance.random() < 0.1:
        # Only the broker dies, and nobody else's work may suffer.
        return Faults(crash_actor=0.05, crash_only="broker", commit_unknown=chance.choice((0.0, 0.05)))
    rates = {kind: rate * chance.choice((0.3, 1.0, 3.0)) for kind, rate in kinds.items() if chance.random() < share}
    return Faults(**rates)


def mend(simulation: Simulation) -> None:
    """What an operator does for a name whose HandlerActor has died too often: has it started again."""
    while any(runtime.boot is None or runtime.boot.is_over for runtime in simulation.runtimes):
        # Its supervisor has given up, and its process is about to be started again.
        simulation.run(minutes=0.01)
    for runtime in simulation.runtimes:
        boot = runtime.current_boot.get()
        for name in boot.share.names():
            boot.start_handler(name)


def open_ended(runtime: Runtime) -> list[str]:
    """The host's jobs that still run: those of schedules come and go."""
    return [job.id for job in runtime.jobs.list(state="running") if job.schedule is None]


def host_of(seed: int) -> Host:
    """Whose code stays as it is, or is deployed anew again and again; or whose store is set back under it."""
    match seed % 16:
        case 5:
            return DeployedHost(seed)
        case 1 if not POSTGRESQL:
            return RestoredHost(seed)
        case _:
            return Host(seed)


def acts_in(seed: int, faults: Faults) -> bool:
    """Whether a person acts on the store beside the runtimes: where the moves of several jobs lie in one order."""
    is_in_order = not (faults.power_cut or faults.clock_jump or faults.clock_leap or seed % 16 == 1)
    return is_in_order and random.Random(f"operators of {seed}").random() < 0.3


def simulation_of(seed: int, host: Host) -> Simulation:
    """A host, and what goes wrong around it: all of it follows from the seed."""
    chance = random.Random(seed)
    faults = faults_of(seed, chance)
    if POSTGRESQL:
        faults = replace(faults, power_cut=0.0)
    processes = 1 if faults.power_cut else chance.choice((1, 1, 2, 3))
    patient = chance.random() < 0.8
    # Of their own, so that what else a seed does stays what it was.
    more = random.Random(f"neighbours of {seed}")
    producers = 0 if faults.power_cut else int(more.random() < 0.2)
    if processes + producers > 1:
        faults = replace(
            faults,
            deafen=more.choice((0.0, 0.0, 0.02)),
            fail_start=more.choice((0.0, 0.2)),
            lose_lock=more.choice((0.0, 0.0, 0.01)),
            lose_row=more.choice((0.0, 0.0, 0.0, 0.005)),
        )
    if faults.crash_actor or faults.kill_process or faults.commit_unknown or seed % 16 in (1, 5):
        # The row is also what tells of a turn that was stored just before its broker died: both at once lose the lines.
        faults = replace(faults, lose_row=0.0)
    # Likewise.
    if random.Random(f"forks of {seed}").random() < 0.15:
        faults = replace(faults, fork=0.2)
    if random.Random(f"signals of {seed}").random() < 0.15:
        faults = replace(faults, signal_burst=0.004)
    if acts_in(seed, faults):
        faults = replace(faults, operator=0.02)
    few = random.Random(f"places of {seed}")
    limits = {"workers_max": few.choice((1, 2, 5))} if few.random() < 0.15 else {}
    if host.weaver is not None:
        limits["freed_links_max"] = few.choice((1, 3, 500))
    return Simulation(
        host.register,
        host=host.live,
        seed=seed,
        faults=on_postgres(faults) if POSTGRESQL else faults,
        processes=processes,
        producers=producers,
        disk=Disk if faults.power_cut else None,
        server=partial(SimulatedPostgres, url=POSTGRESQL) if POSTGRESQL else None,
        restarts_max=10_000 if patient else 5,
        lane_grace_seconds=3.0,
        begin_seconds_max=30.0,
        abandoned_threads_max=10_000,
        keep_done_seconds=chance.choice((86400.0, 86400.0, 60.0)),
        **limits,
    )


def check_boots(simulation: Simulation) -> None:
    """Whoever has died is forgotten, and whoever lives is known."""

    def wrong() -> set[str]:
        # Whoever was taken for dead may find out only now, and go on as another.
        living = {runtime.current_boot.get().id for runtime in simulation.runtimes}
        return {boot.boot for boot in simulation.runtime.current_boot.get().store.surroundings("").boots} ^ living

    comes_to_nothing(simulation, wrong, BURIED_SECONDS_MAX, "boots that died and are known, or live and are not")


def keep_firing(simulation: Simulation) -> None:
    """Every schedule goes on, whatever has befallen it."""
    scheduler, since = simulation.runtime.scheduler, simulation.now

    def silent() -> list[str]:
        nonlocal since
        # A clock that is a year ahead may be about to go back.
        since = min(since, simulation.now)
        return [
            str(schedule)
            for schedule in scheduler.list()
            if (schedule.last_slot or since) <= since and not had(schedule.id)
        ]

    def had(schedule_id: str) -> bool:
        # A clock that went back may have been there before: what has fired then does not again.
        slots = scheduler.explain(schedule_id, since, simulation.now)
        return any(slot.outcome in ("fired", "late", "caught_up") for slot in slots)

    comes_to_nothing(simulation, silent, SILENT_SECONDS_MAX, f"schedules that do not fire after {since}")


def check_restarts(simulation: Simulation) -> None:
    """Whatever has failed again and again is started once more, when its back-off is over."""

    def waiting() -> list[str]:
        reasons = [reason for runtime in simulation.runtimes for reason in runtime.health().reasons]
        return [reason for reason in reasons if "is being restarted" in reason]

    seconds = 2 * simulation.runtime.limits.restart_backoff_seconds_max
    comes_to_nothing(simulation, waiting, seconds, "actors that are not started again")


def check_prompt(simulation: Simulation) -> None:
    """What any process queues is done within seconds, though nothing may tell the others of it."""
    asked = [
        (runtime, runtime.jobs.queue("work", 2, id=f"last-{number}"))
        for number, runtime in enumerate(simulation.runtimes)
    ]

    def undone() -> list[str]:
        return [f"{job.id} of process {job.id[-1]}" for runtime, job in asked if runtime.jobs.get(job).state != "done"]

    comes_to_nothing(simulation, undone, prompt_seconds(simulation), "queued, and not done soon")


def prompt_seconds(simulation: Simulation) -> float:
    """Within this, a job is done that nothing stands in the way of but long jobs in the few places that there are."""
    has_few_places = simulation.runtime.limits.workers_max <= LONG_LANES
    return LONG_SECONDS_MAX if has_few_places else PROMPT_SECONDS_MAX


def keep_tenants(simulation: Simulation) -> None:
    """Ten groups have jobs, one of them a hundred times as many as each of the others, and before these."""
    jobs = simulation.runtime.jobs
    # A host that was killed meanwhile has left it paused.
    jobs.resume("quick")
    asked = jobs.queue_many(
        [
            JobSpec(name="quick", data="a tenant's", id=f"of-{tenant}-{number}", group=tenant)
            for tenant, many in TENANTS.items()
            for number in range(many)
        ]
    )
    others = [job.id for job in asked if job.group != "heavy"]

    def undone() -> list[str]:
        return [job_id for job_id in others if jobs.get(job_id).state != "done"]

    comes_to_nothing(simulation, undone, prompt_seconds(simulation), "jobs that wait for those of another group")
    jobs.cancel_many("name:quick group:heavy")


def settle_calls(simulation: Simulation, caller: Caller) -> None:
    """What was called for is due when nobody has called for a while."""
    simulation.settle(until=lambda: not caller.is_open(simulation.runtimes), seconds=SETTLE_SECONDS)


def scenario(seed: int) -> Counter[str]:
    """One simulation, checked."""
    host = host_of(seed)
    with stored_turns() as order, simulation_of(seed, host) as simulation:
        host.let_pass(simulation, MINUTES)
        host.finish(simulation)
        mend(simulation)
        # What it still queues may stand in the way of what is to be done soon.
        simulation.settle(until=lambda: host.done.issuperset(simulation.runtimes), seconds=SETTLE_SECONDS)
        if host.caller is not None:
            host.caller.end()
        simulation.settle(seconds=SETTLE_SECONDS)
        if host.caller is not None:
            settle_calls(simulation, host.caller)
        simulation.check()
        # Open-ended claims time out half a minute after their handler has returned.
        simulation.settle(until=lambda: not open_ended(simulation.runtime), seconds=SETTLE_SECONDS)
        check_boots(simulation)
        check_restarts(simulation)
        check_prompt(simulation)
        keep_tenants(simulation)
        keep_firing(simulation)
        faults, lines = simulation.faults, lines_of(simulation.log)
        # An older copy that was put in the place of the store takes back what the log has told since.
        is_told = not (faults.log_error or simulation.reached["replace_store"])
        if is_told:
            moves = moves_of(lines, order)
            check_log(moves, host.one_waits)
            check_lines(lines)
            simulation.reached += check_parts(moves)
            simulation.reached += check_links(moves)
            simulation.reached += check_rate(lines)
            simulation.reached += check_groups(moves)
            check_shares(moves, TENANTS)
        if (
            len(simulation.runtimes) == 1
            and is_told
            and not (faults.crash_actor or faults.commit_unknown or POSTGRESQL)
        ):
            if not faults.operator:
                # Whoever pauses or resumes a name from outside is told later, by others.
                check_pauses(lines)
            check_stops(lines, lines_of(host.copied))
        # A boot that the others cannot find is dead to them.
        deadly = (
            "kill_process",
            "power_cut",
            "kill_child",
            "gave_up",
            "lose_lock",
            "lose_row",
            "signal killed",
            "killed stop",
        )
        deaths = sum(simulation.reached[kind] for kind in deadly) + len(gave_nothing_back(lines))
        check_fates(simulation.runtime)
        check_store(simulation.runtime, lines, deaths=deaths)
        simulation.reached["killed in a drain"] += len(killed_stops(lines))
        simulation.reached += host.check(simulation)
        simulation.reached["requeued poison"] += host.forgiven.total()
        simulation.reached["producer"] += not simulation.runtimes[-1].current_boot.get().share.works
        assert not host.overslept, f"slept through their timeout: {host.overslept}"
        assert not host.crowded, f"ran beside too many: {host.crowded}"
        if not simulation.reached["replace_store"]:
            assert not host.misgiven, f"a step has given two results: {host.misgiven}"
        simulation.reached["steps"] += len(host.given)
        # What a person has cancelled no run sees.
        if host.caller is not None and not (simulation.reached["replace_store"] or faults.operator):
            host.caller.check()
            simulation.reached += host.caller.reached
        is_kept = simulation.runtime.limits.keep_done_seconds > JOBS * 60
        if faults.crash_only == "broker" and is_kept and not deaths and not faults.operator:
            again = {job_id: times for job_id, times in host.returned.items() if times > 1}
            again = {job_id: times for job_id, times in again.items() if job_id not in host.requeued}
            assert not again, f"ran again though only brokers died: {again}"
        simulation.reached["not begun"] += simulation.log.count("interrupted: not begun within")
        simulation.reached["prefetched"] += simulation.log.count('"begun":false')
        return simulation.reached
