"""Carriers: what goes along with a job, and what is put around its run."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3

import pytest
from lamplighter import Carrier, JobFailed, Runtime, UsageError
from lamplighter.handlers.carriers import Carriers
from lamplighter.handlers.execute import Execution
from lamplighter.handlers.outcomes import Rules
from lamplighter.handlers.payload import HandlerTypes
from lamplighter.messages.jobs import JobRecord

current = contextvars.ContextVar("current", default="nothing")


class Request(Carrier):
    """Takes the value of a context variable along, and notes what happens to it."""

    def __init__(self):
        self.story = []

    def inject(self):
        return {"request": current.get()}

    @contextlib.contextmanager
    def around(self, job):
        self.story.append("enter")
        token = current.set(job.carried["request"])
        try:
            yield
        except Exception as error:
            self.story.append(type(error).__name__)
            raise
        finally:
            current.reset(token)
            self.story.append("leave")


def plain(job):
    return current.get()


async def coroutine(job):
    await asyncio.sleep(0)
    return current.get()


@contextlib.contextmanager
def as_request(name):
    token = current.set(name)
    yield
    current.reset(token)


@pytest.mark.parametrize("handler", [plain, coroutine])
def test_a_handler_sees_what_its_job_took_along_from_where_it_was_queued(runtime, handler):
    carrier = Request()
    rt = runtime(carriers=[carrier])
    rt.jobs.add_handler("work", handler)

    with as_request("of ada"):
        jobs = [rt.jobs.queue("work"), *rt.jobs.queue_many([("work", 1)])]

    assert [rt.jobs.join(job, timeout=10).result for job in jobs] == ["of ada"] * 2
    assert carrier.story == ["enter", "leave"] * 2


def test_carriers_are_entered_in_their_order_and_left_in_the_other(runtime):
    said = []

    class Speaking(Carrier):
        def __init__(self, name):
            self.name = name

        def inject(self):
            return {self.name: "1"}

        @contextlib.contextmanager
        def around(self, job):
            said.append(f"{self.name} {sorted(job.carried)}")
            yield
            said.append(f"not {self.name}")

    rt = runtime(carriers=[Speaking("a"), Speaking("b")])
    rt.jobs.add_handler("work", lambda job: said.append("run"))

    rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert said == ["a ['a', 'b']", "b ['a', 'b']", "run", "not b", "not a"]


@pytest.mark.parametrize("handler", [plain, coroutine])
@pytest.mark.parametrize("where", ["enter", "leave"])
def test_a_carrier_that_raises_around_a_job_fails_the_attempt(runtime, handler, where):
    class Failing(Carrier):
        @contextlib.contextmanager
        def around(self, job):
            if where == "enter":
                raise ConnectionError("no database")
            yield
            raise ConnectionError("no database")

    rt = runtime(carriers=[Request(), Failing()])
    rt.jobs.add_handler("work", handler, max_attempts=1)

    with pytest.raises(JobFailed, match="ConnectionError: no database"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)


def test_a_carrier_sees_the_error_of_the_function_and_cannot_hide_it(runtime):
    class Hiding(Carrier):
        def around(self, job):
            return contextlib.suppress(ValueError)

    carrier = Request()
    rt = runtime(carriers=[Hiding(), carrier])

    @rt.jobs.handler("work", max_attempts=1)
    def work(job):
        raise ValueError("no")

    with pytest.raises(JobFailed, match="ValueError: no"):
        rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    assert carrier.story == ["enter", "ValueError", "leave"]


@pytest.mark.parametrize(
    ("injected", "reason"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: {"n": 1}, "UsageError: expected inject to return a dict of str to str, got: {'n': 1}"),
        (lambda: {"n": "x" * 9000}, "UsageError: expected at most 8192 bytes for a job to carry, got: 9031"),
    ],
    ids=["raises", "no text", "too much"],
)
def test_what_a_carrier_cannot_give_is_said_and_the_job_is_queued_without(runtime, recorder, injected, reason):
    class Strange(Carrier):
        def inject(self):
            return injected()

    rt = runtime(carriers=[Request(), Strange()])
    rt.jobs.add_handler("work", lambda job: job.carried)

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == {"request": "nothing"}
    failed = recorder.wait_for("carrier.failed")
    assert (failed["carrier"].rpartition(".")[2], failed["reason"]) == ("Strange", reason)


def test_a_job_carries_on_over_a_requeue_and_so_do_the_jobs_that_it_queues(runtime):
    rt = runtime(carriers=[Request()])
    rt.jobs.add_handler("child", plain)
    rt.jobs.add_handler("parent", lambda job: job.queue("child").id)

    with as_request("of ada"):
        parent = rt.jobs.queue("parent")
    rt.jobs.join(parent, timeout=10)
    child = rt.jobs.join(rt.jobs.requeue(parent), timeout=10).result

    assert rt.jobs.join(child, timeout=10).result == "of ada"


class Queued(Carrier):
    """Notes what happens around calls that queue."""

    def __init__(self):
        self.story = []

    @contextlib.contextmanager
    def around_queue(self, jobs):
        self.story.append([(job.name, job.data) for job in jobs])
        token = current.set("the call")
        try:
            yield
        except Exception as error:
            self.story.append(type(error).__name__)
            raise
        finally:
            current.reset(token)
            self.story.append("left")

    def inject(self):
        return {"request": current.get()}


def queue(jobs):
    return [jobs.queue("work", 1)]


def queue_many(jobs):
    return jobs.queue_many([("work", 1), ("work", 2)])


def aqueue(jobs):
    async def call():
        return [await jobs.aqueue("work", 1)]

    return asyncio.run(call())


def aqueue_many(jobs):
    async def call():
        return await jobs.aqueue_many([("work", 1), ("work", 2)])

    return asyncio.run(call())


@pytest.mark.parametrize("call", [queue, queue_many, aqueue, aqueue_many])
def test_a_carrier_is_around_the_call_that_queues_and_its_inject_within(runtime, call):
    carrier = Queued()
    rt = runtime(carriers=[carrier])

    queued = call(rt.jobs)

    assert carrier.story == [[("work", job.data) for job in queued], "left"]
    assert [rt.jobs.get(job).carried for job in queued] == [{"request": "the call"}] * len(queued)


def test_a_carrier_is_around_what_a_handler_queues_and_what_a_transaction_does(runtime, tmp_path):
    carrier = Queued()
    rt = runtime(carriers=[carrier])
    rt.jobs.add_handler("parent", lambda job: job.queue("work", "of the handler").id)

    rt.jobs.join(rt.jobs.queue("parent"), timeout=10)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as db, db:
        db.execute("create table mine (id)")
        rt.jobs.queue("work", "of the transaction", connection=db)

    of_work = [said for said in carrier.story if said[0][0] == "work"]
    assert of_work == [[("work", "of the handler")], [("work", "of the transaction")]]


def test_a_carrier_sees_the_error_of_the_call_that_queues_and_cannot_hide_it(runtime, tmp_path):
    class Hiding(Carrier):
        def around_queue(self, jobs):
            return contextlib.suppress(UsageError)

    carrier = Queued()
    rt = runtime(carriers=[Hiding(), carrier])

    with contextlib.closing(sqlite3.connect(tmp_path / "another.db")) as db, pytest.raises(UsageError, match="file"):
        rt.jobs.queue("work", 1, connection=db)
    assert carrier.story == [[("work", 1)], "UsageError", "left"]


@pytest.mark.parametrize("where", ["enter", "leave"])
def test_a_carrier_that_raises_around_a_call_is_told_and_the_job_is_queued(runtime, recorder, where):
    class Failing(Carrier):
        @contextlib.contextmanager
        def around_queue(self, jobs):
            if where == "enter":
                raise ConnectionError("no collector")
            yield
            raise ConnectionError("no collector")

    rt = runtime(carriers=[Failing(), Request()])

    assert rt.jobs.get(rt.jobs.queue("work")).carried == {"request": "nothing"}
    assert recorder.wait_for("carrier.failed")["reason"] == "ConnectionError: no collector"


class Left(BaseException):
    """The process has ended."""


class Connection(Carrier, contextlib.AbstractContextManager):
    """What must not be left twice. It is no generator, which Python would leave when it removes it."""

    def __init__(self):
        self.story = []

    def around(self, job):
        return self

    def __enter__(self):
        self.story.append("enter")

    def __exit__(self, *_):
        self.story.append("leave")


def test_a_forked_child_leaves_nothing_that_its_parent_is_in():
    """A connection that the child closes would be closed for its parent too."""

    def leave(code):
        raise Left

    carrier, pids = Connection(), iter([1, 2, 2])
    record = JobRecord(1, "j", "work", "null", "running", 0, 0.0, 0.0, "j", carried='{"request":"r"}')
    rules = Rules(auto_done=True, result_bytes_max=100, error_characters_max=100)

    def fork():
        with Execution(record, None, rules, carriers=Carriers([carrier]), pid=lambda: next(pids), leave=leave) as run:
            run.job(HandlerTypes(None, None))
            run.returned("from the forked child")

    with pytest.raises(Left):
        contextvars.copy_context().run(fork)
    assert carrier.story == ["enter"]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, (0, "")),
        (SystemExit(), (0, "")),
        (SystemExit(3), (3, "")),
        (SystemExit(-1), (255, "")),
        (SystemExit("no disk"), (1, "no disk\n")),
        (ValueError("no"), (1, "ValueError: no\n")),
    ],
)
def test_a_forked_child_ends_as_a_program_would_that_ends_so(capfd, error, ended):
    codes, pids = [], iter([1, 2, 2])
    record = JobRecord(1, "j", "work", "null", "running", 0, 0.0, 0.0, "j")
    rules = Rules(auto_done=True, result_bytes_max=100, error_characters_max=100)

    with Execution(record, None, rules, pid=lambda: next(pids), leave=codes.append) as run:
        if error is not None:
            raise error
        run.returned(None)

    assert (codes[:1], capfd.readouterr().err[-len(ended[1]) or None :]) == ([ended[0]], ended[1])


@pytest.mark.parametrize("carriers", [Request(), [object()], 5, "x"])
def test_what_is_no_carrier_is_refused(carriers):
    with pytest.raises(UsageError, match="expected carriers to be a list of Carrier objects, got: "):
        Runtime(":memory:", carriers=carriers)
