"""The state that the parts of a turn on RabbitMQ share: its changes, and its publishes and acks at the end.

At the end of the turn everything is published in one pipeline; deliveries are acknowledged once the server has
confirmed all of it. So a job is always in a queue, or in two, and never in none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import UsageError
from ...messages.boots import LedgerTurn
from ...messages.jobs import Instant, JobRecord, JobState, NewJob, Seconds, Transition
from ...messages.outcomes import Outcome, OutcomeKind, Policy, Verdict
from ...rules.ledger_moves import TurnRecord
from ...rules.lifecycle import MOVES, judge
from ..transitions import born, ending, says_ending
from ..troubles import BootLost
from . import job_message as wire
from .deliveries import Delivery, HeldJob
from .link import Message
from .state import CommitPlan, RabbitState
from .topology import DEAD, queue_of, route

DEAD_SECONDS_KEPT = 30 * 86400.0
"""The server removes dead jobs, so a runtime's own retention does not apply."""

FULL_SECONDS = 1.0

SPARE_SHARE = 1 / 8
"""The part of the server's largest message that is left for a job's errors."""

CHARACTER_BYTES_MAX = 12
"""The most bytes of a character in JSON: the escapes of a surrogate pair."""

HIGH_PRIORITY = 5
"""A quorum queue knows two priorities; from this one on it is the higher."""


class PendingTurn(TurnRecord):
    """A turn before anything is published.

    Attributes:
        ops: its operations at the end.
        state: this runtime's memory.
    """

    def __init__(
        self, state: RabbitState, boot: str, now: Instant, *, version: int, leads: bool, bytes_max: int | None
    ) -> None:
        super().__init__(boot, now)
        # A claim may be overdue already, so the turn must look.
        self.expiry: Instant | None = -math.inf
        self.version = version
        self.leads = leads
        self.lost: BootLost | None = None
        self.ops = CommitPlan()
        self.state = state
        self._bytes_max = bytes_max

    @property
    def writes(self) -> int:
        ops = self.ops
        sent = len(ops.messages) + len(ops.notices) + len(ops.records)
        return len(self.transitions) + len(self.notes) + sent

    def change(self, undo: Callable[[], object], redo: Callable[[], object] | None = None) -> None:
        self.ops.changes.append((undo, redo))

    def number(self) -> tuple[LedgerTurn, ...]:
        """Give the turn its number. Its boot keeps it, since its broker may die before logging it."""
        boot, boots = self.boot, self.state.own_boots
        known = boots.get(boot)
        kept = tuple(self.sum_up(0, 0 if known is None else known.turn))
        if self.did is not None:
            turn = self.did.turn
            self.ops.done.append(
                lambda: boot in boots and boots.update({boot: boots[boot]._replace(turn=turn, unlogged=kept)})
            )
        return kept

    def take_out(self, delivery: Delivery) -> None:
        """Take a job from those that wait for a lane; it waits again if the turn fails."""
        deliveries = self.state.deliveries
        deliveries.take(delivery)
        self.change(lambda: deliveries.wait(delivery, is_first=True))

    def publish(
        self,
        job: JobRecord,
        delay: Seconds,
        reply_to: str | None,
        beside: Mapping[str, Any] | None = None,
        *,
        deadline: int | None = None,
    ) -> None:
        self.ops.names.add(job.name)
        if job.name in self.state.ailing.full:
            # Delay the job through the ladder. If the full queue refused it here, the turn would fail, with all the
            # endings in it that would make room.
            delay = max(delay, FULL_SECONDS)
        exchange, key, rest = route(queue_of(job.name), delay)
        headers: dict[str, Any] = {wire.REST: math.ceil(rest * 1000)} if rest > 0.0 else {}
        if deadline is not None:
            headers[wire.EXPIRES] = deadline
        self.ops.messages.append(
            Message(
                exchange,
                key,
                wire.waiting(job, beside),
                priority=HIGH_PRIORITY if job.priority > 0 else 0,
                reply_to=reply_to,
                message_id=wire.message_id(job.id),
                headers=headers or None,
            )
        )

    def pass_on(self, delivery: Delivery, delay: Seconds) -> None:
        beside, deadline = wire.unknown(delivery.arrival.body), delivery.deadline
        self.publish(delivery.job, delay, delivery.arrival.reply_to, beside, deadline=deadline)
        self.ops.acknowledged.append(delivery)

    def add(self, job: NewJob) -> JobRecord:
        memory = self.state.memory
        record = memory.doubtful.get(job.id)
        is_known = record is not None and (record.name, record.data) == (job.name, job.data)
        if record is None or not is_known:
            record = born(job, 0)
        if is_known and job.id in memory.taken:
            self.ops.done.append(lambda: memory.taken.pop(job.id))
        else:
            seconds = job.expires_in
            deadline = None if seconds is None else math.ceil((self.state.time.now() + seconds) * 1000)
            self.publish(record, job.run_at - self.now, self.state.results_name, deadline=deadline)
        self.remember(record)
        self.transitions.append(Transition("job.queued", record, None, {}))
        return record

    def remember(self, record: JobRecord) -> None:
        queued, doubtful = self.state.memory.queued, self.state.memory.doubtful
        before = queued.get(record.id)
        queued.put(record)

        def undo() -> None:
            queued.pop(record.id) if before is None else queued.put(before)
            if record.claim_no == 0:
                # The job may have been published although the turn failed: a second call means the same job.
                doubtful.put(record.id, record)

        self.change(undo, lambda: queued.put(record))

    def check_data(self, job: NewJob) -> None:
        self.check_size(len(job.data), "data", spare=SPARE_SHARE)

    def check_size(self, size: int, what: str, *, spare: float = 0.0) -> None:
        limit = self._bytes_max
        if limit is not None and size > limit * (1.0 - spare):
            raise UsageError(
                f"expected {what} of at most {int(limit * (1.0 - spare))} bytes as JSON, because the server's "
                f"max_message_size is {limit}, got: {size} bytes; pass a reference"
            )

    def settle_held(self, held: HeldJob, outcome: Outcome, verdict: Verdict) -> JobRecord:
        claimed = held.job
        changes = ending(claimed, outcome, verdict, self.now)
        step = move(claimed, verdict.event, says_ending(outcome, verdict), **changes)
        if verdict.run_at is None:
            self.record_end(step, held.delivery)
            return step.job
        return self.record_wait(step, held, step.job.run_at - self.now)

    def record_end(self, step: Transition, delivery: Delivery) -> None:
        """A job has ended: send its completion to the runtime that queued it, and keep it if it is dead."""
        reply_to, job = delivery.arrival.reply_to, step.job
        is_far = reply_to is not None and reply_to != self.state.results_name
        is_dead = job.state == JobState.DEAD
        body = self._ended(job, wire.unknown(delivery.arrival.body)) if is_far or is_dead else b""
        label = wire.message_id(job.id)
        if is_far and reply_to is not None:
            # A caller that learns of a dead job may requeue it at once, so the queue of dead jobs must have it by then.
            into = self.ops.notices if is_dead else self.ops.messages
            into.append(Message("", reply_to, body, message_id=label, mandatory=False))
        if is_dead:
            self.ops.messages.append(Message("", DEAD, body, message_id=label, lives=DEAD_SECONDS_KEPT))
        if reply_to == self.state.results_name:
            self.ops.done.append(lambda: self.state.memory.end(step.job))
        self._record(step, delivery)

    def _ended(self, job: JobRecord, beside: Mapping[str, Any]) -> bytes:
        try:
            return wire.ended(self._cut(job, wire.ended, beside), beside)
        except UsageError as error:
            if job.result is not None:
                raise
            # Its caller waits for the end, and needs the data no more. A dead job without its data is better than none.
            said = f"its data is not kept: {error}\n{job.error or ''}" if job.state == JobState.DEAD else job.error
            return wire.ended(self._cut(job._replace(data="null", error=said), wire.ended, beside), beside)

    def record_wait(self, step: Transition, held: HeldJob, delay: Seconds) -> JobRecord:
        """The job waits again; it is dead instead if the server would not take it."""
        delivery, beside = held.delivery, wire.unknown(held.delivery.arrival.body)
        try:
            job = self._cut(step.job, wire.waiting, beside)
        except UsageError as error:
            too_large = Outcome(kind=OutcomeKind.DISCARDED, reason=str(error), error=step.job.error)
            verdict = judge(held.job, too_large, Policy(), self.now, earlier_interruptions=0, chance=0.0)
            return self.settle_held(held, too_large, verdict)
        deadline = None if step.job.expires_at is None else delivery.deadline
        self.publish(job, delay, delivery.arrival.reply_to, beside, deadline=deadline)
        self._record(step, delivery)
        return step.job

    def _cut(
        self, job: JobRecord, pack: Callable[[JobRecord, Mapping[str, Any]], bytes], beside: Mapping[str, Any]
    ) -> JobRecord:
        """The job with as much of its error and its traceback as the server takes.

        Raises:
            UsageError: it is too large without them.
        """
        limit = self._bytes_max
        if limit is None or len(pack(job, beside)) <= limit:
            return job
        size = len(pack(job._replace(error="", traceback=""), beside))
        self.check_size(size + 2 * CHARACTER_BYTES_MAX, "a job, with its data and result,")
        most = (limit - size) // (2 * CHARACTER_BYTES_MAX)
        return job._replace(error=job.error and job.error[:most], traceback=job.traceback and job.traceback[-most:])

    def _record(self, step: Transition, delivery: Delivery) -> None:
        state = self.state
        self.transitions.append(step)
        self.ops.acknowledged.append(delivery)
        self.ops.done.append(lambda: state.memory.note_ended(delivery.copy, step.job))

    def let_go(self, claimed: JobRecord) -> HeldJob | None:
        """Release a lane's job. None if its delivery was lost before."""
        held_by = self.state.deliveries.held
        held = held_by.pop(claimed.key)
        if held is not None:
            self.change(lambda: held_by.put(held), lambda: held_by.pop(claimed.key))
            if held.is_marked and not held.is_lost:
                # The attempt has ended, so it has not killed its process.
                self.ops.records.append({"is": "ended", "id": claimed.id})
        return held


def move(job: JobRecord, event: str, fields: dict[str, Any], *, passed: int = 0, **changes: Any) -> Transition:
    """The transition of a job.

    Args:
        passed: lost claims of runtimes that are gone.
    """
    moved = job._replace(**{"state": MOVES[event][1].value, "move_no": job.move_no + passed + 1, **changes})
    return Transition(event, moved, job.state, fields)
