"""The log: what every line carries, and what can be proved from it."""

from __future__ import annotations

import json
import logging
import re

import pytest
from lamplighter import JobFailed
from lamplighter.log.events import ENVELOPE, EVENTS
from lamplighter.log.outlets import LEVELS
from lamplighter.rules.lifecycle import MOVES


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_named_noun_verbed_with_level_sentence_and_fields_of_its_own(name):
    kind = EVENTS[name]

    assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
    assert kind.level in LEVELS
    assert kind.says.endswith(".")
    assert len(set(kind.fields)) == len(kind.fields)
    assert not set(kind.fields) & (ENVELOPE.keys() | {"level"})


def busy_life(rt, recorder):
    """A little of everything, and then the end."""
    rt.jobs.add_handler("good", lambda job: "fine")
    rt.jobs.add_handler("bad", lambda job: 1 / 0, max_attempts=2, backoff=[0])
    good, bad = rt.jobs.queue("good"), rt.jobs.queue("bad")
    rt.jobs.join(good, timeout=10)
    with pytest.raises(JobFailed):
        rt.jobs.join(bad, timeout=10)
    rt.jobs.requeue(good)
    rt.jobs.join(good, timeout=10)
    rt.jobs.cancel(rt.jobs.queue("nobody"))
    rt.stop()
    recorder.wait_for("runtime.stopped")
    return good, bad


def test_every_line_has_its_boot_and_a_seq_that_rises_by_one(runtime, recorder):
    rt = runtime()
    busy_life(rt, recorder)

    assert {event["boot"] for event in recorder.events} == {recorder.events[0]["boot"]}
    assert [event["seq"] for event in recorder.events] == list(range(1, len(recorder.events) + 1))
    assert all(event["level"] == EVENTS[event["event"]].level for event in recorder.events)


def test_the_revisions_of_all_transitions_are_gapless_and_in_order(runtime, recorder):
    rt = runtime()
    busy_life(rt, recorder)

    revs = [event["rev"] for event in recorder.events if "rev" in event]

    assert revs == list(range(1, len(revs) + 1))


def test_the_lines_at_info_alone_account_for_every_revision(runtime, recorder):
    rt = runtime()
    busy_life(rt, recorder)

    audible = [event for event in recorder.events if event["level"] != "debug"]
    revs = sorted(rev for event in audible for rev in event.get("revs", ()))
    all_revs = sorted(event["rev"] for event in recorder.events if "rev" in event)

    assert revs == all_revs
    assert all(len(event["revs"]) == len(event["times"]) for event in audible if "revs" in event)


def test_the_transitions_of_a_job_are_a_legal_walk(runtime, recorder):
    rt = runtime()
    jobs = busy_life(rt, recorder)

    for job in jobs:
        state = None
        for event in recorder.events:
            if event.get("job_id") == job.id and "to" in event:
                before, after = MOVES[event["event"]]
                assert event.get("from") == state
                assert state in before
                assert event["to"] == after == event["to"]
                state = event["to"]
        assert state == ("done" if job.name == "good" else "dead")


def test_the_life_of_a_job_is_told_under_its_own_root(runtime, recorder):
    rt = runtime()
    good, bad = busy_life(rt, recorder)

    told = [event["event"] for event in recorder.events if event.get("job_id") == bad.id]

    assert told == [
        "job.queued",
        "job.claimed",
        "job.started",
        "job.failed",
        "job.retried",
        "job.claimed",
        "job.started",
        "job.failed",
        "job.dead",
    ]
    lives = [event for event in recorder.events if event.get("job_id") == good.id and event["event"] != "job.requeued"]
    assert {event["corr"] for event in lives} == {good.id}


def test_without_a_logger_of_the_hosts_the_lines_go_to_the_standard_logger_as_json(runtime, caplog):
    caplog.set_level(logging.DEBUG, logger="lamplighter")
    rt = runtime()
    rt.stop()

    lines = [json.loads(record.message) for record in caplog.records if record.name == "lamplighter"]

    assert lines[0]["event"] == "runtime.started"
    assert lines[-1]["event"] == "runtime.stopped"
