"""What becomes of queued jobs: none is rescued, run or removed before its time, and keys do not race."""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import timedelta

import pytest
from lamplighter import Snooze, StaleClaim, StoreUnavailable, UnknownJob
from lamplighter.testing import Simulation
from lamplighter.testing.draining import is_idle


def state_of(rt, recorder):
    """What the broker knows."""
    recorder.until(lambda: rt.boot.post.find("broker") is not None, "the broker to be found")
    return rt.boot.post.find("broker")._state


def test_a_job_that_is_due_earlier_is_not_put_off_by_one_that_is_due_later():
    with Simulation(lambda runtime: runtime.jobs.add_handler("work", lambda job: None)) as simulation:
        jobs = simulation.runtime.jobs
        for delay in (10, 3600, 5, 60):
            jobs.queue("work", delay, id=f"in-{delay}", delay=delay)
            simulation.run(seconds=0.5)
        simulation.run(seconds=120)
        lines = map(json.loads, simulation.log.splitlines())
        started = {line["job_id"]: line["ts"] for line in lines if line["event"] == "job.started"}
        queued = {one: jobs.get(one).queued_at.timestamp() for one in started}

    assert {one: round(at - queued[one]) for one, at in started.items()} == {"in-5": 5, "in-10": 10, "in-60": 60}


def test_a_live_job_is_never_rescued_by_its_age(timed, time, recorder):
    rt, other = timed(), timed()
    begun, go = threading.Event(), threading.Event()
    for one in (rt, other):
        one.jobs.add_handler("work", lambda job: (begun.set(), go.wait(20)))
    job = rt.jobs.queue("work")
    # One whose function has not begun in time is taken back: its claim is logged before that.
    assert begun.wait(15)
    recorder.wait_for("job.started", job_id=job.id)

    for _ in range(5):
        time.advance(86400)
        recorder.until(lambda: is_idle(rt) and is_idle(other), "everybody to have looked")
    state = rt.jobs.get(job)
    go.set()

    assert (state.state, state.record.claim_no) == ("running", 1)
    assert rt.jobs.join(job, timeout=10).record.claim_no == 1
    assert len(recorder.of("job.started", job_id=job.id)) == 1


def test_names_that_nobody_handles_are_warned_of_once_and_make_health_yellow(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("send-mail", lambda job: None)
    recorder.wait_for("handler.added")
    recorder.until(lambda: state_of(rt, recorder).capacities, "its lanes to be known")
    rt.jobs.queue_many([("send_mail", number) for number in range(5)])
    rt.jobs.queue("send_mail", 5)
    rt.jobs.pause("other")
    recorder.wait_for("name.paused")

    (parked,) = recorder.of("name.parked")
    assert (parked["job_name"], parked["jobs"], parked["meant"]) == ("send_mail", 5, "send-mail")
    health = rt.health()
    assert (rt.jobs.paused(), health.status) == (("other",), "yellow")
    assert health.reasons == (
        "the jobs of 'other' are paused",
        "no living runtime has a handler for 'send_mail', and 6 of its jobs wait",
    )

    rt.jobs.add_handler("send_mail", lambda job: None)
    rt.jobs.resume("other")
    recorder.wait_for("job.done", count=6)
    assert rt.health().status == "green"


def test_a_name_that_nobody_handles_is_warned_of_again_after_a_minute_if_more_come(timed, time, recorder):
    rt = timed()

    def queue_after(seconds):
        time.advance(seconds)
        rt.jobs.queue("nobody")
        rt.jobs.pause(f"after-{seconds}")
        recorder.wait_for("name.paused", job_name=f"after-{seconds}")
        return len(recorder.of("name.parked", job_name="nobody"))

    assert [queue_after(seconds) for seconds in (0, 59, 2, 1)] == [1, 1, 2, 2]


def test_a_name_that_nobody_handles_is_warned_of_again_while_its_jobs_wait(timed, time, recorder):
    rt = timed()
    rt.jobs.add_handler("send-mail", lambda job: None)
    recorder.until(lambda: state_of(rt, recorder).capacities, "its lanes to be known")
    first, later = rt.jobs.queue("send_mail"), rt.jobs.queue("send_mail", delay=3600)
    rt.jobs.queue("gone")
    rt.jobs.cancel(rt.jobs.queue("ended"))

    def said_after(seconds):
        before = len(recorder.of("name.parked"))
        recorder.until(lambda: is_idle(rt), "it to poll again")
        time.advance(seconds)
        rt.jobs.pause(f"after-{time.elapsed}")
        recorder.wait_for("name.paused", job_name=f"after-{time.elapsed}")
        lines = recorder.of("name.parked")[before:]
        return sorted((line["job_name"], line["jobs"], line.get("meant")) for line in lines)

    assert said_after(59) == []
    assert said_after(2) == [("gone", 1, None), ("send_mail", 2, "send-mail")]
    assert said_after(2) == []

    rt.jobs.cancel(first)
    rt.jobs.add_handler("gone", lambda job: None)
    recorder.wait_for("job.done", job_name="gone")
    assert said_after(60) == [("send_mail", 1, "send-mail")]
    assert "no living runtime has a handler for 'send_mail', and 1 of its jobs wait" in rt.health().reasons

    rt.jobs.cancel(later)
    assert said_after(61) == []
    assert state_of(rt, recorder).parked.said == {}


def test_a_name_that_another_process_has_come_to_handle_is_not_warned_of_again(timed, time, recorder):
    rt, other = timed(), timed()
    rt.jobs.queue("work", delay=3600)
    other.jobs.add_handler("work", lambda job: None)
    recorder.until(lambda: "work" in (state_of(other, recorder).stored_names or ()), "its row to say so")

    recorder.until(lambda: is_idle(rt), "it to poll again")
    time.advance(61)
    rt.jobs.pause("after")
    recorder.wait_for("name.paused")

    assert len(recorder.of("name.parked")) == 1


@pytest.mark.parametrize("work", [True, False], ids=["a worker", "a producer"])
def test_due_jobs_from_before_a_start_are_warned_of_if_nobody_handles_them(timed, time, recorder, work):
    before = timed()
    before.jobs.pause("work")
    for name, options in (("old", {}), ("grouped", {"group": "g"}), ("later", {"delay": 90}), ("handled", {})):
        before.jobs.queue(name, **options)
    before.jobs.queue("delayed", delay=1)
    before.stop()
    other, rt = timed(start=False), timed(start=False)
    other.jobs.add_handler("handled", lambda job: None)
    other.start()
    recorder.until(lambda: "handled" in (state_of(other, recorder).stored_names or ()), "its row to say so")
    rt.start(work=work)

    def said_after(seconds):
        recorder.until(lambda: is_idle(rt), "it to be idle")
        before = len(recorder.of("name.parked", boot=rt.boot.id))
        time.advance(seconds)
        rt.jobs.pause(f"after-{time.elapsed}")
        recorder.wait_for("name.paused", job_name=f"after-{time.elapsed}")
        lines = recorder.of("name.parked", boot=rt.boot.id)[before:]
        return sorted((line["job_name"], line["jobs"]) for line in lines)

    assert said_after(1) == [("delayed", 1), ("grouped", 1), ("old", 1)]
    waits = "no living runtime has a handler for {!r}, and 1 of its jobs wait"
    assert {waits.format(name) for name in ("delayed", "grouped", "old")} <= set(rt.health().reasons)
    assert waits.format("later") not in rt.health().reasons
    assert said_after(59) == []
    assert said_after(61) == [("delayed", 1), ("grouped", 1), ("later", 1), ("old", 1)]


def test_due_jobs_in_memory_are_warned_of_once_their_handler_is_gone(timed, time, recorder):
    rt = timed(store=":memory:")
    handler = rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.queue("work", delay=30)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    rt.jobs.remove_handler(handler)
    recorder.wait_for("handler.removed")
    assert rt.health().status == "green"

    recorder.until(lambda: time.advance(20) or recorder.of("name.parked"), "a look at the store")

    assert (time.elapsed >= 30, recorder.of("name.parked")[0]["job_name"]) == (True, "work")
    assert rt.health().reasons == ("no living runtime has a handler for 'work', and 1 of its jobs wait",)


def test_very_many_names_that_nobody_handles_are_one_line_and_not_one_each(timed, time, recorder):
    rt = timed()
    rt.jobs.queue_many([(f"name-{number:04}", None) for number in range(3_000)])
    rt.jobs.queue("one more")
    (line,) = recorder.of("name.parked")

    assert (line["names"], line["examples"][0], len(line["examples"])) == (3_000, "name-0000", 5)
    recorder.until(lambda: time.advance(10) or len(recorder.of("name.parked")) > 1, "it to be said again")
    (_, again) = recorder.of("name.parked")
    assert (again["names"], again["examples"][0]) == (3_001, "one more")
    # Health would tell of an actor over whose message so much time has passed.
    recorder.until(lambda: is_idle(rt), "it to be idle")
    reasons = rt.health().reasons
    assert (len(reasons), reasons[-1]) == (11, "no living runtime has a handler for 2,991+ more names that have jobs")
    assert len(state_of(rt, recorder).parked.said) <= 100


def test_the_eleventh_name_that_nobody_handles_is_told_at_once_in_one_line(timed, recorder):
    rt = timed()
    for number in range(11):
        rt.jobs.queue(f"name-{number}")
    rt.jobs.queue("one more")

    lines = recorder.of("name.parked")
    assert [line.get("job_name") for line in lines] == [*(f"name-{number}" for number in range(10)), None]
    assert (lines[-1]["names"], lines[-1]["examples"]) == (11, ["name-10"])


def test_a_deploy_without_the_handler_deletes_nothing(runtime, recorder):
    rt = runtime()
    job = rt.jobs.queue("renamed", {"kept": True})
    for _ in range(2):
        rt.stop()
        rt.start()

    recorder.wait_for("job.parked", job_id=job.id)
    rt.jobs.add_handler("renamed", lambda job: job.data)

    assert rt.jobs.join(job, timeout=10).result == {"kept": True}


def test_what_has_ended_is_pruned(timed, time, recorder):
    rt = timed(keep_done_seconds=60)
    rt.jobs.mark_done(rt.jobs.queue("work", id="old"))
    recorder.until(lambda: time.advance(5) or recorder.of("retention.pruned"), "retention to remove it")

    with pytest.raises(UnknownJob):
        rt.jobs.get("old")


def test_the_mailbox_is_bounded(timed, recorder, tmp_path):
    rt = timed(mailbox_messages_max=1, reply_seconds_max=0.05, busy_seconds_max=0.02)
    recorder.wait_for("actor.started", child="broker")

    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    other.execute("begin immediate")
    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            rt.jobs.queue("work")
    assert len(rt.boot.post.find("broker").mailbox) <= 2
    other.execute("rollback")
    other.close()


def test_a_job_that_is_due_in_weeks_is_delivered_once(timed, time, recorder):
    rt = timed()
    ran = []
    rt.jobs.add_handler("work", lambda job: ran.append(job.id))
    job = rt.jobs.queue("work", delay=timedelta(days=30))

    for _ in range(30):
        time.advance(86400 - 1)
        recorder.until(lambda: is_idle(rt), "everybody to have looked")
    before = list(ran)
    time.advance(60)
    rt.jobs.join(job, timeout=10)

    assert (before, ran) == ([], [job.id])


def test_unique_keys_do_not_race(runtime):
    runtimes = [runtime(), runtime()]
    found, errors = [], []

    def queue(rt):
        try:
            found.append(rt.jobs.queue("sync", unique="user-1").id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=queue, args=(rt,)) for rt in runtimes for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert errors == []
    assert (len(found), len(set(found))) == (30, 1)


def test_a_job_that_is_snoozed_past_its_expiry_expires_in_time(timed, time, recorder):
    def snooze(job):
        raise Snooze(600)

    rt = timed()
    rt.jobs.add_handler("work", snooze)
    job = rt.jobs.queue("work", expires=5)
    recorder.wait_for("job.snoozed")

    time.advance(6)

    assert recorder.wait_for("job.cancelled")["job_id"] == job.id


def test_a_picture_of_a_job_ends_no_later_job_of_its_id(timed, time, recorder):
    rt = timed(keep_done_seconds=4)
    first = rt.jobs.queue("work", id="a")
    rt.jobs.cancel(first)
    time.advance(60)
    recorder.wait_for("retention.pruned")
    rt.jobs.queue("work", id="a")

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(first)

    assert rt.jobs.get("a").state == "queued"


def test_an_attempt_is_stale_once_a_host_has_marked_its_job_done(runtime, recorder):
    rt = runtime()
    kept = []

    def once(job):
        kept.append(job)
        raise ValueError("not this time")

    rt.jobs.add_handler("work", once, backoff=[600])
    job = rt.jobs.queue("work")
    recorder.wait_for("job.failed")
    rt.jobs.mark_done(job.id, "by an operator")

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done(kept[0].token, "by the attempt")

    assert rt.jobs.get(job).result == "by an operator"
