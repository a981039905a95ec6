"""The RabbitMQ store: the same port as SQLite's, over the durable queues of a server or cluster.

It has no thread of its own. The link tells what has come; it is looked at by whoever takes the next turn. So what this
runtime knows (deliveries, windows, the chronicle) is changed by one thread only, and others read it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..checks import not_supported
from ..clock import Clock
from ..errors import StoreError, StoreUnavailable
from ..failpoints import Failpoints
from ..messages.jobs import Attempt, Instant, JobRecord, JobState, NewJob, Seconds
from ..messages.outcomes import Outcome, Verdict
from ..messages.schedules import ScheduleRecord, SlotEntry
from ..stores.base import BootRecord, CommitUnknown
from . import chronicle as records
from . import topology, wire
from .chronicle import Chronicle, Record
from .deliveries import Copy, Deliveries, Delivery
from .ledger import PREFETCH as LEDGER_PREFETCH
from .ledger import Ledger, Listener, message
from .link import Arrival, Fetched, Link, LinkLost, Message, QueueSpec, Refused, Sent
from .memory import Endings, Newest
from .turn import Ops, RabbitTurn, redo, undo

OPEN_SECONDS_MAX = 5.0
"""How long `open` waits until the first try to connect has succeeded or failed. A turn says what is wrong then."""

COMMIT_SECONDS_MAX = 10.0
"""How long a turn waits for the server's confirmations before its outcome is called unknown."""

PUBLISH_TRIES_MAX = 3
"""How often a message is published whose queue was not there, or that was refused."""

NEWS_PREFETCH, RESULTS_PREFETCH = 1_000, 1_000

READ_SECONDS_MAX = 2.0
"""How long a turn waits until the leader has read what it has written. It is in the ledger, whether read or not."""

DEAD_FETCHED_MAX = 2_000
"""How many dead jobs are looked through for one."""

CANNOT = frozenset((
    "at_once", "atomic", "connection", "counts", "expiry", "forecast", "get", "history", "limit", "list", "overlap",
    "place", "priority", "recall", "remove", "requeue", "revisions", "unique", "watch",
))  # fmt: skip
"""Names of `testing.CAPABILITIES` that no queue has."""


NOT_FOUND = 404
"""AMQP's reply code for a queue that is not there."""

SLOT_SECONDS_KEPT_MIN = 7 * 86400.0
"""Slots are remembered for seven days, or for the catch-up window if that is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What the store takes from the environment."""

    clock: Clock
    event: Callable[[], Any]
    future: Callable[[], Future[Any]]
    new_id: Callable[[], str]


@dataclass(slots=True)
class Flight:
    """A turn that was not confirmed in time. Nothing else is published until the server has said what became of it."""

    ops: Ops
    stage: Iterator[Future[Any]]
    waits_for: Future[Any]


class RabbitStore:
    """See `stores.base.Store`.

    Args:
        address: how it is shown: without a password.
        results: whether the ends of jobs are told to the runtime that queued them.
    """

    in_memory = False
    is_server = True
    cannot: Collection[str] = CANNOT
    make_turn: Callable[[RabbitStore, str, Instant], RabbitTurn] = RabbitTurn

    def __init__(
        self, address: str, link: Link, *, seams: Seams, results: bool = True, failpoints: Failpoints | None = None
    ) -> None:
        self.address = address
        self._link = link
        self._seams = seams
        self._failpoints = failpoints or Failpoints()
        self._id = seams.new_id()[:12]
        self._wants_results = results
        self._results_no = 1
        self._is_open = False
        self._inbox: deque[tuple[str, Any]] = deque()
        self._stirred = seams.event()
        self._heard: Callable[[], None] | None = None
        self._is_hinted = False
        self._numbers = count(1)
        self._tags = count(1)
        self._sequence = count(1)
        self._own: dict[str, Future[None]] = {}
        # The session, and how far it is prepared.
        self._session = 0
        self._prepared = 0
        self._declared: set[str] = set()
        self._trouble = "it has not been connected to yet"
        self._is_refused = False
        self._blocked: str | None = None
        self._flight: Flight | None = None
        self._has_changed = False
        self._arrivals = 0
        self._news: list[tuple[str, dict[str, Any]]] = []
        # What turns read and change.
        self.results_name: str | None = None
        self.chronicle = Chronicle()
        self._ledger = Ledger(link, self.chronicle, self._id, self._told, seams.clock.now)
        self._listener = Listener(self.chronicle, self._told)
        self.deliveries = Deliveries(link, lambda: f"jobs-{next(self._tags)}")
        self.own_boots: dict[str, BootRecord] = {}
        self.settled: Newest[Copy, bool] = Newest()
        self.kept: Newest[Copy, tuple[JobRecord, Outcome, Verdict]] = Newest()
        self.queued: Newest[str, JobRecord] = Newest()
        self.endings = Endings()
        self.duplicates = 0
        self._found_dead: dict[str, tuple[Fetched, int]] = {}

    @property
    def leads(self) -> bool:
        """Whether this runtime fires the slots of all."""
        return self._session != 0 and self._ledger.is_read

    @property
    def version(self) -> int:
        """Rises with everything that may change what can be claimed."""
        return self._arrivals + self.chronicle.changes + self._session

    def next_no(self) -> int:
        """A number that no claim of this store object has had."""
        return next(self._numbers)

    # --- opening --------------------------------------------------------------------------------------------

    def open(self) -> None:
        self._is_open = True
        self._link.start(self)
        give_up_at = self._seams.clock.monotonic() + OPEN_SECONDS_MAX
        before = self._trouble
        while not self._session and self._trouble == before and self._wait(give_up_at):
            self._drain()
        if self._is_refused:
            self.close()
            raise StoreError(f"expected {self.address} to let this runtime in, got: {self._trouble}")

    def close(self) -> None:
        self._is_open = False
        self._link.stop()

    def freeze(self) -> bool:
        """Nothing: a child has its own connection, and the parent's is not closed by the child's end."""
        return False

    def thaw(self) -> None:
        """Nothing."""

    def is_on(self, link: Link) -> bool:
        """Whether this is its link."""
        return self._link is link

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this, from any thread, whenever a turn may be worth while."""
        self._heard = heard

    # --- what the link tells: from its own thread ------------------------------------------------------------

    def connected(self, session: int) -> None:
        self._tell("connected", session)

    def lost(self, session: int, reason: str, *, refused: bool) -> None:
        self._tell("lost", (reason, refused))

    def arrived(self, arrival: Arrival) -> None:
        self._tell("arrived", arrival)

    def cancelled(self, session: int, consumer: str) -> None:
        self._tell("cancelled", (session, consumer))

    def blocked(self, reason: str | None) -> None:
        self._tell("blocked", reason)

    def _tell(self, what: str, value: Any) -> None:
        self._inbox.append((what, value))
        self._stirred.set()
        if not self._is_hinted and self._heard is not None:
            self._is_hinted = True
            self._heard()

    # --- what has come: looked at by whoever takes turns -------------------------------------------------------

    def _wait(self, give_up_at: Seconds) -> bool:
        """Wait until something has come. False when the time is up."""
        remaining = give_up_at - self._seams.clock.monotonic()
        if not self._inbox and remaining > 0:
            self._stirred.wait(remaining)
        self._stirred.clear()
        # What came between the look and the clearing is looked at by the caller, whatever this says.
        return bool(self._inbox) or give_up_at > self._seams.clock.monotonic()

    def _drain(self) -> None:
        self._is_hinted = False
        while self._inbox:
            what, value = self._inbox.popleft()
            match what:
                case "connected":
                    self._begin_session(value)
                case "lost":
                    self._end_session(*value)
                case "arrived":
                    self._take(value)
                case "cancelled":
                    self._consumer_ended(*value)
                case "blocked":
                    self._blocked = value

    def _begin_session(self, session: int) -> None:
        self._session = session
        self._declared.clear()
        self._trouble, self._is_refused = "", False
        self.deliveries.begin(session)
        self._ledger.begin(session)
        self._listener.begin()
        self._has_changed = True

    def _end_session(self, reason: str, is_refused: bool) -> None:
        self._session, self._prepared = 0, 0
        self._ledger.begin(0)
        self._trouble, self._is_refused = reason, is_refused
        self._blocked = None
        self.deliveries.begin(0)
        for future in self._own.values():
            future.set_exception(LinkLost(reason))
        self._own.clear()

    def _take(self, arrival: Arrival) -> None:
        if arrival.session != self._session:
            return
        kind = arrival.consumer.partition("-")[0]
        if kind == "news":
            self._hear(arrival)
        elif kind == "results":
            self._link.settle(arrival.session, (arrival.tag,))
            with contextlib.suppress(wire.Unreadable):
                self.endings.put(wire.read(arrival.body))
            self._has_changed = True
        elif kind == "ledger":
            self._lead(arrival)
        else:
            self._arrivals += 1
            trouble = self.deliveries.arrived(arrival)
            if trouble is not None:
                self._news.append(("message.unreadable", {"reason": trouble}))

    def _lead(self, arrival: Arrival) -> None:
        """This runtime is the one that is given the ledger."""
        record = records.parse(arrival.body)
        if record is None:
            self._news.append(("message.unreadable", {"reason": "it is no record of the ledger"}))
            return
        led = self.leads
        self._ledger.arrived(arrival, record)
        if self.leads and not led:
            self._has_changed = True
            self._news.append(("scheduler.leads", {}))

    def _hear(self, arrival: Arrival) -> None:
        """The leader tells what it has read."""
        self._link.settle(arrival.session, (arrival.tag,))
        told = records.parse(arrival.body)
        if told is None or told["is"] != "told" or self.leads:
            return
        if not self._listener.hear(told):
            # Something was missed: be told all of it again.
            self._prepared = 0

    def _told(self, record: Record) -> None:
        """A record is in the chronicle."""
        own = self._own.pop(record.get("by", ""), None)
        if own is not None:
            own.set_result(None)
        else:
            self._has_changed = True

    def _consumer_ended(self, session: int, consumer: str) -> None:
        """The server has ended a consumer: its queue was deleted, or its leader moved."""
        if session != self._session:
            return
        self._declared.clear()
        if consumer.startswith("jobs"):
            self.deliveries.cancelled(session, consumer)
        else:
            self._prepared = 0
        if consumer.startswith("ledger"):
            self._ledger.begin(session)

    # --- being ready --------------------------------------------------------------------------------------------

    def _be_ready(self) -> None:
        """Have a session in which everything is there, and nothing hangs in the air.

        Raises:
            StoreUnavailable: it cannot be had now.
        """
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")
        self._drain()
        if self._session == 0:
            raise StoreUnavailable(f"the store {self.address} is not connected: {self._trouble}")
        if self._blocked is not None:
            raise StoreUnavailable(f"the store {self.address} takes nothing in now: {self._blocked}")
        if self._flight is not None:
            self._land(self._flight)
        try:
            if self._prepared != self._session:
                self._prepare()
        except LinkLost as error:
            raise StoreUnavailable(f"the store {self.address} is not connected: {error}") from error
        except FutureTimeout:
            raise StoreUnavailable(f"the store {self.address} did not answer in time") from None
        except Refused as error:
            raise StoreUnavailable(f"the store {self.address} cannot be used: {error}") from error

    def _prepare(self) -> None:
        """Have everything there, hear the leader or be it, and know what all others know."""
        session, number = self._session, next(self._tags)
        news = topology.news_queue(f"{self._id}-{number}")
        self._await(self._link.setup([*topology.foundation(), news]))
        results = self._have_results()
        self.results_name = None if results is None else results.name
        consume = self._link.consume
        consume(session, news.name, f"news-{number}", prefetch=NEWS_PREFETCH)
        if results is not None:
            consume(session, results.name, f"results-{number}", prefetch=RESULTS_PREFETCH)
        hello = f"{self._id}-{next(self._sequence)}"
        answered: Future[None] = self._seams.future()
        self._own[hello] = answered
        self._await(self._link.send([message({"is": "hello", "by": hello, "to": news.name})]))
        if not self._ledger.is_read:
            consume(session, topology.LEDGER, f"ledger-{number}", prefetch=LEDGER_PREFETCH)
        self._await(answered)
        self._prepared = session

    def _have_results(self) -> QueueSpec | None:
        """The queue in which this runtime hears how its jobs have ended; None if it does not want to.

        It lies on one node. When that is away, another takes its place; what was told to the first is not heard then.
        """
        if not self._wants_results:
            return None
        wanted = topology.results_queue(f"{self._id}-{self._results_no}")
        try:
            self._await(self._link.setup([wanted]))
        except Refused as error:
            if error.code != NOT_FOUND:
                raise
            self._results_no += 1
            wanted = topology.results_queue(f"{self._id}-{self._results_no}")
            self._await(self._link.setup([wanted]))
        return wanted

    def _await(self, future: Future[Any], seconds: Seconds = COMMIT_SECONDS_MAX) -> Any:
        """Wait for an answer, and look at what comes meanwhile: it may be what the answer depends on.

        Raises:
            FutureTimeout: it has not come in time, or the server has said that it takes nothing in.
        """
        future.add_done_callback(lambda _: self._stirred.set())
        give_up_at = self._seams.clock.monotonic() + seconds
        while not future.done():
            if self._blocked is not None or not self._wait(give_up_at):
                raise FutureTimeout
            self._drain()
        return future.result(0)

    def _writing(self, wanted: Sequence[Record]) -> Iterator[Future[Any]]:
        """Write into the ledger; then wait, for a while, until the leader has read it and told."""
        read: Future[None] = self._seams.future()
        by = f"{self._id}-{next(self._sequence)}"
        self._own[by] = read
        labels = [f"{by}.{index}" for index in range(len(wanted) - 1)] + [by]
        yield self._link.send([message({**record, "by": label}) for record, label in zip(wanted, labels, strict=True)])
        with contextlib.suppress(FutureTimeout):
            self._await(read, READ_SECONDS_MAX)

    # --- turns ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self, boot: str, now: Instant) -> Iterator[RabbitTurn]:
        self._be_ready()
        self._failpoints.at("store.turn.begin")
        turn = self.make_turn(self, boot, now)
        session = self._session
        try:
            yield turn
            turn.seal()
            self._failpoints.at("store.turn.commit")
            self._commit(turn.ops, session)
            self._failpoints.at("store.turn.committed")
        except BaseException:
            undo(turn.ops.changes)
            raise
        turn.news += self._news
        self._news = []

    def _commit(self, ops: Ops, session: int) -> None:
        """Publish, wait for the confirmations, write the records, acknowledge."""
        stage = self._stages(ops, session)
        try:
            for waits_for in stage:
                try:
                    self._await(waits_for)
                except FutureTimeout:
                    self._flight = Flight(ops, stage, waits_for)
                    raise CommitUnknown(
                        f"the store {self.address} did not confirm a turn within {COMMIT_SECONDS_MAX:g} s: "
                        f"{self._blocked or 'it is slow, or has lost the majority of its nodes'}"
                    ) from None
        except LinkLost as error:
            raise CommitUnknown(f"the store {self.address} was lost before it had confirmed a turn: {error}") from error
        except Refused as error:
            raise StoreUnavailable(f"the store {self.address} refuses: {error}") from error

    def _stages(self, ops: Ops, session: int) -> Iterator[Future[Any]]:
        """The steps of a commit; each yields what must have an answer before the next."""
        missing = [topology.job_queue(name) for name in sorted(ops.names - self._declared)]
        if missing:
            yield self._link.setup(missing)
            self._declared |= ops.names
        left: Sequence[Message] = ops.messages
        for tries_left in range(PUBLISH_TRIES_MAX, -1, -1):
            if not left:
                break
            if tries_left == 0:
                raise Refused(f"it took {len(ops.messages) - len(left)} of {len(ops.messages)} messages", 0)
            sending = self._link.send(left)
            yield sending
            sent: Sent = sending.result(0)
            if sent.returned:
                # Somebody has deleted their queues.
                self._declared.clear()
                yield self._link.setup([*topology.foundation(), *map(topology.job_queue, sorted(ops.names))])
                self._declared |= ops.names
            left = [left[index] for index in sorted({*sent.returned, *sent.refused})]
        if ops.records:
            yield from self._writing(ops.records)
        by_session: dict[int, list[Delivery]] = {}
        for delivery in ops.settled:
            by_session.setdefault(delivery.arrival.session, []).append(delivery)
        for of, settled in by_session.items():
            self._link.settle(of, [delivery.arrival.tag for delivery in settled])
        for delivery in ops.settled:
            self.deliveries.drop(delivery)
        for done in ops.done:
            done()
        if session == self._session:
            self.deliveries.adjust()

    def _land(self, flight: Flight) -> None:
        """Go on with the turn whose outcome was unknown, if it is known by now.

        Raises:
            StoreUnavailable: it is not.
        """
        try:
            waits_for: Future[Any] | None = flight.waits_for
            while waits_for is not None:
                if not waits_for.done():
                    flight.waits_for = waits_for
                    raise StoreUnavailable(f"the store {self.address} has not confirmed an earlier turn yet")
                waits_for.result(0)
                waits_for = next(flight.stage, None)
            redo(flight.ops.changes)
        except (LinkLost, Refused):
            # What was published may be there or not; what is asked for again is published again.
            pass
        self._flight = None

    def changed(self) -> bool:
        self._be_ready()
        changed, self._has_changed = self._has_changed, False
        return changed

    # --- looking --------------------------------------------------------------------------------------------

    def known(self, job_id: str) -> JobRecord | None:
        held = self.deliveries.held_of(job_id)
        return held.job if held is not None else self.endings.get(job_id) or self.queued.get(job_id)

    def get(self, job_id: str) -> JobRecord | None:
        raise not_supported("get")

    def list(self, *, name: str | None, state: str | None, limit: int, before: int | None) -> Sequence[JobRecord]:
        if state != JobState.DEAD:
            raise not_supported("list")
        fetched = self._fetch(limit)
        fetched.done(())
        jobs = [wire.read(body) for body in fetched.bodies]
        return [job for job in jobs if name in (None, job.name)]

    def counts(self, name: str | None) -> dict[str, int]:
        if name is None:
            raise not_supported("counts")
        seen = self._answer(self._link.look(topology.queue_of(name)))
        waiting = len(self.deliveries.waiting.get(name, ())) + sum(
            one.job.name == name for one in self.deliveries.fresh
        )
        found = {state.value: 0 for state in JobState}
        found["queued"] = (0 if seen is None else seen[0]) + waiting
        found["running"] = sum(held.job.name == name for held in list(self.deliveries.held.values()))
        return found

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        raise not_supported("history")

    def due(self, names: Sequence[str], now: Instant) -> bool:
        self._drain()
        if self._session == 0 or self._prepared != self._session or self._flight is not None:
            return True
        if self.deliveries.fresh or self._news:
            return True
        unpaused = [name for name in names if name not in self.chronicle.pauses]
        return any(self.deliveries.waiting.get(name) or self.deliveries.is_short(name) for name in unpaused)

    def next_due(self, name: str, now: Instant) -> Instant | None:
        return None

    def next_expiry(self) -> Instant | None:
        return None

    def untold(self) -> bool:
        return False

    def schedules(self) -> Sequence[ScheduleRecord]:
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")
        return list(self.chronicle.schedules.values())

    def schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return self.chronicle.schedules.get(schedule_id)

    def change_no(self) -> int:
        return self.chronicle.change_no

    def schedules_changed(self, since: int, limit: int) -> Sequence[ScheduleRecord]:
        return self.chronicle.changed_since(since, limit)

    def slots(self, schedule_id: str, start: Instant, end: Instant) -> Sequence[SlotEntry]:
        return self.chronicle.slots_between(schedule_id, start, end)

    def boots(self) -> Sequence[BootRecord]:
        return list(self.own_boots.values())

    def paused(self) -> tuple[str, ...]:
        return tuple(sorted(self.chronicle.pauses))

    def queue_on(self, connection: Any, job: NewJob) -> tuple[JobRecord, bool]:
        raise not_supported("connection")

    def finish_on(
        self, connection: Any, job_id: str, no: int | None, claim_no: int | None, result: str | None, now: Instant
    ) -> bool:
        raise not_supported("connection")

    # --- the dead ---------------------------------------------------------------------------------------------

    def find_dead(self, job_id: str) -> JobRecord | None:
        """A dead job by its id."""
        fetched = self._fetch(DEAD_FETCHED_MAX)
        for index, body in enumerate(fetched.bodies):
            with contextlib.suppress(wire.Unreadable):
                job = wire.read(body)
                if job.id == job_id:
                    self._found_dead[job_id] = fetched, index
                    return job
        fetched.done(())
        return None

    def take_away(self, job_id: str) -> None:
        """Take a dead job that was found out of its queue."""
        fetched, index = self._found_dead.pop(job_id)
        fetched.done((index,))

    def put_back(self, job_id: str) -> None:
        """Leave a dead job that was found in its queue."""
        found = self._found_dead.pop(job_id, None)
        if found is not None:
            found[0].done(())

    def prune_slots(self, before: Instant, batch: int) -> int:
        """Drop what is remembered of old slots."""
        gone = 0
        for schedule_id in self.chronicle.slots:
            schedule = self.chronicle.schedules.get(schedule_id)
            window = 0.0 if schedule is None else schedule.catch_up_window
            gone += self.chronicle.forget_slots(schedule_id, before - max(window, SLOT_SECONDS_KEPT_MIN))
        return gone

    def _fetch(self, most: int) -> Fetched:
        fetched: Fetched = self._answer(self._link.fetch(topology.DEAD, most))
        return fetched

    def _answer(self, future: Future[Any]) -> Any:
        try:
            # By any thread: what comes meanwhile is not its to look at.
            return future.result(COMMIT_SECONDS_MAX)
        except Refused as error:
            if error.code == NOT_FOUND:
                return None
            raise StoreUnavailable(f"the store {self.address} refuses: {error}") from error
        except (LinkLost, FutureTimeout) as error:
            raise StoreUnavailable(f"the store {self.address} did not answer: {error}") from error
