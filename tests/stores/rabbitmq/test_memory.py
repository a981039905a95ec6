"""What a runtime on RabbitMQ remembers of jobs is bounded, and what it forgets it does not tell wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from sys import getsizeof

import pytest
from lamplighter import StoreUnavailable
from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.outcomes import Outcome, OutcomeKind, Policy
from lamplighter.messages.queries import JobQuery
from lamplighter.rules.lifecycle import judge
from lamplighter.stores.rabbitmq.link import LinkLost
from lamplighter.stores.rabbitmq.state import FORGOTTEN, Newest, QueuedJobs, Remembered
from lamplighter.stores.rabbitmq.topology import job_queue
from lamplighter.stores.transitions import born

from support.conformance.kit import DONE, NOW, SUCCEEDED, new, put, take, want
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink

from .test_conformance import PatientStore, its_environment

LOST = Outcome(kind=OutcomeKind.INTERRUPTED, reason="its process died", error="its process died", blamed=True)
BIG = "x" * 10_000


def record(job_id: str, **changes: object) -> JobRecord:
    job = new(job_id)
    return born(job, 0)._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def model() -> Iterator[tuple[ModelServer, ModelLink, PatientStore]]:
    server = ModelServer()
    link = ModelLink(server)
    store = PatientStore(MODEL, link, partial(ModelLink, server), environment=its_environment())
    store.open()
    yield server, link, store
    store.close()


def test_the_oldest_are_forgotten_by_number_and_by_weight() -> None:
    few, light = Newest[int, str](most=3), Newest[int, str](len, bytes_max=10)
    for number in range(5):
        few.put(number, "x")
        light.put(number, "xxxx")
    light.put(4, "x" * 7)

    assert [number for number in range(5) if number in few] == [2, 3, 4]
    assert [number for number in range(5) if number in light] == [4]
    light.pop(4)
    light.put(5, "x" * 10)
    assert light.get(5) == "x" * 10


def test_of_the_oldest_queued_jobs_the_data_is_forgotten_and_the_queueing_is_not() -> None:
    queued = QueuedJobs(bytes_max=5 * getsizeof(BIG))
    for number in range(20):
        queued.put(record(f"j{number}", data=BIG))

    known = [queued.get(f"j{number}") for number in range(20)]

    assert [job.data == BIG for job in known if job is not None] == [False] * 15 + [True] * 5


def test_of_an_ended_job_only_its_ending_is_kept_and_nothing_once_that_is_forgotten() -> None:
    memory = Remembered()
    memory.endings = Newest(most=1)
    for job_id in ("first", "second"):
        memory.queued.put(record(job_id, data=BIG))
        memory.end(record(job_id, data=BIG, state="done", result="7"))

    second, queued = memory.job("second"), memory.queued.get("first")

    assert second is not None and second.result == "7"
    assert memory.job("first") is None
    assert queued is not None and (queued.data, queued.state) == (FORGOTTEN, "done")


def test_of_the_last_attempts_nothing_of_hosts_and_handlers_is_remembered() -> None:
    memory = Remembered()
    ended = record("a", state="dead", claim_no=3, data=BIG, result=BIG, error=BIG, traceback=BIG)

    memory.note_ended("the copy", ended)

    assert "the copy" in memory.ended_copies
    assert memory.last.get("a") == ended._replace(data=FORGOTTEN, result=None, error=None, traceback=None)


@pytest.mark.parametrize("where", ["job", "result", "error", "traceback", "then"])
def test_all_that_is_large_of_a_kept_ending_counts_as_memory(where: str) -> None:
    job, outcome = record("a"), Outcome(kind=OutcomeKind.SUCCEEDED, then=(new("b"),))
    verdict = judge(job, outcome, Policy(), NOW, earlier_interruptions=0, chance=0.0)
    kept = Remembered().kept._weigh
    match where:
        case "job":
            large = job._replace(data=BIG), outcome
        case "then":
            large = job, outcome._replace(then=(new("b", data=BIG),))
        case _:
            large = job, outcome._replace(**{where: BIG})

    more = kept((*large, verdict)) - kept((job, outcome, verdict))

    assert len(BIG) - 100 < more < len(BIG) + 100
    assert kept((job, outcome, verdict)) > 2_000, "the records themselves take memory too"


def test_a_job_whose_data_was_forgotten_is_known_by_its_id_and_not_queued_again(model) -> None:
    _, _, store = model
    put(store, new("a", data='"a"'))
    (claimed,) = take(store)
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, SUCCEEDED, DONE)

    with store.turn("b", NOW) as turn:
        known, fresh = turn.jobs.insert([new("a", data='"a"')])[0]

    assert (known.id, known.data, known.state, fresh) == ("a", '"a"', "done", False)
    assert take(store) == []


def test_a_job_that_is_queued_again_for_want_of_an_answer_is_the_same_job(model) -> None:
    """Its first copy was published, the connection was lost before that was confirmed, and the host asks again."""
    server, link, store = model
    put(store, new("warm"))
    send = link.send

    def send_and_lose(messages):
        send(messages)
        link.lose("the connection was cut")
        lost = Future()
        lost.set_exception(LinkLost("the connection was cut"))
        return lost

    with pytest.raises(StoreUnavailable), store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a")])
        link.send = send_and_lose
    link.send = send
    server.let_pass(1.0)

    with store.turn("b", NOW + 5) as turn:
        turn.jobs.insert([new("a", queued_at=NOW + 5, run_at=NOW + 5)])
    ran = []
    while claimed := take(store, begun=1):
        with store.turn("b", NOW + 6) as turn:
            turn.jobs.settle(claimed[0], SUCCEEDED, DONE)
        ran.append(claimed[0].id)

    assert (sorted(ran), store.state.duplicates) == (["a", "warm"], 1)


def test_a_requeue_that_is_refused_takes_nothing_from_the_attempt_that_runs_on(model) -> None:
    """Its claim was forgotten all the same, so what the attempt did was not kept for when the job came back."""
    server, link, store = model
    put(store, new("a"))
    (claimed,) = take(store)
    link.lose("the connection was cut")
    server.let_pass(1.0)

    with store.turn("b", NOW) as turn:
        refused = turn.jobs.requeue(claimed, NOW)
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, SUCCEEDED, DONE)
    again = take(store)

    assert (refused, again, store.state.memory.job("a").state) == (None, [], "done")


def test_a_job_that_expires_where_it_waits_for_a_lane_is_cancelled_by_the_next_turn(model) -> None:
    """It stayed in the runtime, and its caller waited, until a lane was free."""
    server, _, store = model
    put(store, new("a", expires_at=NOW + 5))

    with store.turn("b", NOW + 9) as turn:
        store.until_come(want(1), 0)
        turn.intake.take_in()
        turn.jobs.refresh()
        moves = [(step.event, step.job.id, step.job.reason) for step in turn.transitions]

    assert moves == [("job.cancelled", "a", "expired")]
    assert store.state.memory.job("a").state == "cancelled"
    assert server.unacked_of(server.queues[job_queue("work").name]) == 0


def test_a_job_that_killed_its_process_too_often_is_claimed_only_to_be_judged(model) -> None:
    """The store judged and ended it itself, by a road of its own."""
    _, _, store = model
    put(store, new("a", expires_at=NOW + 99), new("b"))
    store.state.shared.marks["a"] = [NOW - 3, NOW - 2, NOW - 1]

    with store.turn("b", NOW) as turn:
        claimed = turn.jobs.claim([want(9)], suspect=True)
        (poison,) = claimed.poison
        counted = turn.jobs.recent_interruptions(("a",), NOW - 9)["a"]
        verdict = judge(
            poison, LOST, Policy(), NOW, earlier_interruptions=min(counted, poison.interruptions), chance=0.0
        )
        ended = turn.jobs.settle(poison, LOST, verdict)

    assert [one.job.id for one in claimed.claims["work"]] == ["b"]
    assert (ended.state, ended.reason) == ("dead", "poison: interrupted 3 times within 72 h; last: its process died")
    assert [job.id for job in store.dead.find(JobQuery(), limit=9).jobs] == ["a"]


def test_a_boot_that_stops_excuses_the_attempts_that_it_has_begun_and_no_others(model) -> None:
    _, _, store = model
    put(store, new("a"))
    (claimed,) = take(store)
    (held,) = store.state.deliveries.held
    held.is_marked = True
    store.state.shared.marks.update({"a": [NOW - 1, claimed.claimed_at], "b": [claimed.claimed_at]})

    with store.turn("b", NOW + 1) as turn:
        turn.boots.note_stop("b")

    assert store.state.shared.marks == {"a": [NOW - 1], "b": [NOW]}
    with store.turn("b", NOW + 2) as turn:
        turn.boots.note_stop("b")
        turn.jobs.settle(claimed, SUCCEEDED, DONE)
    assert store.state.shared.marks == {"b": [NOW]}, "its attempt has ended, so none of its has killed a process"
