"""A handler that is removed while its jobs run: they end, and nothing stays behind."""

from __future__ import annotations

import threading

from lamplighter.testing.draining import is_idle


def threads_of(name):
    """The threads that run the jobs of a name."""
    return [thread.name for thread in threading.enumerate() if thread.name.endswith(f" {name}")]


def test_claims_that_are_on_their_way_when_the_last_handler_is_removed_go_back(runtime, recorder, monkeypatch, caller):
    rt = runtime()
    ran = []
    handler = rt.jobs.add_handler("work", ran.append)
    recorder.until(lambda: is_idle(rt), "the actors to be idle")
    broker = rt.boot.post.find("broker")
    committed, go = threading.Event(), threading.Event()
    let_out = broker._let_out

    def late(out):
        if any(step.event == "job.claimed" for step in out.transitions) and not committed.is_set():
            committed.set()
            go.wait(10)
        let_out(out)

    monkeypatch.setattr(broker, "_let_out", late)
    queued = caller(rt.jobs.queue, "work", id="J")
    assert committed.wait(10)

    rt.jobs.remove_handler(handler)
    actor = rt.boot.post.find("handler:work")
    recorder.until(lambda: not len(actor.mailbox) and actor.busy_since is None, "the handler to have gone")
    claimed = rt.jobs.get("J").state
    go.set()
    queued.result(10)

    recorder.until(lambda: rt.jobs.get("J").state == "queued", "the job to be back in the queue", timeout=5)
    assert (claimed, ran) == ("running", [])
    rt.jobs.add_handler("work", lambda job: "new")
    assert rt.jobs.join("J", timeout=10).result == "new"


def test_removing_a_handler_whose_job_still_runs_leaves_no_thread_behind(runtime, recorder):
    rt = runtime()
    go = threading.Event()
    handler = rt.jobs.add_handler("leaving", lambda job: go.wait(10))
    job = rt.jobs.queue("leaving")
    recorder.wait_for("job.started", job_id=job.id)

    rt.jobs.remove_handler(handler)
    recorder.until(lambda: is_idle(rt), "the actors to be idle")
    there = threads_of("lane leaving")
    go.set()

    assert rt.jobs.join(job, timeout=10).result is True
    recorder.until(lambda: not threads_of("lane leaving"), "the thread to end", timeout=5)
    assert "lamplighter lane leaving" in there
