"""One runtime's connection to a RabbitMQ: dispatches the link's notices, and prepares for turns.

It has no thread of its own. The thread that takes the next turn handles the notices, so one thread changes all that
this runtime knows (deliveries, consumers, shared state), and others read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from itertools import count
from typing import Any

from ...errors import StoreError, StoreUnavailable
from ...messages.jobs import Seconds
from ..places import StorePlace
from ..ports import Answer
from . import job_message as wire
from . import ledger_records as records
from . import topology
from .dead_jobs import Dead
from .deliveries import Deliveries
from .health_issues import CONFIRMING, DECLARING, HEARING, HealthIssues, ResponseWatchdog
from .leading import Candidacy, Leading
from .ledger import Follower, message
from .ledger_records import Record, UnreadableRecord
from .link import (
    NOT_FOUND,
    Arrival,
    Blocked,
    Cancelled,
    Connected,
    Link,
    LinkEvent,
    LinkLost,
    Lost,
    Message,
    Pulse,
    QueueSpec,
    Refused,
    StoreEnvironment,
)
from .questions import ANSWER_SECONDS_MAX, ServerClient, answered
from .shared_state import SharedState
from .state import RabbitState, SharedTime
from .unreadable import UnreadableMessage, put_aside

OPEN_SECONDS_MAX = 5.0
"""How long `open` waits for the first connection attempt. After that a turn reports what is wrong."""

LEADER_SECONDS_MAX, STEP_SECONDS = 25.0, 1.0
"""A start waits for a leader so long because one that hangs is found after 15 s; and the interval of its looks."""

MENDED_PULSES, MENDED_NAMES_MAX = 12, 500
"""How often exchanges and queues are declared again, and for how many names at a time."""

NEWS_PREFETCH, RESULTS_PREFETCH = 1_000, 1_000


class Session:
    """One runtime's place on a RabbitMQ. `RabbitStore` adds the turns."""

    def __init__(
        self,
        place: StorePlace,
        link: Link,
        ledger_link: Callable[[], Link],
        *,
        environment: StoreEnvironment,
        results: bool,
        wait: Seconds,
    ) -> None:
        self.place = place
        self.address = place.shown
        self._environment = environment
        self._link = link
        self._answerer: Answer | None = None
        self._inbox: deque[Callable[[], object]] = deque()
        self._stirred = environment.event()
        self._heard: Callable[[], None] | None = None
        self._is_hinted = False
        self._id = environment.new_id()[:12]
        self._wants_results = results
        self._wait_seconds = wait
        self._results_no = 1
        self._is_open = False
        self._tags = count(1)
        self._sequence = count(1)
        self._own: dict[str, Future[None]] = {}
        self._session = self._prepared = 0
        self._declared: set[str] = set()
        self._trouble = "it has not been connected to yet"
        self._blocked: str | None = None
        self._watchdog = ResponseWatchdog(environment.clock.monotonic)
        self._has_changed = self._has_started = False
        self._arrivals = self._pulses = 0
        # News and results that were taken in and are to be acknowledged, together.
        self._taken: list[int] = []
        self._news: list[tuple[str, dict[str, Any]]] = []
        self._news_name = ""
        self._consumers: dict[str, str] = {}
        shared, ailing = SharedState(), HealthIssues(self.address, link, self._healthier)
        deliveries = Deliveries(link, environment.clock.monotonic, lambda: f"jobs-{next(self._tags)}", self._stir)
        self._client = ServerClient(self.address, link, environment.event)
        self.state = RabbitState(
            runtime_id=self._id,
            shared=shared,
            deliveries=deliveries,
            dead=Dead(self._client, lambda job_id: deliveries.held.newest(job_id) is not None, self._put_aside),
            ailing=ailing,
            time=SharedTime(environment.clock),
        )
        self._leading = Leading(
            self.state,
            link,
            ledger_link,
            environment,
            tell=lambda candidacy, event: self._later(partial(self._hear_ledger, candidacy, event)),
            later=self._later,
            told=self._told,
            unreadable=self._pass_over,
        )
        self._ledger = self._leading.ledger
        self._follower = Follower(shared, self._told, self._pass_over, self.state.time.hear)

    @property
    def store_id(self) -> str | None:
        """The id of the store, from the ledger; None until this runtime has read it."""
        return self.state.shared.store_id

    @property
    def leads(self) -> bool:
        return self._session != 0 and self._leading.is_proven

    @property
    def version(self) -> int:
        """Rises with every change of what can be claimed."""
        return self._arrivals + self.state.shared.changes + self._session

    def open(self) -> None:
        self._is_open = True
        self._link.start(self.hear)
        give_up_at = self._environment.clock.monotonic() + max(OPEN_SECONDS_MAX, self._wait_seconds)
        before = self._trouble
        while not (self._session or self.state.ailing.refusal) and self._wait(give_up_at):
            self._drain()
            if self._trouble != before and not self._wait_seconds:
                break
        if self.state.ailing.refusal is not None:
            self.close()
            raise StoreError(f"expected {self.address} to let this runtime in, got: {self.state.ailing.refusal}")

    def close(self) -> None:
        self._is_open = False
        if self.state.results_name is not None:
            # From now on the results queue has no reader.
            self._link.delete(self._session, self.state.results_name)
        self.state.dead.await_return()
        self._leading.withdraw()
        self._link.stop()

    def is_on(self, link: object) -> bool:
        return self._link is link

    def listen(self, heard: Callable[[], None] | None) -> None:
        """Call this, from any thread, whenever a turn may be worth while."""
        self._heard = heard

    def answer(self, call: Answer | None) -> str:
        """Set, or remove, what answers questions from outside, on any thread. Returns the address for questions."""
        self._answerer = call
        return topology.ASKS

    def _later(self, call: Callable[[], object]) -> None:
        """Have the thread that takes turns make a call. Any thread calls this."""
        self._inbox.append(call)
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        if not self._is_hinted and self._heard is not None:
            self._is_hinted = True
            self._heard()

    def _wait(self, give_up_at: Seconds) -> bool:
        remaining = give_up_at - self._environment.clock.monotonic()
        if not self._inbox and remaining > 0:
            self._link.wait(self._stirred, remaining)
        self._stirred.clear()
        # The caller looks at events between this and the clearing, whatever the result.
        return bool(self._inbox) or give_up_at > self._environment.clock.monotonic()

    def _drain(self) -> None:
        self._is_hinted = False
        while self._inbox:
            self._inbox.popleft()()
        if self._taken:
            taken, self._taken = self._taken, []
            self._link.acknowledge(self._session, taken)

    def hear(self, event: LinkEvent) -> None:
        """Keep an event of the link for the thread that takes turns; a question is answered at once."""
        if not (isinstance(event, Arrival) and answered(self._link, event, self._answerer)):
            self._later(partial(self._take_in, event))

    def _take_in(self, event: LinkEvent) -> None:
        match event:
            case Connected(session):
                self._begin_session(session)
            case Lost():
                self._end_session(event.reason, event.refused)
            case Arrival():
                self._take(event)
            case Cancelled():
                self._consumer_ended(event.session, event.consumer)
            case Blocked(reason):
                self._blocked = reason
                # The server has said why it does not answer.
                self._watchdog.begin()
            case Pulse():
                self._look_after(event.unconfirmed, event.unanswered)

    def _healthier(self, call: Callable[[], object]) -> None:
        def change() -> None:
            call()
            # A queue that works again has jobs to claim.
            self._arrivals += 1

        self._later(change)

    def _begin_session(self, session: int) -> None:
        self._session, self._trouble, self._has_changed = session, "", True
        self._declared.clear()
        self._consumers.clear()
        self._taken.clear()
        self._watchdog.begin()
        self.state.deliveries.begin(session)
        self._follower.begin()

    def _end_session(self, reason: str, is_refused: bool) -> None:
        self._session, self._prepared = 0, 0
        self._leading.withdraw()
        self._trouble, self._blocked = reason, None
        self.state.ailing.refusal = reason if is_refused else self.state.ailing.refusal
        self.state.deliveries.begin(0)
        for future in self._own.values():
            future.set_exception(LinkLost(reason))
        self._own.clear()

    def _take(self, arrival: Arrival) -> None:
        if arrival.session != self._session:
            return
        kind = arrival.consumer.partition("-")[0]
        if kind == "news":
            self._take_news(arrival)
        elif kind == "results":
            self._take_result(arrival)
        else:
            self._arrivals += 1
            self.state.deliveries.arrived(arrival)

    def _take_result(self, arrival: Arrival) -> None:
        try:
            ended = wire.read_ended(arrival.body)
        except wire.UnreadableJob as error:
            self.state.deliveries.unreadable_messages.append(
                UnreadableMessage(arrival, self.state.results_name or "", None, error)
            )
        else:
            self._taken.append(arrival.tag)
            self.state.memory.end(ended)
        self._has_changed = True

    def _hear_ledger(self, candidacy: Candidacy, event: LinkEvent) -> None:
        led = self._ledger.is_read
        if isinstance(event, Cancelled):
            # The results queue was deleted, or its leader moved: declare it again before the next turn.
            self._declared.clear()
            self._prepared = 0
        self._leading.hear(candidacy, event)
        if self._ledger.is_read and not led:
            self._has_changed = True
            self._news.append(("scheduler.leads", {}))
        elif led and not self._ledger.is_read:
            # It followed nobody while it led, and the next leader's sum may have come by then: ask for another.
            self._prepared, self._has_changed = 0, True

    def _take_news(self, arrival: Arrival) -> None:
        self._taken.append(arrival.tag)
        if self._ledger.is_read:
            return
        try:
            has_missed = not self._follower.hear(records.parse(arrival.body))
        except UnreadableRecord as error:
            self._pass_over(str(error), None)
            return
        if has_missed:
            # The next preparation asks for a whole sum.
            self._prepared = 0

    def _told(self, record: Record) -> None:
        own = self._own.pop(str(record.get("by")), None)
        self._leading.told(record)
        if own is not None:
            own.set_result(None)
        else:
            self._has_changed = True
        if record["is"] == "runtime gone" and record.get("runtime") == self._id and self.state.says_something:
            # The leader counts this runtime as ended. The next preparation writes that it lives.
            self._prepared = 0

    def _pass_over(self, reason: str, arrival: Arrival | None) -> None:
        """Log and skip an unreadable record of the ledger or the leader."""
        if arrival is not None:
            self.state.deliveries.unreadable_messages.append(
                UnreadableMessage(arrival, topology.LEDGER, None, wire.UnreadableJob(reason))
            )
        else:
            self._news.append(("message.unreadable", {"queue": topology.LEDGER, "message_id": None, "reason": reason}))

    def _consumer_ended(self, session: int, consumer: str) -> None:
        if session != self._session:
            return
        self._declared.clear()
        if consumer.startswith("jobs"):
            self.state.deliveries.cancelled(session, consumer)
        else:
            self._prepared = 0
            self._consumers = {queue: tag for queue, tag in self._consumers.items() if tag != consumer}

    def _be_ready(self) -> None:
        """Make sure that a session has everything declared and no turn unsettled.

        Raises:
            StoreUnavailable: not now.
        """
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")
        self._drain()
        if self._session == 0:
            raise StoreUnavailable(f"the store {self.address} is not connected: {self._trouble}")
        if self._blocked is not None:
            raise StoreUnavailable(f"the store {self.address} takes nothing in now: {self._blocked}")
        self._resume_commit()
        try:
            if self._prepared != self._session:
                self._prepare()
        except LinkLost as error:
            raise StoreUnavailable(f"the store {self.address} is not connected: {error}") from error
        except FutureTimeout:
            hangs = self._watchdog.is_asked(HEARING) and self._blocked is None
            blamed = f": {self._client.leader()} may hang; another leads within 15 s" if hangs else ""
            raise StoreUnavailable(f"the store {self.address} did not answer in time{blamed}") from None
        except Refused as error:
            if error.code != NOT_FOUND:
                self.state.ailing.refusal = str(error)
            raise StoreUnavailable(f"the store {self.address} cannot be used: {error}") from error

    def _look_after(self, unconfirmed: int | None, unanswered: int | None) -> None:
        """Give up a silent session. Otherwise write something, so that a silence can be noticed."""
        if self._session == 0:
            return
        if self._blocked is not None:
            self._watchdog.in_alarm()
        else:
            self._watchdog.calm()
            self._ask_after(unconfirmed, unanswered)
        silent = self._watchdog.look()
        if silent is not None:
            self._link.give_up(self._session, silent)
        elif self._blocked is None and self._prepared == self._session:
            self._leading.stand()
            self._ledger.look_who_lives()
            self._probe()
            self.state.ailing.look()
            self._mend()

    def _ask_after(self, unconfirmed: int | None, unanswered: int | None) -> None:
        for what, which in ((CONFIRMING, unconfirmed), (DECLARING, unanswered)):
            if which is None:
                self._watchdog.answers(what)
            else:
                self._watchdog.asks(what, which)

    def _mend(self) -> None:
        """Declare again, once in a while, what somebody may have deleted without any call failing."""
        self._pulses += 1
        if self._pulses % MENDED_PULSES == 0:
            foundation = topology.foundation() if self.leads else topology.hearing(self._news_name)
            names = sorted(self._declared - self.state.ailing.stopped.keys())[:MENDED_NAMES_MAX]
            self._link.setup([*foundation, *map(topology.job_queue, names)])

    def _probe(self) -> None:
        by = f"{self._id}-{next(self._sequence)}"
        if self._ledger.is_read:
            self._leading.probes(by)
        self._link.send([message({"is": "hello", "by": by, "from": self._id})])

    def _prepare(self) -> None:
        """Declare everything, lead or follow, and get the shared state."""
        session = self._session
        self._news_name = f"{self._id}-{session}"
        news = topology.news_queue(self._news_name)
        self._await(self._link.setup([*topology.foundation(), news]))
        results = self._have_results()
        self.state.results_name = None if results is None else results.name
        self._consume(news.name, "news", NEWS_PREFETCH)
        if results is not None:
            self._consume(results.name, "results", RESULTS_PREFETCH)
        hello = f"{self._id}-{next(self._sequence)}"
        answered = self._own[hello] = self._environment.future()
        asks = [message({"is": "hello", "by": hello, "from": self._id, "to": news.name})]
        self._await(self._link.send(asks))
        self._leading.stand()
        self._await_leader(answered, asks)
        self._prepared = session
        unsaid = self.state.unsaid(self._environment.clock.now())
        self._link.send([message(one) for one in self._labelled(unsaid)])
        self.state.ailing.refusal = None
        self.state.ailing.count_unreadable()

    def _await_leader(self, answered: Future[None], asks: Sequence[Message]) -> None:
        """Wait until the leader has sent all; at a start, long enough for the server to detect one that hangs."""
        connected = self._ledger.session
        seconds = ANSWER_SECONDS_MAX if self._has_started else LEADER_SECONDS_MAX + self._wait_seconds
        give_up_at = self._environment.clock.monotonic() + seconds
        while not answered.done():
            try:
                self._await(answered, STEP_SECONDS)
            except FutureTimeout:
                if self._blocked is not None or self._environment.clock.monotonic() >= give_up_at:
                    self._watchdog.asks(HEARING)
                    raise
                self._leading.stand()
                if self._ledger.session not in (0, connected):
                    # The ledger may have been deleted together with the question.
                    connected = self._ledger.session
                    self._link.send(asks)
        self._has_started = True
        self._watchdog.answers(HEARING)

    def _consume(self, queue: str, kind: str, prefetch: int) -> None:
        """Consume a queue: once in a session, however often that is prepared."""
        if queue not in self._consumers:
            tag = self._consumers[queue] = f"{kind}-{next(self._tags)}"
            self._link.consume(self._session, queue, tag, prefetch=prefetch, apart=True)

    def _labelled(self, written: Sequence[Record]) -> list[Record]:
        labelled: list[Record] = []
        for one in written:
            self.state.shared.number += 1
            labelled.append({**one, "by": f"{self._id}-{next(self._sequence)}", "no": self.state.shared.number})
        return labelled

    def _have_results(self) -> QueueSpec | None:
        """The queue of results for this runtime; None without results.

        It lies on one node. While that node is away, another takes its place, and results sent to the first are missed.
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
        except FutureTimeout:
            if self._blocked is None:
                # RabbitMQ 4.0.5 asks for a missing node for a minute, and answers nothing else here meanwhile.
                self._results_no += 1
                self._link.give_up(self._session, f"it does not find the node of the queue {wanted.name}")
            raise
        return wanted

    def _await(self, future: Future[Any], seconds: Seconds = ANSWER_SECONDS_MAX) -> Any:
        """Wait for an answer, and handle notices meanwhile: the answer may depend on them.

        Raises:
            FutureTimeout: no answer in time, or the server is in alarm.
        """
        future.add_done_callback(lambda _: self._stirred.set())
        give_up_at = self._environment.clock.monotonic() + seconds
        while not future.done():
            if self._blocked is not None or not self._wait(give_up_at):
                raise FutureTimeout
            self._drain()
        return future.result(0)

    def _put_aside(self, unreadable_messages: Sequence[UnreadableMessage]) -> Sequence[int]:
        """Move unreadable messages to their queue, on a caller's thread; the indexes of those that arrived."""
        if not unreadable_messages:
            return ()
        now = self._environment.clock.now()
        gone = self._client.publish([put_aside(one, now) for one in unreadable_messages])
        news = [("message.unreadable", unreadable_messages[index].fields) for index in gone]
        self._later(lambda: self._news.extend(news))
        self.state.ailing.count_unreadable()
        return gone

    def _resume_commit(self) -> None:
        """Settle a turn whose outcome was unknown."""
