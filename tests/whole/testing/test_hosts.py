"""What the documentation says of hosts in a simulation, and of failpoints outside of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LANES = """
import sys
from lamplighter import Runtime
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import from_environment

def work(job):
    return 7

if __name__ == "__main__":
    import lanes
    runtime = Runtime(":memory:", environment=Environment(failpoints=from_environment()))
    runtime.jobs.add_handler("work", lanes.work, isolation=sys.argv[1], max_attempts=1)
    with runtime:
        job = runtime.jobs.queue("work")
        try:
            print(runtime.jobs.join(job, timeout=30).result)
        except Exception as error:
            print(type(error).__name__)
"""


@pytest.mark.parametrize(("isolation", "said"), [("thread", "JobFailed"), ("process", "7")])
@pytest.mark.parametrize("point", ["lane.call", "lane.returned"])
def test_a_child_process_passes_no_failpoints(tmp_path: Path, isolation: str, said: str, point: str) -> None:
    (tmp_path / "lanes.py").write_text(LANES)
    armed = {**os.environ, "LAMPLIGHTER_FAILPOINTS": f"{point}=raise(OSError: armed)"}

    ran = subprocess.run(
        [sys.executable, "lanes.py", isolation], cwd=tmp_path, env=armed, capture_output=True, text=True, check=False
    )

    assert ran.stdout.splitlines()[-1] == said
