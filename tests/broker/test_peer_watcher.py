"""Other runtimes on the same file: a hint of theirs is heeded, whatever it arrives among."""

from __future__ import annotations

import threading

from lamplighter.broker.peer_watcher import POLL
from lamplighter.messages.mail import CheckDue, Housekeep
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
