"""The campaign of hosts on RabbitMQ: two processes on a model of it, one kind of trouble after another, or all at once.

python -m lamplighter simulate rabbit_workload:scenario --seeds 200
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from typing import Any

import paths  # noqa: F401 (first: by it support is found)
from inspection import comes_to_nothing
from lamplighter import Runtime, StoreUnavailable
from lamplighter.admin.schedules import utc
from lamplighter.testing import Faults, Simulation
from lamplighter.testing.simulation.faults import LEAP_SECONDS
from lamplighter.testing.simulation.simulation import Violation

from support.rabbitmq.simulated import OF_A_SERVER, ServerFaults, SimulatedRabbitMQ

TROUBLES = {
    "none": ServerFaults(),
    "cut links": ServerFaults(cut_link=0.02),
    "links that fall silent": ServerFaults(hush_link=0.01),
    "server restarts": ServerFaults(restart_server=0.02),
    "alarms": ServerFaults(alarm=0.01),
    "kills": ServerFaults(kill_process=0.001),
    "stops": ServerFaults(signal_burst=0.004),
    "crashes": ServerFaults(crash_actor=0.003),
    "foreign records": ServerFaults(foreign_record=0.02),
    "foreign messages": ServerFaults(foreign_message=0.02),
    "clocks": ServerFaults(clock_jump=0.003, clock_leap=0.001, cut_link=0.02),
    "all": ServerFaults(
        cut_link=0.01,
        hush_link=0.005,
        kill_process=0.0005,
        restart_server=0.005,
        alarm=0.005,
        crash_actor=0.002,
        hang=0.002,
        crash_handler=0.005,
        signal_burst=0.0005,
        clock_jump=0.0005,
        clock_leap=0.0001,
        slow_log=0.001,
        foreign_record=0.002,
        foreign_message=0.002,
    ),
}
MINUTE = 60.0
FIRED = ("slot.fired", "slot.caught_up", "slot.taken")
"""Events that tell, if they name a job, that a slot has fired."""

REACH = (
    "crash_actor",
    "crash_handler",
    "hang",
    "kill_process",
    "clock_jump",
    "clock_leap",
    "slow_log",
    "job.duplicate",
    "claim.kept",
    "producer",
    "a producer leads",
    "stopped",
    "killed stop",
    "newer",
    "operator acted",
    "operator killed",
    "operator.acted",
    "acted for others",
    "has parts",
    *OF_A_SERVER,
)
"""A campaign that never reached one of these has not tested it."""


PARTS = 2
"""So many jobs follow one of five that work."""

parts_run: defaultdict[str, set[str]] = defaultdict(set)
"""The ids of those that were started in this simulation, by the job that they follow."""


def register(runtime: Runtime) -> None:
    @runtime.jobs.handler("work", concurrency=3, backoff=[0.5, 2.0])
    def work(job):
        if job.data % 7 == 0 and job.attempt == 1:
            raise ValueError("once")
        job.sleep(0.01 * (job.data % 5))
        if job.data % 5 == 2:
            job.then(*[("part", job.id)] * PARTS)
        return job.data

    @runtime.jobs.handler("part", concurrency=2, backoff=[0.5])
    def part(job):
        parts_run[job.data].add(job.id)

    @runtime.jobs.handler("slow")
    def slow(job):
        # It takes longer than most drains, and does not look whether there is one.
        for _ in range(8):
            if not job.cancelled:
                runtime.environment.event().wait(1.0)

    runtime.jobs.add_handler("tick", lambda job: None)
    runtime.scheduler.add("tick", "* * * * *", catch_up="all")


def host(runtime: Runtime) -> None:
    for number in range(30):
        job_id = runtime.environment.new_id()
        while True:
            try:
                is_slow = number % 6 == 5
                delay = 8.0 * number if is_slow else 0.0 if number % 3 else 1.5
                runtime.jobs.queue("slow" if is_slow else "work", number, id=job_id, delay=delay)
                break
            except StoreUnavailable:
                continue


def campaign(faults: Faults, seed: int, minutes: int = 5) -> Simulation:
    producers, newer = int(seed % 3 == 1), int(seed % 5 == 2)
    # Of its own, so that what else a seed does stays what it was.
    if random.Random(f"operators of {seed}").random() < 0.3:
        faults = replace(faults, operator=0.02)
    parts_run.clear()
    with Simulation(
        register,
        host=host,
        seed=seed,
        faults=faults,
        processes=2,
        producers=producers,
        server=partial(SimulatedRabbitMQ, newer=(2 + producers,) if newer else ()),
    ) as simulation:
        simulation.run(minutes=minutes)
        resume_names(simulation)
        simulation.check()
        keep_firing(simulation)
        tell_acts(simulation)
        simulation.reached["has parts"] += check_parts(simulation)
        check_slots(simulation)
        simulation.reached["producer"] += producers
        simulation.reached["newer"] += newer
        simulation.reached["a producer leads"] += leads(simulation.log, of=3)
    return simulation


def resume_names(simulation: Simulation) -> None:
    """What a person does for a name that they paused for some seconds while the clock was a year ahead.

    They named an instant, so the pause lasts until then though the clock was set right. All others end by themselves.
    """
    try:
        simulation.settle(seconds=3 * MINUTE)
    except Violation:
        far = simulation.now.timestamp() + LEAP_SECONDS / 2
        for pause in simulation.runtime.current_boot.get().store.jobs.pauses():
            if pause.until is not None and pause.until > far:
                simulation.operator().resume(pause.name, reason="the clock is right again")


def keep_firing(simulation: Simulation) -> None:
    """The schedules go on, whoever leads, and whatever the clock did: what fires then, or has fired before, counts.

    The leader's lines say so. Others remember less: not what fired before two hundred slots of a false future, say.
    """
    before, wanted = len(simulation.log), {schedule.id for schedule in simulation.runtime.scheduler.list()}

    def go_on() -> bool:
        lines = (json.loads(line) for line in simulation.log[before:].splitlines() if '"slot.' in line)
        return wanted <= {line["schedule"] for line in lines if line["event"] in FIRED and "job_id" in line}

    simulation.settle(until=go_on, seconds=3 * MINUTE)


def tell_acts(simulation: Simulation) -> None:
    """Whatever somebody has done from outside is told by whoever leads, and is forgotten by that."""

    def untold() -> set[str]:
        acts = simulation.runtime.current_boot.get().store.state.shared.acts
        return {boot for boot, act in acts.items() if act.is_over}

    comes_to_nothing(simulation, untold, 3 * MINUTE, "operators have acted, and nobody tells it")


def check_parts(simulation: Simulation) -> int:
    """All that is to follow a job that is done is started, under the ids that it has. How many jobs have had parts."""

    def lacking() -> list[str]:
        moves = [move for line in turns_of(simulation.log) for move in line["moves"]]
        return [move["j"] for move in moves if move["k"] == "done" and "x" in move and not rounds_of(move["j"])]

    comes_to_nothing(simulation, lacking, 3 * MINUTE, "jobs are done, and what should follow them is not")
    for job_id, ids in parts_run.items():
        whole = {f"{job_id}.{number}.{place}" for number in rounds_of(job_id) for place in range(1, PARTS + 1)}
        # A process that is killed while it publishes, of a job that is poison by that, has published some.
        assert ids == whole or simulation.reached["kill_process"], f"{ids} follow {job_id}, and {whole} should"
    return len(parts_run)


def rounds_of(job_id: str) -> list[str]:
    """Each time that the job was queued of which all parts were started. Copies of a message have the same ids."""
    ids = parts_run[job_id]
    numbers = {part.removeprefix(f"{job_id}.").partition(".")[0] for part in ids}
    return [one for one in numbers if all(f"{job_id}.{one}.{place}" in ids for place in range(1, PARTS + 1))]


def turns_of(log: str) -> list[dict[str, Any]]:
    """The lines of the ledger."""
    return [line for line in map(json.loads, log.splitlines()) if line["event"] == "turn.committed"]


def leads(log: str, *, of: int) -> bool:
    """Whether the process of this number has led the schedules."""
    lines = [
        json.loads(line) for line in log.splitlines() if '"runtime.started"' in line or '"scheduler.leads"' in line
    ]
    boots = {line["boot"] for line in lines if line.get("pid") == of}
    return any(line["event"] == "scheduler.leads" and line["boot"] in boots for line in lines)


def minutes_of(log: str) -> Counter[float]:
    """How often each slot of the schedule was fired, or said to be skipped."""
    told: Counter[float] = Counter()
    turns = set()
    for line in map(json.loads, log.splitlines()):
        turn = (line.get("of", line["boot"]), line.get("turn"), line.get("part"))
        if line["event"] != "turn.committed" or turn in turns:
            continue
        turns.add(turn)
        for move in line["moves"]:
            if move["k"] == "queued" and "t" in move:
                told[move["t"]] += 1
            elif move["k"] == "skipped":
                told.update(move["t"] + MINUTE * number for number in range(move["x"]))
    return told


def check_slots(simulation: Simulation) -> None:
    """No slot is silent: it fired, or was skipped, which the store says if the log does not."""
    if any(simulation.reached[death] for death in ("kill_process", "killed stop", "signal killed", "gave_up")):
        # What a killed process had fired and not said is in the store alone.
        return
    # So is what was never confirmed, until its job says whose it is.
    known = minutes_of(simulation.log).keys() | slots_run(simulation.log)
    # What comes yet, because a clock was set back, is known only where it had been ahead.
    end = min(max(known), simulation.now.timestamp())
    (schedule,) = simulation.runtime.scheduler.list()
    for before in known:
        slot = before + MINUTE
        while slot not in known and slot <= end:
            (story,) = simulation.runtime.scheduler.explain(schedule.id, utc(slot), utc(slot + MINUTE))
            assert story.outcome == "skipped", f"no slot after {before}: {story}"
            slot = story.last.timestamp() + MINUTE


def slots_run(log: str) -> set[float]:
    """The slots whose job was done."""
    return {
        line["slot"] for line in map(json.loads, log.splitlines()) if line["event"] == "job.done" and "slot" in line
    }


def scenario(seed: int) -> Counter[str]:
    """One simulation, checked: all troubles at once in every other seed, and one after another in those between."""
    name = list(TROUBLES)[seed // 2 % len(TROUBLES)] if seed % 2 else "all"
    return checked(name, seed)


def checked(name: str, seed: int) -> Counter[str]:
    """A simulation with troubles of a name; what it reached.

    Raises:
        AssertionError: a promise was broken.
    """
    simulation = campaign(TROUBLES[name], seed)
    reached = simulation.reached
    if name == "stops":
        dead = [line for line in simulation.log.splitlines() if '"event":"job.dead"' in line]
        assert not dead, f"seed {seed}: dead though processes only stopped, or were killed as they did: {dead}"
    if name == "none":
        assert (reached["ended_twice"], reached["fired_twice"], reached["job.duplicate"]) == (0, 0, 0)
    return reached
