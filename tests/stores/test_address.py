"""Which file a runtime is on: decided once, when it is made, whatever its process does to folders and links then."""

from __future__ import annotations

import os

import pytest
from lamplighter import NotStarted


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


@pytest.mark.parametrize("path", ["jobs.db", ":memory:"])
def test_in_a_forked_child_every_call_says_that_it_was_started_before_the_fork(runtime, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    rt = runtime(path)
    read, write = os.pipe()

    child = os.fork()
    if child == 0:
        for call in (rt.jobs.list, rt.jobs.list, rt.tree, lambda: rt.jobs.queue("mail")):
            try:
                call()
                os.write(write, b"went through ")
            except NotStarted as error:
                os.write(write, b"ok " if "before a fork" in str(error) else str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    said = os.read(read, 1000)
    os.close(read)

    assert said == b"ok ok ok ok "
