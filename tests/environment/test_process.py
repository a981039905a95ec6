"""What the system says of processes: of this one, and of others."""

from __future__ import annotations

import os

import pytest
from lamplighter.environment.process import measured

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only Linux says it")


def test_one_more_open_file_and_thread_are_counted():
    before = measured()
    with open(os.devnull) as _:
        after = measured()

    assert after.descriptors == before.descriptors + 1
    assert before.threads >= 1
    assert before.rss_bytes > 1_000_000
