"""How a turn gives delivered jobs to lanes. The delivery is the claim; the ledger notes only suspects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...messages.jobs import Claim, Instant, JobRecord
from ...rules.lifecycle import INTERRUPTION_WINDOW_SECONDS, SUSPECT_INTERRUPTIONS, is_suspect
from ..transitions import granted
from ..turn_ports import Claimed, Want
from .deliveries import Delivery, HeldJob
from .ledger_records import begins
from .pending_turn import PendingTurn, move


class Claiming:
    def __init__(self, turn: PendingTurn, *, suspect: bool) -> None:
        self._turn = turn
        self._suspect = suspect
        self._poison: list[JobRecord] = []

    def claim(self, wants: Sequence[Want], paused: Mapping[str, Instant]) -> Claimed:
        waiting = self._turn.state.deliveries.waiting
        claims: dict[str, Sequence[Claim]] = {}
        next_due: dict[str, Instant] = {}
        for want in wants:
            claimed = claims[want.name] = self._claim(want, is_stopped=want.name in paused)
            if len(claimed) < want.begun + want.prefetched:
                first = min((one.job.run_at for one in waiting.get(want.name, ())), default=float("inf"))
                # No notice is sent when a pause ends by itself: prepare for it before that.
                ends = paused.get(want.name, float("inf")) < float("inf")
                if first > self._turn.now and not ends:
                    next_due[want.name] = first
        return Claimed(claims, next_due, self._poison)

    def _claim(self, want: Want, *, is_stopped: bool) -> list[Claim]:
        turn, deliveries = self._turn, self._turn.state.deliveries
        if is_stopped:
            deliveries.set_window(want.name, 0)
            return []
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
        take_out(turn, delivery)
        held_by.put(held)
        turn.change(lambda: held_by.pop(held.job.key))
        return held


def take_out(turn: PendingTurn, delivery: Delivery) -> None:
    deliveries = turn.state.deliveries
    deliveries.waiting[delivery.job.name].remove(delivery)
    turn.change(lambda: deliveries.wait(delivery, is_first=True))
