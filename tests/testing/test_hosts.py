"""What the documentation says of hosts in a simulation, and of failpoints outside of one."""

from __future__ import annotations

import time
from collections import Counter

from lamplighter import Runtime, StoreUnavailable
from lamplighter.testing import Faults, Simulation


def register(runtime: Runtime) -> None:
    runtime.jobs.add_handler("work", lambda job: job.data)


def test_a_host_waits_in_virtual_time_until_its_runtime_has_stopped() -> None:
    waited: list[bool] = []

    def host(runtime: Runtime) -> None:
        while not waited or not waited[-1]:
            waited.append(runtime.wait(3600))

    began = time.monotonic()
    with Simulation(register, host=host) as sim:
        sim.run(hours=24.5)
        assert waited == [False] * 24
        sim.runtime.stop()
        sim.run(hours=1)

    assert waited[-1] is True
    assert time.monotonic() - began < 30


def test_what_a_host_calls_may_raise_store_unavailable_and_heals() -> None:
    met: Counter[str] = Counter()

    def host(runtime: Runtime) -> None:
        while not runtime.wait(60):
            try:
                runtime.jobs.join(runtime.jobs.queue("work", id=f"work-{met['done']}"))
                met["done"] += 1
            except StoreUnavailable:
                met["unavailable"] += 1

    with Simulation(register, host=host, faults=Faults(store_error=0.3), reply_seconds_max=1) as sim:
        sim.run(hours=2)
        assert met["unavailable"] > 0
        assert sim.check().ok

    assert met["done"] > 10
