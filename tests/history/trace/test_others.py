"""What became of the slots of a schedule, from logs alone."""

from __future__ import annotations

from lamplighter.history.trace.others import schedules_in, trace_schedule

from ..kit import Story, write_log


def test_a_schedule_is_found_by_its_id_or_its_key(tmp_path):
    story = Story().turn({"k": "schedule.added", "s": "5f", "key": "nightly", "n": "n", "when": "@every 10s", "no": 1})
    story.said("schedule.added", schedule="5f", key="nightly", job_name="n", when="@every 10s", timezone="UTC", turn=1)
    story.move("queued", None, 0, 0, "5f-1010", s="5f", t=1010.0)
    log = str(write_log(tmp_path / "log", story.lines))

    by_key = [entry.says for entry in trace_schedule([log], "nightly")]

    assert len(by_key) == 2
    assert [entry.says for entry in trace_schedule([log], "5f")] == by_key
    only_turns = [line for line in story.lines if line["event"] != "schedule.added"]
    assert trace_schedule([str(write_log(tmp_path / "turns", only_turns))], "nightly")
    assert schedules_in([log]) == {"5f": "nightly, n, @every 10s"}


def test_two_slots_of_a_schedule_that_fire_in_one_turn_are_both_told(tmp_path):
    story = Story()
    slots = (102, 104)
    story.turn(*(story.hop("queued", None, 0, 0, f"5f-{slot}", s="5f", t=float(slot)) for slot in slots))
    log = str(write_log(tmp_path / "log", story.lines))

    told = trace_schedule([log], "5f")

    assert [entry.said["slot"] for entry in told] == [102.0, 104.0]


def test_each_store_has_a_job_of_its_own_for_a_slot(tmp_path):
    done, waits = Story("b1", store="one"), Story("b2", store="other")
    for story in (done, waits):
        story.move("queued", None, 0, 0, "s-1010", s="s", t=1010.0)
    done.move("claimed", "queued", 1, 0, "s-1010").move("done", "running", 1, 1, "s-1010")
    log = write_log(tmp_path / "log", [*done.lines, *waits.lines])

    slots = {entry.said["boot"]: entry.says for entry in trace_schedule([str(log)], "s")}

    assert "the job is done" in slots["b1"]
    assert "it has not ended" in slots["b2"]
