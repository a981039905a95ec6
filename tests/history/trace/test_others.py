"""What became of the slots of a schedule, from logs alone."""

from __future__ import annotations

from lamplighter.history.trace.others import trace_schedule

from ..kit import Story, write_log


def test_each_store_has_a_job_of_its_own_for_a_slot(tmp_path):
    done, waits = Story("b1", store="one"), Story("b2", store="other")
    for story in (done, waits):
        story.move("queued", None, 0, 0, "s-1010", s="s", t=1010.0)
    done.move("claimed", "queued", 1, 0, "s-1010").move("done", "running", 1, 1, "s-1010")
    log = write_log(tmp_path / "log", [*done.lines, *waits.lines])

    slots = {entry.said["boot"]: entry.says for entry in trace_schedule([str(log)], "s")}

    assert "the job is done" in slots["b1"]
    assert "it has not ended" in slots["b2"]
