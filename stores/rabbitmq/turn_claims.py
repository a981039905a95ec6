"""The part of a turn that gives delivered jobs to lanes, and ends those that may not be run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...messages.jobs import Claim, Instant, JobRecord, Transition
from ...messages.outcomes import Outcome, OutcomeKind, Policy, Verdict
from ...rules.capabilities import not_supported
from ...rules.lifecycle import INTERRUPTION_WINDOW_SECONDS, SUSPECT_INTERRUPTIONS, judge
from ..ports import Want
from ..transitions import granted
from .commit import Ops
from .deliveries import Delivery, HeldJob
from .moves import move
from .state import RabbitState


class ClaimTurn:
    """A claim changes nothing on the server: the delivery is the claim. Only a job that may be poison is noted."""

    if TYPE_CHECKING:
        now: Instant
        ops: Ops
        transitions: list[Transition]
        _state: RabbitState
        _boot: str

        def _is_paused(self, name: str) -> bool: ...
        def _change(self, undo: Callable[[], object], redo: Callable[[], object] | None = None) -> None: ...
        def _record_end(self, step: Transition, delivery: Delivery) -> None: ...
        def _settle_held(self, held: HeldJob, outcome: Outcome, verdict: Verdict) -> JobRecord: ...

    def claim(self, want: Want) -> list[Claim]:
        state, deliveries = self._state, self._state.deliveries
        if self._is_paused(want.name) or want.name in state.ailing.stopped:
            deliveries.wish(want.name, 0)
            return []
        if want.total is not None:
            raise not_supported("limit")
        self.ops.names.add(want.name)
        is_full = want.begun + want.prefetched == 0
        # The lane of a lost delivery may still run. If another copy of its job comes, it is bound to that lane.
        mine = sum(held.job.name == want.name and (is_full or not held.is_lost) for held in deliveries.held)
        deliveries.wish(want.name, mine + want.begun + want.prefetched)
        begun, prefetched, suspect = want.begun, want.prefetched, want.suspect
        claims: list[Claim] = []
        for delivery in list(deliveries.waiting.get(want.name, ())):
            if begun + prefetched <= 0:
                break
            blamed = state.shared.blamed(delivery.job.id, self.now)
            if self._is_expired(delivery.job):
                self._end_unstarted(delivery, want, Outcome(kind=OutcomeKind.CANCELLED, reason="expired"))
                continue
            if blamed and blamed >= want.interruptions_max:
                reason = "its process died while it ran"
                outcome = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=True)
                self._end_unstarted(delivery, want, outcome, blamed=blamed)
                continue
            is_suspect = blamed >= SUSPECT_INTERRUPTIONS or (delivery.job.suspect_until or 0.0) > self.now
            # The job was delivered before, so it may be what has killed its process.
            is_careful = is_suspect or bool(delivery.job.must_begin) or delivery.arrival.redeliveries > 0
            if (is_suspect and not suspect) or (is_careful and begun <= 0):
                continue
            suspect = suspect and not is_suspect
            claims.append(Claim(self._grant(delivery, want, begun=begun > 0, blamed=blamed)))
            begun, prefetched = (begun - 1, prefetched) if begun > 0 else (begun, prefetched - 1)
        return claims

    def _is_expired(self, job: JobRecord) -> bool:
        return job.expires_at is not None and job.expires_at <= self.now

    def _grant(self, delivery: Delivery, want: Want, *, begun: bool, blamed: int) -> JobRecord:
        """Give a delivered job to a lane."""
        deliveries = self._state.deliveries
        held = self._claim(delivery, want, begun=begun, blamed=blamed)
        waiting = deliveries.waiting[want.name]
        waiting.remove(delivery)
        deliveries.held.put(held)

        def undo() -> None:
            deliveries.held.pop(held.job.key)
            waiting.appendleft(delivery)

        self._change(undo)
        if delivery.arrival.redeliveries > 0:
            held.is_marked = True
            self.ops.records.append({"is": "began", "id": held.job.id, "at": self.now, "boot": self._boot})
        return held.job

    def _claim(self, delivery: Delivery, want: Want, *, begun: bool, blamed: int) -> HeldJob:
        passed, suspect_until = delivery.arrival.redeliveries, delivery.job.suspect_until
        if blamed >= SUSPECT_INTERRUPTIONS:
            # The message does not know that the job is a suspect by now. Later claims look among the running jobs for a
            # suspect, so this one must say that it is.
            suspect_until = self.now + INTERRUPTION_WINDOW_SECONDS
        step = move(
            delivery.job,
            "job.claimed",
            {"begun": begun, "redeliveries": passed},
            passed=passed,
            no=self._state.next_no(),
            interruptions=blamed,
            suspect_until=suspect_until,
            **granted(delivery.job, want, self.now, begun=begun, passed=passed),
        )
        self.transitions.append(step)
        return HeldJob(delivery, step.job)

    def _end_unstarted(self, delivery: Delivery, want: Want, outcome: Outcome, *, blamed: int = 0) -> None:
        """End a job that was delivered and may not be run."""
        deliveries = self._state.deliveries
        waiting = deliveries.waiting[want.name]
        waiting.remove(delivery)
        self._change(lambda: waiting.appendleft(delivery))
        if outcome.kind is OutcomeKind.CANCELLED:
            fields = {"reason": outcome.reason}
            step = move(delivery.job, "job.cancelled", fields, reason=outcome.reason, ended_at=self.now)
            self._record_end(step, delivery)
            return
        held = self._claim(delivery, want, begun=True, blamed=blamed)
        policy = Policy(interruptions_max=want.interruptions_max)
        verdict = judge(held.job, outcome, policy, self.now, earlier_interruptions=blamed - 1, chance=0.0)
        self.ops.records.append({"is": "ended", "id": held.job.id})
        self._settle_held(held, outcome, verdict)
