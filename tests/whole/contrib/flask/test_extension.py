"""The Flask extension, within one process: its settings, what it starts when, and the context around each job."""

from __future__ import annotations

import os

import pytest

from ....contrib.flask.test_extension import Served, ask, runtime_of, serve, served
from ....faults.kit import rows

__all__ = ["served"]
"""Fixtures that both halves of these tests use."""


def test_a_forked_child_starts_a_producer_of_its_own(served: Served) -> None:
    app = served.make()
    ask(app, "/queue/work")

    child = os.fork()
    if child == 0:
        try:
            ask(app, "/queue/work")
            runtime_of(app).stop()
        except BaseException:
            os._exit(1)
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert rows(served.folder / "instance" / "app.db", "select count(*) from lamplighter_jobs") == [(2,)]


@pytest.mark.parametrize("work_in", ["worker", "web"])
def test_a_forked_child_starts_with_its_first_request_whatever_that_asks_for(served: Served, work_in: str) -> None:
    app = served.make(WORK_IN=work_in)
    serve(app, "/", lambda: "nothing to do with jobs")
    app.test_client().get("/")

    child = os.fork()
    if child == 0:
        try:
            app.test_client().get("/")
            boot = runtime_of(app).boot
            assert boot is not None and boot.share.works == (work_in == "web")
            runtime_of(app).stop()
        except BaseException:
            os._exit(1)
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
