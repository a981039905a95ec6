"""Which file a runtime is on: decided once, when it is made, whatever its process does to folders and links then."""

from __future__ import annotations

import os

import pytest
from lamplighter import NotStarted


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
