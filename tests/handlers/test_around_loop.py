"""What carriers put around the event loops of coroutine handlers."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading

from lamplighter import Carrier
from lamplighter.testing import Inline, Simulation

pool = contextvars.ContextVar("pool", default="none")


class Pool(Carrier):
    """Opens a pool of connections for each loop."""

    def __init__(self, *, refusals=0):
        self.story = []
        self.refusals = refusals

    @contextlib.asynccontextmanager
    async def around_loop(self):
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            self.story.append("refused")
            raise ConnectionError("no database")
        self.story.append("opened")
        token = pool.set(f"pool {self.story.count('opened')} of {id(asyncio.get_running_loop())}")
        try:
            yield
        finally:
            # Raises where this is another task's context.
            pool.reset(token)
            # What is closed takes its time, and a stop that did not wait would end before.
            await asyncio.sleep(0.1)
            self.story.append("closed")


async def uses(job):
    await asyncio.sleep(0)
    return pool.get(), id(asyncio.get_running_loop())


def test_what_belongs_to_a_loop_is_entered_once_and_left_before_stop_returns(runtime):
    carrier = Pool()
    rt = runtime(carriers=[carrier])
    rt.jobs.add_handler("work", uses, concurrency=2)
    before = list(carrier.story)

    used = [rt.jobs.join(rt.jobs.queue("work"), timeout=15).result for _ in range(3)]
    during = list(carrier.story)
    rt.stop()

    assert used == [[f"pool 1 of {used[0][1]}", used[0][1]]] * 3
    assert (before, during, carrier.story) == ([], ["opened"], ["opened", "closed"])


def test_each_coroutine_handler_has_a_loop_and_so_what_is_around_it(runtime):
    carrier = Pool()
    rt = runtime(carriers=[carrier])
    for name in ("one", "other"):
        rt.jobs.add_handler(name, uses)

    used = [rt.jobs.join(rt.jobs.queue(name), timeout=15).result for name in ("one", "other")]
    rt.stop()

    assert used[0] != used[1]
    assert sorted(carrier.story) == ["closed"] * 2 + ["opened"] * 2


def test_the_loop_of_a_removed_handler_is_left_when_its_jobs_have_ended(runtime, recorder):
    carrier, began, goes_on = Pool(), threading.Event(), threading.Event()
    rt = runtime(carriers=[carrier])

    async def work(job):
        began.set()
        await asyncio.to_thread(goes_on.wait, 15)
        return list(carrier.story)

    handler = rt.jobs.add_handler("work", work)
    job = rt.jobs.queue("work")
    assert began.wait(15)

    rt.jobs.remove_handler(handler)
    recorder.wait_for("handler.removed")
    goes_on.set()

    assert rt.jobs.join(job, timeout=15).result == ["opened"]
    recorder.until(lambda: carrier.story == ["opened", "closed"], "the loop to be left")


def test_jobs_wait_while_a_loop_cannot_be_entered_and_no_attempt_is_counted():
    """A database that is away for a moment would make each job dead that has one attempt."""
    carrier = Pool(refusals=2)

    def register(runtime):
        runtime.jobs.add_handler("work", uses, max_attempts=1)

    with Inline(register, carriers=[carrier]) as inline:
        jobs = inline.jobs.queue_many([("work", number) for number in range(20)])
        waiting = [(job.state, job.attempt) for job in jobs]
        reason = inline.jobs.get(jobs[0]).reason
        first = list(carrier.story)
        inline.advance(seconds=6)
        inline.advance(seconds=6)
        ended = [inline.jobs.get(job) for job in jobs]
        said = [line for line in inline.log.splitlines() if '"loop.failed"' in line]

    assert waiting == [("queued", 0)] * 20
    assert reason == "its event loop could not be entered: Pool: ConnectionError: no database"
    assert first == ["refused"], "not once a job"
    assert [(job.state, job.attempt) for job in ended] == [("done", 1)] * 20
    assert carrier.story == ["refused", "refused", "opened"]
    assert len(said) == 2 and '"where":"entered"' in said[0]


def test_those_that_were_entered_are_left_when_the_next_one_refuses(runtime, recorder):
    first, second = Pool(), Pool(refusals=1)
    rt = runtime(carriers=[first, second])
    rt.jobs.add_handler("work", uses)
    rt.jobs.queue("work")

    recorder.wait_for("job.snoozed")

    assert (first.story, second.story) == (["opened", "closed"], ["refused"])


def test_an_error_where_a_loop_is_left_is_said_and_stops_nothing(runtime, recorder):
    class Stuck(Carrier):
        @contextlib.asynccontextmanager
        async def around_loop(self):
            yield
            raise ConnectionError("gone already")

    carrier = Pool()
    rt = runtime(carriers=[carrier, Stuck()])
    rt.jobs.add_handler("work", uses)
    rt.jobs.join(rt.jobs.queue("work"), timeout=15)

    rt.stop()

    failed = recorder.wait_for("loop.failed")
    assert (failed["job_name"], failed["where"]) == ("work", "left")
    assert failed["reason"] == "ConnectionError: gone already"
    assert carrier.story == ["opened", "closed"]


class Slow(Carrier):
    """Whose database does not answer."""

    def __init__(self):
        self.entering, self.story = threading.Event(), []

    @contextlib.asynccontextmanager
    async def around_loop(self):
        self.entering.set()
        try:
            await asyncio.sleep(600)
            yield
        finally:
            self.story.append("let go")


def test_a_job_that_waits_for_its_loop_can_be_cancelled(runtime, recorder):
    carrier = Slow()
    rt = runtime(carriers=[carrier])
    rt.jobs.add_handler("work", uses)
    job = rt.jobs.queue("work")
    assert carrier.entering.wait(15)

    assert rt.jobs.cancel(job).state == "cancelled"
    recorder.until(lambda: rt.boot.lanes.open() == [], "its worker to be free")


def test_a_job_that_waits_too_long_for_its_loop_is_interrupted_at_no_cost(timed, time, recorder):
    carrier = Slow()
    rt = timed(carriers=[carrier], begin_seconds_max=10)
    rt.jobs.add_handler("work", uses, timeout=1, max_attempts=1)
    job = rt.jobs.queue("work")
    assert carrier.entering.wait(15)
    # Its HandlerActor watches the lane a little after the loop is entered. Time that is advanced twice would interrupt
    # the next claim, too.
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: actor._watch.is_watching and actor.busy_since is None, "the lane to be watched")
    time.advance(12)
    recorder.wait_for("job.failed", job_id=job.id)

    (failed,) = recorder.of("job.failed", job_id=job.id)
    why = "what is around its event loop is still being entered"
    assert (failed["attempt"], failed["reason"]) == (0, f"interrupted: not begun within 10 s: {why}")


def test_a_stop_does_not_wait_for_a_loop_that_is_being_entered(runtime, recorder):
    carrier = Slow()
    rt = runtime(carriers=[carrier])
    rt.jobs.add_handler("work", uses)
    job = rt.jobs.queue("work")
    assert carrier.entering.wait(15)

    rt.stop(drain=0.0)

    assert carrier.story == ["let go"]
    assert rt.start(work=False).jobs.get(job).attempt == 0


def test_a_job_that_cancels_all_tasks_of_its_loop_does_not_have_it_left(runtime):
    carrier = Pool()
    rt = runtime(carriers=[carrier])

    async def work(job):
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)
        return list(carrier.story)

    rt.jobs.add_handler("work", work)

    stories = [rt.jobs.join(rt.jobs.queue("work"), timeout=15).result for _ in range(2)]

    assert stories == [["opened"]] * 2


def test_after_a_job_has_closed_its_loop_the_next_one_is_entered_anew(runtime, recorder):
    carrier = Pool()
    rt = runtime(carriers=[carrier])

    async def work(job):
        if job.data == "close":
            loop = asyncio.get_running_loop()
            never = loop.create_future()
            # It refuses to be closed while it runs, unless it is made to believe that it does not.
            loop._thread_id = None
            loop.close()
            await never
        return pool.get()

    rt.jobs.add_handler("work", work, max_attempts=1)
    rt.jobs.queue("work", "close")
    failed = recorder.wait_for("loop.failed")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result.startswith("pool 2 of ")
    assert (failed["where"], failed["reason"]) == ("left", "its event loop was closed by what ran on it")
    # Here and now: CPython 3.11 fails to parse when a coroutine is collected as it does.
    gc.collect()


def test_what_a_coroutine_sets_in_a_context_variable_is_not_seen_by_the_next_job(runtime):
    """The next job begins where the one before has ended, in whose context its task was made."""
    rt = runtime()

    async def work(job):
        found = pool.get()
        pool.set(f"of job {job.data}")
        return found

    rt.jobs.add_handler("work", work)
    jobs = rt.jobs.queue_many([("work", number) for number in range(5)])

    assert [rt.jobs.join(job, timeout=15).result for job in jobs] == ["none"] * 5


def test_a_process_that_is_killed_in_a_simulation_leaves_nothing_and_the_next_enters():
    carrier = Pool()

    def register(runtime):
        runtime.jobs.add_handler("work", uses)
        runtime.scheduler.add("work", "0 0 * * * *", key="hourly", timezone="UTC")

    with Simulation(register, seed=3, carriers=[carrier]) as simulation:
        simulation.run(hours=2.5)
        simulation.kill()
        simulation.run(hours=2)
        killed = list(carrier.story)
        done = len(simulation.runtime.jobs.list("work", state="done"))
        simulation.check()

    assert (killed, done) == (["opened", "opened"], 4)
