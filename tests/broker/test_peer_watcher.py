"""Other runtimes on the same file: a hint of theirs is heeded, whatever it arrives among."""

from __future__ import annotations

import threading

import pytest
from lamplighter.broker.peer_watcher import POLL
from lamplighter.environment.replies import ThreadReply
from lamplighter.messages.mail import CheckDue, Housekeep, Mail
from lamplighter.testing.draining import is_idle


def test_a_hint_that_arrives_among_other_mail_is_heeded(runtime, recorder, monkeypatch, caller):
    first = runtime()
    recorder.until(lambda: is_idle(first), "the first to be idle")
    broker = first.boot.post.find("broker")
    entered, go = threading.Event(), threading.Event()
    commit = broker._run_turn
    monkeypatch.setattr(broker, "_run_turn", lambda batch: (entered.set(), go.wait(10), commit(batch))[2])
    queued = caller(first.jobs.queue, "nobody")
    assert entered.wait(10)

    second = runtime()
    recorder.until(lambda: is_idle(second) and len(broker.mailbox), "the second to be there and to have hinted")
    first.boot.post.tell("broker", CheckDue(foreign=True))
    first.boot.post.tell("broker", Housekeep())
    go.set()
    queued.result(10)

    recorder.until(lambda: broker._state.others, "the first to learn of the second", timeout=3)
    assert [other.boot for other in broker._state.others] == [second.boot.id]


def test_after_a_poll_the_next_one_comes_though_no_turn_has_followed(runtime, recorder):
    rt = runtime()
    recorder.until(lambda: is_idle(rt), "it to be idle")
    broker = rt.boot.post.find("broker")
    broker._alarms.unheard = True

    # The direct lane takes no turn of the broker's after it.
    broker._neighbours.note(POLL)

    assert not broker._alarms.unheard


@pytest.fixture
def hinted(runtime, recorder, monkeypatch):
    """Gives a broker a hint right after it has read the changes of others: what it does then. Nothing else comes."""
    rt = runtime()

    def hinted(handler=None, *, awaited=None, poll=False):
        if handler is not None:
            rt.jobs.add_handler("work", handler)
        recorder.until(lambda: is_idle(rt), "it to be idle")
        broker, looks, found = rt.boot.post.find("broker"), [], []
        neighbours = broker._neighbours
        monkeypatch.setattr(broker._store, "changed", lambda: looks.append("changed") or False)
        monkeypatch.setattr(broker, "_look_out", lambda: looks.append("queues") or None)

        def hear():
            neighbours._changes_due = broker._state.monotonic() + 3600
            broker._alarms._cancel("changes")
            broker._alarms._timers.pop("changes", None)
            if awaited is not None:
                broker._joins.add(awaited, ThreadReply())
            broker.receive(Mail(1, None, None, 0.0, CheckDue(foreign=True, poll=poll)))
            found.append((neighbours.has_put_off, looks[:], "changes" in broker._alarms._timers))

        recorder.until(lambda: broker.mailbox.lend(hear) or found, "the broker to wait for mail")
        return found[0]

    return hinted


def test_a_hint_waits_a_little_where_no_lane_is_free_and_nobody_joins(hinted):
    has_put_off, looks, is_set = hinted()

    assert has_put_off
    assert "changed" not in looks
    assert is_set
    assert hinted(awaited="a job")[1][0] == "changed"


def test_who_has_put_a_hint_off_does_not_look_at_the_queues(hinted):
    assert hinted()[1] == []


def test_a_poll_is_not_put_off(hinted):
    assert hinted(poll=True)[1][0] == "changed"


def test_a_hint_is_heeded_at_once_where_a_lane_is_free(hinted):
    has_put_off, looks, _ = hinted(lambda job: None)

    assert (has_put_off, looks[0]) == (False, "changed")


def test_a_job_that_another_runs_by_a_claim_of_its_own_is_given_up_here(runtime, recorder, monkeypatch):
    first, begun, release, heard = runtime(), threading.Event(), threading.Event(), []

    def work(job):
        begun.set()
        job.sleep(60)
        heard.append(job.cancel_reason)

    first.jobs.add_handler("work", work)
    job = first.jobs.queue("work")
    assert begun.wait(10)
    second = runtime()
    recorder.until(lambda: is_idle(first) and is_idle(second), "both to be idle")
    store = first.boot.store
    changed = store.changed

    # The first does not see that the job is queued in between.
    monkeypatch.setattr(store, "changed", lambda: False)
    second.jobs.requeue(job)
    second.jobs.add_handler("work", lambda job: release.wait(30))
    recorder.wait_for("job.started", job_id=job.id, claim_no=2)
    monkeypatch.setattr(store, "changed", lambda: changed() or True)
    recorder.until(lambda: heard, "the first to be told")
    release.set()

    assert heard == ["it is running"]
    assert second.jobs.join(job, timeout=10).state == "done"
