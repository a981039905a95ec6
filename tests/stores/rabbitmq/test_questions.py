"""The server's refusals, as the errors that a caller expects of them."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from lamplighter import StoreError, StoreUnavailable
from lamplighter.stores.rabbitmq import questions, topology
from lamplighter.stores.rabbitmq.admin_connection import AdminConnection
from lamplighter.stores.rabbitmq.ledger_records import leader_in
from lamplighter.stores.rabbitmq.link import LOCKED, NOT_FOUND, LinkLost, QueueSpec, Refused, settle
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


class DeclaringLink:
    """Has the queues `there`, and ends each declaration with an error, if there is one."""

    def __init__(self, there, error):
        self.there, self.error, self.wanted = there, error, []

    def look(self, queue):
        return answered((0, 0), None) if queue in self.there else answered(None, Refused("no queue", NOT_FOUND))

    def setup(self, wanted):
        self.wanted += wanted
        return answered(None, self.error)


def answered(value, error):
    future = Future()
    settle(future, value, error)
    return future


@pytest.mark.parametrize(
    ("there", "error", "differs"),
    [
        ({"a", "b"}, None, {}),
        ({"a", "b"}, Refused("other arguments", 406), {"a": "other arguments", "b": "other arguments"}),
        ({"b"}, Refused("other arguments", 406), {"b": "other arguments"}),
        (set(), Refused("other arguments", 406), {}),
    ],
)
def test_what_the_server_refuses_to_declare_differs(there, error, differs):
    link = DeclaringLink(there, error)
    visitor = AdminConnection("amqp://server", link, threading.Event, lambda: "id")

    assert visitor.differences([QueueSpec(name=name, bindings=(("from", "key"),)) for name in ("a", "b")]) == differs
    # It changes nothing: a binding could be a new one.
    assert link.wanted == [QueueSpec(name=name) for name in sorted(there)]


def test_a_queue_that_could_not_be_asked_is_not_one_that_does_not_differ():
    link = DeclaringLink({"a"}, LinkLost("it went away"))
    visitor = AdminConnection("amqp://server", link, threading.Event, lambda: "id")

    with pytest.raises(StoreUnavailable, match="it went away"):
        visitor.differences([QueueSpec(name="a")])
