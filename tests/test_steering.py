"""What an application does to its jobs on somebody's behalf: who, and why, stands in the ledger and in the lines."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import Debounce, Runtime, UnknownJob, UsageError
from lamplighter.history.trace.sentences import sentence

ADA = {"by": "ada", "reason": "the address was wrong"}

JOIN_SECONDS_MAX = 20


def moves_of(recorder: Any, kind: str) -> list[dict[str, Any]]:
    return [move for line in recorder.of("turn.committed") for move in line["moves"] if move["k"] == kind]


ACTS: dict[str, Callable[[Runtime], object]] = {
    "requeued": lambda rt: rt.jobs.requeue("j", **ADA),
    "cancelled": lambda rt: rt.jobs.cancel("j", **ADA),
    "name.paused": lambda rt: rt.jobs.pause("work", **ADA),
    "name.resumed": lambda rt: rt.jobs.resume("work", **ADA),
    "reprioritized": lambda rt: rt.jobs.reprioritize("j", 7, **ADA),
    "reprioritized, awaited": lambda rt: asyncio.run(rt.jobs.areprioritize("j", 7, **ADA)),
    "requeued, awaited": lambda rt: asyncio.run(rt.jobs.arequeue("j", **ADA)),
    "cancelled, awaited": lambda rt: asyncio.run(rt.jobs.acancel("j", **ADA)),
    "name.paused, awaited": lambda rt: asyncio.run(rt.jobs.apause("work", **ADA)),
    "name.resumed, awaited": lambda rt: asyncio.run(rt.jobs.aresume("work", **ADA)),
}


@pytest.mark.parametrize("kind", ACTS)
def test_who_has_it_done_and_why_is_in_the_ledger_and_in_the_line(runtime, recorder, kind):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)
    ACTS[kind](rt)
    kind = kind.partition(",")[0]
    event = kind if kind.startswith("name") else f"job.{kind}"
    rt.stop()

    (move,), (line,) = moves_of(recorder, kind), recorder.of(event)
    assert (move["by"], move["why"], line["by"], line["reason"]) == (*ADA.values(), *ADA.values())
    assert list(move)[-2:] == ["by", "why"]
    assert recorder.audit().ok


def test_what_is_done_on_nobodys_behalf_says_so_by_saying_nothing(runtime, recorder):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)
    rt.jobs.requeue("j")
    rt.jobs.cancel("j")
    rt.stop()

    told = [key for line in recorder.of("turn.committed") for move in line["moves"] for key in move]
    assert not {"by", "via", "why"}.intersection(told)
    assert recorder.of("job.cancelled")[0]["reason"] == "cancelled by the application"
    assert "by" not in recorder.of("job.requeued")[0]


def test_a_cancelled_job_itself_says_who_and_why(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.sleep(60))
    running, waiting = rt.jobs.queue("work"), rt.jobs.queue("work", delay=60)
    recorder.wait_for("job.started")

    said = [rt.jobs.cancel(job, **ADA).reason for job in (running, waiting)]

    assert said == [
        "cancelled by ada while it ran: the address was wrong",
        "cancelled by ada: the address was wrong",
    ]


def test_jobs_that_wait_for_a_lane_run_in_the_order_of_their_new_priorities(runtime, recorder):
    rt, release = runtime(), threading.Event()
    rt.jobs.add_handler("work", lambda job: release.wait(JOIN_SECONDS_MAX) if job.data == "first" else None)
    rt.jobs.queue("work", "first")
    recorder.wait_for("job.started")
    jobs = {key: rt.jobs.queue("work", key, group=key if key in "cd" else None) for key in "abcd"}

    for key, priority in {"a": -1, "b": 3, "c": 2, "d": 4}.items():
        assert rt.jobs.reprioritize(jobs[key], priority).priority == priority
    release.set()
    for job in jobs.values():
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    claimed = [line["job_id"] for line in recorder.of("job.claimed")[1:]]
    assert claimed == [jobs[key].id for key in "dbca"]
    assert recorder.audit().ok


def test_a_priority_out_of_bounds_or_for_a_job_that_is_not_queued_is_refused(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.sleep(60))
    running, waiting = rt.jobs.queue("work"), rt.jobs.queue("work", delay=60)
    recorder.wait_for("job.started")

    with pytest.raises(UsageError, match=f"expected a job that is queued, got: {running.id}, which is running"):
        rt.jobs.reprioritize(running, 1)
    with pytest.raises(UsageError, match="which is cancelled; its priority stays"):
        rt.jobs.reprioritize(rt.jobs.cancel(running), 1)
    with pytest.raises(UsageError, match="expected priority to be a whole number from -1000000 to 1000000"):
        rt.jobs.reprioritize(waiting, 1_000_001)
    with pytest.raises(UnknownJob):
        rt.jobs.reprioritize("nobody", 1)

    assert not recorder.of("job.reprioritized")
    assert {rt.jobs.get(job).priority for job in (running, waiting)} == {0}


def test_the_next_call_with_its_debounce_key_does_not_undo_a_new_priority(runtime, recorder):
    rt, debounce = runtime(), Debounce("doc-7", quiet=60, at_most=600)
    first = rt.jobs.reprioritize(rt.jobs.queue("index", 1, debounce=debounce), 7)

    assert rt.jobs.queue("index", 2, debounce=debounce).id != first.id

    assert [(job.data, job.priority) for job in rt.jobs.list("index")] == [(2, 0), (1, 7)]
    assert recorder.audit().ok


def test_dead_jobs_are_requeued_on_somebodys_behalf(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: 1 / job.data, max_attempts=1)
    for number in range(2):
        rt.jobs.queue("work", 0, id=f"j{number}")
    recorder.wait_for("job.dead", count=2)
    rt.jobs.pause("work")

    assert rt.jobs.requeue_dead("work", **ADA) == 2
    assert asyncio.run(rt.jobs.arequeue_dead("work", by="bob")) == 0
    assert [move["by"] for move in moves_of(recorder, "requeued")] == ["ada", "ada"]


def test_a_name_or_a_reason_that_is_none_is_refused(runtime):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)

    for wrong in ({"by": ""}, {"by": 7}, {"reason": "x" * 201}):
        with pytest.raises(UsageError, match=f"expected {next(iter(wrong))} to be a str of 1 to 200 characters"):
            rt.jobs.cancel("j", **wrong)

    assert rt.jobs.get("j").state == "queued"


@pytest.mark.parametrize("field", ["by", "reason"])
def test_a_line_that_names_another_than_the_ledger_is_found(runtime, recorder, field):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)
    rt.jobs.cancel("j", **ADA)
    rt.stop()
    (line,) = recorder.of("job.cancelled")
    line[field] = "eve"

    (found,) = recorder.audit().findings
    assert found.kind == "told otherwise"
    assert f"expected {field} {ADA[field]}, as the ledger has it, got: eve" in found.says


@pytest.mark.parametrize("change", [{"by": "eve"}, {"by": None}, {"why": "another"}])
def test_who_had_it_done_cannot_be_changed_in_the_ledger(runtime, recorder, change):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)
    rt.jobs.requeue("j", **ADA)
    rt.stop()
    for line in recorder.of("turn.committed"):
        line["moves"] = [
            {key: value for key, value in {**move, **change}.items() if value is not None}
            if move["k"] == "requeued"
            else move
            for move in line["moves"]
        ]

    assert "told otherwise" in {found.kind for found in recorder.audit().findings}


def test_the_lines_say_it_in_words(runtime, recorder):
    rt = runtime()
    rt.jobs.queue("work", id="j", delay=60)
    rt.jobs.requeue("j", **ADA)
    rt.jobs.cancel("j", **ADA)
    recorder.wait_for("job.cancelled")

    lines = [json.loads(json.dumps(recorder.of(event)[0])) for event in ("job.requeued", "job.cancelled")]
    # How long a message has waited is told where it is much.
    says = [sentence({key: value for key, value in line.items() if key != "mail_seconds"}) for line in lines]
    assert says == [
        "requeued by ada, queued again: the address was wrong",
        "cancelled by ada: the address was wrong",
    ]


def test_a_job_of_a_schedule_beside_its_slots_is_told_as_it_was_stored(runtime, recorder):
    """The ledger said of it a slot that it has not, and the audit found another checksum."""
    rt = runtime()
    job = rt.scheduler.run_now(rt.scheduler.add("work", "@yearly"))
    rt.stop()

    (move,) = moves_of(recorder, "queued")
    assert (move["j"], move["s"], "t" in move) == (job.id, job.schedule, False)
    assert recorder.audit().ok
