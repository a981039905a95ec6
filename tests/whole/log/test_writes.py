"""Lines that are logged together are written together, and whoever else looks at lines sees each of them."""

from __future__ import annotations

import logging

import pytest

from support.logs import run_script, whole_and_torn

from ...log.test_writes import CALL_HANDLERS


@pytest.fixture(autouse=True)
def unwatched(monkeypatch):
    """Nobody stands in for a method of logging's."""
    monkeypatch.setattr(logging.Logger, "callHandlers", CALL_HANDLERS)


def test_a_disk_that_fills_within_a_write_keeps_whole_lines_and_the_rest_is_counted(tmp_path):
    script = """
import resource, threading
from lamplighter import configure_logging
from lamplighter.environment.failpoints import Failpoints
from lamplighter.log.emitter import NOBODY, Log, Said

class Clock:
    def now(self):
        return 1.0

def say(sizes):
    log.emit_all((Said("job.dead", NOBODY, sizes),), lambda event, size: {"reason": "x" * size})

configure_logging("app.log", console=False)
log = Log(None, "boot", Clock(), waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
say([100, 100, 1000, 100])
say([100])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
say([100, 100])
"""
    run_script(script, tmp_path)

    whole, torn = whole_and_torn(tmp_path / "app.log")

    assert torn == 1
    assert [(line["event"], line["seq"]) for line in whole] == [
        ("job.dead", 1),
        ("job.dead", 2),
        ("log.dropped", 7),
        ("job.dead", 8),
        ("job.dead", 9),
    ]
    # As many as there are numbers missing: to say so was tried in vain once.
    assert whole[2]["count"] == 4
