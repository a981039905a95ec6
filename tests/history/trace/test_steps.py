"""What `trace` tells of the steps of a job: how far each attempt has come."""

from __future__ import annotations

import pytest
from lamplighter import Runtime
from lamplighter.history.log_files.search import in_order
from lamplighter.history.trace.job import biography
from lamplighter.history.trace.others import with_hops
from lamplighter.testing import Simulation

from ..kit import Story, sealed


@pytest.mark.parametrize("level", ["debug", "info"])
def test_each_step_is_told_and_what_an_attempt_goes_on_after(tmp_path, level):
    def register(runtime: Runtime) -> None:
        def work(job):
            for name in ("one", "two"):
                job.step(name, lambda: "x")
                if job.attempt == 1:
                    raise ValueError("no")

        runtime.jobs.add_handler("work", work, backoff=[0.0])

    with Simulation(register, host=lambda runtime: runtime.jobs.queue("work", id="a")) as simulation:
        simulation.settle()
        lines = simulation.log.splitlines(keepends=True)
    log = tmp_path / "log"
    log.write_text("".join(line for line in lines if level == "debug" or '"level":"debug"' not in line))

    told = biography([str(log)], "a")

    assert told is not None
    assert told.gaps == 0
    said = [entry.says for entry in told.entries[:-1]]
    begins = ("step ", "attempt 2 goes on")
    steps = [next(begin for begin in begins if text.startswith(begin)) for text in said if text.startswith(begins)]
    assert steps == (["step ", "attempt 2 goes on", "step "] if level == "debug" else ["step ", "step "])
    assert told.entries[-1].says.endswith(", with 2 steps")


def test_of_several_steps_in_one_turn_each_is_told():
    story = Story().move("queued", None, 0, 0).move("claimed", "queued", 1, 0)
    steps = [{"k": "stepped", "j": "j", "n": "n", "r": 2, "c": 1, "d": "ab", "step": name} for name in ("one", "two")]
    story.turn(*steps).said("job.stepped", job_id="j", job_name="n", claim_no=1, turn=3, step="two", took=0.5)

    found = in_order(with_hops(map(sealed, story.lines), lambda move: True))

    told = [(said["step"], said.get("took")) for said in found if said["event"] == "job.stepped"]
    assert told == [("one", None), ("two", 0.5)]
