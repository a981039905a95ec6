"""What a runtime on RabbitMQ remembers of jobs is bounded, and what it forgets it does not tell wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from sys import getsizeof

import pytest
from lamplighter import NotSupported, StaleClaim, StoreUnavailable
from lamplighter.messages.jobs import JobRecord
from lamplighter.stores.rabbitmq.link import LinkLost
from lamplighter.stores.rabbitmq.recent import FORGOTTEN, Newest, QueuedJobs, Remembered
from lamplighter.stores.transitions import born

from support.conformance.kit import DONE, NOW, SUCCEEDED, new, put, take
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import ModelLink

from .test_conformance import PatientStore, its_environment

JOIN_SECONDS = 15.0
BIG = "x" * 10_000


def record(job_id: str, **changes: object) -> JobRecord:
    job = new(job_id)
    return born(job, 0)._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def model() -> Iterator[tuple[ModelServer, ModelLink, PatientStore]]:
    server = ModelServer()
    link = ModelLink(server)
    store = PatientStore("amqp://model", link, environment=its_environment())
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


def test_a_job_whose_data_was_forgotten_is_known_by_its_id_and_not_queued_again(model) -> None:
    _, _, store = model
    put(store, new("a", data='"a"'))
    (claimed,) = take(store)
    with store.turn("b", NOW) as turn:
        turn.settle(claimed, SUCCEEDED, DONE)

    with store.turn("b", NOW) as turn:
        known, fresh = turn.insert(new("a", data='"a"'))

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
        turn.insert(new("a"))
        link.send = send_and_lose
    link.send = send
    server.let_pass(1.0)

    with store.turn("b", NOW + 5) as turn:
        turn.insert(new("a", queued_at=NOW + 5, run_at=NOW + 5))
    ran = []
    while claimed := take(store, begun=1):
        with store.turn("b", NOW + 6) as turn:
            turn.settle(claimed[0], SUCCEEDED, DONE)
        ran.append(claimed[0].id)

    assert (sorted(ran), store.state.duplicates) == (["a", "warm"], 1)


def test_a_token_that_was_used_is_stale_and_its_own_ending_twice_is_one(url: str, runtime) -> None:
    web, worker, tokens = runtime(url), runtime(url), SimpleQueue()
    worker.jobs.add_handler("work", lambda job: tokens.put(job.token), auto_done=False)
    job = web.jobs.queue("work")
    token = tokens.get(timeout=JOIN_SECONDS)

    worker.jobs.mark_done(token, 7)
    worker.jobs.mark_done(token, 7)

    assert web.jobs.join(job, timeout=JOIN_SECONDS).result == 7
    with pytest.raises(StaleClaim, match="no longer holds it"):
        worker.jobs.mark_done(f"{job.id}:7")
    assert worker.jobs.cancel(job).state == "done"
    with pytest.raises(NotSupported, match="can be found by its id"):
        worker.jobs.requeue(job)


def test_a_token_is_stale_once_its_attempt_has_timed_out_and_another_decides(url: str, runtime) -> None:
    worker, tokens = runtime(url), SimpleQueue()
    worker.jobs.add_handler("work", lambda job: tokens.put(job.token), auto_done=False, timeout=0.2, backoff=[0.1])
    job = worker.jobs.queue("work")
    first, second = tokens.get(timeout=JOIN_SECONDS), tokens.get(timeout=JOIN_SECONDS)

    with pytest.raises(StaleClaim):
        worker.jobs.mark_done(first)

    assert (first.partition(":")[0], second.partition(":")[0]) == (job.id, job.id)
