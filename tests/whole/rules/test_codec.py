"""Data as JSON text: what comes out is what went in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETS = """
from dataclasses import dataclass
from lamplighter.rules.codec import encode

@dataclass
class Tagged:
    tags: set

print(encode([{"a", "b", "c", 1}, Tagged({"a", "b", "c"})], what="data", bytes_max=100))
"""


def test_a_set_has_one_order_in_every_process() -> None:
    """The id of a schedule is made of its data. Text hashes differently in each process."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", SETS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert texts == {'[["a","b","c",1],{"tags":["a","b","c"]}]\n'}


SHORT = """
import resource, sys
from lamplighter.log.log_line import to_json
from lamplighter.rules.codec import checksum, encode, encode_own

large, many = "z" * 100_000, ["z"] * 500
values = [large, many, [large, many]]
makers = [
    lambda value: encode(value, what="data", bytes_max=10**9),
    encode_own,
    checksum,
    lambda value: to_json({"data": value}),
]
# An iterator needs memory too, so it is made while there is some.
calls = iter([(make, value) for make in makers for value in values])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 20 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
held = []
for size in (1_000_000, 50_000, 2_000):
    try:
        while True:
            held.append(bytearray(size))
    except MemoryError:
        continue
refused = 0
for make, value in calls:
    try:
        make(value)
    except MemoryError:
        refused += 1
held.clear()
print(refused)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere the memory of a process cannot be limited so"
)
def test_memory_that_is_short_is_an_error_and_does_not_end_the_process() -> None:
    ran = subprocess.run([sys.executable, "-P", "-c", SHORT], capture_output=True, text=True, check=False, timeout=60)

    assert ran.returncode == 0, (ran.returncode, ran.stderr)
    assert int(ran.stdout) > 0
