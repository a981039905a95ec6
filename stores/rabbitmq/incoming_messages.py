"""The handling, in a turn, of messages delivered since the last one."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError
from ...messages.jobs import JobRecord, NewJob
from ...messages.outcomes import Outcome, OutcomeKind, Policy, Verdict
from ...rules.lifecycle import done_without_result, judge
from ...rules.new_jobs import follow_ups
from ..transitions import tied
from . import job_message as wire
from .deliveries import Delivery, HeldJob
from .pending_turn import PendingTurn
from .unreadable import UnreadableMessage, given_back, is_for_others, put_aside


class IncomingMessages:
    def __init__(self, turn: PendingTurn) -> None:
        self._turn = turn
        self._state = turn.state

    def take_in(self) -> None:
        deliveries = self._state.deliveries
        dropped = list[Delivery]()
        # If this turn fails, the next one examines the dropped copies again.
        self._turn.change(lambda: deliveries.fresh.extendleft(reversed(dropped)))
        for _ in range(len(deliveries.fresh)):
            delivery = deliveries.fresh[0]
            is_to_wait = self._is_to_wait(delivery)
            deliveries.fresh.popleft()
            if is_to_wait:
                deliveries.wait(delivery)
            elif not self._is_bound(delivery):
                dropped.append(delivery)
        unreadable_messages = list(deliveries.unreadable_messages)
        deliveries.unreadable_messages.clear()
        self._turn.change(lambda: deliveries.unreadable_messages.extendleft(reversed(unreadable_messages)))
        for unreadable_message in unreadable_messages:
            self._send_away(unreadable_message)

    def _send_away(self, unreadable_message: UnreadableMessage) -> None:
        """Put aside or give back an unreadable message, so that it does not block its queue."""
        if is_for_others(unreadable_message):
            self._turn.ops.messages.append(given_back(unreadable_message))
            self._turn.news.append(("message.newer", unreadable_message.fields))
        else:
            self._turn.ops.messages.append(put_aside(unreadable_message, self._turn.now))
            self._turn.ops.done.append(self._state.ailing.count_unreadable)
            self._turn.news.append(("message.unreadable", unreadable_message.fields))
        self._turn.ops.acknowledged.append(unreadable_message)

    def _is_to_wait(self, delivery: Delivery) -> bool:
        state, job = self._state, delivery.job
        rest = wire.rest_of(delivery.arrival.headers)
        twin = state.deliveries.held.newest(job.id)
        if delivery.copy in state.memory.ended_copies:
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
            about = {"job_id": job.id, "job_name": job.name, "claim_no": claimed.claim_no}
            self._turn.news.append(("claim.kept", about))
            self._settle_kept(held, outcome, verdict)
            self._turn.ops.done.append(lambda: state.memory.kept.pop(delivery.copy))
            return False
        if rest > 0.0:
            self._turn.pass_on(delivery, rest)
            return False
        return True

    def _settle_kept(self, held: HeldJob, outcome: Outcome, verdict: Verdict) -> None:
        """Record an ending that no HandlerActor will send again: this must not fail."""
        try:
            for job in outcome.then:
                self._turn.check_data(job)
            self._turn.settle_held(held, outcome, verdict)
            self._follow_up(held.job, outcome.then)
        except UsageError as error:
            too_large = Outcome(kind=OutcomeKind.DISCARDED, reason=str(error), error=f"UsageError: {error}")
            if outcome.kind is OutcomeKind.SUCCEEDED and not outcome.then:
                too_large = done_without_result(str(error))
                about = {"job_id": held.job.id, "job_name": held.job.name, "claim_no": held.job.claim_no}
                self._turn.news.append(("job.result_lost", {**about, "reason": too_large.reason}))
            verdict = judge(held.job, too_large, Policy(), self._turn.now, earlier_interruptions=0, chance=0.0)
            self._turn.settle_held(held, too_large, verdict)

    def _follow_up(self, ended: JobRecord, then: Sequence[NewJob]) -> None:
        """Queue the follow-ups of a job that ended as done, even into a full queue."""
        moves, queued = self._turn.transitions, self._state.memory.queued
        end = len(moves) - 1
        for job in follow_ups(ended, then, self._turn.now):
            if queued.get(job.id) is None:
                self._turn.add(job)
        moves[end:] = tied(moves[end:])

    def _is_bound(self, delivery: Delivery) -> bool:
        return any(held.delivery is delivery for held in self._state.deliveries.held)

    def _drop_copy(self, delivery: Delivery, reason: str) -> None:
        job = delivery.job
        self._state.duplicates += 1
        self._turn.news.append(
            ("job.duplicate", {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "reason": reason})
        )
        self._turn.ops.acknowledged.append(delivery)

    def _bind(self, held: HeldJob, delivery: Delivery) -> None:
        """Attach a redelivery to a running job whose delivery was lost with its session."""
        # This holds even if the turn fails: nothing is published for it.
        held.delivery, held.is_lost = delivery, False
