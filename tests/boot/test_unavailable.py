"""A store that does not answer in time: what the caller is told, and how the same call is made again."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
from dataclasses import replace

import pytest
from lamplighter import Carrier, JobSpec, StoreGone, StoreUnavailable, UnknownJob
from lamplighter.boot.requests import BROKER_DEATHS_MAX
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import BrokerLost, ThreadReply

SPECS = [JobSpec(name="mail", data=n) for n in range(3)]

AGAIN_MAX = 100
"""No test asks more often."""


@contextlib.contextmanager
def locked(path):
    """Hold SQLite's write lock as a host with an open transaction does."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield other


@pytest.fixture
def points():
    return Failpoints()


@pytest.fixture
def hurried(runtime, points):
    """A runtime whose callers wait for a moment only."""
    return runtime(reply_seconds_max=0.05, environment=Environment(failpoints=points))


def until_stored(queue, specs, ids):
    """Queue again and again, with the same ids, until the store has answered."""
    for _ in range(AGAIN_MAX):
        with contextlib.suppress(StoreUnavailable):
            return queue(replace(spec, id=job_id) for spec, job_id in zip(specs, ids, strict=True))
    return pytest.fail(f"expected an answer to one of {AGAIN_MAX} calls")


def test_queue_many_again_with_the_ids_of_the_error_stores_every_job_once(hurried, points):
    points.arm("broker.let_out", "1*sleep(0.5)")

    with pytest.raises(StoreUnavailable) as caught:
        hurried.jobs.queue_many(SPECS)
    again = until_stored(hurried.jobs.queue_many, SPECS, caught.value.job_ids)

    stored = {job.id: job.data for job in hurried.jobs.list()}
    assert stored == dict(zip(caught.value.job_ids, range(3), strict=True))
    assert [job.id for job in again] == list(caught.value.job_ids)
    assert caught.value.job_id is None


def test_aqueue_many_says_the_ids_as_well(hurried, points):
    points.arm("broker.let_out", "1*sleep(0.5)")

    async def host():
        with pytest.raises(StoreUnavailable) as caught:
            await hurried.jobs.aqueue_many([("mail", n) for n in range(3)])
        return caught.value.job_ids

    ids = asyncio.run(host())
    until_stored(hurried.jobs.queue_many, SPECS, ids)

    assert {job.id: job.data for job in hurried.jobs.list()} == dict(zip(ids, range(3), strict=True))


def test_the_id_of_one_job_is_the_only_one_of_its_ids(hurried, tmp_path):
    with locked(tmp_path / "jobs.db"), pytest.raises(StoreUnavailable) as caught:
        hurried.jobs.queue("mail", id="mine")

    assert (caught.value.job_id, caught.value.job_ids) == ("mine", ("mine",))


def test_what_queues_no_job_has_no_ids(hurried, tmp_path):
    with locked(tmp_path / "jobs.db"), pytest.raises(StoreUnavailable) as caught:
        hurried.jobs.pause("mail")

    assert (caught.value.job_id, caught.value.job_ids) == (None, ())


def test_a_locked_file_in_the_hosts_own_transaction_says_the_id(runtime, tmp_path):
    rt = runtime()

    with (
        locked(tmp_path / "jobs.db"),
        contextlib.closing(sqlite3.connect(tmp_path / "jobs.db", timeout=0.01)) as host,
        pytest.raises(StoreUnavailable, match="locked") as caught,
    ):
        rt.jobs.queue("mail", connection=host)

    assert caught.value.job_id
    assert caught.value.job_ids == (caught.value.job_id,)


class StruckReply(ThreadReply):
    """An answer that comes, and then something else."""

    error: type[BaseException]

    def wait(self, seconds):
        super().wait(seconds)
        raise self.error


@pytest.mark.parametrize("carriers", [[], [Carrier()]], ids=["plain", "carried"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_that_comes_when_a_job_is_stored_names_it(runtime, error, carriers):
    is_struck = []
    rt = runtime(
        environment=Environment(reply=lambda: StruckReply() if is_struck else ThreadReply()),
        carriers=carriers,
    )
    StruckReply.error = error
    is_struck.append(True)

    with pytest.raises(error) as one:
        rt.jobs.queue("mail", 1)
    with pytest.raises(error) as many:
        rt.jobs.queue_many(SPECS)
    is_struck.clear()

    (job_id,), ids = (re.findall("'(.+?)'", caught.value.__notes__[0]) for caught in (one, many))
    assert {job_id, *ids} == {job.id for job in rt.jobs.list()}
    assert rt.jobs.queue("mail", 1, id=job_id).deduplicated


class LostReply(ThreadReply):
    """An answer that never comes, as the broker has died: before it had read the question, or over it."""

    deaths: list[bool]

    def wait(self, seconds):
        if self.deaths:
            raise BrokerLost("the broker died", read=self.deaths.pop())
        return super().wait(seconds)


@pytest.mark.parametrize(
    ("deaths", "is_stored"),
    [
        ([False] * 10, True),
        ([True] * (BROKER_DEATHS_MAX - 1), True),
        ([True] * BROKER_DEATHS_MAX, False),
        ([True, False] * (BROKER_DEATHS_MAX - 1), True),
    ],
)
def test_a_call_is_given_up_when_brokers_have_died_of_it_and_not_of_something_else(runtime, deaths, is_stored):
    LostReply.deaths = []
    rt = runtime(environment=Environment(reply=LostReply))
    LostReply.deaths = [*deaths]

    if is_stored:
        assert rt.jobs.queue("mail", id="mine").id == "mine"
    else:
        with pytest.raises(StoreUnavailable, match=f"{BROKER_DEATHS_MAX} brokers died while they handled this"):
            rt.jobs.queue("mail", id="mine")
    assert LostReply.deaths == []


def test_a_task_that_is_cancelled_while_it_queues_is_told_with_which_id(hurried, points):
    points.arm("broker.let_out", "1*sleep(0.5)")

    async def host():
        queueing = asyncio.ensure_future(hurried.jobs.aqueue("mail", id="mine"))
        await asyncio.sleep(0)
        queueing.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await queueing
        return caught.value

    assert "'mine'" in asyncio.run(host()).__notes__[0]


def test_a_refusal_stores_nothing_and_has_no_note(runtime):
    rt = runtime()

    with pytest.raises(UnknownJob) as caught:
        rt.jobs.queue("mail", after="nobody")

    assert not hasattr(caught.value, "__notes__")


def test_all_goes_on_by_itself_when_the_store_is_back(runtime, recorder, tmp_path):
    rt = runtime(reply_seconds_max=0.1, busy_seconds_max=0.02)
    rt.jobs.add_handler("work", lambda job: "ran")
    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreUnavailable):
        rt.jobs.queue("work")
    recorder.until(lambda: recorder.of("store.waiting") or recorder.of("store.unavailable"), "the broker to wait")
    other.execute("rollback")
    other.close()

    recorder.wait_for("store.available")

    (again,) = until_stored(rt.jobs.queue_many, [JobSpec(name="work")], ["again"])
    assert rt.jobs.join(again, timeout=10).result == "ran"
    assert recorder.of("actor.crashed") == []


def test_a_trouble_that_is_over_is_not_named_though_the_broker_died_of_it(runtime, recorder):
    failpoints = Failpoints()
    rt = runtime(environment=Environment(failpoints=failpoints))
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    # The turn that finds the store well again is the last of this broker.
    failpoints.arm("broker.let_out", "1*raise(ValueError)->off")
    failpoints.arm("store.turn.commit", "1*raise(sqlite3.OperationalError: database is locked)->off")

    rt.jobs.queue("work", id="it")

    recorder.wait_for("store.waiting")
    recorder.wait_for("actor.crashed", child="broker")
    recorder.until(lambda: rt.health().status == "green", "nothing to be said of the store")


def test_no_caller_ever_sees_database_is_locked_from_short_transactions(runtime, tmp_path):
    runtimes = [runtime(), runtime()]
    host = sqlite3.connect(tmp_path / "jobs.db", timeout=10, check_same_thread=False)
    host.execute("create table rows (n integer)")
    errors = []

    def queue(rt):
        try:
            for n in range(40):
                rt.jobs.queue("work", n)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=queue, args=(rt,)) for rt in runtimes for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(60):
        with host:
            host.execute("insert into rows values (?)", (n,))
    for thread in threads:
        thread.join(30)
    host.close()

    assert errors == []
    assert runtimes[0].jobs.counts("work")["queued"] == 240


def test_an_ending_that_fails_its_turn_is_kept_while_the_store_is_away(runtime, recorder):
    failpoints = Failpoints()

    def work(job):
        if job.attempt == 1:
            locked = "1*raise(sqlite3.OperationalError: database is locked)"
            failpoints.arm("store.turn.commit", f"2*raise(ValueError)->{locked}->off")
        return "done"

    rt = runtime(environment=Environment(failpoints=failpoints))
    rt.jobs.add_handler("work", work, backoff=[0])

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert job.result == "done"
    assert recorder.of("message.refused")


def test_an_ending_that_is_refused_and_refused_again_is_stored_later(runtime, recorder, time):
    failpoints = Failpoints()

    def work(job):
        if job.attempt == 1:
            failpoints.arm("store.turn.commit", "3*raise(MemoryError)->off")
        return "done"

    rt = runtime(environment=Environment(failpoints=failpoints, clock=time.clock))
    rt.jobs.add_handler("work", work, backoff=[0])
    job = rt.jobs.queue("work")
    recorder.wait_for("message.refused", message="Ended", count=2)
    # Once another message is answered, the refusal is over.
    rt.jobs.queue("other", delay=3600)
    assert rt.jobs.get(job).state == "running"

    time.advance(5)

    assert rt.jobs.join(job, timeout=10).attempt == 2
    assert rt.jobs.attempts(job)[0].error == "its ending could not be stored: MemoryError('a failpoint')"


@pytest.mark.parametrize(
    ("loses", "mended"),
    [
        ("alter table lamplighter_jobs rename to was_jobs", "alter table was_jobs rename to lamplighter_jobs"),
        (
            "alter table lamplighter_jobs rename priority to was_priority",
            "alter table lamplighter_jobs rename was_priority to priority",
        ),
    ],
    ids=["a table", "a column"],
)
def test_health_is_red_while_the_file_lacks_a_table_or_column(runtime, recorder, tmp_path, loses, mended):
    rt = runtime(tmp_path / "jobs.db")

    def change(statement):
        with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db", timeout=30)) as connection:
            connection.execute(statement)

    change(loses)
    with pytest.raises(StoreGone, match="lost tables"):
        rt.jobs.queue("work")
    assert rt.health().status == "red"

    change(mended)
    recorder.until(lambda: rt.health().status == "green", "the health to be well again")
    assert rt.jobs.queue("work").state == "queued"
