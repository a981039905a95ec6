"""The host's code over time: each life of a process runs the newest release, beside lives that still run older ones.

From release to release handlers get other options, another name, or are left out for a while; payloads get another
shape; schedules change, go, and come back. The last release handles every name that there ever was.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from application import GROUPED, Host
from inspection import lines_of
from lamplighter import Job, Runtime
from lamplighter.testing.simulation.simulation import Simulation

LAST = 3
"""The number of the newest release there will be."""

DEPLOYED = 5
"""How often somebody has every process of a number started again, while faults are about."""

MOVING = ("0,10,20,30,40,50", "5,25,45", "2,22,42", "7,27,47")
"""By release, at which seconds a schedule fires that is another one in each. No two have a second in common."""


@dataclass
class Order:
    """A payload, as the first releases have it."""

    item: str


@dataclass
class CountedOrder:
    """The same, as the later ones have it. What the first have queued does not fit."""

    item: str
    count: int


class DeployedHost(Host):
    """A host of which a new release is deployed now and then."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.release = 0
        self._deploying = random.Random(f"deployments {seed}")
        self._release_of: dict[Runtime, int] = {}
        self._release_by_boot: dict[str, int] = {}
        self.moving: str = ""

    def register(self, runtime: Runtime) -> None:
        """Register what the newest release does; now and then that is a new one."""
        if self._release_of and self._deploying.random() < 0.5:
            self.release = min(LAST, self.release + 1)
        self._register(runtime, self.release)

    def live(self, runtime: Runtime) -> None:
        """As ever, and what only this release queues."""
        release = self._release_of.setdefault(runtime, self.release)
        if runtime.boot is not None:
            self._release_by_boot[runtime.boot.id] = release
        for number in range(4):
            name, data = self._queued_by(release, number)
            self._insist(runtime, partial(runtime.jobs.queue, name, data, id=f"r{release}-{number}"))
        self._insist(runtime, partial(self._look_after_lasting, runtime, release))
        super().live(runtime)

    def let_pass(self, simulation: Simulation, minutes: float) -> None:
        """Faults, and deployments of one process after another."""
        for _ in range(DEPLOYED):
            simulation.run(minutes=minutes / (DEPLOYED + 1))
            simulation.kill(self._deploying.randint(1, len(simulation.runtimes)))
        simulation.run(minutes=minutes / (DEPLOYED + 1))

    def finish(self, simulation: Simulation) -> None:
        """The last release everywhere."""
        self.release = LAST
        for number, runtime in enumerate(simulation.runtimes, start=1):
            if self._release_of.get(runtime) != LAST:
                simulation.kill(number)

    def check(self, simulation: Simulation) -> Counter[str]:
        """No boot has fired the schedule by a rule that was an older release's than its own.

        A boot that dies while it starts is not known, and one of an older release fires by what a newer one has stored.
        One of an older release that is slow to start takes the rule back, for all of them.
        """
        reached = Counter({f"release {release}": 1 for release in self._release_of.values()})
        lines = lines_of(simulation.log)
        stored = [_release_of(when) for when in rules_of(lines, self.moving)]
        if stored != sorted(stored):
            return reached
        for line in lines:
            if line.get("schedule") != self.moving or line["event"] not in ("slot.fired", "slot.caught_up"):
                continue
            release = self._release_by_boot.get(line["boot"], 0)
            by = _rule_of(line["slot"])
            assert by >= release, f"fired by the rule of release {by}, though release {release} has another: {line}"
        return reached

    def _register(self, runtime: Runtime, release: int) -> None:
        self._release_of[runtime] = release
        jobs, scheduler = runtime.jobs, runtime.scheduler
        lanes = (2, 3, 1, 2)[release]
        jobs.add_handler(
            "work",
            partial(self.work, most=lanes),
            concurrency=lanes,
            concurrency_per_group=GROUPED["work"],
            timeout=(20, 25, 15, 20)[release],
            max_attempts=(4, 5, 4, 6)[release],
            backoff=[1, 5],
        )
        self._add_others(runtime, without="async" if release == 1 else "")
        for name in ((), ("mail",), ("post",), ("post",), ("mail", "post"))[release + 1]:
            jobs.add_handler(name, self.quick)
        if release < 2:
            jobs.add_handler("order", ship)
        else:
            jobs.add_handler("order", ship_counted)
        seconds = MOVING[release]
        self.moving = scheduler.add(
            "quick", f"{seconds} * * * * *", f"r{release}", key="moving", catch_up="all", catch_up_max=5
        )
        if release != 1:
            scheduler.add("quick", "*/20 * * * * *", "leaving", key="leaving")
        if release > 0:
            scheduler.add("quick", "@every 12s", release, key="coming", catch_up="skip")

    def _queued_by(self, release: int, number: int) -> tuple[str, object]:
        if number % 2:
            return ("mail" if release == 0 else "post"), number
        return "order", {"item": "a lamp"} if release < 2 else {"item": "a lamp", "count": number}

    def _look_after_lasting(self, runtime: Runtime, release: int) -> None:
        """A schedule of the store's: added, changed, removed, and added again."""
        lasting = {schedule.id for schedule in runtime.scheduler.list() if schedule.durable}
        if release == 2:
            for schedule in lasting:
                runtime.scheduler.remove(schedule)
            return
        when = "*/30 * * * * *" if release == 0 else "*/25 * * * * *"
        runtime.scheduler.add("quick", when, release, key="lasting", durable=True)


def ship(job: Job[Order]) -> str:
    """A handler that wants the first shape."""
    return job.data.item


def ship_counted(job: Job[CountedOrder]) -> int:
    """A handler that wants the later one."""
    return job.data.count


def rules_of(lines: list[dict[str, Any]], schedule: str) -> list[str]:
    """When a schedule was due, one rule after another, also those that only a recovery told of."""
    moves = [move for line in lines if line["event"] == "turn.committed" for move in line["moves"]]
    changes = [move for move in moves if move["k"] in ("schedule.added", "schedule.changed")]
    stored: dict[int, str] = {move["no"]: move["when"] for move in changes if move["s"] == schedule}
    return [stored[number] for number in sorted(stored)]


def _release_of(when: str) -> int:
    return next(release for release, seconds in enumerate(MOVING) if when.startswith(seconds))


def _rule_of(slot: float) -> int:
    return next(release for release, seconds in enumerate(MOVING) if str(round(slot) % 60) in seconds.split(","))
