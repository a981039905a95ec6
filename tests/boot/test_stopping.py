"""What a stop waits for, what it says meanwhile, and who can make it end sooner."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from itertools import pairwise

import pytest
from lamplighter import Snooze
from lamplighter.boot import draining
from lamplighter.broker import boots
from lamplighter.testing import Script, Simulation, hang

NOTHING_BACK = "the runtime could not give its jobs back as it stopped"


def test_a_job_that_sleeps_hears_of_the_stop_at_its_beginning_and_how_it_ends_counts(runtime, recorder):
    # It heard of it when its time was over, and a stop with it took the whole drain.
    rt = runtime()
    rt.jobs.add_handler("polls", lambda job: "woken" if not job.sleep(3600) and job.stopping else "slept")

    @rt.jobs.handler("gives back")
    def give_back(job):
        if not job.sleep(3600):
            raise Snooze(0)

    jobs = [rt.jobs.queue(name) for name in ("polls", "gives back")]
    for job in jobs:
        recorder.wait_for("job.started", job_id=job.id)

    rt.stop(drain=3600)

    recorder.wait_for("runtime.stopped", interrupted=0)
    assert recorder.of("runtime.draining") == []
    done, back = (runtime().jobs.get(job) for job in jobs)
    assert (done.state, done.result) == ("done", "woken")
    assert (back.state, back.attempt, back.record.interruptions) == ("queued", 0, 0)


def test_a_stop_that_waits_says_which_jobs_it_waits_for(runtime, recorder):
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(30))
    rt.jobs.queue("slow", id="a")
    recorder.wait_for("job.started")

    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()
    said = recorder.wait_for("runtime.draining")
    release.set()
    stopping.join(30)

    assert (said["jobs"], said["waits_for"]) == (1, ["a (slow)"])
    assert 30 < said["left"] < 60
    recorder.wait_for("runtime.stopped", interrupted=0)


def test_a_stop_that_waits_long_says_so_ever_more_seldom():
    script = Script("slow", [hang(1000)])

    def host(runtime):
        runtime.jobs.queue("slow")
        runtime.environment.event().wait(1.0)
        runtime.stop(drain=2000)

    with Simulation(script.add_to, host=host) as simulation:
        simulation.run(seconds=1500)
        said = [json.loads(line) for line in simulation.log.splitlines()]

    told = [line["ts"] for line in said if line["event"] == "runtime.draining"]
    gaps = [later - earlier for earlier, later in pairwise(told)]
    assert len(told) == 10
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps))


def test_who_says_nothing_of_the_drain_waits_less_than_a_container_is_given(runtime, recorder):
    # It was 30 seconds, and `docker stop` kills after ten: with all jobs that were about to end.
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(30))
    rt.jobs.queue("slow", id="a")
    recorder.wait_for("job.started")

    stopping = threading.Thread(target=rt.stop)
    stopping.start()
    said = recorder.wait_for("runtime.draining")
    release.set()
    stopping.join(30)

    assert said["left"] < 8


def test_another_stop_that_would_wait_less_ends_the_drain_of_the_first(runtime, recorder):
    rt = runtime(drain=3600)
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(30))
    rt.jobs.queue("slow")
    recorder.wait_for("job.started")
    stopping = threading.Thread(target=rt.stop)
    stopping.start()
    assert recorder.wait_for("runtime.stopping")["drain"] == 3600

    rt.stop(drain=0)

    recorder.wait_for("runtime.stopped", interrupted=1)
    stopping.join(30)
    release.set()
    assert not stopping.is_alive()


def test_a_cancelled_end_of_async_with_drains_no_longer(runtime, recorder):
    rt = runtime(start=False, drain=3600)
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(30))

    async def serve():
        async with rt:
            await rt.jobs.aqueue("slow")
            await asyncio.to_thread(recorder.wait_for, "job.started")

    async def main():
        serving = asyncio.create_task(serve())
        await asyncio.to_thread(recorder.wait_for, "runtime.stopping")
        serving.cancel()
        await asyncio.wait([serving])
        return serving.cancelled(), rt.boot

    assert asyncio.run(main()) == (True, None)
    release.set()
    recorder.wait_for("runtime.stopped", interrupted=1)


def test_a_boot_that_is_renewed_in_a_stop_says_again_that_it_stops(runtime, recorder, tmp_path):
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(30))
    rt.jobs.queue("slow")
    recorder.wait_for("job.started")
    stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
    stopping.start()

    def said():
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as db:
            return db.execute("select boot, stopping from lamplighter_boots").fetchall()

    recorder.until(lambda: said() == [(rt.boot.id, 1)], "the boot to say that it stops")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as db, db:
        db.execute("delete from lamplighter_boots")
    rt.jobs.queue("nobody")
    renewed = recorder.wait_for("runtime.renewed")

    recorder.until(lambda: said() == [(renewed["next_boot"], 1)], "the boot to say so under its new name")
    release.set()
    stopping.join(30)
    assert not stopping.is_alive()


def test_a_boot_whose_number_is_not_known_yet_does_not_say_on_which_store_it_was(runtime, recorder):
    """It was renewed, and its store failed before its first turn. Others, who bury it, know its number."""
    rt = runtime()
    rt.boot._standing.boot_no = 0

    rt.boot._say_stopped()

    stopped = recorder.wait_for("runtime.stopped")
    assert {"store_id", "boot_no"} & stopped.keys() == set()


@pytest.mark.parametrize("work", ["nothing", "one_that_runs", "one_that_has_ended"])
def test_a_stop_does_not_wait_for_a_store_that_is_locked_all_the_while(runtime, recorder, tmp_path, monkeypatch, work):
    # It took ten seconds more than the drain, and 25 with work at hand, so that it was killed.
    monkeypatch.setattr(draining, "SETTLE_SECONDS_MAX", 60)
    # The next start finds it dead at once: its lock file is there, and nobody holds it.
    monkeypatch.setattr(boots, "UNTRACED_SECONDS_MAX", 3600)
    rt = runtime(reply_seconds_max=3600)
    boot, tries = rt.boot, []
    turn = boot.store.turn

    def note(*args):
        tries.append(boot.requests.has_given_up)
        return turn(*args)

    # A turn that waits already when the lock is taken is one of them.
    boot.store.turn = note
    release, ended = threading.Event(), threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(60))
    if work != "nothing":
        rt.jobs.queue("slow", id="it")
        recorder.wait_for("job.started")

    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        if work == "one_that_has_ended":
            release.set()
        stopping = threading.Thread(target=lambda: (rt.stop(drain=0), ended.set()))
        stopping.start()
        is_over = ended.wait(30)
        other.execute("rollback")
    release.set()
    stopping.join(30)

    assert is_over
    assert tries
    assert not any(tries)
    recorder.wait_for("store.unavailable", reason=NOTHING_BACK)
    after = runtime()
    recorder.wait_for("runtime.recovered", dead_boot=boot.id)
    if work != "nothing":
        assert (after.jobs.get("it").state, after.jobs.get("it").attempt) == ("queued", 0)


def test_a_drain_waits_for_a_store_that_is_locked_and_comes_back(runtime, recorder, tmp_path):
    rt = runtime()
    release = threading.Event()
    rt.jobs.add_handler("slow", lambda job: release.wait(60))
    rt.jobs.queue("slow", id="it")
    recorder.wait_for("job.started")

    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        release.set()
        stopping = threading.Thread(target=rt.stop, kwargs={"drain": 60})
        stopping.start()
        recorder.wait_for("runtime.stopping")
        recorder.wait_for("store.waiting")
        recorder.wait_for("runtime.draining")
        other.execute("rollback")
    stopping.join(30)

    recorder.wait_for("runtime.stopped", interrupted=0)
    assert recorder.of("store.unavailable", reason=NOTHING_BACK) == []
    assert runtime().jobs.get("it").state == "done"
