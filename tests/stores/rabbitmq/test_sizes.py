"""What is larger than the server takes is refused by itself; all else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from lamplighter import LamplighterError, UsageError
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.transitions import born

from support.conformance.kit import DEAD, DONE, FAILED, NOW, RETRY, SUCCEEDED, new, put, take
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink

from .test_conformance import PatientStore, its_environment

LIMIT = 200_000


@pytest.fixture
def server() -> ModelServer:
    """Takes only small messages."""
    server = ModelServer()
    server.bytes_max = LIMIT
    return server


@pytest.fixture
def limited(server: ModelServer) -> Iterator[PatientStore]:
    """A store that knows the limit of its server, because that has refused a message."""
    store = PatientStore(MODEL, ModelLink(server), partial(ModelLink, server), environment=its_environment())
    store.open()
    with pytest.raises(LamplighterError):
        put(store, new("a", data="7" * LIMIT))
    # As its broker would: it leaves the ledger to others, because its session has ended.
    store.jobs.outlook((), NOW)
    server.let_pass(1.0)
    yield store
    store.close()


def test_a_job_that_is_too_large_for_the_model_is_refused_once_that_is_known(limited: PatientStore) -> None:
    store = limited
    with pytest.raises(UsageError, match="max_message_size"), store.turn("b", NOW) as turn:
        turn.jobs.insert([new("a", data="7" * LIMIT)])
    put(store, new("b"))

    assert [job.id for job in take(store)] == ["b"]


def test_of_several_jobs_of_which_one_is_too_large_none_is_queued(limited: PatientStore) -> None:
    """Those before it had been published, though their caller was told that nothing was stored."""
    with limited.turn("b", NOW) as turn:
        with pytest.raises(UsageError, match="max_message_size"):
            turn.jobs.insert([new("b"), new("c", data="7" * LIMIT)])

        assert (turn.transitions, turn.writes) == ([], 0)
    put(limited, new("d"))

    assert [job.id for job in take(limited)] == ["d"]


def test_a_claim_whose_result_is_too_large_can_still_be_ended(server: ModelServer, limited: PatientStore) -> None:
    """It was let go of before the result was looked at, so that nothing could end it any more."""
    web = PatientStore(MODEL, ModelLink(server), partial(ModelLink, server), environment=its_environment())
    web.open()
    put(web, new("b"))
    web.close()
    (job,) = take(limited)
    too_large = SUCCEEDED._replace(result="7" * LIMIT)
    follows = SUCCEEDED._replace(then=(new("c", data="7" * LIMIT),))
    with limited.turn("b", NOW) as turn:
        for outcome in (too_large, follows):
            with pytest.raises(UsageError, match="max_message_size"):
                turn.jobs.settle(job, outcome, DONE)

        assert (turn.transitions, turn.writes) == ([], 0)
    with limited.turn("b", NOW) as turn:
        assert turn.jobs.settle(job, SUCCEEDED, DONE) is not None


@pytest.fixture
def largest(server: ModelServer) -> str:
    """The id of a job that the server just takes, queued by a runtime that did not know the limit."""
    web = PatientStore(MODEL, ModelLink(server), partial(ModelLink, server), environment=its_environment())
    web.open()
    job = new("large")
    put(web, job._replace(data="7" * (LIMIT - len(wire.waiting(born(job, 0))) - len('"data":"",'))))
    web.close()
    return job.id


@pytest.mark.parametrize("verdict", [RETRY, DEAD], ids=["retry", "dead"])
def test_an_error_is_cut_to_what_the_server_takes_beside_the_jobs_data(limited: PatientStore, verdict) -> None:
    """Its message ended the session, and the next one likewise when the job came back: the runtime did nothing more."""
    data = "7" * int(LIMIT * 0.85)
    put(limited, new("a", data=data), new("b"))
    (job,) = take(limited)

    with limited.turn("b", NOW) as turn:
        turn.jobs.settle(job, FAILED._replace(error="E" * 40_000, traceback=40_000 * "\0" + "T"), verdict)
    again = limited.dead.find(JobQuery(), limit=9).jobs if verdict is DEAD else take(limited)

    (kept,) = [one for one in (*again, *take(limited, begun=9)) if one.id == "a"]
    assert (kept.data, {*kept.error}, kept.traceback[-1]) == (data, {"E"}, "T")
    assert 500 < len(kept.error) < 40_000


@pytest.mark.parametrize("end", ["failed", "released", "requeued"])
def test_a_job_that_is_too_large_to_wait_again_is_dead(limited: PatientStore, largest: str, end: str) -> None:
    put(limited, new("b"))
    (job,) = take(limited)

    with limited.turn("b", NOW) as turn:
        match end:
            case "failed":
                moved = turn.jobs.settle(job, FAILED, RETRY)
            case "released":
                moved = turn.jobs.release(job, "not started")
            case "requeued":
                moved = turn.jobs.requeue(job, NOW)
        assert [(step.event, step.job.state) for step in turn.transitions] == [("job.dead", "dead")]

    (dead,) = limited.dead.find(JobQuery(), limit=9).jobs
    assert moved is not None and (moved.state, moved.claim_no) == ("dead", 1)
    assert "max_message_size is 200000" in (dead.reason or "") and "its data is not kept" in (dead.error or "")
    assert (dead.id, dead.data, [one.id for one in take(limited, begun=9)]) == (largest, "null", ["b"])


def test_an_end_is_told_although_the_jobs_data_leaves_no_room_for_it(limited: PatientStore, largest: str) -> None:
    """It was refused as its result had been, so that the claim stayed until its session ended."""
    (job,) = take(limited)

    with limited.turn("b", NOW) as turn:
        turn.jobs.settle(job, SUCCEEDED._replace(result=None), DONE)
        (said,) = turn.ops.messages

    told = wire.read_ended(said.body)
    assert (told.id, told.state, told.data) == (largest, "done", "null")
