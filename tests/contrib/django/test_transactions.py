"""Jobs in Django's transactions: they exist if and only if those commit, whichever file they are in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from lamplighter import (
    Carrier,
    Debounce,
    Job,
    JobSpec,
    Runtime,
    Step,
    StoreError,
    UnknownJob,
    UsageError,
)

JOIN_SECONDS_MAX = 15


class Regret(Exception):
    """What the tests roll back with."""


@pytest.fixture(params=["own", "elsewhere"])
def runtime(request: pytest.FixtureRequest, worker: Any, elsewhere: Callable[..., Any]) -> Any:
    """A runtime on the database's own file, and one on another, both of which work."""
    return worker if request.param == "own" else elsewhere().start()


def exists(runtime: Any, job: Job[Any]) -> bool:
    try:
        return bool(runtime.jobs.get(job))
    except UnknownJob:
        return False


def test_a_job_runs_after_the_commit_and_not_before(runtime: Any) -> None:
    seen: list[Any] = []
    handler = runtime.jobs.add_handler("look", lambda job: seen.append(job.data))

    with transaction.atomic():
        job = runtime.jobs.queue("look", 1, priority=3)
        assert (job.state, job.data, job.priority) == ("queued", 1, 3)
        seen_inside = list(seen)
    done = runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert (seen_inside, seen, done.id) == ([], [1], job.id)
    runtime.jobs.remove_handler(handler)


def test_a_job_of_a_transaction_that_rolls_back_never_was(runtime: Any) -> None:
    from shop.models import Order

    with pytest.raises(Regret), transaction.atomic():
        order = Order.objects.create(item="a lamp")
        job = runtime.jobs.queue("look", order.pk)
        raise Regret

    assert not exists(runtime, job)
    assert not Order.objects.filter(pk=order.pk).exists()


def test_a_savepoint_that_rolls_back_takes_only_its_own_jobs_along(runtime: Any) -> None:
    with transaction.atomic():
        before = runtime.jobs.queue("look")
        with pytest.raises(Regret), transaction.atomic():
            within = runtime.jobs.queue("look")
            raise Regret
        after = runtime.jobs.queue("look")

    assert [exists(runtime, job) for job in (before, within, after)] == [True, False, True]


def test_many_jobs_follow_a_transaction_together(runtime: Any) -> None:
    with pytest.raises(Regret), transaction.atomic():
        gone = runtime.jobs.queue_many([("look", 1), JobSpec(name="look", priority=2)])
        raise Regret
    with transaction.atomic():
        there = runtime.jobs.queue_many([("look", 1), JobSpec(name="look", priority=2)])
        assert runtime.jobs.queue_many([]) == []

    assert [exists(runtime, job) for job in (*gone, *there)] == [False, False, True, True]


def test_calls_with_a_debounce_key_count_if_their_transaction_commits(runtime: Any) -> None:
    doc = Debounce("doc-7", quiet=60, at_most=600)
    first = runtime.jobs.queue("index", 1, debounce=doc)

    with pytest.raises(Regret), transaction.atomic():
        runtime.jobs.queue("index", 2, debounce=doc)
        raise Regret
    kept = runtime.jobs.get(first).data
    with transaction.atomic():
        runtime.jobs.queue("index", 3, debounce=doc)
        runtime.jobs.queue("index", 4, debounce=doc)

    assert (kept, runtime.jobs.get(first).data) == (1, 4)
    assert runtime.jobs.cancel(first)


def test_what_a_handler_queues_in_a_transaction_follows_it(runtime: Any) -> None:
    queued: list[Job[Any]] = []

    def parent(job: Job[Any]) -> None:
        with transaction.atomic():
            queued.append(job.queue("look", "kept"))
        with pytest.raises(Regret), transaction.atomic():
            queued.append(job.queue("look", "lost"))
            raise Regret

    handler = runtime.jobs.add_handler("parent", parent)
    job = runtime.jobs.join(runtime.jobs.queue("parent"), timeout=JOIN_SECONDS_MAX)

    assert [exists(runtime, one) for one in queued] == [True, False]
    assert runtime.jobs.get(queued[0]).record.root_id == job.id
    runtime.jobs.remove_handler(handler)


def test_a_handler_marks_its_job_done_in_the_transaction_of_its_work(runtime: Any) -> None:
    from shop.models import Order

    def pack(job: Job[Any]) -> str:
        with pytest.raises(Regret), transaction.atomic():
            runtime.jobs.mark_done(job, "too early")
            raise Regret
        with transaction.atomic():
            Order.objects.create(item=job.id)
            runtime.jobs.mark_done(job, "packed")
        return "too late"

    handler = runtime.jobs.add_handler("pack", pack)
    job = runtime.jobs.join(runtime.jobs.queue("pack"), timeout=JOIN_SECONDS_MAX)

    assert (job.result, Order.objects.filter(item=job.id).count()) == ("packed", 1)
    runtime.jobs.remove_handler(handler)


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_step_is_kept_in_the_transaction_of_its_function(worker: Any, ends: str) -> None:
    from shop.models import Order

    def order(job: Job[Any]) -> str:
        with suppress(Regret), transaction.atomic():
            job.step(Step("order", connection=connection), lambda: Order.objects.create(item=job.id).pk)
            if ends == "rollback":
                raise Regret
        return ", ".join(step.name for step in worker.jobs.steps(job))

    handler = worker.jobs.add_handler("order", order)
    job = worker.jobs.join(worker.jobs.queue("order"), timeout=JOIN_SECONDS_MAX)

    expected = ("order", 1) if ends == "commit" else ("", 0)
    assert (job.result, Order.objects.filter(item=job.id).count()) == expected
    worker.jobs.remove_handler(handler)


def test_a_mistake_in_the_call_is_told_at_the_call(runtime: Any) -> None:
    with transaction.atomic():
        with pytest.raises(UsageError, match="priority"):
            runtime.jobs.queue("look", priority="high")
        with pytest.raises(UsageError, match="prioriti"):
            runtime.jobs.queue("look", prioriti=3)


@pytest.mark.parametrize("wrong", [("look", {1, object()}), JobSpec("look", priority="high"), "look"])
def test_a_mistake_in_what_is_to_follow_is_told_before_the_commit(runtime: Any, wrong: Any) -> None:
    runtime.jobs.pause("pack")
    job = runtime.jobs.queue("pack")

    with transaction.atomic(), pytest.raises(UsageError):
        runtime.jobs.mark_done(job, then=[wrong])

    assert runtime.jobs.get(job).state == "queued"
    runtime.jobs.resume("pack")


def test_nothing_starts_in_a_transaction_whose_lock_the_start_would_wait_for(
    worker: Any, elsewhere: Callable[..., Any]
) -> None:
    """A web process queues its first job in `atomic`. The start of a producer would write to the file that this very
    transaction has locked, and wait for itself.
    """
    idle = elsewhere(worker.address)
    with pytest.raises(Regret), transaction.atomic():
        gone = idle.jobs.queue("look")
        raise Regret
    is_running_after_rollback = idle.boot is not None
    with transaction.atomic():
        there = idle.jobs.queue("look", "first")
        is_running_inside = idle.boot is not None

    assert (is_running_after_rollback, is_running_inside) == (False, False)
    assert idle.boot is not None and not idle.boot.share.works
    assert [exists(idle, job) for job in (gone, there)] == [False, True]


def test_a_connection_that_is_given_by_name_works_as_well_and_is_opened(worker: Any) -> None:
    with transaction.atomic():
        job = worker.jobs.queue("look", connection=connection)
    assert exists(worker, job)

    connections.close_all()
    with pytest.raises(UsageError, match="autocommit"):
        worker.jobs.queue("look", connection=connection)


@pytest.mark.parametrize("is_plain", [False, True], ids=["the settings' runtime", "a Runtime"])
def test_outside_of_atomic_a_connection_that_is_closed_is_opened(
    worker: Any, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first query, and after a request, it has no sqlite3 connection inside; it was refused."""
    runtime = Runtime(worker.address).start(work=False) if is_plain else worker
    connection.close()
    with pytest.raises(UsageError, match="autocommit"):
        runtime.jobs.queue("look", connection=connection)

    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    jobs = []
    for end in (transaction.commit, transaction.rollback):
        connection.close()
        jobs.append(runtime.jobs.queue("look", connection=connection))
        end()
    connection.close()
    runtime.scheduler.add("look", "@daily", key="closed", durable=True, connection=connection)
    transaction.rollback()
    connection.close()

    assert [exists(runtime, job) for job in jobs] == [True, False]
    assert runtime.scheduler.list("look") == []
    if is_plain:
        runtime.stop()


def test_a_connection_to_another_file_is_refused(worker: Any, elsewhere: Callable[..., Any]) -> None:
    other = elsewhere().start()

    with transaction.atomic(), pytest.raises(UsageError, match="store's file"):
        other.jobs.queue("look", connection=connection)


def test_who_queues_into_a_file_without_tables_is_told_to_migrate(worker: Any, elsewhere: Callable[..., Any]) -> None:
    idle = elsewhere(worker.address)
    worker.stop()
    rename = "alter table {} rename to {}"
    with closing(sqlite3.connect(idle.address)) as db:
        db.execute(rename.format("lamplighter_store", "hidden"))
    try:
        with transaction.atomic(), pytest.raises(StoreError, match=r"manage\.py migrate"):
            idle.jobs.queue("look")
    finally:
        with closing(sqlite3.connect(idle.address)) as db:
            db.execute(rename.format("hidden", "lamplighter_store"))


def test_who_queues_into_a_store_that_was_moved_is_told_where_it_is(worker: Any, elsewhere: Callable[..., Any]) -> None:
    idle = elsewhere(worker.address)
    worker.stop()
    mark = "update lamplighter_store set moved_to = ?"
    with closing(sqlite3.connect(idle.address)) as db, db:
        db.execute(mark, ("postgresql://host/db",))
    try:
        with transaction.atomic(), pytest.raises(UsageError, match="has moved to postgresql://host/db"):
            idle.jobs.queue("look")
    finally:
        with closing(sqlite3.connect(idle.address)) as db, db:
            db.execute(mark, (None,))


def test_a_call_that_no_rollback_would_take_back_is_refused_whichever_store_it_is(runtime: Any) -> None:
    """On the database's own file it would also wait for the lock of its own transaction."""
    job = runtime.jobs.queue("look")

    with transaction.atomic():
        for call in (
            lambda: runtime.jobs.cancel(job),
            lambda: runtime.jobs.reprioritize(job, 4),
            lambda: runtime.jobs.cancel_many("look"),
            lambda: runtime.jobs.pause("look"),
            lambda: runtime.scheduler.add("look", "@daily"),
        ):
            with pytest.raises(UsageError, match="on_commit"):
                call()
        assert (runtime.jobs.get(job).state, runtime.jobs.get(job).priority) == ("queued", 0)
        transaction.on_commit(lambda: runtime.jobs.cancel(job))

    assert runtime.jobs.get(job).state == "cancelled"
    assert runtime.scheduler.list("look") == []


def test_a_signal_is_sent_if_its_transaction_commits(runtime: Any) -> None:
    handler = runtime.jobs.add_handler("ask", lambda job: job.wait("approval"))
    job = runtime.jobs.queue("ask", id=f"ask {runtime.address}")
    said = {"by": "ada"}

    with pytest.raises(UsageError, match="name of a signal"), transaction.atomic():
        runtime.jobs.signal(job, "")
    with pytest.raises(Regret), transaction.atomic():
        runtime.jobs.signal(job, "approval", "rolled back")
        raise Regret
    with transaction.atomic():
        runtime.jobs.signal(job, "approval", said)
        said["by"] = "somebody else"

    assert runtime.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == {"by": "ada"}
    runtime.jobs.remove_handler(handler)


@pytest.fixture
def other(shop: None, tmp_path: Path) -> Iterator[str]:
    """The alias of a second database."""
    connections.databases["other"] = {**connections.databases["default"], "NAME": tmp_path / "other.db"}
    yield "other"
    connections["other"].close()
    del connections["other"], connections.databases["other"]


def test_calls_follow_the_transaction_of_the_database_that_is_set_and_of_no_other(
    other: str, elsewhere: Callable[..., Any]
) -> None:
    runtime = elsewhere(database=other).start()
    handler = runtime.jobs.add_handler("ask", lambda job: job.wait("approval"))
    asking, marked = runtime.jobs.queue("ask"), runtime.jobs.queue("look")

    def call(said: str) -> Job[Any]:
        runtime.jobs.signal(asking, "approval", said)
        runtime.jobs.mark_done(marked, said)
        return runtime.jobs.queue("look")

    with suppress(Regret), transaction.atomic(using=other):
        gone = call("rolled back")
        raise Regret
    was_marked = runtime.jobs.get(marked).state == "done"
    with transaction.atomic(using=other):
        there = call("committed")
    with suppress(Regret), transaction.atomic():
        besides = runtime.jobs.queue("look")
        raise Regret

    assert [exists(runtime, job) for job in (gone, there, besides)] == [False, True, True]
    assert (was_marked, runtime.jobs.get(marked).result) == (False, "committed")
    assert runtime.jobs.join(asking, timeout=JOIN_SECONDS_MAX).result == "committed"
    runtime.jobs.remove_handler(handler)


def test_a_signal_or_a_refused_act_may_be_the_first_call_of_a_process(
    worker: Any, elsewhere: Callable[..., Any]
) -> None:
    handler = worker.jobs.add_handler("ask", lambda job: job.wait("approval"))
    job, idle = worker.jobs.queue("ask"), elsewhere(worker.address)

    with transaction.atomic():
        with pytest.raises(UsageError, match="on_commit"):
            idle.jobs.cancel(job)
        idle.jobs.signal(job, "approval", 1)

    assert worker.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == 1
    worker.jobs.remove_handler(handler)


@pytest.mark.parametrize("runs", [False, True])
def test_carriers_go_along_in_a_transaction_whether_a_runtime_runs_or_not(
    worker: Any, elsewhere: Callable[..., Any], runs: bool
) -> None:
    class Traced(Carrier):
        def inject(self) -> dict[str, str]:
            return {"trace": "1"}

    one = elsewhere(worker.address, carriers=[Traced()])
    if runs:
        one.start(work=False)

    with transaction.atomic():
        job = one.jobs.queue("look")

    assert job.carried == {"trace": "1"}


def test_a_carrier_that_fails_while_no_runtime_runs_is_told_to_djangos_log(
    worker: Any, elsewhere: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """There is no log of the runtime's then, which would have `carrier.failed`."""

    class Failing(Carrier):
        def inject(self) -> dict[str, str]:
            raise ConnectionError("no collector")

    idle = elsewhere(worker.address, carriers=[Failing()])

    with transaction.atomic():
        job = idle.jobs.queue("look")

    assert exists(idle, job)
    (record,) = [one for one in caplog.records if one.name == "django"]
    assert "Failing failed; the job carries nothing of it" in record.getMessage()
    assert record.exc_info is not None and str(record.exc_info[1]) == "no collector"


def test_a_schedule_follows_a_transaction_of_the_databases_own_file(worker: Any) -> None:
    from shop.models import Order

    def add(key: str) -> None:
        Order.objects.create(item=key)
        worker.scheduler.add("look", "@daily", key=key, durable=True, connection=connection)

    with transaction.atomic():
        add("kept")
        with pytest.raises(Regret), transaction.atomic():
            add("gone")
            raise Regret
    added = [one.key for one in worker.scheduler.list("look")]
    with pytest.raises(Regret), transaction.atomic():
        worker.scheduler.remove("look", key="kept", connection=connection)
        raise Regret
    kept = [one.key for one in worker.scheduler.list("look")]
    with transaction.atomic():
        worker.scheduler.remove("look", key="kept", connection=connection)

    assert (added, kept, worker.scheduler.list("look")) == (["kept"], ["kept"], [])
    with pytest.raises(UsageError, match="BEGIN first"):
        worker.scheduler.add("look", "@daily", durable=True, connection=connection)
