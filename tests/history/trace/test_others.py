"""What became of the slots of a schedule, from logs alone."""

from __future__ import annotations

from lamplighter.history.trace.others import schedules_in, trace_actor, trace_root, trace_schedule

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


def test_an_actor_has_its_own_lines_and_a_handler_those_of_its_threads_too(tmp_path):
    story = Story()
    for child in ("handler:work", "handler:other", "scheduler"):
        story.said("actor.crashed", child=child, child_incarnation=1, reason="died")
    story.said("supervisor.restarted")
    for name in ("work", "other"):
        story.said("lane.abandoned", job_name=name, lane=1).said("handler.halted", job_name=name)
        story.said("handler.added", job_name=name)
    log = str(write_log(tmp_path / "log", story.lines))

    def events(name: str) -> list[tuple[str, str]]:
        return [
            (entry.said["event"], entry.said.get("child") or entry.said.get("job_name", ""))
            for entry in trace_actor([log], name)
        ]

    assert events("handler:work") == [
        ("actor.crashed", "handler:work"),
        ("lane.abandoned", "work"),
        ("handler.halted", "work"),
    ]
    assert events("scheduler") == [("actor.crashed", "scheduler")]
    assert events("broker") == [("actor.started", "broker")]
    assert events("supervisor") == [("supervisor.restarted", "")]


def test_all_that_descends_from_a_job_is_told_with_moves_that_only_the_ledger_has(tmp_path):
    story = (
        Story().move("queued", None, 0, 0, "root").move("queued", None, 0, 0, "child").move("queued", None, 0, 0, "k")
    )
    story.said("job.queued", job_id="child", job_name="n", corr="root", turn=2)
    story.said("actor.crashed", child="broker", message_corr="root", reason="died")
    story.said("job.parked", job_id="k", job_name="n", corr="k")
    log = str(write_log(tmp_path / "log", story.lines))

    says = [entry.says for entry in trace_root([log], "root")]

    assert says == ["[n root] queued", "[n child] queued", "broker/? DIED: died"]


def test_the_end_of_a_slots_job_is_told_with_how_long_it_took_and_why(tmp_path):
    story = Story().turn({"k": "skipped", "s": "5f", "t": 1000.0, "l": 1000.0, "x": 1})
    story.said("slot.skipped", schedule="5f", slot=1000.0, last=1000.0, count=1, reason="paused", turn=1)
    story.move("queued", None, 0, 0, "5f-1010", s="5f", t=1010.0)
    story.said("slot.fired", schedule="5f", slot=1010.0, job_id="5f-1010", outcome="fired", turn=2)
    story.move("claimed", "queued", 1, 0, "5f-1010").move("dead", "running", 1, 1, "5f-1010")
    story.lines[-1]["reason"] = "no more attempts"
    log = str(write_log(tmp_path / "log", story.lines))

    says = [entry.says for entry in trace_schedule([log], "5f")]

    assert says == [
        "slot 1970-01-01T00:16:40Z did not fire: paused",
        "slot 1970-01-01T00:16:50Z fired as job 5f-1010; the job is dead 3 s after it was queued (no more attempts)",
    ]
