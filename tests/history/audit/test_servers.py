"""On a RabbitMQ a process that died may have made a move that no line tells: which moves are excused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lamplighter.history.audit.audit import Report
from lamplighter.history.trace.job import biography
from lamplighter.history.trace.snapshot import snapshot

from ..kit import Story, audited, kinds, on_rabbit, told, write_log

EXCUSED = "1 move may follow one that no line tells: a process was dead that may have made it"


def without_its_birth(before: Callable[[Story, Story], object]) -> Report:
    """A job that a producer has queued and a worker has done, where nothing tells of the birth."""
    producer = on_rabbit("producer")
    worker = on_rabbit("worker", among=producer)
    producer.hop("queued", None, 0, 0)
    before(producer, worker)
    worker.move("claimed", "queued", 1, 0).move("done", "running", 1, 1).stop()
    return audited(told(producer, worker))


@pytest.mark.parametrize(
    ("before", "note"),
    [
        (lambda producer, worker: None, EXCUSED),
        (
            lambda producer, worker: worker.turn({"k": "acted", "b": "op"}) and producer.stop(),
            "operator op was lost while it acted: what was done by then need not have been told",
        ),
        (
            lambda producer, worker: worker.said("store.unavailable") and producer.stop(),
            "a connection or a broker was lost: what it had done last need not have been told",
        ),
        (
            lambda producer, worker: worker.said("actor.crashed", child="broker") and producer.stop(),
            "a connection or a broker was lost: what it had done last need not have been told",
        ),
    ],
    ids=["silent", "operator", "store", "broker"],
)
def test_a_birth_that_somebody_who_died_may_have_made_is_no_finding(before, note):
    report = without_its_birth(before)

    assert report.ok, report.findings
    assert note in report.notes


@pytest.mark.parametrize(
    "before",
    [
        lambda producer, worker: producer.stop(),
        lambda producer, worker: producer.said("job.parked", ts=2000.0),
        lambda producer, worker: producer.said("job.parked", ts=1003.0),
        lambda producer, worker: (
            worker.tell("op", 1, {"k": "queued", "j": "k", "n": "n", "r": 1}).turn({"k": "acted", "b": "op", "x": 1})
            and producer.stop()
        ),
    ],
    ids=["stopped", "lives", "lives till then", "operator"],
)
def test_a_birth_that_nobody_who_died_can_have_made_is_missing(before):
    report = without_its_birth(before)

    assert kinds(report) == ["missing moves"]
    assert EXCUSED not in report.notes


@pytest.mark.parametrize(
    ("holder_is", "untold", "found"),
    [
        ("silent", 1, []),
        ("silent", 2, ["missing moves"]),
        ("alive", 1, ["missing moves"]),
        ("alive-beside-a-lost-operator", 1, ["missing moves"]),
    ],
)
def test_one_move_of_the_holder_may_be_untold_if_the_holder_has_died(holder_is, untold, found):
    producer = on_rabbit("producer").move("queued", None, 0, 0)
    one = on_rabbit("one", among=producer).move("claimed", "queued", 1, 0)
    for _ in range(untold):
        one.hop("failed", "running", 1, 1)
    if holder_is.startswith("alive"):
        one.said("job.parked", ts=2000.0)
    if "operator" in holder_is:
        producer.turn({"k": "acted", "b": "op"})
    two = on_rabbit("two", among=producer).said("job.parked").move("claimed", "queued", 2, 1)

    report = audited(told(producer, one, two.move("done", "running", 2, 2).stop()))

    assert kinds(report) == found
    assert (EXCUSED in report.notes) == (not found)


@pytest.mark.parametrize(
    ("leaders", "tellers", "found"),
    [
        (("a", "b"), ("a", "b"), []),
        (("a",), ("a", "b"), ["fired twice"]),
        (("a", "b"), ("a", "a"), ["fired twice"]),
    ],
)
def test_a_slot_may_fire_twice_only_where_one_leader_takes_over_from_another(leaders, tellers, found):
    boots = {name: on_rabbit(name) for name in ("a", "b")}
    for name in leaders:
        boots[name].said("scheduler.leads")
    for name in tellers:
        boots[name].revs.clear()
        boots[name].move("queued", None, 0, 0, "s-1010", s="s", t=1010.0)

    report = audited(told(*boots.values()))

    assert kinds(report) == found
    assert ("1 slot fired by two leaders, within a takeover" in report.notes) == (not found)


def test_the_story_of_a_job_names_a_holder_that_has_lost_another_job(tmp_path):
    web = on_rabbit("web").move("queued", None, 0, 0).move("queued", None, 0, 0, "k")
    one = on_rabbit("one", among=web).move("claimed", "queued", 1, 0).move("claimed", "queued", 1, 0, "k")
    two = on_rabbit("two", among=web).said("job.parked").said("job.parked").said("job.parked")
    two.move("claimed", "queued", 2, 0, "k", p=1)

    life = biography([str(write_log(tmp_path / "log", told(web, one, two)))], "j")

    assert life is not None
    assert life.entries[-1].says == (
        "when these logs end, it belongs to boot one, which lost another job to a redelivery and has said nothing since"
    )


def test_a_job_that_ended_twice_counts_once(tmp_path):
    web = on_rabbit("web").move("queued", None, 0, 0)
    one = on_rabbit("one", among=web).move("claimed", "queued", 1, 0).move("done", "running", 1, 1)
    web.revs["j"] = 2
    two = on_rabbit("two", among=web).move("claimed", "queued", 2, 0, p=1).move("done", "running", 2, 1)
    lines = told(web, one, two)

    assert snapshot([str(write_log(tmp_path / "log", lines))], 9999.0).states == {"done": 1}
    assert "1 job ended more than once: the server had delivered them again" in audited(lines).notes
