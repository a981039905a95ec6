"""The Flask extension, within one process: its settings, what it starts when, and the context around each job."""

from __future__ import annotations

import os

from ....contrib.flask.test_extension import Served, ask, runtime_of, served
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
