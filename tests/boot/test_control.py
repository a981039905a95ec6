"""A boot is asked from outside: it answers whatever its actors, its jobs and its log do."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time as walltime
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter import Environment
from lamplighter.boot import control
from lamplighter.messages.controls import Ask
from lamplighter.messages.views import DeclaredView, RuntimeView, StacksView
from lamplighter.rules.control_lines import AskRefused, decode_answer, encode_ask
from lamplighter.stores import controls
from lamplighter.stores.asking import ask_all
from lamplighter.testing.draining import is_idle

from support.gate import Gate

PATIENCE = 15.0
"""Seconds that a busy machine may take."""


def where(rt):
    return Path(f"{rt.boot.store.path}-boots") / f"{rt.boot.id}.ctl"


def ask(path, verb, kind, **about):
    heard = ask_all({"it": path}, encode_ask(Ask(verb=verb, **about)), PATIENCE, walltime.monotonic)["it"]
    assert heard.answer is not None, heard.why
    return decode_answer(heard.answer, kind)


def test_a_boot_answers_who_it_is_where_it_is_and_what_it_declares(runtime, recorder):
    rt = runtime(start=False)
    rt.jobs.add_handler("work", lambda job: None)
    schedule = rt.scheduler.add("work", "@daily", key="k")
    rt.start()

    view = ask(where(rt), "view", RuntimeView)

    assert (view.boot, view.names, view.health.status) == (rt.boot.id, ("work",), "green")
    stacks = {one.name for one in ask(where(rt), "stacks", StacksView).stacks}
    assert {"MainThread", "lamplighter broker", "lamplighter control"} <= stacks
    assert ask(where(rt), "declares", DeclaredView).schedules == (schedule,)


def test_its_row_says_where_it_answers(runtime):
    rt = runtime()

    with closing(sqlite3.connect(rt.boot.store.path)) as db:
        ((address,),) = db.execute("select control from lamplighter_boots").fetchall()

    assert address == str(where(rt))


def test_an_unknown_verb_is_refused_by_name_and_an_error_is_told_to_who_asked(runtime, monkeypatch):
    rt = runtime()

    with pytest.raises(AskRefused, match=r"expected one of view, stacks, declares.*got: 'dance'"):
        ask(where(rt), "dance", RuntimeView)
    monkeypatch.setattr(rt.boot.views, "declared", lambda: 1 / 0)
    with pytest.raises(AskRefused, match="ZeroDivisionError"):
        ask(where(rt), "declares", DeclaredView)
    monkeypatch.setattr(control, "ANSWER_BYTES_MAX", 10)
    with pytest.raises(AskRefused, match="at most 10 bytes"):
        ask(where(rt), "view", RuntimeView)


def test_a_boot_whose_broker_hangs_in_a_write_batch_answers_and_says_so(runtime, recorder, caller):
    gate = Gate("store.turn.commit")
    rt = runtime(environment=Environment(failpoints=gate))
    recorder.until(lambda: is_idle(rt), "it to be idle")
    gate.is_shut = True
    queued = caller(rt.jobs.queue, "work")
    assert gate.reached.wait(PATIENCE)

    view, stacks = ask(where(rt), "view", RuntimeView), ask(where(rt), "stacks", StacksView)

    gate.opened.set()
    queued.result(PATIENCE)
    broker = next(actor for actor in view.actors if actor.name == "broker")
    assert (broker.busy_with, broker.busy_seconds >= 0.0) == ("Queue", True)
    assert view.turns.under_way_seconds >= 0.0
    assert any("store.turn.commit" in one.stack for one in stacks.stacks)


class Stuck(logging.Handler):
    """Whoever writes a line waits until it may go on."""

    def __init__(self):
        super().__init__()
        self.reached, self.opened = threading.Event(), threading.Event()

    def emit(self, record):
        if "turn.committed" in record.getMessage():
            self.reached.set()
            self.opened.wait(30)


def test_a_boot_whose_broker_hangs_as_it_writes_a_line_answers(runtime, caller):
    stuck, logger = Stuck(), logging.Logger("stuck", logging.INFO)
    logger.addHandler(stuck)
    rt = runtime(logger=logger)
    queued = caller(rt.jobs.queue, "work")
    assert stuck.reached.wait(PATIENCE)

    view = ask(where(rt), "view", RuntimeView)

    stuck.opened.set()
    queued.result(PATIENCE)
    assert next(actor for actor in view.actors if actor.name == "broker").busy_seconds >= 0.0


def where_it_hangs(release):
    release.wait(30)


def test_a_hung_thread_is_shown_with_the_place_where_it_hangs(runtime, recorder):
    rt, release = runtime(lane_grace_seconds=0.01), threading.Event()
    rt.jobs.add_handler("work", lambda job: where_it_hangs(release), timeout=1, max_attempts=1)
    job = rt.jobs.queue("work")
    recorder.wait_for("lane.abandoned", job_id=job.id)

    view = ask(where(rt), "view", RuntimeView)

    release.set()
    (hung,) = view.health.abandoned
    assert (hung.job_id, hung.why) == (job.id, "timed out")
    assert "where_it_hangs" in hung.stack
    assert [lane.abandoned for lane in view.lanes] == ["timed out"]


def test_a_socket_that_was_cleaned_away_is_there_again_after_a_poll(runtime, recorder):
    rt = runtime()
    path = where(rt)
    path.unlink()

    recorder.until(path.exists, "it to be made anew")

    assert ask(path, "view", RuntimeView).boot == rt.boot.id
    assert recorder.of("control.lost") == []


def test_a_thread_that_fails_is_told_in_the_log_and_replaced(runtime, recorder, monkeypatch):
    rt = runtime()
    monkeypatch.setattr(controls, "memoryview", lambda text: 1 / 0, raising=False)
    heard = ask_all({"it": where(rt)}, encode_ask(Ask(verb="view")), PATIENCE, walltime.monotonic)["it"]
    monkeypatch.undo()

    lost = recorder.wait_for("control.lost")

    assert heard.answer is None
    assert "ZeroDivisionError" in lost["reason"]
    assert ask(where(rt), "view", RuntimeView).boot == rt.boot.id


def test_where_there_can_be_no_socket_it_is_said_once_and_the_runtime_works(runtime, recorder, monkeypatch):
    monkeypatch.setattr("lamplighter.broker.peer_watcher.POLL_SECONDS", 0.01)

    def none(path):
        raise OSError("no such thing here")

    monkeypatch.setattr(controls, "short_path", none)
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: "done")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=PATIENCE).result == "done"
    recorder.wait_for("control.lost")
    assert [event["reason"].endswith("no such thing here") for event in recorder.of("control.lost")] == [True]
    # The start says it, and no poll need come.
    said = [event["event"] for event in recorder.events]
    assert said[said.index("runtime.started") + 1] == "control.lost"
    assert ask_all({"it": where(rt)}, b"\n", PATIENCE, walltime.monotonic)["it"].answer is None


def test_a_runtime_that_stops_leaves_no_socket_and_no_thread(runtime):
    rt = runtime()
    path = where(rt)

    rt.stop()

    assert not path.exists()
    threads = [thread for thread in threading.enumerate() if thread.name == "lamplighter control"]
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


def test_a_boot_that_was_renewed_answers_by_its_new_name(runtime, recorder):
    rt = runtime()
    before = where(rt)
    recorder.until(lambda: is_idle(rt), "it to be idle")
    with closing(sqlite3.connect(rt.boot.store.path)) as db:
        db.execute("delete from lamplighter_boots")
        db.commit()
    recorder.wait_for("runtime.renewed")
    recorder.until(lambda: is_idle(rt), "it to be idle")

    assert ask(where(rt), "view", RuntimeView).boot == rt.boot.id
    assert where(rt) != before
    assert not before.exists()


def test_a_store_in_memory_has_no_socket_and_nothing_to_say_about_it(runtime, recorder):
    rt = runtime(":memory:")

    assert rt.boot._standing.controls.address is None
    rt.stop()
    assert recorder.of("control.lost") == []
