"""What `trace` tells of jobs that follow one another."""

from __future__ import annotations

import pytest
from lamplighter import Runtime
from lamplighter.history.trace.job import biography
from lamplighter.testing import Simulation


@pytest.mark.parametrize("level", ["debug", "info"])
def test_both_ends_are_told(tmp_path, level):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("whole", lambda job: job.then(*[("part", number) for number in range(3)]))
        runtime.jobs.add_handler("part", lambda job: None)

    with Simulation(register, host=lambda runtime: runtime.jobs.queue("whole", id="a")) as simulation:
        simulation.settle()
        lines = simulation.log.splitlines(keepends=True)
    log = tmp_path / "log"
    log.write_text("".join(line for line in lines if level == "debug" or '"level":"debug"' not in line))

    whole, part = biography([str(log)], "a"), biography([str(log)], "a.1.2")

    assert whole is not None
    assert part is not None
    assert whole.entries[-1].says.endswith(", and followed by 3 jobs")
    assert part.entries[0].says.startswith("queued to follow job a")
    assert whole.gaps == part.gaps == 0
