"""The boots on a file: who comes is found without a hint, a start that fails leaves none, and none is lost for ever."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.environment import Environment, spawn
from lamplighter.life import Life
from lamplighter.stores.hints import NoHints
from lamplighter.stores.presence import FilePresence


def lamplighter_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("lamplighter ")}


def rows(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def without_hints():
    """An environment in which none is ever heard or sent."""
    return Environment(neighbours=lambda store, boot: (FilePresence(Path(f"{store.address}-boots")), NoHints()))


# --- who comes -----------------------------------------------------------------------------------------------


def test_a_runtime_that_believes_to_be_alone_finds_a_neighbour_that_no_hint_has_told_of(runtime, recorder):
    alone = runtime(environment=without_hints())
    alone.jobs.add_handler("mail", lambda job: job.data)
    recorder.wait_for("actor.started", child="handler:mail")
    other = runtime(environment=without_hints())

    job = other.jobs.queue("mail", "hello")

    assert other.jobs.join(job, timeout=15).result == "hello"


def test_a_cleaned_folder_buries_nobody_and_is_there_again(runtime, recorder, tmp_path):
    one, other = runtime(), runtime()
    folder = tmp_path / "jobs.db-boots"
    left = {f"{rt.life.boot}.{suffix}" for rt in (one, other) for suffix in ("lock", "sock")}

    shutil.rmtree(folder)
    recorder.until(lambda: folder.is_dir() and left <= {path.name for path in folder.iterdir()}, "both to be back")

    boots = {boot for (boot,) in rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")}
    assert boots == {one.life.boot, other.life.boot}
    assert not recorder.of("runtime.recovered")


def test_who_cannot_have_its_lock_file_again_says_so(runtime, recorder, tmp_path):
    rt = runtime()
    folder = tmp_path / "jobs.db-boots"
    shutil.rmtree(folder)
    folder.touch()

    said = recorder.wait_for("presence.lost")

    assert "run all of them as one user" in said["reason"]
    folder.unlink()
    recorder.until((folder / f"{rt.life.boot}.lock").exists, "the lock to be back")
    assert len(recorder.of("presence.lost")) == 1


# --- a start that fails --------------------------------------------------------------------------------------


def failing_at(name):
    """An environment in which the thread of this name cannot be started at first."""
    refused = []

    def start(run, thread_name):
        if thread_name == name and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        return spawn(run, thread_name)

    return Environment(spawn=start)


@pytest.mark.parametrize("thread", ["subscriber", "hints", "supervisor", "watchdog"])
def test_a_start_that_fails_midway_ends_all_that_it_has_begun_and_a_later_one_works(
    runtime, recorder, tmp_path, thread
):
    before = lamplighter_threads()
    rt = runtime(start=False, environment=failing_at(thread))

    with pytest.raises(RuntimeError, match="can't start new thread"):
        rt.start()

    recorder.until(lambda: lamplighter_threads() <= before, "the end of every thread")
    assert not list((tmp_path / "jobs.db-boots").glob("*"))
    rt.jobs.add_handler("work", lambda job: 7)
    with rt:
        assert rt.jobs.join(rt.jobs.queue("work"), timeout=15).result == 7
        boots = rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")
        alone = rt.life.boot
    assert boots == [(alone,)]


def test_a_start_that_fails_at_the_clock_ends_all_that_it_has_begun(runtime, recorder, tmp_path, monkeypatch):
    before, start = lamplighter_threads(), threading.Thread.start

    def refuse(thread):
        if thread.name == "lamplighter clock":
            raise RuntimeError("can't start new thread")
        start(thread)

    rt = runtime(start=False)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start new thread"):
        patch.setattr(threading.Thread, "start", refuse)
        rt.start()

    recorder.until(lambda: lamplighter_threads() <= before, "the end of every thread")
    assert rows(tmp_path / "jobs.db", "select boot from lamplighter_boots") == []


def test_a_start_that_is_interrupted_at_its_end_runs_no_job(runtime, tmp_path, monkeypatch):
    begin = Life.start

    def interrupted(life, *arguments):
        begin(life, *arguments)
        raise KeyboardInterrupt

    rt, ran = runtime(start=False), []
    rt.jobs.add_handler("work", ran.append)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Life, "start", interrupted)
        rt.start()

    with Runtime(tmp_path / "jobs.db") as other:
        other.jobs.queue("work")
        boots = rows(tmp_path / "jobs.db", "select boot from lamplighter_boots")
        alone = other.life.boot

    assert boots == [(alone,)]
    assert ran == []
    assert rt.life is None
