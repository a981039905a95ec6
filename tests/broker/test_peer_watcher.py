"""Other runtimes on the same file: a hint of theirs is heeded, whatever it arrives among."""

from __future__ import annotations

import threading

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
