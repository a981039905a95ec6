"""Mail that waits while the store cannot be written: what of it is kept, and how much."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from lamplighter import StoreUnavailable
from lamplighter.broker.dispatch import refuse_callers, still_wanted
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import ThreadReply
from lamplighter.messages.jobs import Claim, JobRecord
from lamplighter.messages.mail import (
    Capacity,
    CheckDue,
    ClockJumped,
    Ended,
    Ending,
    Mail,
    Pause,
    Progressed,
    Queue,
    Tick,
    WatchExternalCommit,
)
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.messages.schedules import Accounting

from support.conformance.kit import new

KEPT_MAX = 5


def mails(*bodies):
    return [Mail(n, None, None, 0.0, body) for n, body in enumerate(bodies)]


def wanted(*bodies):
    return [mail.body for mail in still_wanted(mails(*bodies))]


def ended(*claim_nos):
    job = JobRecord(1, "a", "work", "null", "running", 0, 0.0, 0.0, "a")
    outcome = Outcome(kind=OutcomeKind.SUCCEEDED)
    return Ended("work", tuple(Ending(Claim(job._replace(claim_no=row_id)), outcome, Policy()) for row_id in claim_nos))


def up(name, lanes):
    return Capacity(name, 1, lanes, 0, None, None, (), 0)


def tick(schedule_id, to):
    return Tick(schedule_id, 1, Accounting((), (), to))


def pause(*, given_up):
    reply = ThreadReply()
    if given_up:
        with pytest.raises(TimeoutError):
            reply.wait(0)
    return Pause("work", True, reply)


def test_of_what_only_the_last_word_counts_the_last_is_kept():
    first, last = (
        [
            Progressed((1, 1), str(n), "b"),
            tick("s", float(n)),
            up("a", n),
            WatchExternalCommit("j", None, float(n)),
            ClockJumped(),
        ]
        for n in (1, 2)
    )
    others = [Progressed((1, 2), "1", "b"), tick("t", 1.0), up("b", 1), WatchExternalCommit("k", None, 1.0)]

    assert wanted(*first, *others, *last) == [*others, *last]


def test_an_ending_is_kept_once_however_often_it_is_told():
    assert wanted(ended(1, 2), ended(3), ended(1), ended(2, 3)) == [ended(1), ended(2, 3)]


def test_who_has_given_up_is_not_answered_and_looks_are_not_kept():
    waits = pause(given_up=False)

    assert wanted(pause(given_up=True), CheckDue(), waits, CheckDue(foreign=True)) == [waits]


def test_who_waits_is_refused_and_the_rest_of_the_mail_stays():
    waits, other = pause(given_up=False), Queue((), ThreadReply())
    kept = mails(waits, ended(1), other, tick("s", 1.0))

    assert refuse_callers(kept, StoreUnavailable("the store is away")) == [kept[1], kept[3]]

    for asked in (waits, other):
        with pytest.raises(StoreUnavailable, match="the store is away"):
            asked.reply.wait(0)


@pytest.fixture
def bounded(runtime):
    """A runtime that keeps few messages, whose callers wait long."""
    return runtime(mailbox_messages_max=KEPT_MAX, busy_seconds_max=0.02, reply_seconds_max=30)


def broker_of(runtime):
    """Its broker, once it has answered."""
    runtime.jobs.resume("nothing")
    return runtime.boot.post.find("broker")


@contextlib.contextmanager
def locked(path):
    """Hold SQLite's write lock as a host with an open transaction does."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        yield


def refusal(call):
    """What a call is refused with; it must not wait."""
    with pytest.raises(StoreUnavailable, match=r"mailbox_messages_max=5: .*locked") as caught:
        call()
    return caught.value


def test_while_the_store_is_away_callers_are_refused_at_once_beyond_a_bound(bounded, recorder, tmp_path):
    jobs, go, refused = bounded.jobs, threading.Event(), []

    @jobs.handler("work")
    def work(job):
        go.wait(30)
        refused.append(refusal(lambda: job.queue("mail")))

    working = jobs.queue("work")
    recorder.wait_for("job.started")
    accepted = {f"j{n}": ThreadReply() for n in range(KEPT_MAX + 1)}
    with locked(tmp_path / "jobs.db"):
        for job_id, reply in accepted.items():
            bounded.boot.post.tell("broker", Queue((new(job_id, name="mail"),), reply))
        recorder.until(lambda: bounded.boot.requests.store_trouble, "the broker to wait for the store")
        refused.append(refusal(lambda: jobs.queue("mail")))
        refused.append(refusal(lambda: jobs.queue_many([("mail", 1)])))
        refused.append(refusal(lambda: asyncio.run(jobs.aqueue("mail"))))
        go.set()
        recorder.until(lambda: len(refused) == 4, "the handler to be refused")
    stored = [record.id for reply in accepted.values() for record, _ in reply.wait(30)]

    assert stored == list(accepted)
    assert all(error.job_id for error in refused)
    jobs.join(working, timeout=10)
    assert jobs.counts("mail")["queued"] == len(accepted)
    # There is room again, also for a caller that waits for nobody else.
    assert [jobs.queue("mail", n).data for n in range(2 * KEPT_MAX)] == [*range(2 * KEPT_MAX)]


def test_a_night_of_progress_reports_is_kept_as_the_last_one(bounded, recorder, tmp_path):
    broker, go = broker_of(bounded), threading.Event()
    bounded.jobs.add_handler("work", lambda job: go.wait(30))
    job = bounded.jobs.queue("work")
    recorder.wait_for("job.started")
    key = bounded.jobs.get(job).record.key

    with locked(tmp_path / "jobs.db"):
        for n in range(1_000):
            bounded.boot.post.tell("broker", Progressed(key, str(n), bounded.boot.id))
        last = Progressed(key, "999", bounded.boot.id)
        recorder.until(lambda: [mail.body for mail in broker._pending] == [last], "the reports to be merged")
    recorder.until(lambda: bounded.jobs.get(job).record.progress == "999", "the last to be stored")
    go.set()


def test_the_mail_of_callers_who_have_given_up_leaves(runtime, recorder, tmp_path, monkeypatch):
    # Nothing is left to do, and no turn for the tallies comes within the test: a look alone finds the store well again.
    monkeypatch.setattr("lamplighter.broker.tallies.FLUSH_SECONDS", 3600)
    rt = runtime(reply_seconds_max=0.2, busy_seconds_max=0.02)
    broker, began = broker_of(rt), monotonic()

    with locked(tmp_path / "jobs.db"):
        with ThreadPoolExecutor(20) as pool:
            calls = [pool.submit(rt.jobs.queue, "mail", n) for n in range(20)]
        assert all(isinstance(call.exception(), StoreUnavailable) for call in calls)
        recorder.wait_for("store.waiting")
        known = monotonic()
        recorder.until(lambda: broker.behind == 0, "their mail to leave")
        least = monotonic() - known

    available = recorder.wait_for("store.available")
    assert available["store"] == str(tmp_path / "jobs.db")
    assert least - 0.001 <= available["waited"] <= monotonic() - began + 0.001
    assert (rt.health().status, rt.health().reasons) == ("green", ())
    assert rt.jobs.counts("mail")["queued"] == 0


class Commits(Failpoints):
    """Counts the turns that are committed."""

    count = 0

    def at(self, point, about=None):
        self.count += point == "store.turn.committed"


@pytest.mark.parametrize("most", [1, 3])
def test_what_was_kept_is_stored_in_turns_of_their_size(runtime, recorder, tmp_path, most):
    commits = Commits()
    rt = runtime(turn_messages_max=most, busy_seconds_max=0.02, environment=Environment(failpoints=commits))
    broker_of(rt)
    replies = {f"j{n}": ThreadReply() for n in range(30)}

    with locked(tmp_path / "jobs.db"):
        for job_id, reply in replies.items():
            rt.boot.post.tell("broker", Queue((new(job_id, name="mail"),), reply))
        recorder.until(lambda: rt.boot.requests.store_trouble, "the broker to wait for the store")
        before = commits.count
    stored = [record for reply in replies.values() for record, _ in reply.wait(30)]

    assert [record.id for record in stored] == list(replies)
    assert commits.count - before >= 30 / most
    recorder.until(
        lambda: rt.boot.post.find("broker").behind == 0, "the broker to have nothing left to remind itself of"
    )
