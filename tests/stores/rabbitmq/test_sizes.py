"""What is larger than the server takes is refused by itself; all else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from lamplighter import LamplighterError, UsageError

from support.conformance.kit import DONE, NOW, SUCCEEDED, new, put, take
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
