"""What metrics a store comes to."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from lamplighter.admin import metrics
from lamplighter.admin.inspector import inspector_of, readable_table
from lamplighter.admin.metrics import KINDS, OTHER, Distribution, Metric, MetricKind, metrics_of
from lamplighter.admin.operator import Operator
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.tallies import BOUNDS, EVER, OTHERS, Tally
from lamplighter.messages.views import Abandoned, Health
from lamplighter.stores.sqlite.store import SqliteStore

from .boots import a_boot, a_handler, a_view, an_actor
from .kit import a_lane

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def told(path: Path, **options: Any) -> dict[MetricKind, dict[tuple[str, ...], Any]]:
    """What each metric has come to."""
    store = readable_table(str(path), "tallies")
    found = metrics_of(inspector_of(store, now=SystemClock().now), version="1.2.3", **options)
    store.close()
    assert tuple(metric.of for metric in found) == KINDS
    return {metric.of: metric.values for metric in found}


def failing(job: Any) -> None:
    raise ValueError("no")


def test_sums_and_moments_are_told_of_each_name_outcome_and_state(runtime, recorder, path):
    rt = runtime()
    rt.jobs.add_handler("works", lambda job: None)
    rt.jobs.add_handler("fails", failing, max_attempts=2, backoff=[0])
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60), concurrency=2)
    rt.scheduler.add("parked", "@every 1s", key="often", durable=True)
    rt.jobs.queue("sleeps", id="s")
    recorder.wait_for("job.started", job_id="s")
    rt.jobs.join(rt.jobs.queue("works"))
    rt.jobs.queue("fails", id="f")
    recorder.wait_for("job.dead")
    recorder.wait_for("slot.fired")
    rt.jobs.queue("works", delay=600)
    rt.jobs.pause("works")

    now = told(path)
    rt.stop(drain=0)
    sums = told(path)

    assert now[metrics.JOBS]["sleeps", "running"] == 1
    assert (now[metrics.JOBS]["works", "scheduled"], now[metrics.JOBS]["works", "ready"]) == (1, 0)
    assert now[metrics.JOBS]["parked", "parked"] >= 1
    assert now[metrics.PAUSED] == {("fails",): 0.0, ("parked",): 0.0, ("sleeps",): 0.0, ("works",): 1.0}
    assert (now[metrics.LANES]["sleeps",], now[metrics.BUSY]["sleeps",], now[metrics.BUSY]["works",]) == (2, 1, 0)
    assert now[metrics.BOOTS] == {("answers",): 1}
    assert now[metrics.RESTARTS].keys() == {("supervisor",), ("broker",), ("scheduler",), ("handler",)}
    assert now[metrics.STORE_HEALTH][()] == 1
    assert now[metrics.STORE_BYTES][()] > 0
    assert now[metrics.INFO] == {("1.2.3",): 1}
    assert sums[metrics.QUEUED]["works",] == 2
    assert sums[metrics.ENDED]["works", "done"] == sums[metrics.ENDED]["fails", "dead"] == 1
    assert (sums[metrics.ATTEMPTS]["fails", "failed"], sums[metrics.ATTEMPTS]["works", "succeeded"]) == (2, 1)
    assert sum(sums[metrics.RUN]["fails",].buckets) == 2
    assert sum(sums[metrics.WAIT]["works",].buckets) == 1
    assert sums[metrics.SLOTS]["parked", "fired"] >= 1


def test_a_thread_that_hangs_is_no_busy_lane(runtime, recorder, path):
    rt, way_out = runtime(), threading.Event()
    rt.jobs.add_handler("hangs", lambda job: way_out.wait(30), timeout=0.05, max_attempts=1, concurrency=2)
    rt.jobs.queue("hangs")
    recorder.wait_for("job.dead")

    now = told(path)
    way_out.set()

    assert [now[kind]["hangs",] for kind in (metrics.LANES, metrics.BUSY, metrics.ABANDONED)] == [2, 0, 1]


def test_what_boots_say_is_added_up_and_of_waits_the_longest_is_told():
    handlers, hung = (
        (a_handler(concurrency=2),),
        Abandoned(job_id="j", job_name="work", lane=1, why="it hangs", seconds=1.0, stack=""),
    )
    boots = [
        a_boot(
            a_view(
                handlers=handlers,
                lanes=(a_lane("j", job_name="work"), a_lane("k", job_name="work", abandoned="it hangs")),
                health=Health(status="green", reasons=(), boot=boot, abandoned=(hung,), log_dropped=3),
                actors=(
                    an_actor(incarnation=3, mailbox=2, oldest_seconds=oldest),
                    an_actor(name="handler:other", mailbox=4, oldest_seconds=None),
                ),
            ),
            boot=boot,
        )
        for boot, oldest in (("b1", 5.0), ("b2", 7.0))
    ]
    found = {kind: Metric(kind, {}) for kind in KINDS}

    metrics._add_boots(metrics._Adding(found, str), [*boots, a_boot(condition="silent")])

    assert {kind: metric.values for kind, metric in found.items() if metric.values} == {
        metrics.BOOTS: {("answers",): 2, ("silent",): 1},
        metrics.LANES: {("work",): 4},
        metrics.BUSY: {("work",): 2},
        metrics.ABANDONED: {("work",): 2},
        metrics.RESTARTS: {("handler",): 4},
        metrics.MAIL: {("handler",): 12},
        metrics.MAIL_AGE: {("handler",): 7.0},
        metrics.DROPPED: {(): 6},
    }


def test_the_store_itself_is_measured_by_all_that_was_ever_written(runtime, path):
    rt = runtime()
    rt.jobs.queue("works")
    rt.stop()

    sums = told(path)

    (turns,) = sums[metrics.TURNS].values()
    assert sum(turns.buckets) >= 1
    assert turns.seconds >= sums[metrics.LOCKED][()] >= 0.0
    assert (OTHER,) not in sums[metrics.QUEUED]


def test_a_slot_that_nobody_heeds_is_late_and_one_of_a_paused_schedule_is_not(timed, time, path):
    rt = timed()
    for name in ("kept", "paused", "gone"):
        rt.scheduler.add(name, "@every 60s", key=name, durable=name != "gone")
    rt.scheduler.pause("paused", key="paused")
    fires = lag(path, time.clock().now)
    rt.stop()
    time.advance(200)

    late = lag(path, time.clock().now)

    assert fires == {("gone",): 0.0, ("kept",): 0.0, ("paused",): 0.0}
    assert late == {("kept",): 140.0, ("paused",): 0.0}


def lag(path: Path, now: Any) -> dict[tuple[str, ...], Any]:
    store = readable_table(str(path), "tallies")
    found = metrics_of(inspector_of(store, now=now), version="1")
    store.close()
    return next(metric.values for metric in found if metric.of == metrics.LAG)


def test_what_people_do_is_counted_too(runtime, path):
    runtime().stop()
    ada = Operator(path, by="ada", via="test")

    ada.queue("mail", id="j")
    ada.cancel("j")
    ada.requeue("j")
    list(ada.sweep([["j"]], "cancel"))

    sums = told(path)
    assert (sums[metrics.QUEUED]["mail",], sums[metrics.REQUEUED]["mail",]) == (1, 1)
    assert sums[metrics.ENDED]["mail", "cancelled"] == 2


def test_health_is_a_number_that_rises_as_a_store_gets_worse(runtime, path):
    with runtime():
        well = told(path)[metrics.STORE_HEALTH]
    idle = told(path)[metrics.STORE_HEALTH]
    Operator(path, by="ada", via="test").queue("mail")

    assert (well, idle, told(path)[metrics.STORE_HEALTH]) == ({(): 0}, {(): 1}, {(): 2})


def test_no_label_is_an_id(runtime, recorder, path):
    rt = runtime()
    rt.jobs.add_handler("works", lambda job: None)
    schedule = rt.scheduler.add("works", "@yearly", durable=True)
    job = rt.jobs.queue("works")
    recorder.wait_for("job.done")

    labels = {label for values in told(path).values() for key in values for label in key}

    assert labels.isdisjoint({job.id, schedule, rt.boot.id})
    assert labels == {"works", "ready", "parked", "scheduled", "running", "answers", "1.2.3"} | {
        "supervisor",
        "broker",
        "scheduler",
        "handler",
    }


def store_sums(path: Path, *tallies: Tally) -> None:
    store = SqliteStore(str(path))
    store.open()
    with store.turn("b", NOW) as turn:
        assert turn.tallies is not None
        turn.tallies.add(tallies)
    store.close()


def test_names_beyond_so_many_are_one_and_no_sum_falls_when_others_come(path):
    store_sums(path, *(Tally(EVER, 0, name, "queued", 1) for name in ("b", "d", "e", OTHERS)))
    before = told(path, names_max=2)[metrics.QUEUED]

    store_sums(path, *(Tally(EVER, 0, name, "queued", 1) for name in ("a", "c")))
    after = told(path, names_max=2)[metrics.QUEUED]

    assert before == {("b",): 1, ("d",): 1, (OTHER,): 2}
    assert after == {("a",): 1, ("b",): 1, (OTHER,): 4}


def test_a_name_without_sums_takes_the_label_of_none_that_has_some(runtime, path):
    store_sums(path, *(Tally(EVER, 0, name, "queued", 1) for name in ("x", "y")))
    rt = runtime()
    rt.jobs.add_handler("a", lambda job: None)
    rt.jobs.queue("a", delay=600)

    found = told(path, names_max=2)

    assert found[metrics.QUEUED] == {("x",): 1, ("y",): 1}
    assert found[metrics.JOBS][OTHER, "scheduled"] == 1
    assert found[metrics.LANES] == {(OTHER,): 1}


def test_histograms_of_several_outcomes_are_one(path):
    one, two = (tuple(n if bucket == n else 0 for bucket in range(len(BOUNDS) + 1)) for n in (1, 2))
    store_sums(path, Tally(EVER, 0, "x", "ran.failed", 1, 0.5, one), Tally(EVER, 0, "x", "ran.succeeded", 2, 1.0, two))

    assert told(path)[metrics.RUN]["x",] == Distribution([0, 1, 2, *[0] * (len(BOUNDS) - 2)], 1.5)
