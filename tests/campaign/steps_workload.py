"""The campaign of steps and signals: jobs whose handlers keep what they have come to, and wait, under faults.

python -m lamplighter simulate steps_workload:scenario --seeds 100
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import count
from typing import Any

import paths  # noqa: F401 (first: by it support is found)
from inspection import lines_of
from lamplighter import NO_SIGNAL, Job, LamplighterError, Runtime, SignalRefused, Step, UnknownJob
from lamplighter.testing import Faults, Simulation
from weave import address_of

from support.disk.disk import Disk

MINUTES = 2.0
"""Virtual time with faults."""

SETTLE_SECONDS = 3600.0
"""Within this, without faults, every job is done."""

JOBS = 12

STEPS = 4
"""How many steps a job has in the middle, between the one that says which life it is and a wait."""

NAMES = ("thread", "task", "child")

FAULTS = {
    "crash_actor": 0.01,
    "crash_handler": 0.05,
    "hang": 0.05,
    "store_error": 0.02,
    "commit_unknown": 0.03,
    "kill_process": 0.002,
    "kill_child": 0.05,
    "clock_jump": 0.002,
    "lost_hint": 0.2,
}
"""How often each may be. Of each seed some are."""

ANSWER_SECONDS = 20.0
"""How long most jobs wait for their signal. Each fourth waits for as long as it takes."""

REACH = (
    "goes on",
    "called again",
    "lost its claim",
    "begins anew",
    "hang at lane.step",
    "crash_handler at lane.step",
    "answered",
    "unanswered",
    "answered early",
    "refused",
    "job.woken",
    "job.reprioritized",
    "paid",
)
"""A campaign that never reached one of these has not tested it."""


class Book:
    """What the handlers of a simulation have seen, in whichever process.

    Attributes:
        wrong: what cannot be.
        lives: by job, what its first step has given: another value whenever the job begins anew.
        accepted: by job, the signals whose calls have returned.
        answers: by job, what its waits have given; None for no signal.
    """

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.lives: defaultdict[str, set[int]] = defaultdict(set)
        self.accepted: defaultdict[str, set[int]] = defaultdict(set)
        self.answers: defaultdict[str, set[int | None]] = defaultdict(set)
        self.connections: list[sqlite3.Connection] = []
        # A connection of an application's own writes past a disk whose power is cut.
        self.pays = True
        self.reached = Counter[str]()
        self._numbers = count(1)
        self._calls = Counter[tuple[str, str]]()
        # By job, life and step: the result, and the first claim that has seen it.
        self._seen: dict[tuple[str, int, str], tuple[object, int]] = {}

    def call(self, job: Job, life: int, name: str) -> int:
        """The function of a step: gives another number each time that it is called."""
        seen = self._seen.get((job.id, life, name))
        claim_no = job.record.claim_no
        if seen is not None and seen[1] <= claim_no:
            self.wrong.append(
                f"step {name} of {job.id} is called by claim {claim_no}, and claim {seen[1]} has its result"
            )
        self._calls[job.id, name] += 1
        self.reached["called again"] += self._calls[job.id, name] > 1
        return next(self._numbers)

    def see(self, job: Job, life: int, name: str, result: object) -> None:
        """A step has given a result."""
        first, by = self._seen.setdefault((job.id, life, name), (result, job.record.claim_no))
        if first != result:
            self.wrong.append(f"step {name} of {job.id} has given {first} to claim {by}, and {result} to another")
        self.reached["goes on"] += by < job.record.claim_no

    def hear(self, job: Job, life: int, answer: object) -> None:
        """A wait for a signal is over: it gives the same to each attempt."""
        heard = None if answer is NO_SIGNAL else int(str(answer))
        self.see(job, life, "answer", heard)
        self.answers[job.id].add(heard)
        self.reached["unanswered" if heard is None else "answered"] += 1


book = Book()


def begin(job: Job) -> int:
    """The first step: which life of the job this is."""
    return book.call(job, 0, f"life {job.record.claim_no}")


def pay(runtime: Runtime, job: Job, life: int) -> None:
    """A step in a transaction of the application's, whose effect in the same file is to be there once in each life."""
    if not book.pays:
        return
    address = address_of(runtime)
    assert address is not None, "the runtime is over"
    with closing(sqlite3.connect(address, timeout=0, check_same_thread=False)) as db:
        book.connections.append(db)
        try:
            job.step(Step("pay", connection=db), _pay, db, job.id, life)
            db.commit()
        except BaseException:
            with suppress(sqlite3.ProgrammingError):
                db.rollback()
            raise


def _pay(db: Any, job_id: str, life: int) -> None:
    db.execute("insert into paid values (?, ?)", (job_id, life))


def work(job: Job, runtime: Runtime | None = None) -> list[object]:
    """Some steps with pauses between, and a wait. Each third job fails in its first attempts."""
    life = job.step("life", begin, job)
    book.lives[job.id].add(life)
    given: list[object] = []
    for name in names_of(job):
        given.append(job.step(name, book.call, job, life, name))
        book.see(job, life, name, given[-1])
        job.sleep(0.7)
    if runtime is not None:
        pay(runtime, job, life)
    job.snooze("wait", 5.0)
    book.hear(job, life, job.wait("answer", timeout=patience_of(job)))
    if job.data % 3 == 0 and job.attempt < 3:
        raise ValueError("not yet")
    given.append(job.step("last", book.call, job, life, "last"))
    book.see(job, life, "last", given[-1])
    return given


async def work_async(job: Job) -> list[object]:
    """The same on an event loop."""
    life = await job.astep("life", begin, job)
    book.lives[job.id].add(life)
    given: list[object] = []
    for name in names_of(job):
        given.append(await job.astep(name, book.call, job, life, name))
        book.see(job, life, name, given[-1])
    await job.asnooze("wait", 5.0)
    book.hear(job, life, await job.await_signal("answer", timeout=patience_of(job)))
    if job.data % 3 == 0 and job.attempt < 3:
        raise ValueError("not yet")
    given.append(await job.astep("last", book.call, job, life, "last"))
    book.see(job, life, "last", given[-1])
    return given


def patience_of(job: Job) -> float | None:
    return None if job.data % 4 == 1 else ANSWER_SECONDS


def names_of(job: Job) -> list[str]:
    """The steps in the middle, each attempt in an order of its own: they are found by their names."""
    names = [f"part-{number}" for number in range(STEPS)]
    random.Random(job.token).shuffle(names)
    return names


def register(runtime: Runtime) -> None:
    """Add the handlers; runs in every life of every process."""
    # The system closes the connections of a process that was killed. Another process that has one open only fails.
    while book.connections:
        book.connections.pop().close()
    options = {"max_attempts": 1000, "backoff": [0.5], "timeout": 15, "interruptions_max": 1000}
    runtime.jobs.add_handler("thread", lambda job: work(job, runtime), concurrency=2, **options)
    runtime.jobs.add_handler("task", work_async, concurrency=3, **options)
    runtime.jobs.add_handler("child", work, concurrency=2, isolation="process", **options)


def host(runtime: Runtime, seed: int) -> None:
    """Queue, and meddle. The same in every life: ids make that harmless."""
    chance = random.Random(seed)
    for number in range(JOBS):
        _insist(runtime, partial(runtime.jobs.queue, NAMES[number % 3], number, id=f"j{number}"))
        runtime.environment.event().wait(chance.uniform(0.0, 2.0))
        if chance.random() < 0.15:
            _answer(runtime, f"j{number}", chance.randrange(3))
            book.reached["answered early"] += 1
        target = f"j{chance.randrange(number + 1)}"
        match chance.randrange(8):
            case 3 | 4:
                answer = chance.randrange(3)
                for _ in range(chance.randrange(1, 3)):
                    _answer(runtime, target, answer)
            case 0:
                _insist(runtime, partial(runtime.jobs.requeue, target))
            case 5:
                with suppress(LamplighterError):
                    runtime.jobs.reprioritize(target, number)
            case 1:
                _insist(runtime, partial(runtime.jobs.requeue, target, afresh=True))
            case 2:
                _insist(runtime, partial(runtime.jobs.cancel, target))
                runtime.environment.event().wait(1.0)
                _insist(runtime, partial(runtime.jobs.requeue, target))
    runtime.environment.event().wait(chance.uniform(5.0, 15.0))
    for number in range(JOBS):
        # Whoever waits without an end has waited for this.
        while not _answer(runtime, f"j{number}", number) and number % 4 == 1:
            runtime.environment.event().wait(1.0)


def _answer(runtime: Runtime, job_id: str, data: int) -> bool:
    """Send a signal; whether it was accepted, or comes too late."""
    for _ in range(5):
        try:
            runtime.jobs.signal(job_id, "answer", data)
        except (SignalRefused, UnknownJob):
            book.reached["refused"] += 1
            return True
        except LamplighterError:
            runtime.environment.event().wait(0.5)
        else:
            book.accepted[job_id].add(data)
            return True
    return False


def _insist(runtime: Runtime, call: Callable[[], object]) -> None:
    for _ in range(5):
        with suppress(LamplighterError):
            call()
            return
        runtime.environment.event().wait(0.5)


def check_lives(text: str) -> int:
    """A job begins anew only after an end as done, or a requeue that says so. How often one has."""
    anew = Counter[str]()
    for line in lines_of(text):
        if line["event"] == "turn.committed":
            anew.update(move["j"] for move in line["moves"] if move.get("steps"))
    # What a dead boot had done is told by another, and may be told twice; so this is how many there may be at most.
    wrong = {job_id: lives for job_id, lives in book.lives.items() if len(lives) > 1 + anew[job_id]}
    assert not wrong, f"jobs have begun anew too often: {wrong}, and they may {anew}"
    return sum(len(lives) - 1 for lives in book.lives.values())


def check_signals(simulation: Simulation) -> None:
    """In one life of a job one signal is accepted, and that is what its wait has given, or it has not come to that."""
    anew = Counter[str]()
    for line in lines_of(simulation.log):
        if line["event"] == "turn.committed":
            anew.update(move["j"] for move in line["moves"] if move.get("steps"))
    for job_id, accepted in book.accepted.items():
        if not anew[job_id]:
            job = simulation.runtime.jobs.get(job_id)
            assert job.awaits is None, f"{accepted} was sent to {job_id}, which waits for it"
        # An end as done is such a move, too; only a second one lets the job wait again.
        if anew[job_id] <= 1 and len(book.lives[job_id]) == 1:
            answers = book.answers[job_id]
            assert len(accepted) == 1, f"signals {accepted} to {job_id} were accepted"
            assert answers <= accepted, f"{accepted} was sent to {job_id}, and its wait has given {answers}"


def check_paid(simulation: Simulation) -> int:
    """The effect of a step's own transaction is there once in each life of a job. Returns in how many."""
    with closing(sqlite3.connect(str(address_of(simulation.runtime)))) as db:
        paid = Counter(db.execute("select job, life from paid").fetchall())
    assert not paid or max(paid.values()) == 1, f"paid more than once: {paid}"
    ended = {job.id for job in simulation.runtime.jobs.list("thread", state="done", limit=JOBS)}
    assert ended <= {job_id for job_id, _ in paid}, f"done without a payment: {ended}, {paid}"
    return len(paid)


def scenario(seed: int) -> Counter[str]:
    """One simulation, checked."""
    book.__init__()  # type: ignore[misc]
    chance = random.Random(seed)
    share = chance.choice((0.3, 0.6, 1.0))
    rates = {kind: rate * chance.choice((0.5, 1.0, 3.0)) for kind, rate in FAULTS.items() if chance.random() < share}
    is_cut = chance.random() < 0.1
    simulation = Simulation(
        register,
        host=partial(host, seed=seed),
        seed=seed,
        faults=Faults(**rates, power_cut=0.001 * is_cut),
        processes=1 if is_cut else chance.choice((1, 1, 2)),
        disk=Disk if is_cut else None,
        restarts_max=10_000,
        lane_grace_seconds=3.0,
        abandoned_threads_max=10_000,
    )
    with simulation:
        book.pays = not is_cut
        if book.pays:
            with closing(sqlite3.connect(str(address_of(simulation.runtime)))) as db:
                db.execute("create table paid (job text, life integer)")
        simulation.run(minutes=MINUTES)
        simulation.settle(seconds=SETTLE_SECONDS)
        simulation.check()
        assert not book.wrong, book.wrong[0]
        check_signals(simulation)
        book.reached["paid"] += check_paid(simulation) if book.pays else 0
        book.reached["begins anew"] += check_lives(simulation.log)
        book.reached["lost its claim"] += simulation.log.count('"job.fenced"')
        return simulation.reached + book.reached
