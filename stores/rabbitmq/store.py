"""The RabbitMQ store: the same port as SQLite's, over the durable queues of a server or cluster."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

from ...environment.failpoints import Failpoints
from ...errors import StoreUnavailable
from ...messages.boots import BootRecord
from ...messages.clock_steps import Reading
from ...messages.jobs import Instant, JobRecord, JobState, NewJob, Seconds
from ...messages.names import PauseRecord, paused_at
from ..places import StorePlace
from ..ports import Born, DueCheck, JobReader, QueueReader, ScheduleReader, StoreParts, StoreSnapshot, StoreSurroundings
from ..troubles import CommitUnknown, HealthIssue
from ..turn_ports import Want
from . import job_message as wire
from . import topology
from .deliveries import Delivery
from .ledger import message
from .ledger_records import Record
from .ledger_sums import LedgerSchedules
from .link import NOT_FOUND, Link, LinkLost, Message, Refused, Sent, StoreEnvironment
from .pending_turn import FULL_SECONDS, PendingTurn
from .questions import ANSWER_SECONDS_MAX
from .session import Session
from .state import CommitPlan, PendingCommit, redo, undo
from .turn import RabbitTurn
from .unreadable import UnreadableMessage

PUBLISH_TRIES_MAX = 3
"""How often a message is published that was refused or found no queue."""

DECLARE_TRIES_MAX = 5
"""How often a job name's queue is declared before the name stops as not found."""

NAMES_ASKED_MAX = 100
"""How many queues of unhandled names are asked for jobs at once."""

READ_SECONDS_MAX = 2.0
"""How long a turn waits for the leader to read its records, which are in the ledger either way."""


class RabbitStore(Session, StoreParts):
    """It needs no `fork`: a child has a connection of its own, and its end does not close the parent's."""

    queues: QueueReader | None = None
    waits_seconds_max: Seconds = ANSWER_SECONDS_MAX

    def __init__(
        self,
        place: StorePlace,
        link: Link,
        ledger_link: Callable[[], Link],
        *,
        environment: StoreEnvironment,
        results: bool = True,
        wait: Seconds = 0.0,
        failpoints: Failpoints | None = None,
        only_existing: bool = False,
    ) -> None:
        super().__init__(place, link, ledger_link, environment=environment, results=results, wait=wait)
        self._failpoints = failpoints or Failpoints()
        self._only_existing = only_existing
        self.jobs: JobReader = self
        self.dead = self.state.dead
        self.schedules: ScheduleReader = LedgerSchedules(self.state.shared, self._check_open)
        self.births = self
        self.peers = self
        self.notifier = self

    def open(self) -> None:
        super().open()
        if self._only_existing and self._session:
            self._check_there()

    def _check_there(self) -> None:
        """A reader creates nothing on a server without runtimes: the address is more likely wrong."""
        try:
            is_there = self._client.answer(self._link.look(topology.LEDGER)) is not None
        except BaseException:
            self.close()
            raise
        if not is_there:
            self.close()
            raise topology.never_used(self.address, "no ledger")

    @contextlib.contextmanager
    def turn(self, boot: str, now: Instant) -> Iterator[RabbitTurn]:
        self._be_ready()
        self._failpoints.at("store.turn.begin")
        turn = self.make_turn(boot, now)
        session = self._session
        try:
            yield turn
            turn.seal()
            self._failpoints.at("store.turn.commit")
            self._commit(turn.ops, session)
        except BaseException:
            undo(turn.ops.changes)
            raise
        # The turn holds. A later error must not undo it.
        try:
            self._failpoints.at("store.turn.committed")
            turn.news += self._news
            self._news = []
        except Exception as error:
            raise CommitUnknown(f"the store {self.address} has stored a write batch, and then: {error!r}") from error

    def bear(
        self,
        boot: str,
        version: int,
        jobs: Sequence[NewJob],
        begun: Callable[[], Reading | None],
        want: Want | None = None,
    ) -> Born | None:
        """As in the port, without a want: the server delivers the jobs. An ordinary turn declares new names, and takes
        in what has been heard."""
        state, session = self.state, self._session
        if not session or self._prepared != session or self._blocked is not None or state.pending_commit is not None:
            return None
        if self._inbox or self._news or version != self.version or self._link.bytes_max is not None:
            return None
        if boot not in state.own_boots or not all(map(self._may_bear, jobs)):
            return None
        if len({job.id for job in jobs}) < len(jobs):
            return None
        self._failpoints.at("store.turn.begin")
        self._failpoints.at("direct.begin")
        reading = begun()
        if reading is None or state.clock.has_stepped(reading):
            return None
        turn = PendingTurn(state, boot, reading.now, version=version, leads=self.leads, bytes_max=None)
        try:
            for job in jobs:
                turn.add(job)
            turn.number()
            self._failpoints.at("store.turn.commit")
            self._failpoints.at("direct.commit")
            self._commit(turn.ops, session)
        except BaseException:
            undo(turn.ops.changes)
            raise
        self._failpoints.at("store.turn.committed")
        assert turn.did is not None
        return Born(turn.transitions, turn.did, math.inf)

    def _may_bear(self, job: NewJob) -> bool:
        """Whether a job can be published at once: it is new, and its queue is there and has room."""
        name, ailing = job.name, self.state.ailing
        if name not in self._declared or name not in self.state.shared.names:
            return False
        return name not in ailing.full and name not in ailing.stopped and self.state.memory.queued.get(job.id) is None

    def holds(self, job_id: str) -> bool:
        return any(held.job.id == job_id and not held.is_lost for held in self.state.deliveries.held)

    def snapshot(self) -> AbstractContextManager[StoreSnapshot]:
        # Queues have no past: each question is answered at its own time.
        return contextlib.nullcontext(self)

    def boots(self) -> Sequence[BootRecord]:
        return self.state.shared.boot_records()

    def is_declared(self, schedule_id: str) -> bool:
        return self.state.shared.is_declared(schedule_id, beside=self._id)

    def is_handled(self, name: str) -> bool:
        return self.state.shared.is_handled(name)

    def make_turn(self, boot: str, now: Instant) -> RabbitTurn:
        return RabbitTurn(self.state, boot, now, version=self.version, leads=self.leads, bytes_max=self._link.bytes_max)

    def _commit(self, ops: CommitPlan, session: int) -> None:
        stage = self._stages(ops, session)
        try:
            for waits_for in stage:
                try:
                    self._await(waits_for)
                except FutureTimeout:
                    self.state.pending_commit = PendingCommit(ops, stage, waits_for)
                    raise CommitUnknown(
                        f"the store {self.address} did not confirm a write batch within {ANSWER_SECONDS_MAX:g} s: "
                        f"{self._blocked or 'it is slow, or has lost the majority of its nodes'}"
                    ) from None
        except LinkLost as error:
            raise CommitUnknown(
                f"the store {self.address} was lost before it had confirmed a write batch: {error}"
            ) from error
        except Refused as error:
            raise StoreUnavailable(f"the store {self.address} refuses: {error}") from error

    def _stages(self, ops: CommitPlan, session: int) -> Iterator[Future[Any]]:
        """The stages of a commit: declare, publish, send the notices, write the records, and then acknowledge. Before
        them an operator writes what is to be done.

        Each yields what must have an answer before the next. Acknowledging last loses no job: an unacknowledged message
        of a dead process is delivered again.
        """
        yield from self._declaring(ops.names)
        if ops.begins:
            yield self._link.send([message(record) for record in self._labelled(ops.begins)])
        left: Sequence[Message] = ops.messages
        for tries_left in range(PUBLISH_TRIES_MAX, -1, -1):
            if not left:
                break
            if tries_left == 0:
                self.state.ailing.refused(left, ops.names)
                self._note_taken(ops, left)
                raise Refused(f"it took {len(ops.messages) - len(left)} of {len(ops.messages)} messages", 0)
            if tries_left == 1:
                left = self._around(left, ops)
            sending = self._link.send(left)
            yield sending
            sent: Sent = sending.result(0)
            if sent.returned:
                # Their queues were deleted.
                self._declared.clear()
                yield self._link.setup(topology.foundation())
                yield from self._declaring(ops.names)
            # The results queue may be on a node that is away. The completion is then dropped.
            left = [left[index] for index in sorted({*sent.returned, *sent.refused}) if left[index].mandatory]
        self._failpoints.at("store.turn.published")
        if ops.notices:
            yield self._link.send(ops.notices)
        if ops.records:
            yield from self._writing(ops.records)
        by_session: dict[int, list[Delivery | UnreadableMessage]] = {}
        for delivery in ops.acknowledged:
            if isinstance(delivery, UnreadableMessage) and delivery.queue == topology.LEDGER:
                self._leading.acknowledge(delivery.arrival)
            else:
                by_session.setdefault(delivery.arrival.session, []).append(delivery)
        for of, deliveries in by_session.items():
            self._link.acknowledge(of, [delivery.arrival.tag for delivery in deliveries])
        for delivery in ops.acknowledged:
            self.state.deliveries.drop(delivery)
        for done in ops.done:
            done()
        if session == self._session:
            self.state.deliveries.adjust()

    def _around(self, refused: Sequence[Message], ops: CommitPlan) -> Sequence[Message]:
        """Have jobs that go back into a full queue wait in the ladder, if nothing else is left to publish: the turn has
        the endings that make room, and would publish again what the server has. New jobs are refused instead, since
        many in the ladder hold up the delayed jobs of all names.
        """
        came = [one for one in ops.acknowledged if isinstance(one, Delivery)]
        back = {("", topology.queue_of(one.name), wire.message_id(one.job.id)) for one in came}
        if any((one.exchange, one.key, one.message_id) not in back for one in refused):
            return refused
        self.state.ailing.refused(refused, ops.names)
        routes = [topology.route(one.key, FULL_SECONDS) for one in refused]
        return [one._replace(exchange=to, key=key) for one, (to, key, _) in zip(refused, routes, strict=True)]

    def _note_taken(self, ops: CommitPlan, refused: Sequence[Message]) -> None:
        refused_ids = {one.message_id for one in refused}
        for one in ops.messages:
            if one.message_id is not None and one.message_id not in refused_ids:
                self.state.memory.taken.put(one.message_id, True)

    def _declaring(self, names: Collection[str]) -> Iterator[Future[Any]]:
        missing = sorted(set(names) - self._declared - self.state.ailing.stopped.keys())
        for tries_left in range(DECLARE_TRIES_MAX - 1, -1, -1):
            if not missing:
                break
            missing = yield from self._try_to_declare(missing, tries_left)

    def _try_to_declare(self, names: Sequence[str], tries_left: int) -> Generator[Future[Any], None, list[str]]:
        gone: list[str] = []
        asked = [(name, self._link.setup([topology.job_queue(name)])) for name in names]
        for name, one in asked:
            answered: Future[None] = self._environment.future()
            one.add_done_callback(lambda _, answered=answered: answered.set_result(None))  # type: ignore[misc]
            yield answered
            try:
                one.result(0)
                self._declared.add(name)
            except Refused as error:
                if error.code != NOT_FOUND or not tries_left:
                    self.state.ailing.stopped[name] = str(error)
                    raise
                # The server was just deleting the queue: declared as existing, then not found.
                gone.append(name)
        return gone

    def _resume_commit(self) -> None:
        """Resume the turn whose outcome was unknown.

        Raises:
            StoreUnavailable: it still is.
        """
        pending_commit = self.state.pending_commit
        if pending_commit is None:
            return
        try:
            waits_for: Future[Any] | None = pending_commit.waits_for
            while waits_for is not None:
                if not waits_for.done():
                    pending_commit.waits_for = waits_for
                    raise StoreUnavailable(f"the store {self.address} has not confirmed an earlier write batch yet")
                waits_for.result(0)
                waits_for = next(pending_commit.stage, None)
            redo(pending_commit.ops.changes)
        except (LinkLost, Refused):
            # The publish is uncertain; a repeated request publishes again.
            self.state.dead.end_all()
        self.state.pending_commit = None

    def changed(self) -> bool:
        self._be_ready()
        changed, self._has_changed = self._has_changed, False
        return changed

    def _writing(self, wanted: Sequence[Record]) -> Iterator[Future[Any]]:
        """Write into the ledger; then wait, for a while, until the leader has read it and sent it to all."""
        read: Future[None] = self._environment.future()
        labelled = self._labelled(wanted)
        self._own[labelled[-1]["by"]] = read
        yield self._link.send([message(record) for record in labelled])
        with contextlib.suppress(FutureTimeout):
            self._await(read, READ_SECONDS_MAX)

    def surroundings(self, boot: str) -> StoreSurroundings:
        boots = [*self.state.own_boots.values(), *self.state.acts_to_tell(leads=self.leads)]
        return StoreSurroundings(boots, is_lost=False, change_no=self.state.shared.change_no)

    def known(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        found = ((job_id, self._known(job_id)) for job_id in job_ids)
        return {job_id: job for job_id, job in found if job is not None}

    def _known(self, job_id: str) -> JobRecord | None:
        held = self.state.deliveries.held.newest(job_id)
        return held.job if held is not None else self.state.memory.job(job_id)

    def counts(self, name: str | None, seconds_max: Seconds | None = None) -> dict[str, int]:
        names = self._names() if name is None else {name}
        # The ladder holds jobs of all names together.
        queues = {*map(topology.queue_of, names), *(topology.ladder() if name is None else ())}
        monotonic = self._environment.clock.monotonic
        give_up_at = monotonic() + (ANSWER_SECONDS_MAX if seconds_max is None else seconds_max)
        asked = [self._link.look(queue) for queue in sorted(queues)]
        looks = [self._client.answer(one, give_up_at - monotonic()) for one in asked]
        deliveries = self.state.deliveries
        here = [*deliveries.fresh, *chain.from_iterable(deliveries.waiting.get(one, ()) for one in names)]
        found = {state.value: 0 for state in JobState}
        found["queued"] = sum(seen[0] for seen in looks if seen is not None) + sum(
            one.job.name in names for one in here
        )
        found["dead"] = self.state.dead.count(name)
        found["running"] = sum(held.job.name in names for held in deliveries.held)
        return found

    def due_names(self, now: Instant, limit: int) -> Sequence[str]:
        shared = self.state.shared
        nobodys = shared.names.difference(*shared.handled.values())
        # Each name costs a question to the server.
        names = sorted(nobodys)[: min(limit, NAMES_ASKED_MAX)]
        asked = [(name, self._link.look(topology.queue_of(name))) for name in names]
        answers = [(name, self._client.answer(look)) for name, look in asked]
        return [name for name, seen in answers if seen is not None and seen[0]]

    def _names(self) -> set[str]:
        """Job names that living runtimes handle, that schedules have, or that this runtime has used."""
        handled = chain.from_iterable(list(self.state.shared.handled.values()))
        scheduled = (schedule.name for schedule in list(self.state.shared.schedules.values()))
        return {*handled, *scheduled, *list(self._declared)}

    def outlook(self, names: Collection[str], now: Instant) -> DueCheck:
        paused = paused_at(list(self.state.shared.pauses.values()), now)
        ends = [pause.until for name, pause in paused.items() if name in names and pause.until is not None]
        expiry = self.state.next_overdue(now)
        is_due = self._is_worth_a_turn(names, now) or (expiry is not None and expiry <= now)
        return DueCheck(is_due, min(ends, default=None), expiry)

    def _is_worth_a_turn(self, names: Collection[str], now: Instant) -> bool:
        self._drain()
        state, deliveries = self.state, self.state.deliveries
        if self._session == 0 or self._prepared != self._session or state.pending_commit is not None:
            return True
        if deliveries.fresh or deliveries.unreadable_messages or deliveries.notice_surplus() or self._news:
            return True
        if self.leads and state.shared.beyond(now):
            return True
        if state.acts_told & state.shared.acts.keys():
            return True
        kept = paused_at(list(state.shared.pauses.values()), now).keys() | state.ailing.stopped.keys()
        # The window may be 0 although a pause has ended by itself, or another runtime has resumed the name.
        return any(
            deliveries.waiting.get(name) or deliveries.is_short(name) or deliveries.is_unwanted(name)
            for name in names
            if name not in kept
        )

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable(f"the store {self.address} is closed")

    def pauses(self) -> Sequence[PauseRecord]:
        return sorted(self.state.shared.pauses.values())

    def health_issues(self) -> Sequence[HealthIssue]:
        return self.state.ailing.health_issues()
