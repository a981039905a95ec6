"""One turn on RabbitMQ: what it will publish, what it will acknowledge, and how to take back what it has claimed.

Nothing leaves before the turn ends: then everything is published in one pipeline, and what it stands for is
acknowledged once the server has confirmed all of it. So a job is always in a queue, or in two, and never in none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import UsageError
from ...messages.clock_steps import Reading, Stepped
from ...messages.jobs import ClaimKey, Instant, JobRecord, JobState, NewJob, Seconds, Transition
from ...messages.ledger import UNLOGGED_MAX, LedgerTurn, Move
from ...messages.outcomes import Outcome, OutcomeKind, Policy, Verdict
from ...rules.capabilities import not_supported
from ...rules.ledger_moves import told_moves
from ...rules.lifecycle import judge
from ..ports import BootLost, BootRecord
from ..transitions import born, ending, released, requeued, says_ending
from . import job_message as wire
from .commit import MemoryChange, Ops
from .dead_jobs import Found
from .deliveries import Delivery, HeldJob
from .link import Message
from .moves import move
from .recent import FORGOTTEN
from .state import RabbitState
from .topology import DEAD, queue_of, route
from .turn_claims import ClaimTurn
from .turn_schedules import RabbitScheduleTurn
from .unreadable import Stray, given_back, is_for_others, put_aside

DEAD_SECONDS_KEPT = 30 * 86400.0
"""How long a dead job stays in its queue. The server removes it, so a runtime's own retention does not apply."""

SPARE_SHARE = 1 / 8
"""Of the server's largest message: what the data of a job leaves for its errors."""

FULL_SECONDS = 1.0
"""How long a job waits that goes back into a queue that takes no more."""

HIGH_PRIORITY = 5
"""A quorum queue knows two priorities; from this one on it is the higher."""


class RabbitTurn(ClaimTurn, RabbitScheduleTurn):
    """A `Turn` on RabbitMQ."""

    def __init__(
        self, state: RabbitState, boot: str, now: Instant, *, version: int, leads: bool, bytes_max: int | None
    ) -> None:
        self.now = now
        self.transitions: list[Transition] = []
        self.unlogged: list[LedgerTurn] = []
        self.did: LedgerTurn | None = None
        self.news: list[tuple[str, dict[str, Any]]] = []
        self.expiry: Instant | None = None
        self.ops = Ops()
        self._state = state
        self._boot = boot
        self._notes: list[tuple[int, Move]] = []
        self._bytes_max = bytes_max
        self.begin_slots(state.shared, state.runtime_id)
        self._pauses: dict[str, bool] = {}
        self._dead: dict[str, Found] = {}
        self.version = version
        self.leads = leads
        self.lost: BootLost | None = None
        self._sort()

    def seal(self) -> None:
        """Remember in this process what the turn did: its broker may die before it has said it."""
        moves = told_moves(self.transitions, self._notes, self.now)
        if not moves:
            return
        boot, boots = self._boot, self._state.own_boots
        known = boots.get(boot)
        did = self.did = LedgerTurn(boot, 0, 1 if known is None else known.turn + 1, self.now, moves)
        unlogged = (*self.unlogged, did)[-UNLOGGED_MAX:]
        self.ops.done.append(
            lambda: boot in boots and boots.update({boot: boots[boot]._replace(turn=did.turn, unlogged=unlogged)})
        )

    def note(self, move: Move) -> None:
        self._notes.append((len(self.transitions), move))

    def _sort(self) -> None:
        """Sort what was delivered since the last turn: jobs that wait, copies to drop, messages that cannot be read."""
        deliveries = self._state.deliveries
        settled = list[Delivery]()
        # If this turn fails, the next one looks again at what it would have settled.
        self._change(lambda: deliveries.fresh.extendleft(reversed(settled)))
        for _ in range(len(deliveries.fresh)):
            delivery = deliveries.fresh[0]
            is_to_wait = self._take_in(delivery)
            deliveries.fresh.popleft()
            if is_to_wait:
                deliveries.wait(delivery)
            elif not self._is_bound(delivery):
                settled.append(delivery)
        strays = list(deliveries.strays)
        deliveries.strays.clear()
        self._change(lambda: deliveries.strays.extendleft(reversed(strays)))
        for stray in strays:
            self._send_away(stray)

    def _send_away(self, stray: Stray) -> None:
        """Put aside or give back a message that cannot be read here, so that it does not block its queue."""
        if is_for_others(stray):
            self.ops.messages.append(given_back(stray))
            self.news.append(("message.newer", stray.fields))
        else:
            self.ops.messages.append(put_aside(stray, self.now))
            self.ops.done.append(self._state.ailing.count_unreadable)
            self.news.append(("message.unreadable", stray.fields))
        self.ops.settled.append(stray)

    def _take_in(self, delivery: Delivery) -> bool:
        """Whether it is to wait for a lane."""
        state, job = self._state, delivery.job
        rest = wire.rest_of(delivery.arrival.headers)
        twin = state.deliveries.held.newest(job.id)
        if delivery.copy in state.memory.settled:
            self._drop_copy(delivery, "it has ended here")
            return False
        if twin is not None and twin.delivery.copy == delivery.copy:
            if not twin.is_lost:
                self._drop_copy(delivery, "another copy runs here")
                return False
            self._bind(twin, delivery)
            return False
        kept = state.memory.kept.get(delivery.copy)
        if kept is not None:
            claimed, outcome, verdict = kept
            held = HeldJob(delivery, claimed)
            self.news.append(("claim.kept", {"job_id": job.id, "job_name": job.name, "claim_no": claimed.claim_no}))
            self._settle_kept(held, outcome, verdict)
            self.ops.done.append(lambda: state.memory.kept.pop(delivery.copy))
            return False
        if rest > 0.0:
            self._publish(job, rest, delivery.arrival.reply_to, wire.unknown(delivery.arrival.body))
            self.ops.settled.append(delivery)
            return False
        return True

    def _settle_kept(self, held: HeldJob, outcome: Outcome, verdict: Verdict) -> None:
        """Record an ending that no HandlerActor will send again, so this must not fail."""
        try:
            self._settle_held(held, outcome, verdict)
        except UsageError as error:
            too_large = Outcome(kind=OutcomeKind.DISCARDED, reason=str(error), error=f"UsageError: {error}")
            verdict = judge(held.job, too_large, Policy(), self.now, earlier_interruptions=0, chance=0.0)
            self._settle_held(held, too_large, verdict)

    def _is_bound(self, delivery: Delivery) -> bool:
        return any(held.delivery is delivery for held in self._state.deliveries.held)

    def _drop_copy(self, delivery: Delivery, reason: str) -> None:
        job = delivery.job
        self._state.duplicates += 1
        self.news.append(
            ("job.duplicate", {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "reason": reason})
        )
        self.ops.settled.append(delivery)

    def _bind(self, held: HeldJob, delivery: Delivery) -> None:
        """The server has delivered again a job that runs here and whose delivery was lost with the session before."""
        # It holds whether this turn does or not: nothing is published for it.
        held.delivery, held.is_lost = delivery, False

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        if job.unique_key is not None:
            raise not_supported("unique")
        if job.one_at_a_time:
            raise not_supported("overlap")
        state = self._state
        state.ailing.check(job.name)
        known = state.memory.queued.get(job.id)
        if known is not None:
            return (known if known.data != FORGOTTEN else known._replace(data=job.data)), False
        record = state.memory.doubtful.get(job.id)
        if record is None or (record.name, record.data) != (job.name, job.data):
            record = born(job, 0)
        self._check_size(len(job.data), "data", spare=SPARE_SHARE)
        self._publish(record, job.run_at - self.now, state.results_name)
        self._remember(record)
        self.transitions.append(Transition("job.queued", record, None, {}))
        return record, True

    def insert_many(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        return [self.insert(job) for job in jobs]

    def _remember(self, record: JobRecord) -> None:
        queued, doubtful = self._state.memory.queued, self._state.memory.doubtful
        before = queued.get(record.id)
        queued.put(record)

        def undo() -> None:
            queued.pop(record.id) if before is None else queued.put(before)
            if record.claim_no == 0:
                # The job may have been published although the turn failed: a caller that asks again means the same job.
                doubtful.put(record.id, record)

        self._change(undo, lambda: queued.put(record))

    def job(self, job_id: str) -> JobRecord | None:
        held = self._state.deliveries.held.newest(job_id)
        return None if held is None else held.job

    def find(self, job_id: str) -> JobRecord:
        job = self.job(job_id)
        if job is not None:
            return job
        found = self._state.dead.find(job_id)
        if found is None:
            last = self._state.memory.last.get(job_id)
            if last is None:
                raise not_supported("remove")
            return last
        # The dead job goes back unless this turn takes it.
        self.ops.done.append(lambda: self._state.dead.end(found))
        self._change(lambda: self._state.give_up(found))
        self._dead[job_id] = found
        return found.job

    def first_due(self, name: str) -> Instant | None:
        return min((one.job.run_at for one in self._state.deliveries.waiting.get(name, ())), default=None)

    def orphans(self) -> list[JobRecord]:
        # The server delivers again what a lost connection held.
        return []

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        return [
            held.job
            for held in self._state.deliveries.held
            if held.job.boot == boot
            and name in (None, held.job.name)
            and (incarnation_max is None or (held.job.incarnation or 0) <= incarnation_max)
        ]

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        held = self._let_go(claimed)
        if held is None:
            return None
        if held.is_lost:
            if outcome.kind is not OutcomeKind.INTERRUPTED:
                self._state.memory.kept.put(held.delivery.copy, (held.job, outcome, verdict))
            return None
        self._unmark(held)
        return self._settle_held(held, outcome, verdict)

    def _settle_held(self, held: HeldJob, outcome: Outcome, verdict: Verdict) -> JobRecord:
        claimed = held.job
        step = move(
            claimed,
            verdict.event,
            says_ending(outcome, verdict),
            **ending(claimed, outcome, verdict, self.now),
        )
        if verdict.run_at is None:
            self._record_end(step, held.delivery)
        else:
            self._record_wait(step, held.delivery, step.job.run_at - self.now)
        return step.job

    def _record_end(self, step: Transition, delivery: Delivery) -> None:
        """A job has ended: send its completion to the runtime that queued it, and keep it if it is dead."""
        reply_to, job = delivery.arrival.reply_to, step.job
        is_far = reply_to is not None and reply_to != self._state.results_name
        is_dead = job.state == JobState.DEAD
        body = wire.ended(job, wire.unknown(delivery.arrival.body)) if is_far or is_dead else b""
        label = wire.message_id(job.id)
        self._check_size(len(body), "a result, together with the job's data,")
        if is_far and reply_to is not None:
            # A caller that learns of a dead job may requeue it at once, so it must be in the queue of dead jobs by
            # then.
            into = self.ops.notices if is_dead else self.ops.messages
            into.append(Message("", reply_to, body, message_id=label, mandatory=False))
        if is_dead:
            self.ops.messages.append(Message("", DEAD, body, message_id=label, lives=DEAD_SECONDS_KEPT))
        if reply_to == self._state.results_name:
            self.ops.done.append(lambda: self._state.memory.end(step.job))
        self._record(step, delivery)

    def _record_wait(self, step: Transition, delivery: Delivery, delay: Seconds) -> None:
        """Publish a job that waits again, as a new message."""
        self._publish(step.job, delay, delivery.arrival.reply_to, wire.unknown(delivery.arrival.body))
        self._record(step, delivery)

    def _record(self, step: Transition, delivery: Delivery) -> None:
        state = self._state
        self.transitions.append(step)
        self.ops.settled.append(delivery)
        self.ops.done.append(lambda: state.memory.settle(delivery.copy, step.job))

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        held = self._let_go(claimed)
        if held is None or held.is_lost:
            return None
        self._unmark(held)
        step = move(held.job, "job.released", {"reason": reason}, **released(held.job, self.now))
        self._record_wait(step, held.delivery, 0.0)
        return step.job

    def _let_go(self, claimed: JobRecord) -> HeldJob | None:
        held_by = self._state.deliveries.held
        held = held_by.pop(claimed.key)
        if held is not None:
            self._change(lambda: held_by.put(held), lambda: held_by.pop(claimed.key))
        return held

    def _unmark(self, held: HeldJob) -> None:
        """Note that the attempt has ended, and so has not killed its process."""
        if held.is_marked:
            self.ops.records.append({"is": "ended", "id": held.job.id})

    def defer(self, claimed: JobRecord, timeout: Seconds | None) -> bool:
        return self._amend(claimed.key, deferred=1, timeout=timeout)

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        self._amend(key, progress=progress)

    def _amend(self, key: ClaimKey, **changes: Any) -> bool:
        held = self._state.deliveries.held.get(key)
        if held is None:
            return False
        before, after = held.job, held.job._replace(**changes)
        held.job = after
        self._change(lambda: setattr(held, "job", before), lambda: setattr(held, "job", after))
        return True

    def requeue(self, job: JobRecord, run_at: Instant) -> JobRecord:
        held, dead = self._let_go(job), self._dead.get(job.id)
        if held is None and dead is None:
            raise not_supported("remove")
        before, changes = job if held is None else held.job, requeued(run_at, self.now)
        step = move(before, "job.requeued", {"run_at": run_at}, **changes)
        if held is None:
            self._state.memory.endings.pop(job.id)
            self._publish(step.job, run_at - self.now, self._state.results_name)
            self._remember(step.job)
            assert dead is not None
            self.ops.done.insert(0, dead.take)
            self.transitions.append(step)
        elif held.is_lost:
            raise not_supported("requeue")
        else:
            self._unmark(held)
            self._record_wait(step, held.delivery, run_at - self.now)
        return step.job

    def finish(self, job: JobRecord, result: str | None) -> JobRecord:
        raise not_supported("remove")

    def cancel(self, job: JobRecord, reason: str) -> JobRecord:
        raise not_supported("remove")

    def recent_interruptions(self, job_id: str, since: Instant) -> int:
        return self._state.shared.blamed(job_id, self.now)

    def _publish(
        self, job: JobRecord, delay: Seconds, reply_to: str | None, beside: Mapping[str, Any] | None = None
    ) -> None:
        self.ops.names.add(job.name)
        if job.name in self._state.ailing.full:
            # The job goes through a queue of delays. If the full queue refused it here, the turn would fail, with all
            # the endings in it that would make room.
            delay = max(delay, FULL_SECONDS)
        exchange, key, rest = route(queue_of(job.name), delay)
        self.ops.messages.append(
            Message(
                exchange,
                key,
                wire.waiting(job, beside),
                priority=HIGH_PRIORITY if job.priority > 0 else 0,
                reply_to=reply_to,
                message_id=wire.message_id(job.id),
                headers={wire.REST: math.ceil(rest * 1000)} if rest > 0.0 else None,
            )
        )

    def _check_size(self, size: int, what: str, *, spare: float = 0.0) -> None:
        """Refuse what the server would refuse, and end the session for it.

        Args:
            spare: which share of the limit is left for what comes to it until the job has ended.
        """
        limit = self._bytes_max
        if limit is not None and size > limit * (1.0 - spare):
            raise UsageError(
                f"expected {what} of at most {int(limit * (1.0 - spare))} bytes as JSON, because the server's "
                f"max_message_size is {limit}, got: {size} bytes; pass a reference"
            )

    def _change(self, undo: Callable[[], object], redo: Callable[[], object] | None = None) -> None:
        self.ops.changes.append(MemoryChange(undo, redo))

    def expire(self) -> None:
        """Nothing: a job that has expired is found out when it is delivered."""

    def count_host_moves(self) -> None:
        """Nothing: no host writes here by itself."""

    def _is_paused(self, name: str) -> bool:
        return self._pauses.get(name, name in self._state.shared.pauses)

    def pause(self, name: str, *, paused: bool) -> None:
        self._pauses[name] = paused
        self.ops.records.append({"is": "pause", "name": name, "paused": paused})

    def keep_time(self, reading: Reading, *, may_have_gone_back: bool) -> Stepped | None:
        """Let schedules count from now that were accounted for while a clock was ahead. Waits of jobs depend on no
        clock here.
        """
        self.now = reading.now
        schedules = self.recount()
        return Stepped(None, 0, schedules) if schedules else None

    def register(self, boot: BootRecord) -> int:
        self._state.own_boots[boot.boot] = boot
        return boot.boot_no

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        known = self._state.own_boots.get(boot)
        if known is not None:
            self._state.own_boots[boot] = known._replace(names=tuple(sorted(names)))
            self.say_handled(sorted(names))
        deliveries = self._state.deliveries
        for name in deliveries.wishes.keys() - set(names):
            deliveries.wish(name, 0)

    def forget_boot(self, boot: str) -> bool:
        self.forget_runtime()
        return self._state.own_boots.pop(boot, None) is not None

    def boots(self) -> list[BootRecord]:
        return list(self._state.own_boots.values())

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        if slots_before is None:
            return 0
        return self._state.prune_slots(slots_before) + self.forget_abandoned(slots_before, batch)
