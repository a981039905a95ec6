"""What a host does with debounce keys: many calls for one job, whatever dies meanwhile, and what each run has seen."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from lamplighter import Debounce, Job, JobSpec, Runtime, Snooze
from lamplighter.messages.jobs import ENDED
from weave import Insist, address_of, in_own_transaction

CALLS = 25
"""How often a life calls, for one job or for three."""

KEYS = 3

NAME = "index"
"""The name of the jobs that are called for."""

PER_GROUP = 1
"""How many of a group of these may run at once."""


@dataclass
class Call:
    """One call, and when it was made and answered, by a count of all such moments."""

    key: str
    number: int
    begun: int
    answered: float = math.inf


class Caller:
    """Calls for jobs, and runs them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._moments = count(1)
        self._calls: list[Call] = []
        self._seen: set[int] = set()
        self._running = Counter[str]()
        self._slept: set[str] = set()
        # Of a process that was killed the call is answered by nobody, and its thread not even unwound.
        self._in_flight: list[Runtime] = []
        self._is_over = False
        self.reached = Counter[str]()

    def register(self, runtime: Runtime) -> None:
        """Add the handler, which no fault can make give up."""
        options = {"max_attempts": 10_000, "interruptions_max": 10_000, "backoff": [0.5]}
        runtime.jobs.add_handler(NAME, self.run, concurrency=2, concurrency_per_group=PER_GROUP, **options)

    def run(self, job: Job[int]) -> None:
        """Takes a while; fails, or sleeps on it, now and then."""
        key = str(job.debounce)
        self._seen.add(job.data)
        self._running[key] += 1
        try:
            job.sleep((0.05, 0.4, 1.5)[job.data % 3])
        finally:
            self._running[key] -= 1
        if job.data % 5 == 1 and job.attempt == 1:
            raise ValueError("the first attempt fails")
        if job.data % 7 == 1 and job.id not in self._slept:
            self._slept.add(job.id)
            raise Snooze(1)

    def steps(self, insist: Insist) -> list[Callable[[Runtime], None]]:
        """What it does in a life, in this order, between other things."""
        chance = random.Random(f"calls of {self._seed}")
        return [partial(self._step, insist, chance.random()) for _ in range(CALLS)]

    def end(self) -> None:
        """No more calls."""
        self._is_over = True

    def is_open(self, runtimes: Sequence[Runtime]) -> bool:
        """Whether a call is to be answered yet, by one that lives, or a job that was called for to run."""
        jobs = runtimes[0].jobs.list(NAME, limit=10_000)
        return any(one in runtimes for one in self._in_flight) or any(job.state not in ENDED for job in jobs)

    def check(self) -> None:
        """Of each key a run has seen the data of the last call, or, of calls made at the same time, of one of them."""
        for call in self._calls:
            later = [one for one in self._calls if one.key == call.key and one.answered >= call.begun]
            is_seen = any(one.number in self._seen for one in later)
            assert is_seen or call.answered == math.inf, f"no run has seen what was said by {call}, or after it"

    def _step(self, insist: Insist, chosen: float, runtime: Runtime) -> None:
        if self._is_over:
            return
        chance = random.Random(chosen)
        calls = [self._begin(chance) for _ in range(chance.choice((1, 1, 1, 3)))]
        specs = [self._spec(chance, call) for call in calls]
        is_own = len(calls) == 1 and chance.random() < 0.25
        self._in_flight.append(runtime)
        try:
            if not is_own:
                insist(runtime, partial(self._queue, runtime, specs, calls))
            elif (address := address_of(runtime)) is not None:
                options = {"debounce": specs[0].debounce, "group": specs[0].group}
                call = partial(runtime.jobs.queue, NAME, specs[0].data, **options)
                if in_own_transaction(address, call):
                    self._answered(calls)
            if chance.random() < 0.1:
                insist(runtime, partial(self._requeue_one, runtime, chance))
        finally:
            self._in_flight.remove(runtime)
        runtime.environment.event().wait(chance.uniform(0.0, 1.0))

    def _begin(self, chance: random.Random) -> Call:
        moment = next(self._moments)
        call = Call(f"k{chance.randrange(KEYS)}", moment, moment)
        self.reached["called for while it ran"] += self._running[call.key] > 0
        self._calls.append(call)
        return call

    def _spec(self, chance: random.Random, call: Call) -> JobSpec:
        quiet = chance.choice((0.2, 1.0, 3.0))
        debounce = Debounce(call.key, quiet=quiet, at_most=quiet * chance.choice((1, 2, 5)))
        # The groups of a key are two, or none.
        group = chance.choice((None, call.key, f"{call.key} too"))
        return JobSpec(name=NAME, data=call.number, debounce=debounce, group=group)

    def _queue(self, runtime: Runtime, specs: list[JobSpec], calls: list[Call]) -> None:
        runtime.jobs.queue_many(specs)
        self._answered(calls)

    def _answered(self, calls: list[Call]) -> None:
        for call in calls:
            call.answered = next(self._moments)

    def _requeue_one(self, runtime: Runtime, chance: random.Random) -> None:
        found = runtime.jobs.list(NAME, state="queued")
        if found:
            runtime.jobs.requeue(chance.choice(found))
