"""The RabbitMQ store keeps the promises of the port, but for what it declares; here on the model of a server."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.jobs import JobRecord
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.rabbitmq.link import Message, StoreEnvironment
from lamplighter.stores.rabbitmq.pending_turn import DEAD_SECONDS_KEPT
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.stores.rabbitmq.topology import DEAD, job_queue
from lamplighter.stores.troubles import CommitUnknown

from support.conformance.kit import DONE, FAILED, NOW, SUCCEEDED, new, put, take
from support.conformance.suite import StoreConformance
from support.rabbitmq.model import ModelServer
from support.rabbitmq.model_link import MODEL, ModelLink

QUIET_SECONDS = 0.03
"""When nothing has come for so long, after the queue was empty, then nothing will."""


def its_environment() -> StoreEnvironment:
    return StoreEnvironment(
        clock=SystemClock(), event=threading.Event, future=Future, new_id=lambda: secrets.token_hex(12)
    )


CANNOT = frozenset(
    (
        "at_once",
        "atomic",
        "burial",
        "counts",
        "expiry",
        "forecast",
        "host",
        "links",
        "place",
        "priority",
        "recall",
        "table",
        "steps",
        "tallies",
        "watch",
    )
)


class PatientJobs:
    """Claims once everything that waits in the queue has come: the suite claims at once what it has put."""

    def __init__(self, turn, until_come):
        self._turn = turn
        self._jobs = turn.jobs
        self._until_come = until_come

    def claim(self, wants, *, suspect):
        for want in wants:
            if self._jobs._stopped_until(want.name) is None:
                self._until_come(want, sum(held.job.name == want.name for held in self._turn.state.deliveries.held))
                self._turn.intake.take_in()
        return self._jobs.claim(wants, suspect=suspect)

    def __getattr__(self, name):
        return getattr(self._jobs, name)


class PatientStore(RabbitStore):
    """Gives turns whose jobs are patient."""

    def make_turn(self, *args):
        turn = super().make_turn(*args)
        turn.jobs = PatientJobs(turn, self.until_come)
        return turn

    def until_come(self, want, held):
        queue = job_queue(want.name)
        self._await(self._link.setup([queue]))
        wanted = want.begun + want.prefetched
        deliveries, clock = self.state.deliveries, self._environment.clock
        deliveries.set_window(want.name, held + wanted)
        deliveries.adjust()
        while len(deliveries.fresh) + len(deliveries.waiting.get(want.name, ())) < wanted:
            ready, _ = self._await(self._link.look(queue.name))
            give_up_at, before = clock.monotonic() + QUIET_SECONDS, self._arrivals
            while self._wait(give_up_at):
                self._drain()
            if ready == 0 and self._arrivals == before:
                return


class TestOnTheModel(StoreConformance):
    cannot = CANNOT

    @pytest.fixture(autouse=True)
    def server(self):
        self.server = ModelServer()

    def make_store(self, place):
        return PatientStore(
            MODEL, ModelLink(self.server), partial(ModelLink, self.server), environment=its_environment()
        )


class SlowServer(ModelServer):
    """A server that, once it is slow, does something only while a caller waits for one of its futures."""

    def __init__(self):
        super().__init__()
        self.is_slow = False
        self.put_off = deque()

    def soon(self, call, seconds_max=0.002):
        if self.is_slow:
            self.put_off.append(call)
        else:
            super().soon(call, seconds_max)

    def future(self):
        return SlowFuture(self)


class SlowFuture(Future):
    def __init__(self, server):
        super().__init__()
        self._server = server

    def result(self, timeout=None):
        while not self.done() and self._server.put_off:
            self._server.put_off.popleft()()
        return super().result(0)


def with_a_claim(
    server: ModelServer | None = None, future: Callable[[], Future[Any]] = Future
) -> tuple[ModelServer, ModelLink, PatientStore, JobRecord]:
    """A model, and on it a store that has claimed the job `a`."""
    server = server or ModelServer()
    link = ModelLink(server, future=future)
    store = PatientStore(MODEL, link, partial(ModelLink, link._server), environment=its_environment())
    store.open()
    put(store, new("a"))
    (claimed,) = take(store)
    return server, link, store, claimed


def test_an_ending_that_can_be_told_to_nobody_is_recorded_all_the_same():
    server, _, store, claimed = with_a_claim()
    # As if another runtime had queued the job, and its results were on a node that is away.
    server.away.add(store.state.results_name)
    store.state.results_name = "another's"

    with store.turn("b", NOW) as turn:
        done = turn.jobs.settle(claimed, SUCCEEDED, DONE)

    assert done.state == "done"
    assert list(store.state.deliveries.held) == []
    assert not server.queues[job_queue("work").name].ready
    store.close()


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_revival_confirmed_late_holds_and_one_never_confirmed_leaves_the_job_dead(is_confirmed):
    """The next turn crashed: the doubtful one had let go of the dead job that it was to take away."""
    server, link, store, claimed = with_a_claim()
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, FAILED, DONE._replace(state="dead", event="job.dead"))

    with store.dead.one_at_hand("a"), pytest.raises(CommitUnknown), store.turn("b", NOW) as turn:
        turn.jobs.requeue(turn.jobs.find(("a",))["a"], NOW)
        server.set_alarm("low on memory")
    if not is_confirmed:
        link.lose("the connection was cut")
        server.let_pass(1.0)
    server.set_alarm(None)
    with store.turn("b", NOW):
        """What was in doubt is decided."""

    assert [one.id for one in store.dead.find(JobQuery(), limit=9).jobs] == ([] if is_confirmed else ["a"])
    assert len(server.queues[DEAD].ready) == (not is_confirmed)
    assert [one.claim_no for one in take(store)] == ([2] if is_confirmed else [])
    store.close()


def test_a_requeued_job_has_left_the_dead_before_its_store_is_closed():
    """If its connection ended before, the server would give the dead job back: it would be queued and dead."""
    server = SlowServer()
    _, _, store, claimed = with_a_claim(server, server.future)
    with store.turn("b", NOW) as turn:
        turn.jobs.settle(claimed, FAILED, DONE._replace(state="dead", event="job.dead"))

    with store.dead.one_at_hand("a"):
        with store.turn("b", NOW) as turn:
            turn.jobs.requeue(turn.jobs.find(("a",))["a"], NOW)
        server.is_slow = True
    store.close()

    assert [len(server.queues[name].ready) for name in (job_queue("work").name, DEAD)] == [1, 0]


@pytest.mark.parametrize("state", ["done", "dead"])
def test_who_queued_a_job_is_told_its_end_and_of_a_dead_one_once_it_can_be_found(state):
    """Whoever had joined the job and then revived it was told that there was no such job."""
    _, link, store, claimed = with_a_claim()
    # As if another runtime had queued the job.
    others, store.state.results_name = store.state.results_name, "another's"
    sent = []
    send = link.send
    link.send = lambda messages: (sent.append(list(messages)), send(messages))[1]
    outcome, verdict = (SUCCEEDED, DONE) if state == "done" else (FAILED, DONE._replace(state="dead", event="job.dead"))

    with store.turn("b", NOW) as turn:
        ended = turn.jobs.settle(claimed, outcome, verdict)

    body = wire.ended(ended)
    among_the_dead = Message("", DEAD, body, message_id="a", lives=DEAD_SECONDS_KEPT)
    told = Message("", others, body, message_id="a", mandatory=False)
    assert sent == ([[told]] if state == "done" else [[among_the_dead], [told]])
    store.close()
