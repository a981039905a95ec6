"""The jobs of a turn on RabbitMQ. A delivery is the claim; the ledger notes only suspects."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from ...messages.jobs import Claim, ClaimKey, Instant, JobRecord, NewJob, Seconds
from ...messages.names import PauseRecord, changed
from ...messages.outcomes import Outcome, OutcomeKind, Verdict
from ...rules.lifecycle import INTERRUPTION_WINDOW_SECONDS, SUSPECT_INTERRUPTIONS, is_suspect
from ..transitions import deferred, granted, released, requeued
from ..turn_ports import Claimed, End, Want
from .dead_jobs import DeadAtHand
from .deliveries import Delivery, HeldJob
from .ledger_records import begins, pauses
from .pending_turn import PendingTurn, move
from .state import FORGOTTEN


class RabbitJobs:
    """The `JobQueue` of a turn: without a table, it finds only jobs that are here."""

    def __init__(self, turn: PendingTurn) -> None:
        self._turn = turn
        self._state = turn.state
        self._pauses: dict[str, PauseRecord] = {}
        self._dead: dict[str, DeadAtHand] = {}
        self._suspect = False
        self._poison: list[JobRecord] = []

    def insert(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        self._check(jobs)
        return [self._insert(job) for job in jobs]

    def _check(self, jobs: Sequence[NewJob]) -> None:
        """Refuse what the server would refuse, before anything is published."""
        for job in jobs:
            self._state.ailing.check(job.name)
            self._turn.check_data(job)

    def _insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        known = self._state.memory.queued.get(job.id)
        if known is not None:
            return (known if known.data != FORGOTTEN else known._replace(data=job.data)), False
        return self._turn.add(job), True

    def get(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        held = map(self._state.deliveries.held.newest, job_ids)
        return {one.job.id: one.job for one in held if one is not None}

    def find(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        found = self.get(job_ids)
        for job_id in [job_id for job_id in job_ids if job_id not in found]:
            job = self._dead_at_hand(job_id) or self._state.memory.last.get(job_id)
            if job is not None:
                found[job_id] = job
        return found

    def _dead_at_hand(self, job_id: str) -> JobRecord | None:
        found = self._state.dead.for_turn(job_id)
        if found is None:
            return None
        # The dead job goes back unless this turn takes it.
        self._turn.ops.done.append(lambda: self._state.dead.end(found))
        self._turn.change(lambda: self._state.give_up(found))
        self._dead[job_id] = found
        return found.job

    def claim(self, wants: Sequence[Want], *, suspect: bool) -> Claimed:
        self._suspect, self._poison = suspect, []
        deliveries = self._state.deliveries
        claims: dict[str, Sequence[Claim]] = {}
        next_due: dict[str, Instant] = {}
        for want in wants:
            stopped_until = self._stopped_until(want.name)
            if stopped_until is not None:
                deliveries.set_window(want.name, 0)
            claimed = claims[want.name] = self._claim(want) if stopped_until is None else []
            if len(claimed) < want.begun + want.prefetched:
                first = min((one.job.run_at for one in deliveries.waiting.get(want.name, ())), default=math.inf)
                # No notice is sent when a pause ends by itself: prepare for it before that.
                if first > self._turn.now and stopped_until in (None, math.inf):
                    next_due[want.name] = first
        return Claimed(claims, next_due, self._poison)

    def _stopped_until(self, name: str) -> Instant | None:
        """When a name may start jobs again; None if it may now."""
        pause = self._pause_of(name)
        if name in self._state.ailing.stopped:
            return math.inf
        if not pause.is_paused(self._turn.now):
            return None
        return math.inf if pause.until is None else pause.until

    def _claim(self, want: Want) -> list[Claim]:
        turn, deliveries = self._turn, self._state.deliveries
        turn.ops.names.add(want.name)
        is_full = want.begun + want.prefetched == 0
        # The lane of a lost delivery may still run. A redelivery of its job is attached to that lane.
        mine = sum(held.job.name == want.name and (is_full or not held.is_lost) for held in deliveries.held)
        deliveries.set_window(want.name, mine + want.begun + want.prefetched, may_shrink_later=True)
        begun, prefetched = want.begun, want.prefetched
        claims: list[Claim] = []
        for delivery in list(deliveries.waiting.get(want.name, ())):
            if begun + prefetched <= 0:
                break
            if delivery.is_expired(turn.now, turn.state.time.now()):
                continue
            blamed = turn.state.shared.blamed(delivery.job.id, turn.now)
            if blamed and blamed >= want.interruptions_max:
                # This claim stands for the last lost one, hence one interruption less.
                held = self._grant(delivery, want, begun=True, interruptions=blamed - 1)
                held.is_marked = True
                self._poison.append(held.job)
                continue
            suspect = blamed >= SUSPECT_INTERRUPTIONS or is_suspect(delivery.job, turn.now)
            # A redelivered job may have killed its process.
            is_careful = suspect or bool(delivery.job.must_begin) or delivery.arrival.redeliveries > 0
            if (suspect and not self._suspect) or (is_careful and begun <= 0):
                continue
            self._suspect = self._suspect and not suspect
            held = self._grant(delivery, want, begun=begun > 0, interruptions=blamed)
            if delivery.arrival.redeliveries > 0:
                held.is_marked = True
                turn.ops.records.append(begins(held.job.id, turn.now, turn.boot))
            claims.append(Claim(held.job))
            begun, prefetched = (begun - 1, prefetched) if begun > 0 else (begun, prefetched - 1)
        return claims

    def _grant(self, delivery: Delivery, want: Want, *, begun: bool, interruptions: int) -> HeldJob:
        turn, held_by = self._turn, self._turn.state.deliveries.held
        passed, suspect_until = delivery.arrival.redeliveries, delivery.job.suspect_until
        if interruptions >= SUSPECT_INTERRUPTIONS:
            # The message does not mark the job as a suspect. Later claims look for running suspects, so mark this one.
            suspect_until = turn.now + INTERRUPTION_WINDOW_SECONDS
        step = move(
            delivery.job,
            "job.claimed",
            {"begun": begun, "redeliveries": passed},
            passed=passed,
            row_id=turn.state.next_no(),
            interruptions=interruptions,
            suspect_until=suspect_until,
            **granted(delivery.job, want, turn.now, begun=begun, passed=passed),
        )
        turn.transitions.append(step)
        held = HeldJob(delivery, step.job)
        turn.take_out(delivery)
        held_by.put(held)
        turn.change(lambda: held_by.pop(held.job.key))
        return held

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        self._check(outcome.then)
        held = self._state.deliveries.held.get(claimed.key)
        # A refused ending (result too large) leaves the claim as it is.
        settled = None if held is None or held.is_lost else self._turn.settle_held(held, outcome, verdict)
        self._turn.let_go(claimed)
        if held is not None and held.is_lost and outcome.kind is not OutcomeKind.INTERRUPTED:
            self._state.memory.kept.put(held.delivery.copy, (held.job, outcome, verdict))
        return settled

    def settle_all(self, ends: Sequence[End]) -> list[JobRecord | None]:
        return [self.settle(*end) for end in ends]

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        held = self._turn.let_go(claimed)
        if held is None or held.is_lost:
            return None
        step = move(held.job, "job.released", {"reason": reason}, **released(held.job, self._turn.now))
        return self._turn.record_wait(step, held, 0.0)

    def defer(
        self, claimed: JobRecord, timeout: Seconds | None, passed: Seconds, max_attempts: int, log: str | None = None
    ) -> bool:
        changes = deferred(claimed, timeout, passed, max_attempts, self._turn.now)
        held, left = self._state.deliveries.held.get(claimed.key), changes["expires_in"]
        if held is not None and left is not None:
            # If the turn fails, the job is not deferred, and its deadline counts for nothing.
            held.deadline = self._state.time.now() + left
        return self._amend(claimed.key, **changes)

    def overdue(self) -> list[JobRecord]:
        now = self._state.time.now()
        return [one.job for one in self._state.deliveries.held if one.job.deferred and one.deadline <= now]

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        self._amend(key, progress=progress)

    def _amend(self, key: ClaimKey, **changes: Any) -> bool:
        held = self._state.deliveries.held.get(key)
        if held is None:
            return False
        before, after = held.job, held.job._replace(**changes)
        held.job = after
        self._turn.change(lambda: setattr(held, "job", before), lambda: setattr(held, "job", after))
        return True

    def requeue(self, job: JobRecord, run_at: Instant) -> JobRecord | None:
        changes, delay = requeued(run_at, self._turn.now), run_at - self._turn.now
        held, dead = self._state.deliveries.held.get(job.key), self._dead.get(job.id)
        if held is not None and not held.is_lost:
            self._turn.let_go(job)
            step = move(held.job, "job.requeued", {"run_at": run_at}, **changes)
            return self._turn.record_wait(step, held, delay)
        if dead is None:
            # A job that runs on without its delivery may run elsewhere already.
            return None
        step = move(job, "job.requeued", {"run_at": run_at}, **changes)
        self._state.memory.endings.pop(job.id)
        self._turn.publish(step.job, delay, self._state.results_name)
        self._turn.remember(step.job)
        self._turn.ops.done.insert(0, dead.take)
        self._turn.transitions.append(step)
        return step.job

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        return [
            held.job
            for held in self._state.deliveries.held
            if held.job.boot == boot
            and name in (None, held.job.name)
            and (incarnation_max is None or (held.job.incarnation or 0) <= incarnation_max)
        ]

    def held_beside(self, boots: Sequence[str]) -> Collection[str]:
        return ()

    def orphans(self) -> list[JobRecord]:
        # Jobs of a lost connection are not included: the server delivers them again.
        return [held.job for held in self._state.deliveries.held if held.job.boot not in self._state.own_boots]

    def recent_interruptions(self, job_ids: Collection[str], since: Instant) -> dict[str, int]:
        return {job_id: self._state.shared.blamed(job_id, self._turn.now) for job_id in job_ids}

    def _pause_of(self, name: str) -> PauseRecord:
        return self._pauses.get(name) or self._state.shared.pauses.get(name) or PauseRecord(name)

    def pause(
        self,
        name: str,
        *,
        paused: bool,
        by: str | None = None,
        reason: str | None = None,
        until: Instant | None = None,
    ) -> None:
        known = self._pause_of(name)
        pause = self._pauses[name] = changed(known, self._turn.now, paused=paused, by=by, reason=reason, until=until)
        self._turn.ops.records.append(pauses(pause, paused=paused))

    def refresh(self) -> None:
        now, shared_now = self._turn.now, self._state.time.now()
        for waiting in list(self._state.deliveries.waiting.values()):
            for delivery in [one for one in waiting if one.is_expired(now, shared_now)]:
                self._turn.take_out(delivery)
                step = move(delivery.job, "job.cancelled", {"reason": "expired"}, reason="expired", ended_at=now)
                self._turn.record_end(step, delivery)
