"""Runtimes that do not work, or take only the jobs of some names."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from lamplighter import UnknownSchedule, UsageError
from lamplighter.testing.draining import is_idle


def rows(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


@pytest.fixture
def producer(runtime):
    """A runtime that is started as a producer, by code that has a handler and a schedule."""
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: pytest.fail("a producer has run a job"))
    rt.scheduler.add("work", "* * * * * *", key="every second")
    return rt.start(work=False)


def test_a_producer_has_no_names_no_lanes_and_no_schedules(producer, recorder, tmp_path):
    producer.jobs.add_handler("later", lambda job: pytest.fail("a producer has run a job"))
    producer.scheduler.add("work", "@every 1s", key="later")
    job = producer.jobs.queue("work")
    recorder.until(lambda: is_idle(producer), "it to be idle")

    assert [actor.name for actor in producer.tree()] == ["supervisor", "broker"]
    assert producer.health().reasons == ("no living runtime has a handler for 'work', and 1 of its jobs wait",)
    assert producer.jobs.get(job).state == "queued"
    assert recorder.wait_for("job.parked")["job_id"] == job.id
    assert recorder.of("handler.added") == []
    assert recorder.wait_for("runtime.started")["work"] is False
    path = tmp_path / "jobs.db"
    assert rows(path, "select names, kind from lamplighter_boots") == [("[]", "producer")]
    assert rows(path, "select * from lamplighter_schedules") == []


def test_what_a_producer_queues_wakes_the_workers_at_once(producer, runtime, recorder, monkeypatch):
    # No poll would find it within the test.
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 3600)
    worker = runtime()
    worker.jobs.add_handler("work", lambda job: job.data)
    recorder.until(lambda: is_idle(worker) and worker.boot.post.find("broker")._state.others, "both to be idle")

    assert producer.jobs.join(producer.jobs.queue("work", 7), timeout=15).result == 7


def test_the_calls_of_a_producer_reach_the_jobs_and_schedules_of_its_workers(producer, runtime, recorder):
    worker, began = runtime(), threading.Semaphore(0)
    worker.jobs.add_handler("slow", lambda job: (began.release(), job.sleep(60))[1], concurrency=2)
    jobs, scheduler = producer.jobs, producer.scheduler
    cancelled, requeued = jobs.queue("slow"), jobs.queue("slow")
    for _ in range(2):
        assert began.acquire(timeout=15)

    assert jobs.cancel(cancelled).state == "cancelled"
    jobs.pause("slow")
    assert jobs.requeue(requeued).state == "queued"
    jobs.mark_done(requeued, "by hand")
    assert jobs.join(requeued, timeout=15).result == "by hand"
    durable = scheduler.add("slow", "@daily", durable=True)
    scheduler.pause(durable)
    assert [one.paused for one in worker.scheduler.list()] == [True]
    scheduler.remove(durable)
    assert worker.scheduler.list() == []


def test_a_producer_with_older_code_leaves_the_schedules_of_newer_workers_alone(runtime, tmp_path):
    # The parent of a web server's reloader goes on with the code of before.
    newer, older = runtime(start=False), runtime(start=False)
    newer.scheduler.add("work", "@every 2h", key="k")
    newer.start()
    older.scheduler.add("work", "@every 1h", key="k")
    older.start(work=False)
    again = older.scheduler.add("work", "@every 3h", key="k")

    def stored():
        return rows(tmp_path / "jobs.db", 'select "when", change_no from lamplighter_schedules')

    before = stored()
    older.scheduler.remove(again)

    assert before == stored() == [("@every 2h", 1)]
    with pytest.raises(UnknownSchedule):
        older.scheduler.remove(again)


def test_only_the_jobs_of_some_names_are_run(runtime, recorder):
    ran = {"web": [], "worker": []}
    processes = {}
    for where in ran:
        processes[where] = rt = runtime(start=False)
        for name in ("mail", "report"):
            rt.jobs.add_handler(name, lambda job, where=where: ran[where].append(job.name))
    processes["web"].start(only=["mail"])
    report = processes["web"].jobs.queue("report")
    mails = [processes["web"].jobs.queue("mail") for _ in range(3)]
    for mail in mails:
        processes["web"].jobs.join(mail, timeout=15)
    parked = recorder.wait_for("job.parked")

    processes["worker"].start(only={"report"})

    processes["web"].jobs.join(report, timeout=15)
    assert parked["job_id"] == report.id
    assert ran == {"web": ["mail"] * 3, "worker": ["report"]}
    assert [event.get("only") for event in recorder.of("runtime.started")] == [["mail"], ["report"]]
    actors = [[actor.name for actor in rt.tree()] for rt in processes.values()]
    assert actors == [["supervisor", "broker", "scheduler", f"handler:{name}"] for name in ("mail", "report")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": ["send_mail"]}, r"got: 'send_mail'; did you mean 'send-mail'\?"),
        ({"only": ["nobody"]}, "got: 'nobody'; there are: report, send-mail"),
        ({"only": ["report", 7]}, "expected only to be a str of 1 to 200 characters, got: 7"),
        ({"only": "report"}, "expected only to be a list of names, got: 'report'"),
        ({"only": 7}, "expected only to be a list of names, got: 7"),
        ({"only": []}, r"one name or more; a runtime that runs no jobs is start\(work=False\)"),
        ({"only": ["report"], "work": False}, "expected only= without work=False"),
        ({"work": "no"}, "expected work to be True or False, got: 'no'"),
    ],
    ids=str,
)
def test_what_a_start_cannot_do_is_said_and_nothing_is_started(runtime, options, says):
    rt = runtime(start=False)
    for name in ("report", "send-mail"):
        rt.jobs.add_handler(name, print)

    with pytest.raises(UsageError, match=says):
        rt.start(**options)

    assert rt.boot is None


def test_a_start_that_would_do_less_than_it_is_asked_for_is_refused(runtime):
    rt = runtime(start=False)
    for name in ("mail", "report"):
        rt.jobs.add_handler(name, print)

    with rt.start(work=False) as entered:
        assert entered.start(work=False) is rt
        with pytest.raises(UsageError, match=r"started with work=False: stop\(\) it first"):
            rt.start()
        with pytest.raises(UsageError, match="work=False"):
            rt.run()
    with rt.start(only=["mail"]):
        assert rt.start() is rt.start(only=["mail"]) is rt.start(work=False)
        with pytest.raises(UsageError, match=r"expected only=\['report'\] as this .* got: \['mail'\]"):
            rt.start(only=["report"])
    assert rt.boot is None
