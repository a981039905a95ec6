"""Which file a runtime is on: decided once, when it is made, whatever its process does to folders and links then."""

from __future__ import annotations

import os
import threading


def start_and_stop(runtime):
    with runtime:
        return [job.id for job in runtime.jobs.list()]


def test_a_relative_path_is_the_same_file_at_every_start(runtime, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    rt = runtime("relative.db")
    rt.jobs.queue("mail", id="accepted")
    rt.stop()

    monkeypatch.chdir("elsewhere")
    found = start_and_stop(rt)

    assert found == ["accepted"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_path_of_a_runtime_that_was_made_in_another_folder_is_where_it_was_made(runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rt = runtime("sqlite:///relative.db", start=False)

    monkeypatch.chdir("/")
    start_and_stop(rt)

    assert (tmp_path / "relative.db").exists()


def test_a_link_is_followed_when_the_runtime_is_made(runtime, tmp_path):
    for release in ("old", "new"):
        (tmp_path / release).mkdir()
    link = tmp_path / "current"
    link.symlink_to("old")
    rt = runtime(link / "jobs.db")
    rt.jobs.queue("mail", id="accepted")
    rt.stop()

    link.unlink()
    link.symlink_to("new")

    assert start_and_stop(rt) == ["accepted"]


def test_a_store_reached_through_a_link_is_the_same_store_and_nobody_is_robbed(runtime, recorder, tmp_path):
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    direct = runtime(tmp_path / "real.db")
    go = threading.Event()
    direct.jobs.add_handler("work", lambda job: go.wait(10))
    job = direct.jobs.queue("work")
    recorder.wait_for("job.started", job_id=job.id)

    linked = runtime(tmp_path / "link.db")
    # Answered only after the first turn, which takes back what the dead held.
    linked.jobs.queue("nobody")

    both = {direct.boot.id, linked.boot.id}
    for rt in (direct, linked):
        assert {boot.boot for boot in rt.boot.store.surroundings("b").boots} == both
        assert all(rt.boot._standing.presence.is_alive(boot) for boot in both)
    assert (linked.jobs.get(job).state, linked.jobs.get(job).record.claim_no) == ("running", 1)
    go.set()
    assert direct.jobs.join(job, timeout=10).result is True


def test_a_relative_store_path_survives_a_change_of_folder(runtime, tmp_path, monkeypatch, caller):
    monkeypatch.chdir(tmp_path)
    rt = runtime("relative.db")
    rt.jobs.add_handler("work", lambda job: "ran")

    monkeypatch.chdir("/")

    assert rt.jobs.join(rt.jobs.queue("work"), timeout=10).result == "ran"
    assert [caller(rt.jobs.counts, "work").result(10)["done"] for _ in range(3)] == [1, 1, 1]
    assert (tmp_path / "relative.db").exists()
