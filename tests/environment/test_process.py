"""What the system says of processes: of this one, and of others."""

from __future__ import annotations

import mmap
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


def test_memory_that_is_only_reserved_is_not_resident():
    before = measured().rss_bytes
    with mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        reserved = measured().rss_bytes
        memory[: 1 << 26] = bytes(1 << 26)
        used = measured().rss_bytes

    assert reserved - before < 1 << 29
    assert (1 << 26) - (1 << 22) <= used - reserved < 1 << 29
