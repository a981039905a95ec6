"""One turn on RabbitMQ: its parts, and what all of them leave behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...messages.boots import OPERATOR, BootRecord, LedgerTurn
from ...messages.clock_steps import Reading, Stepped
from ...messages.jobs import Instant
from ..turn_ports import JobLinks, JobQueue, Members, ScheduleBook, StepBook, TallyBook, WaitingJobs
from .claiming import take_out
from .incoming_messages import IncomingMessages
from .jobs import RabbitJobs
from .ledger_records import OperatorAct, act_begins, excuses, is_boot
from .pending_turn import PendingTurn
from .state import RabbitState
from .turn_schedules import RabbitSchedules


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
        self._members = RabbitMembers(self, self._schedules)
        self.boots: Members = self._members
        self.tallies: TallyBook | None = None
        self.intake = IncomingMessages(self)
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
        """Remember the turn here, since its broker may die before logging it. All remember an operator's turn."""
        for delivery in self.state.deliveries.stuck():
            take_out(self, delivery)
            self.pass_on(delivery, 0.0)
        self.expiry = self.state.next_overdue(self.now)
        boot, boots = self.boot, self.state.own_boots
        known = boots.get(boot)
        kept = tuple(self.sum_up(0, 0 if known is None else known.turn))
        self._members.seal(kept)
        new = sorted(self.ops.names - self.state.shared.names)
        self.ops.records += [{"is": "name", "name": name} for name in new]
        if self.did is None:
            return
        turn = self.did.turn
        self.ops.done.append(
            lambda: boot in boots and boots.update({boot: boots[boot]._replace(turn=turn, unlogged=kept)})
        )


class RabbitMembers:
    """The boots of this runtime; other runtimes are known by their connections."""

    def __init__(self, turn: PendingTurn, schedules: RabbitSchedules) -> None:
        self._turn = turn
        self._state = turn.state
        self._schedules = schedules
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
            self._state.own_boots[boot] = known._replace(names=tuple(sorted(names)))
            self._schedules.say_handled(sorted(names))
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
        if acts != set(boots):
            self._schedules.forget_runtime()
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
