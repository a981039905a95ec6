"""The server's refusals, as the errors that a caller expects of them."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from lamplighter import StoreError, StoreUnavailable
from lamplighter.stores.rabbitmq import questions, topology
from lamplighter.stores.rabbitmq.admin_connection import AdminConnection
from lamplighter.stores.rabbitmq.ledger_records import leader_in
from lamplighter.stores.rabbitmq.link import LOCKED, NOT_FOUND, Refused
from lamplighter.stores.rabbitmq.questions import ServerClient


class RefusingLink:
    def __init__(self, code):
        self.code = code

    def browse(self, queue, see):
        refused = Future()
        refused.set_exception(Refused(f"{queue} is not for you", self.code))
        return refused


def test_a_missing_queue_comes_back_for_a_runtime_and_was_never_there_for_a_visitor():
    runtime = ServerClient("amqp://server", RefusingLink(NOT_FOUND), threading.Event)
    visitor = AdminConnection("amqp://server", RefusingLink(NOT_FOUND), threading.Event, lambda: "id")

    with pytest.raises(StoreUnavailable, match="is not for you"):
        runtime.browse(topology.DEAD, print)
    with pytest.raises(StoreError, match="that runtimes have used"):
        visitor.browse(topology.DEAD, print)


@pytest.mark.parametrize("code", [LOCKED, NOT_FOUND])
@pytest.mark.parametrize("client", [ServerClient, lambda *args: AdminConnection(*args, lambda: "id")])
def test_a_leader_that_cannot_be_read_is_not_known(monkeypatch, client, code):
    monkeypatch.setattr(questions, "LOCKED_TRIES_MAX", 2)

    assert client("amqp://server", RefusingLink(code), threading.Event).leader() == leader_in([])
