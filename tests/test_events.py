"""The log: what every line carries, and what can be proved from it."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import lamplighter
import pytest
from lamplighter import JobFailed
from lamplighter.history.log_files.lines import LoggedMove
from lamplighter.log.events import ENVELOPE, EVENTS, JOB, LEDGER, MOVE_KEYS, MOVE_KINDS, WHO
from lamplighter.log.log_line import to_json
from lamplighter.log.outlets import LEVELS
from lamplighter.messages.jobs import JobRecord, Transition
from lamplighter.rules.ledger_moves import BESIDES, told_move
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


def test_the_ledger_tells_every_turn_of_the_boot_without_a_gap(runtime, recorder):
    rt = runtime()
    busy_life(rt, recorder)

    turns = recorder.of("turn.committed")

    assert [turn["turn"] for turn in turns] == list(range(1, len(turns) + 1))
    assert {turn["boot_no"] for turn in turns} == {1}
    (stopped,) = recorder.of("runtime.stopped")
    assert (stopped["turn"], stopped["boot_no"], stopped["store_id"]) == (len(turns), 1, turns[0]["store_id"])
    assert {key for turn in turns for key in turn} <= {*ENVELOPE, "level", *LEDGER}
    moves = [move for turn in turns for move in turn["moves"]]
    assert {move["k"] for move in moves} <= MOVE_KINDS.keys()
    # By this order both sides come to the same checksum.
    assert all([*move] == [key for key in MOVE_KEYS if key in move] for move in moves)
    assert tuple(MOVE_KEYS) == LoggedMove.__struct_encode_fields__


def test_a_move_is_told_in_the_order_of_its_keys_whatever_the_order_of_the_fields():
    """A turn says of an end what went with it as it finds it out; whoever reads it sums it up in one order."""
    job = JobRecord(1, "a-job", "good", "{}", "done", 0, 1.0, 1.0, "a-job", attempt=1, claim_no=1)
    fields = dict.fromkeys(reversed(BESIDES), 1)

    move = told_move(Transition("job.done", job, "running", fields), 1.0)

    assert move.keys() >= set(BESIDES.values())
    assert [*move] == [key for key in MOVE_KEYS if key in move]


def test_every_line_about_a_move_says_what_the_ledger_tells_of_its_turn(runtime, recorder):
    rt = runtime()
    busy_life(rt, recorder)

    told = {
        (turn["turn"], f"job.{move['k']}", move["j"]): move
        for turn in recorder.of("turn.committed")
        for move in turn["moves"]
        if "j" in move
    }
    lines = [event for event in recorder.events if event["event"] in MOVES]

    assert {(line["turn"], line["event"], line["job_id"]) for line in lines} == told.keys()
    for line in lines:
        move = told[line["turn"], line["event"], line["job_id"]]
        outcome = "succeeded" if line["event"] == "job.done" else line.get("outcome")
        assert (line["claim_no"], line["attempt"], outcome) == (move.get("c", 0), move.get("a", 0), move.get("o"))


def test_a_done_job_says_a_short_line_without_what_is_told_beside_it(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("parent", lambda job: job.queue("child").id)
    rt.jobs.add_handler("child", lambda job: None)
    parent = rt.jobs.join(rt.jobs.queue("parent"), timeout=10)
    rt.jobs.join(parent.result, timeout=10)

    of_parent, of_child = (recorder.wait_for("job.done", job_id=job_id) for job_id in (parent.id, parent.result))

    envelope = {"event", "level", "ts", "boot", "seq"}
    own = {"job_id", "job_name", "claim_no", "attempt", "turn", "took"}
    assert of_parent.keys() - {"mail_seconds"} == envelope | own
    assert of_child.keys() - {"mail_seconds"} == envelope | own | {"corr"}
    assert of_child["corr"] == parent.id
    of_parent.pop("mail_seconds", None)
    assert len(to_json({**of_parent, "job_name": "send-welcome", "seq": 12345, "turn": 1234})) <= 235


def test_a_failed_attempt_is_one_line_with_its_error_and_when_it_is_tried_again(runtime, recorder):
    rt = runtime()
    _, bad = busy_life(rt, recorder)

    (failed,), (dead,) = recorder.of("job.failed", job_id=bad.id), recorder.of("job.dead", job_id=bad.id)

    about = ("outcome", "error", "reason")
    error = "ZeroDivisionError: division by zero"
    assert [failed[name] for name in about] == ["failed", error, "failed in attempt 1 of 2"]
    assert isinstance(failed["run_at"], float)
    assert [dead[name] for name in about] == ["failed", error, "failed in attempt 2 of 2"]
    assert "traceback" in failed
    assert "traceback" in dead
    of_it = [event["event"] for event in recorder.events if event.get("job_id") == bad.id and event["level"] != "debug"]
    assert of_it == ["job.failed", "job.dead"]


def test_a_turn_of_many_moves_is_told_in_parts(runtime, recorder):
    rt = runtime()
    rt.jobs.queue_many([("nobody", number) for number in range(450)])
    rt.stop()
    recorder.wait_for("runtime.stopped")

    lines = [line for line in recorder.of("turn.committed") if line["moves"][0]["k"] == "queued"]

    assert [(line["part"], line["parts"], len(line["moves"])) for line in lines] == [
        (1, 3, 200),
        (2, 3, 200),
        (3, 3, 50),
    ]
    assert len({line["turn"] for line in lines}) == 1


def test_the_moves_of_a_job_are_counted_and_a_legal_walk(runtime, recorder):
    rt = runtime()
    jobs = busy_life(rt, recorder)

    for job in jobs:
        state, moves = (
            None,
            [m for turn in recorder.of("turn.committed") for m in turn["moves"] if m.get("j") == job.id],
        )
        assert [move["r"] for move in moves] == list(range(1, len(moves) + 1))
        for move in moves:
            before, after = MOVES[f"job.{move['k']}"]
            assert move.get("f") == state
            assert state in before
            state = after
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
        "job.claimed",
        "job.started",
        "job.dead",
    ]
    lives = [event for event in recorder.events if event.get("job_id") == good.id and event["event"] != "job.requeued"]
    assert {event.get("corr", event["job_id"]) for event in lives} == {good.id}


def test_without_a_logger_of_the_hosts_the_lines_go_to_the_standard_logger_as_json(runtime, caplog):
    caplog.set_level(logging.DEBUG, logger="lamplighter")
    rt = runtime()
    rt.stop()

    lines = [json.loads(record.message) for record in caplog.records if record.name == "lamplighter"]

    assert lines[0]["event"] == "runtime.started"
    assert lines[-1]["event"] == "runtime.stopped"


SAID_LATER = {"turn"}
"""Fields that the turn's own line adds when it is committed."""

SAID_SOMETIMES = {
    "runtime.stopped": {"store_id", "boot_no"},
    "schedule.removed": {"by", "via", "reason"},
    "slot.taken": {"job_id"},
    "store.unavailable": {"waited"},
    "store.waiting": {"likely"},
}

BROUGHT = {"names_job(job)": JOB, "self._lane.fields()": JOB, "who.said": WHO, "why": ("reason", "traceback")}
"""Which fields a dictionary has that is passed with `**`. A line with any other is not looked at."""

BROUGHT_TO = {"job.fenced": ("outcome", *JOB)}


def _said_in(path: Path) -> Iterator[tuple[str, set[str], str]]:
    """Every line that a module says in one call: its event, the fields that the call gives it, and where."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="say" | "emit" | "_say"), args=[ast.Constant(value=str(event)), *_]
            ) if event in EVENTS:
                brought = [ast.unparse(one.value) for one in node.keywords if one.arg is None]
                if event in BROUGHT_TO or all(one in BROUGHT for one in brought):
                    more = [BROUGHT_TO[event]] if event in BROUGHT_TO else [BROUGHT[one] for one in brought]
                    given = {one.arg for one in node.keywords if one.arg is not None}
                    yield event, given.union(*more), f"{path.name}:{node.lineno}"


def test_each_line_is_said_with_all_of_its_fields():
    """A field that is missing at one place looks like one that is None, to everybody who reads the log."""
    package = Path(lamplighter.__file__).parent
    paths = [path for room in ("actors", "boot", "broker", "handlers") for path in (package / room).glob("*.py")]
    said = [one for path in paths for one in _said_in(path)]

    missing = [
        (event, where, sorted(set(EVENTS[event].fields) - given - SAID_LATER - SAID_SOMETIMES.get(event, set())))
        for event, given, where in said
    ]

    assert [one for one in missing if one[2]] == []
    assert len({event for event, _, _ in said}) > 30
