"""One turn on RabbitMQ: its parts, and what all of them leave behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import UsageError
from ...messages.boots import OPERATOR, BootRecord, LedgerTurn
from ...messages.clock_steps import Reading, Stepped
from ...messages.jobs import Instant, JobRecord, NewJob
from ...messages.outcomes import Outcome, OutcomeKind, Policy, Verdict
from ...rules.lifecycle import done_without_result, judge
from ...rules.new_jobs import follow_ups
from ..transitions import tied
from ..turn_ports import JobLinks, JobQueue, Members, ScheduleBook, StepBook, TallyBook, WaitingJobs
from . import job_message as wire
from .deliveries import Delivery, HeldJob
from .jobs import RabbitJobs
from .ledger_records import OperatorAct, act_begins, excuses, handles, is_boot
from .pending_turn import PendingTurn
from .state import RabbitState
from .turn_schedules import RabbitSchedules
from .unreadable import UnreadableMessage, given_back, is_for_others, put_aside


class IncomingMessages:
    """Handles what was delivered since the last turn."""

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
            elif not any(held.delivery is delivery for held in deliveries.held):
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
            # This holds even if the turn fails: nothing is published for it.
            twin.delivery, twin.is_lost = delivery, False
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
        if held.job.id in self._state.shared.marks:
            # The attempt has ended, so it has not killed its process.
            self._turn.ops.records.append({"is": "ended", "id": held.job.id})
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

    def _drop_copy(self, delivery: Delivery, reason: str) -> None:
        job = delivery.job
        self._state.duplicates += 1
        self._turn.news.append(
            ("job.duplicate", {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "reason": reason})
        )
        self._turn.ops.acknowledged.append(delivery)


class RabbitTurn(PendingTurn):
    queued: WaitingJobs | None = None
    links: JobLinks | None = None
    steps: StepBook | None = None
    has_host_moves = has_host_changes = has_ripe = has_suspects = True

    def __init__(
        self, state: RabbitState, boot: str, now: Instant, *, version: int, leads: bool, bytes_max: int | None
    ) -> None:
        super().__init__(state, boot, now, version=version, leads=leads, bytes_max=bytes_max)
        self._schedules = RabbitSchedules(self)
        self.jobs: JobQueue = RabbitJobs(self)
        self.schedules: ScheduleBook = self._schedules
        self._members = RabbitMembers(self)
        self.boots: Members = self._members
        self.tallies: TallyBook | None = None
        self.intake = IncomingMessages(self)
        if state.deliveries.fresh or state.deliveries.unreadable_messages:
            self.intake.take_in()

    def keep_time(self, reading: Reading, *, may_have_gone_back: bool) -> Stepped | None:
        """Let schedules count from now that a clock which was ahead has accounted for. Jobs need no wall time."""
        self.now = reading.now
        if reading.counter is not None:
            self.state.clock = self.state.clock.after(reading)
        schedules = self._schedules.recount()
        return Stepped(None, 0, schedules) if schedules else None

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        if slots_before is None or self.state.clock.is_in_doubt(self.now):
            return 0
        return self.state.prune_slots(slots_before) + self._schedules.forget_abandoned(slots_before, batch)

    def seal(self) -> None:
        """Number the turn. All remember an operator's turn, and this runtime its own."""
        for delivery in self.state.deliveries.stuck():
            self.take_out(delivery)
            self.pass_on(delivery, 0.0)
        self.expiry = self.state.next_overdue(self.now)
        self._members.seal(self.number())
        new = sorted(self.ops.names - self.state.shared.names)
        self.ops.records += [{"is": "name", "name": name} for name in new]


class RabbitMembers:
    """The boots of this runtime; other runtimes are known by their connections."""

    def __init__(self, turn: PendingTurn) -> None:
        self._turn = turn
        self._state = turn.state
        self._operator: BootRecord | None = None

    def all(self) -> Sequence[BootRecord]:
        return [*self._state.own_boots.values(), *self._state.acts_to_tell(leads=self._turn.leads)]

    def register(self, boot: BootRecord) -> int:
        if boot.kind == OPERATOR:
            # It ends with this turn, so nobody need know that it lives.
            self._operator = boot
            return boot.boot_no
        self._state.own_boots[boot.boot] = boot
        self._turn.ops.records.append(is_boot(self._state.runtime_id, boot))
        return boot.boot_no

    def set_names(self, boot: str, names: Sequence[str]) -> None:
        known = self._state.own_boots.get(boot)
        if known is not None:
            handled = sorted(names)
            self._state.own_boots[boot] = known._replace(names=tuple(handled))
            self._turn.ops.records.append(handles(self._state.runtime_id, handled))
            self._turn.ops.done.append(lambda: setattr(self._state, "handled", handled))
        deliveries = self._state.deliveries
        for name in deliveries.wishes.keys() - set(names):
            deliveries.set_window(name, 0)

    def note_stop(self, boot: str) -> None:
        own = self._state.own_boots
        if boot in own:
            own[boot] = own[boot]._replace(stopping=True)
        for held in self._state.deliveries.held:
            if held.is_marked and held.job.claimed_at is not None:
                self._turn.ops.records.append(excuses(held.job.id, held.job.claimed_at))

    def forget(self, boots: Collection[str]) -> Collection[str]:
        acts = {boot.boot for boot in self._state.acts_to_tell(leads=self._turn.leads)}.intersection(boots)
        # All may forget acts only once they are logged: the next turn writes that.
        self._turn.ops.done.append(lambda: self._state.acts_told.update(acts))
        runtime = self._state.runtime_id
        if acts != set(boots) and runtime in self._state.shared.living():
            # This runtime ends: schedules that it alone declares rest until they are declared again.
            self._turn.ops.records.append({"is": "runtime gone", "runtime": runtime})
            self._turn.ops.done += [self._state.declared.clear, self._state.handled.clear]
        return {boot for boot in boots if boot in acts or self._state.own_boots.pop(boot, None) is not None}

    def seal(self, kept: tuple[LedgerTurn, ...]) -> None:
        state, records = self._state, self._turn.ops.records
        if self._operator is not None and kept:
            # The first record lets others log an operator who is killed in between; the last says that all of it holds.
            act = OperatorAct(state.runtime_id, self._operator._replace(unlogged=kept))
            self._turn.ops.begins.append(act_begins(act))
            records.append({"is": "act done", "boot": self._operator.boot})
        state.acts_told &= state.shared.acts.keys()
        records += [{"is": "act told", "boot": boot} for boot in sorted(state.acts_told)]
