"""What people and applications do to names, schedules and jobs: the ledger tells each act, and who had it done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lamplighter import Discard, Operator

WHO = {"by": "ada", "reason": "a deploy"}
TOLD = {"by": "ada", "why": "a deploy"}


def moves(recorder):
    return [move for line in recorder.of("turn.committed") for move in line["moves"]]


def acts(recorder, *keys):
    """The kinds of moves that name somebody, with these keys of them."""
    return [
        (move["k"], *(move.get(key) for key in keys))
        for move in moves(recorder)
        if {"by": move.get("by"), "why": move.get("why")} == TOLD
    ]


def test_the_ledger_tells_what_was_done_to_a_name_and_by_whom(runtime, recorder, tmp_path):
    rt, until = runtime(), datetime.now(UTC) + timedelta(hours=1)

    rt.jobs.pause("work", until=until, **WHO)
    rt.jobs.resume("work", **WHO)
    rt.jobs.pause("work", **WHO)
    rt.jobs.limit("work", 3, **WHO)
    rt.jobs.limit("work", None, **WHO)

    recorder.wait_for("name.unlimited")
    assert acts(recorder, "n", "u", "x") == [
        ("name.paused", "work", until.timestamp(), None),
        ("name.resumed", "work", None, None),
        ("name.paused", "work", None, None),
        ("name.limited", "work", None, 3),
        ("name.unlimited", "work", None, None),
    ]
    assert recorder.audit(tmp_path / "jobs.db").ok


def test_the_ledger_tells_what_was_done_to_a_job_and_by_whom(runtime, recorder, tmp_path):
    rt = runtime()
    rt.jobs.queue("work", id="j")

    rt.jobs.cancel("j", **WHO)
    rt.jobs.requeue("j", **WHO)
    rt.jobs.reprioritize("j", 7, **WHO)
    rt.jobs.mark_done("j")
    rt.jobs.forget("j", **WHO)

    recorder.wait_for("job.forgotten")
    assert acts(recorder, "j", "priority") == [
        ("cancelled", "j", None),
        ("requeued", "j", None),
        ("reprioritized", "j", 7),
        ("forgotten", "j", None),
    ]
    assert recorder.audit(tmp_path / "jobs.db").ok


def test_the_ledger_tells_what_was_done_to_a_schedule(runtime, recorder, tmp_path):
    rt = runtime()
    schedule = rt.scheduler.add("work", "@daily", durable=True)

    rt.scheduler.pause(schedule)
    with Operator(str(tmp_path / "jobs.db"), by="ada", via="test") as operator:
        operator.resume_schedule(schedule, reason="a deploy")
    recorder.wait_for("operator.acted")
    rt.scheduler.remove(schedule)

    recorder.wait_for("schedule.removed")
    told = [(move["k"], move.get("by")) for move in moves(recorder) if move.get("s") == schedule]
    assert told == [
        ("schedule.added", None),
        ("schedule.paused", None),
        ("schedule.resumed", "ada"),
        ("schedule.removed", None),
    ]
    assert recorder.audit(tmp_path / "jobs.db").ok


def test_what_follows_an_end_is_told_behind_it_in_its_turn(runtime, recorder, tmp_path):
    rt = runtime()

    @rt.jobs.handler("whole")
    def whole(job):
        job.then(("part", 1))
        job.then(("last", 2))

    @rt.jobs.handler("fails")
    def fails(job):
        job.then(("part", 1))
        raise Discard("no")

    for name in ("part", "last"):
        rt.jobs.add_handler(name, lambda job: None)
    rt.jobs.join(rt.jobs.queue("whole", id="w"), 15)
    rt.jobs.queue("fails")
    recorder.wait_for("job.dead")

    (line,) = (one["moves"] for one in recorder.of("turn.committed") if any(move.get("q") for move in one["moves"]))
    end = next(place for place, move in enumerate(line) if move["k"] == "done")
    assert [(move["k"], move.get("q"), move.get("x")) for move in line[end : end + 3]] == [
        ("done", None, 2),
        ("queued", "w", None),
        ("queued", "w", None),
    ]
    assert len(recorder.of("job.queued", then_of="w")) == 2
    recorder.wait_for("job.done", count=3)
    assert recorder.audit(tmp_path / "jobs.db").ok


def test_what_was_asked_for_again_and_not_stored_is_told(runtime, recorder):
    rt = runtime()
    rt.jobs.queue("work", id="a", unique="u")

    again = rt.jobs.queue("work", id="b", unique="u")

    line = recorder.wait_for("job.deduplicated")
    assert (again.id, line["job_id"], line["asked_id"], line["unique_key"]) == ("a", "a", "b", "u")
