"""Messages that a runtime cannot read, on the model: they stand in nobody's way, and keep all that they carry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.link import Arrival, Message
from lamplighter.stores.rabbitmq.unreadable import (
    QUEUE,
    REASON,
    SINCE,
    TRIES,
    TRIES_MAX,
    UnreadableMessage,
    given_back,
    is_for_others,
    put_aside,
    returned,
)

from support.conformance.kit import DONE, NOW, SUCCEEDED, claim_in, new, put, take
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink

from .test_conformance import PatientStore, its_environment

QUEUE_OF_JOBS = topology.queue_of("work")
HEADERS = {wire.REST: 7_000, wire.EXPIRES: 1_800_000_000_000}
ARRIVAL = Arrival(1, 2, "consumer", b"a newer version's", 0, "results", HEADERS, priority=5, message_id="j1")


OURS = {"format": 1, "id": "x", "name": "work", "data": "1", "queued_at": 1.0, "run_at": 1.0, "corr": "x"}


def body(**changes: Any) -> bytes:
    return json.dumps({**OURS, **changes}).encode()


UNREADABLE: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "bytes": (b"\xff\x00garbage", {}, "it is no JSON"),
    "nothing": (b"", {}, "it is no JSON"),
    "deep": (b"[" * 100_000, {}, "it is no JSON"),
    "a list": (b"[]", {}, "it is no message of a job"),
    "no format": (b'{"id": "x"}', {}, "it is no message of a job"),
    "a text as format": (body(format="1"), {}, "it is no message of a job"),
    "no id": (b'{"format": 1, "name": "work"}', {}, "it lacks an id or a name"),
    "an empty id": (body(id=""), {}, "its id or its name is empty"),
    "half a letter": (body(id="\ud800"), {}, "its id or its name is no valid Unicode"),
    "another name": (body(name="other"), {}, "it is a job of another name"),
    "expires_at is text": (body(expires_at="soon"), {}, "its expires_at is of the wrong type, str"),
    "rev is text": (body(rev="7"), {}, "its rev is of the wrong type, str"),
    "rev is true": (body(rev=True), {}, "its rev is of the wrong type, bool"),
    "data is no text": (body(data={"a": 1}), {}, "its data is of the wrong type, dict"),
    "no end of a day": (body(expires_at=1e300), {}, "its expires_at is out of range"),
    "a timeout of ages": (body(timeout=1e12), {}, "its timeout is out of range"),
    "it runs": (body(state="running"), {}, "its state is none of queued"),
    "an expiry in words": (body(), {wire.EXPIRES: "soon"}, f"its header {wire.EXPIRES} makes no sense"),
    "a rest in words": (body(), {wire.REST: "long"}, f"its header {wire.REST} makes no sense"),
}


NEWER = wire.FutureFormat("new")


def unread(arrival: Arrival = ARRIVAL) -> UnreadableMessage:
    return UnreadableMessage(arrival, QUEUE_OF_JOBS, "work", NEWER)


def again(exchange: str, key: str, headers: dict[str, Any] | None) -> Message:
    """What is published of `ARRIVAL`."""
    return Message(exchange, key, ARRIVAL.body, 5, "results", "j1", headers=headers)


def test_what_is_put_aside_or_returned_keeps_all_that_it_carries() -> None:
    aside = {QUEUE: QUEUE_OF_JOBS, REASON: "new", SINCE: 1}

    assert put_aside(unread(), 1.9) == again("", topology.UNREADABLE, aside)
    assert returned(ARRIVAL._replace(headers=aside)) == again("", QUEUE_OF_JOBS, None)
    assert returned(ARRIVAL._replace(headers=None)) is None


@pytest.mark.parametrize(
    ("headers", "kept", "tries", "seconds"),
    [
        (None, {}, 1, 1.0),
        ({**HEADERS, "price": 3}, HEADERS, 1, 1.0),
        ({**HEADERS, TRIES: 1}, HEADERS, 2, 2.0),
        ({wire.REST: "long", TRIES: 5}, {}, 6, 32.0),
        ({TRIES: 6}, {}, 7, 60.0),
        ({TRIES: TRIES_MAX}, {}, TRIES_MAX + 1, 60.0),
        *(({TRIES: said}, {}, 1, 1.0) for said in (-1, True, "often")),
    ],
)
def test_what_is_given_back_waits_longer_each_time_and_keeps_its_rest_and_its_expiry(
    headers: dict[str, Any] | None, kept: dict[str, Any], tries: int, seconds: float
) -> None:
    exchange, key, _ = topology.route(QUEUE_OF_JOBS, seconds)

    assert given_back(unread(ARRIVAL._replace(headers=headers))) == again(exchange, key, {**kept, TRIES: tries})


@pytest.mark.parametrize(
    ("tries", "name", "error", "expected"),
    [
        (TRIES_MAX - 1, "work", NEWER, True),
        (TRIES_MAX, "work", NEWER, False),
        (0, None, NEWER, False),
        (0, "work", wire.UnreadableJob("garbage"), False),
    ],
)
def test_what_another_may_read_is_a_newer_job_of_less_than_a_day(tries, name, error, expected) -> None:
    arrival = ARRIVAL._replace(headers={TRIES: tries})

    assert is_for_others(UnreadableMessage(arrival, QUEUE_OF_JOBS, name, error)) == expected


@pytest.fixture
def model() -> Iterator[tuple[ModelServer, PatientStore]]:
    server = ModelServer()
    store = PatientStore(MODEL, ModelLink(server), partial(ModelLink, server), environment=its_environment())
    store.open()
    put(store, new("first"))
    take(store)
    yield server, store
    store.close()


Model = tuple[ModelServer, PatientStore]


@pytest.mark.parametrize("what", UNREADABLE)
def test_each_kind_leaves_its_place_to_a_job(model: Model, what: str) -> None:
    server, store = model
    found, headers, reason = UNREADABLE[what]
    server.publish(Message("", QUEUE_OF_JOBS, found, headers=headers))
    put(store, new("after"))

    with store.turn("b", NOW) as turn:
        claimed = claim_in(turn, begun=3)

    assert [one.job.id for one in claimed] == ["after"]
    (aside,) = server.queues[topology.UNREADABLE].ready
    assert (aside.message.headers or {})[REASON] == reason
    said = {"queue": QUEUE_OF_JOBS, "message_id": wire.id_of(found), "reason": reason}
    assert turn.news == [("message.unreadable", said)]
    # Of the first job and of this one.
    assert server.unacked_of(server.queues[QUEUE_OF_JOBS]) == 2


def test_what_is_newer_waits_for_another_try_and_leaves_its_place(model: Model) -> None:
    server, store = model
    server.publish(Message("", QUEUE_OF_JOBS, body(format=2), message_id="x"))

    with store.turn("b", NOW) as turn:
        assert claim_in(turn, begun=3) == []

    reason = "a newer version wrote it"
    assert turn.news == [("message.newer", {"queue": QUEUE_OF_JOBS, "message_id": "x", "reason": reason})]
    waits = [one.message for rung in topology.ladder() for one in server.queues[rung].ready]
    assert [(one.body, one.headers) for one in waits] == [(body(format=2), {TRIES: 1})]
    assert server.unacked_of(server.queues[QUEUE_OF_JOBS]) == 1


def test_one_that_a_failed_turn_has_put_aside_is_put_aside_once(model: Model) -> None:
    server, store = model
    server.publish(Message("", QUEUE_OF_JOBS, b"garbage"))

    with pytest.raises(KeyError), store.turn("b", NOW) as turn:
        claim_in(turn, begun=3)
        raise KeyError
    with store.turn("b", NOW):
        """It is looked at again."""

    assert (len(server.queues[topology.UNREADABLE].ready), len(server.queues[QUEUE_OF_JOBS].ready)) == (1, 0)
    store.jobs.outlook((), NOW)
    assert [one.reason for one in store.health_issues()] == [
        f"1 message in {topology.UNREADABLE} cannot be read: see lamplighter unreadable"
    ]


@pytest.mark.parametrize("why", ["gone", "away"])
def test_one_among_the_dead_stays_there_where_it_cannot_be_put_aside(model: Model, why: str) -> None:
    server, store = model
    with store.turn("b", NOW):
        """Everything is declared."""
    server.publish(Message("", topology.DEAD, b"garbage"))
    if why == "gone":
        server.delete(topology.UNREADABLE)
    else:
        server.away.add(topology.UNREADABLE)

    found = store.dead.find(JobQuery(states=(JobState.DEAD,)), limit=10)

    assert (found.jobs, [stored.message.body for stored in server.queues[topology.DEAD].ready]) == ([], [b"garbage"])


def test_two_jobs_with_one_id_both_run_and_two_copies_of_one_do_not(model: Model) -> None:
    server, store = model
    one, other = body(id="same", queued_at=1.0), body(id="same", queued_at=2.0)
    ran = list[float]()

    for message in (one, other, one):
        server.publish(Message("", QUEUE_OF_JOBS, message))
        claimed = take(store, begun=3)
        with store.turn("b", NOW) as turn:
            for job in claimed:
                turn.jobs.settle(job, SUCCEEDED, DONE)
        ran += [job.queued_at for job in claimed]

    assert ran == [1.0, 2.0]
    assert store.state.duplicates == 1
    # Of the first job alone.
    assert server.unacked_of(server.queues[QUEUE_OF_JOBS]) == 1


@pytest.mark.parametrize("ends", [False, True])
def test_a_copy_of_a_job_that_runs_or_has_ended_here_leaves_its_place(model: Model, ends: bool) -> None:
    server, store = model
    server.publish(Message("", QUEUE_OF_JOBS, body()))
    (claimed,) = take(store)
    if ends:
        with store.turn("b", NOW) as turn:
            turn.jobs.settle(claimed, SUCCEEDED, DONE)
    server.publish(Message("", QUEUE_OF_JOBS, body()))

    with store.turn("b", NOW) as turn:
        assert claim_in(turn) == []

    reason = "it has ended here" if ends else "another copy runs here"
    assert turn.news == [
        ("job.duplicate", {"job_id": "x", "job_name": "work", "claim_no": claimed.claim_no - 1, "reason": reason})
    ]
    assert server.unacked_of(server.queues[QUEUE_OF_JOBS]) == 2 - ends
