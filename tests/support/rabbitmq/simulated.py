"""The model of a RabbitMQ inside of a simulation.

Its time is the world's, its troubles are the faults', and it is judged by what hosts were told and what is left in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from functools import partial

from lamplighter.environment.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.history.audit.audit import Report
from lamplighter.history.log_files.lines import parse
from lamplighter.messages.jobs import Instant, JobState
from lamplighter.stores.hints import Hints, ServerHints
from lamplighter.stores.ports import Store
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.admin_connection import AdminConnection
from lamplighter.stores.rabbitmq.link import Message, Sent, StoreEnvironment
from lamplighter.stores.rabbitmq.store import RabbitStore
from lamplighter.testing.simulation.faults import Faults
from lamplighter.testing.simulation.virtual_scheduler import Process, VirtualScheduler

from .model import ModelQueue, ModelServer
from .model_link import MODEL, ModelLink
from .virtual_future import VirtualFuture

TROUBLE_SECONDS_MAX = 0.01
"""How long after the point at which it strikes a trouble comes: while a turn waits for its confirmations, it may be."""

DOWN_SECONDS_MAX, ALARM_SECONDS_MAX = 20.0, 30.0

FOREIGN = (b"", b"\x00\xff", b"null", b"[]", b"{}", b'{"format": "one"}')

FOREIGN_MESSAGES = (*FOREIGN, b'{"format": 1}', b'{"format": 99, "colour": "red"}')

FOREIGN_RECORDS = (
    *FOREIGN,
    b'{"is": "weather", "number": 1}',
    b'{"is": "schedule"}',
    b'{"is": "pause", "name": "work", "paused": "yes"}',
    b'{"is": "slot", "slot": {"schedule_id": "a", "slot": 1.0, "last": 1.0, "count": 1, "outcome": "fired",'
    b' "reason": null, "job_id": "j", "tenant": 1}}',
)

ENDINGS = ("job.done", "job.dead", "job.cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFaults(Faults):
    """What may go wrong with a RabbitMQ too.

    Attributes:
        cut_link: a process loses its connection, also while a turn waits for its confirmations.
        hush_link: a process is answered nothing any more, and keeps its connection.
        restart_server: the server goes down, and comes back after some seconds.
        alarm: it takes no messages in for some seconds.
        foreign_message: somebody else puts a message into a queue of jobs that is none, or one of a version to come.
        foreign_record: the same into the ledger.
    """

    cut_link: float = 0.0
    hush_link: float = 0.0
    restart_server: float = 0.0
    alarm: float = 0.0
    foreign_message: float = 0.0
    foreign_record: float = 0.0


OF_A_SERVER = tuple(field.name for field in fields(ServerFaults)[len(fields(Faults)) :])


class NewerLink(ModelLink):
    """The link of a version to come: whatever it writes has a field more."""

    def send(self, messages: Sequence[Message]) -> Future[Sent]:
        return super().send([one._replace(body=_with_more(one.body)) for one in messages])


def _with_more(body: bytes) -> bytes:
    try:
        return json.dumps({**json.loads(body), "colour": "red"}).encode()
    except (ValueError, TypeError):
        # Somebody else's, which is only moved.
        return body


class SimulatedRabbitMQ(ModelServer):
    """A model with the stores of a simulation's processes on it: `Simulation(..., server=SimulatedRabbitMQ)`.

    Args:
        newer: the numbers of the processes of which a version to come writes the messages: with more in them.
    """

    address = "amqp://model"
    strikes: Mapping[str, tuple[str, ...]] = {
        "store.turn.begin": ("cut_link", "alarm", "foreign_message", "foreign_record"),
        "store.turn.commit": ("cut_link", "hush_link", "restart_server"),
    }

    def __init__(self, world: VirtualScheduler, newer: Collection[int] = ()) -> None:
        super().__init__(world.after, world.chance)
        self._world = world
        self._newer = newer

    def store(self, environment: Environment, process: Process, failpoints: Failpoints) -> Store:
        """A process's store on the model."""
        own = StoreEnvironment(
            clock=environment.clock(),
            event=environment.event,
            future=partial(VirtualFuture, self._world),
            new_id=environment.new_id,
        )
        ledger_link = partial(self._link, process)
        return RabbitStore(MODEL, self._link(process), ledger_link, environment=own, failpoints=failpoints)

    def visit(self, environment: Environment, process: Process) -> AdminConnection:
        """A visit to the model."""
        return AdminConnection(self.address, self._link(process), environment.event, environment.new_id)

    def _link(self, process: Process) -> ModelLink:
        make = NewerLink if process.number in self._newer else ModelLink
        return make(self, future=partial(VirtualFuture, self._world), is_alive=lambda: process.is_alive)

    def hints(self, store: Store) -> Hints:
        """By the server."""
        assert isinstance(store, RabbitStore)
        return ServerHints(store)

    def befall(self, stores: Sequence[Store], kind: str) -> None:
        """Have a trouble come, in a moment."""
        chance = self._world.chance

        def come() -> None:
            match kind:
                case "cut_link" | "hush_link":
                    for store in stores:
                        assert isinstance(store, RabbitStore)
                        for link in [link for link in self.links if store.is_on(link)]:
                            self.cut(link) if kind == "cut_link" else link.hush()
                case "restart_server":
                    if self.is_up:
                        self.restart(chance.uniform(0.1, DOWN_SECONDS_MAX))
                case "foreign_message":
                    queues = [name for name in self.queues if name.startswith(f"{topology.PREFIX}.job.")]
                    _put_foreign(self, chance.choice(queues or [topology.DEAD]), FOREIGN_MESSAGES, self._world)
                case "foreign_record":
                    _put_foreign(self, topology.LEDGER, FOREIGN_RECORDS, self._world)
                case "alarm":
                    if self.alarm is None:
                        self.set_alarm("low on memory")
                        self._world.after(chance.uniform(0.1, ALARM_SECONDS_MAX), lambda: self.set_alarm(None))

        self._world.after(chance.uniform(0.0, TROUBLE_SECONDS_MAX), come)

    def open_jobs(self) -> list[str]:
        """What waits in the queues of jobs, or is with somebody."""
        return open_in_model(self)

    def verdict(
        self, lines: Iterable[bytes], accepted: Mapping[str, Instant]
    ) -> tuple[Report, Sequence[str], Counter[str]]:
        """Judge a log by what hosts were told and what is left in the queues."""
        return model_verdict(lines, self, accepted)


def _put_foreign(server: ModelServer, queue: str, bodies: Sequence[bytes], world: VirtualScheduler) -> None:
    """Something of somebody else's in a queue of ours: in none of our formats, or in one that is still to come."""
    known = server.queues.get(queue)
    if known is not None and known.ready:
        # What is ours but for its end, the name of each field, or the type of some.
        body = known.ready[-1].message.body
        bodies = [*bodies, body[:-1], body.replace(b'":', b's":'), body.replace(b":1,", b':"one",')]
    server.publish(Message(exchange="", key=queue, body=world.chance.choice(bodies)))


def open_in_model(server: ModelServer) -> list[str]:
    """What waits in the queues of jobs, or is with somebody."""
    if not server.is_up or server.alarm is not None:
        return ["the server is away"]
    prefix = f"{topology.PREFIX}.job."
    return [
        f"{queue.spec.name}: {len(queue.ready)} ready, {unacked} unacknowledged"
        for queue in server.queues.values()
        if queue.spec.name.startswith(prefix) and ((unacked := server.unacked_of(queue)) or queue.ready)
    ]


def model_verdict(
    lines: Iterable[bytes], server: ModelServer, accepted: Mapping[str, Instant]
) -> tuple[Report, Sequence[str], Counter[str]]:
    """Judge a log: every job that was accepted has ended or is in a queue; what ended or fired twice is counted."""
    said, endings, fired = Counter[str](), Counter[str](), Counter[tuple[str, float]]()
    told = set[tuple[str, int | None, int | None]]()
    count = 0
    for raw in lines:
        line = parse(raw)
        if line is None:
            continue
        count += 1
        said[line.event] += 1
        turn = (line.of or line.boot, line.turn, line.part)
        if line.moves is None or turn in told:
            continue
        told.add(turn)
        for move in line.moves:
            if f"job.{move.k}" in ENDINGS:
                endings[move.j] += 1
            said["acted for others"] += line.of is None and move.via == "chance"
            # A job that somebody has run now is its schedule's, and of no slot.
            if move.k == "queued" and move.s is not None and move.t is not None:
                fired[move.s, move.t] += 1
    queued = {job_id for queue in server.queues.values() for job_id in _ids(queue)}
    # A process that was killed between a commit and its lines has taken those with it.
    untold = {job_id for job_id, link in server.last_acks.items() if link.is_dead}
    wrong = [f"accepted and lost: {job_id}" for job_id in accepted if job_id not in endings.keys() | queued | untold]
    said["ended_twice"] = sum(number - 1 for number in endings.values())
    said["fired_twice"] = sum(number - 1 for number in fired.values())
    report = Report(
        findings=(),
        more={},
        notes=(),
        lines=count,
        jobs=len(endings),
        transitions=0,
        slots=len(fired),
        boots=0,
        crashes=0,
        unfinished=len(queued),
    )
    return report, wrong, said


def _ids(queue: ModelQueue) -> Iterable[str]:
    for stored in queue.ready:
        try:
            yield wire.read(stored.message.body, frozenset(JobState)).id
        except wire.UnreadableJob:
            continue
