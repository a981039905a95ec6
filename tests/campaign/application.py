"""A host application that uses all of the API. What it does follows from its seed, the same in every life."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count

import callers
from lamplighter import (
    Cancel,
    Discard,
    Job,
    JobSpec,
    KeyTaken,
    LamplighterError,
    Rate,
    Runtime,
    Snooze,
    StaleClaim,
    StoreUnavailable,
)
from lamplighter.testing.simulation.simulation import Simulation
from weave import Weaver, address_of, in_own_transaction

JOBS = 60
"""How many jobs the host queues; schedules come on top."""

NAMES = ("work", "work", "quick", "async", "child", "later", "single")
"""What it queues, as often as it stands here."""

BURST_JOBS = 150
"""The same in a life of bursts."""

LANES = {"work": 2, "single": 3}
"""How many jobs of a name may run at once in one boot."""


FOLLOWED = frozenset({"work", "single", "async", "child", "later"})
"""The names of jobs of which every other has parts, if it ends as done."""

PARTS = 3
"""How many parts each of these has."""

GROUPED = {"work": 1, "async": 2, "later": 2, callers.NAME: callers.PER_GROUP}
"""The names whose jobs have groups, most of them, and how many of a group may run at once over all processes."""

PARTS_RATE = Rate(12, per=4, burst=3)
"""How many parts may start in a time."""


def parts() -> tuple[JobSpec | tuple[str, object], ...]:
    """What is to follow a job."""
    late = JobSpec(name="part", data=2, delay=0.5)
    return ("part", 1), late, JobSpec(name="part", data=3, after_ended=late)


def say_parts(job: Job) -> None:
    """Every other job says what is to follow it, whatever becomes of it then."""
    if isinstance(job.data, int) and job.data % 2 == 0:
        first, *others = parts()
        job.then(first)
        job.then(*others)


def in_child(job: Job) -> str:
    """A process lane's function: importable, and one that is killed now and then."""
    say_parts(job)
    job.sleep(8.0 if job.data % 5 == 0 and job.attempt == 1 else 0.2)
    return "from a child"


class Host:
    """One host application, with a plan that follows from its seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.bursts = seed % 16 == 10
        """Whether it queues many short jobs at a time, so that claims are taken in advance."""
        self.one_waits = ""
        """A schedule of whose jobs one runs at a time, and one more may wait."""
        self.copied = ""
        """The log as it was when the copy was taken that was put in the place of the store's file later."""
        self.claimed: dict[str, str] = {}
        self.overslept: list[str] = []
        self.running: dict[tuple[str | None, str], dict[str, Job]] = {}
        self.crowded: list[str] = []
        self.returned: Counter[str] = Counter()
        self.requeued: set[str] = set()
        self.forgiven: Counter[str] = Counter()
        """Poison that was requeued."""
        self.done: set[Runtime] = set()
        """Where it has come to the end of its plan."""
        self.is_forgiving = seed % 16 == 12
        self.weaver = (
            Weaver(seed, self.requeued)
            if seed % 16 == 14 or random.Random(f"weavers of {seed}").random() < 0.25
            else None
        )
        """Queues jobs that wait for others, in some lives."""
        self.caller = callers.Caller(seed) if random.Random(f"callers of {seed}").random() < 0.3 else None
        """Calls for jobs under debounce keys, in some lives."""
        self.given: dict[tuple[str, int], int] = {}
        """What the second step of a job has given, by the job and what its first has."""
        self.misgiven: list[str] = []
        self._numbers = count(1)

    def register(self, runtime: Runtime) -> None:
        """Add handlers and schedules; runs in every life of every process that works."""
        runtime.jobs.add_handler(
            "work",
            self.work,
            concurrency=LANES["work"],
            concurrency_per_group=GROUPED["work"],
            timeout=20,
            max_attempts=4,
            backoff=[1, 5],
        )
        self._add_others(runtime)

    def _add_others(self, runtime: Runtime, without: str = "") -> None:
        """What is the same in every release; or nearly, if one does without a handler."""
        self._event = runtime.environment.event
        jobs = runtime.jobs
        jobs.add_handler("quick", self.quick, concurrency=1, max_attempts=50, backoff=[0.5])
        jobs.add_handler("part", lambda job: job.data, concurrency=2, max_attempts=50, backoff=[0.5], rate=PARTS_RATE)
        if without != "async":
            jobs.add_handler(
                "async",
                self.work_async,
                concurrency=4,
                concurrency_per_group=GROUPED["async"],
                timeout=15,
                max_attempts=50,
                backoff=[1],
            )
        jobs.add_handler("child", in_child, concurrency=2, timeout=4, max_attempts=5, backoff=[1], isolation="process")
        jobs.add_handler(
            "later",
            self.leave_open,
            concurrency_per_group=GROUPED["later"],
            timeout=30,
            auto_done=False,
            max_attempts=3,
            backoff=[1],
        )
        jobs.add_handler(
            "single",
            self.work,
            concurrency=LANES["single"],
            concurrency_total=1,
            timeout=20,
            max_attempts=3,
            backoff=[1],
        )
        if self.caller is not None:
            self.caller.register(runtime)
        scheduler = runtime.scheduler
        scheduler.add("quick", "*/15 * * * * *", "tick", catch_up="all", catch_up_max=5)
        scheduler.add("work", "@every 40s", 3, catch_up="latest", overlap="skip")
        scheduler.add("quick", "0 * * * * *", "minute", catch_up="skip", jitter=5)
        jobs.add_handler("slow", self.slow, concurrency=2)
        self.one_waits = scheduler.add(
            "slow", "@every 30s", key="one waits", overlap="queue_one", timezone="Europe/Berlin"
        )

    def work(self, job: Job, most: int | None = None) -> object:
        """As `_work`; counts the times that it was not told to stop, and who runs beside it."""
        running = self.running.setdefault((job.record.boot, job.name), {})
        running[job.token] = job
        if sum(not one.cancelled for one in running.values()) > (most or LANES[job.name]):
            self.crowded.append(job.token)
        try:
            result = self._work(job)
        finally:
            del running[job.token]
        self.returned[job.id] += not job.cancelled
        return result

    def _work(self, job: Job) -> object:
        """Succeeds, fails, sleeps, asks for another time, gives up: each job its own way, every time the same."""
        say_parts(job)
        number = job.data if isinstance(job.data, int) else 0
        match number % 11:
            case 1 if not job.sleep(1.5) and job.stopping:
                raise Snooze(0)
            case 3 if job.attempt == 1:
                raise ValueError("the first attempt fails")
            case 4:
                raise Cancel("not needed any more")
            case 5 if job.token.endswith(":1"):
                raise Snooze(2)
            case 6:
                self._take_steps(job)
            case 7:
                raise Discard("not wanted")
            case 8:
                job.progress(1, 2, "half")
                job.sleep(0.3)
                job.queue("quick", number, id=f"{job.id}-child")
            case 9 if job.attempt < 10:
                raise RuntimeError("always")
            case 10 if self._sleep_on(job, 60):
                self.overslept.append(job.id)
        return number

    def _take_steps(self, job: Job) -> None:
        """Two steps, of which the second gives the same as long as the first does, whoever takes them."""
        first = job.step("first", next, self._numbers)
        job.sleep(0.4)
        second = job.step("second", next, self._numbers)
        known = self.given.setdefault((job.id, first), second)
        if known != second:
            self.misgiven.append(f"{job.token}: {second} after {first}, and it was {known}")

    def _sleep_on(self, job: Job, seconds: float) -> bool:
        """Sleep, and let the whole drain pass when the runtime stops meanwhile."""
        if job.sleep(seconds):
            return True
        for _ in range(int(seconds)):
            if job.cancelled:
                break
            self._event().wait(1.0)
        return False

    def quick(self, job: Job) -> object:
        """Ends at once; in a life of bursts one is slow now and then, and those behind it have to go back."""
        if self.bursts and isinstance(job.data, int) and job.data % 20 == 7:
            job.sleep(3.0)
        return job.data

    def slow(self, job: Job) -> None:
        """Takes longer than its schedule's interval, every fourth time; so one waits then, and none does later."""
        if job.slot is not None and job.slot.timestamp() % 120 == 0:
            job.sleep(40.0)

    async def work_async(self, job: Job) -> object:
        """A coroutine handler."""
        say_parts(job)
        await asyncio.sleep(0.2 + (job.data % 3) * 0.4)
        return job.data

    def leave_open(self, job: Job) -> None:
        """Returns without ending its job; the host's thread marks it done, or it times out."""
        self.claimed[job.id] = job.token

    def let_pass(self, simulation: Simulation, minutes: float) -> None:
        """Some of its life, with faults."""
        simulation.run(minutes=minutes)

    def finish(self, simulation: Simulation) -> None:
        """What an operator does at the end of it, before all that is due is done."""

    def check(self, simulation: Simulation) -> Counter[str]:
        """What only this host can know. What it has reached."""
        return Counter()

    def live(self, runtime: Runtime) -> None:
        """Queue, and meddle. The same in every life: ids make that harmless."""
        try:
            self._live(runtime)
        finally:
            self.done.add(runtime)

    def _live(self, runtime: Runtime) -> None:
        chance = random.Random(self.seed)
        queued = 0
        woven = [] if self.weaver is None else self.weaver.steps(self._insist)
        calls = [] if self.caller is None else self.caller.steps(self._insist)
        while queued < (BURST_JOBS if self.bursts else JOBS):
            kind = "many" if self.bursts else chance.choice(("one", "one", "many", "own transaction"))
            most = 40 if self.bursts else 9
            batch = [
                self._spec(chance, queued + index) for index in range(chance.randint(2, most) if kind == "many" else 1)
            ]
            queued += len(batch)
            if kind == "many":
                self._insist(runtime, lambda batch=batch: runtime.jobs.queue_many([spec_of(one) for one in batch]))
            elif kind == "own transaction":
                self._in_own_transaction(runtime, batch[0])
            else:
                one = batch[0]
                self._insist(runtime, partial(runtime.jobs.queue, one.pop("name"), one.pop("data"), **one))
            if queued % 3 == 0:
                self._queue_plainly(runtime, queued)
            for steps in filter(None, (woven, calls)):
                steps.pop(0)(runtime)
            if chance.random() < 0.3:
                self._meddle(runtime, chance, queued)
            if chance.random() < 0.5:
                pause(runtime, chance.uniform(0.0, 4.0))
        for step in (*woven, *calls):
            step(runtime)
        for _ in range(10):
            pause(runtime, 5.0)
            self._mark_open_ones(runtime)
            if self.is_forgiving:
                self._forgive(runtime)

    def _queue_plainly(self, runtime: Runtime, queued: int) -> None:
        """Jobs without options, one right after the other: the direct lane is for these."""
        for place, name in enumerate(("quick", "nobody", "quick", "quick")):
            self._insist(runtime, partial(runtime.jobs.queue, name, "plain", id=f"plain{queued}-{place}"))

    def _spec(self, chance: random.Random, number: int) -> dict[str, object]:
        names = ("work", *("quick",) * 12) if self.bursts else NAMES
        spec: dict[str, object] = {
            "name": chance.choice(names),
            "data": number,
            "id": f"j{number}",
        }
        if spec["name"] in GROUPED and number % 4:
            # The most are of one.
            spec["group"] = f"g{number % 4 if number % 3 else 1}"
        delay = chance.uniform(0.0, 60.0) if chance.random() < 0.2 else 0.0
        if delay:
            spec["delay"] = delay
        if chance.random() < 0.2:
            spec["priority"] = chance.randint(-2, 2)
        if chance.random() < 0.1:
            spec["unique"] = f"key-{number % 4}"
        if chance.random() < 0.1:
            spec["expires"] = timedelta(seconds=delay + chance.uniform(1.0, 90.0))
        return spec

    def _meddle(self, runtime: Runtime, chance: random.Random, queued: int) -> None:
        jobs, target = runtime.jobs, f"j{chance.randrange(queued)}"
        match chance.randrange(6):
            case 0:
                self._insist(runtime, partial(jobs.cancel, target))
            case 1:
                self.requeued.add(target)
                self._insist(runtime, partial(jobs.requeue, target))
            case 2:
                self._insist(runtime, partial(jobs.mark_done, target, "marked"))
            case 3:
                self._insist(runtime, partial(jobs.pause, "quick"))
                pause(runtime, 2.0)
                self._insist(runtime, partial(jobs.resume, "quick"))
            case 4:
                handler = jobs.add_handler("quick", lambda job: "another", concurrency=2)
                pause(runtime, 1.0)
                jobs.remove_handler(handler, drain=1.0)
            case 5:
                self._insist(runtime, partial(jobs.queue, "nobody", None, id=f"parked{queued}"))

    def _mark_open_ones(self, runtime: Runtime) -> None:
        for job_id, token in list(self.claimed.items()):
            number = int(job_id.removeprefix("j"))
            if number % 3:
                then = () if number % 2 else parts()
                self._insist(runtime, partial(runtime.jobs.mark_done, token, "by the host", then=then))
            self.claimed.pop(job_id, None)

    def _forgive(self, runtime: Runtime) -> None:
        """As an operator who has mended what killed its process: have poison run again."""
        try:
            dead = runtime.jobs.list(state="dead")
        except LamplighterError:
            return
        for job in dead:
            if (job.reason or "").startswith("poison"):
                self.forgiven[job.id] += 1
                self.requeued.add(job.id)
                self._insist(runtime, partial(runtime.jobs.requeue, job.id))

    def _in_own_transaction(self, runtime: Runtime, spec: dict[str, object]) -> None:
        if runtime.boot is None:
            # The supervisor gave up; the process is about to be started again.
            return
        call = partial(runtime.jobs.queue, spec.pop("name"), spec.pop("data"), **spec)
        if (address := address_of(runtime)) is None:
            self._insist(runtime, call)
        else:
            in_own_transaction(address, call)

    def _insist(self, runtime: Runtime, call: Callable[[], object]) -> None:
        """As a careful host does: the same call with the same ids again, until it is answered."""
        for _ in range(5):
            try:
                call()
                return
            except StoreUnavailable:
                pause(runtime, 0.5)
            except (StaleClaim, KeyTaken, LamplighterError):
                return


def spec_of(options: dict[str, object]) -> object:
    """As `queue_many` takes it."""
    return JobSpec(**options)  # type: ignore[arg-type]


def pause(runtime: Runtime, seconds: float) -> None:
    """Sleep in the simulation's time."""
    runtime.environment.event().wait(seconds)
