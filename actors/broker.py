"""Routes jobs to handlers and records how each claim ended.

Owns: the rooms of living HandlerActors and the mail of a turn that could not be stored. Hears: Queue, Requeue,
MarkDone, Cancel, Pause, Tick, Ended, Up, Down, Look, ... Tells: Run, Settled, Revoke, Report, Ticked.

A turn is a transaction: it takes what is in the mailbox, applies it to the store, claims what free lanes can take,
commits once, and only then lets anything out. A crash in the middle is as if the mail had not arrived.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..codec import digest
from ..errors import LamplighterError, StaleClaim, StoreUnavailable, UnknownJob, UnknownSchedule
from ..lifecycle import INTERRUPTION_WINDOW_SECONDS, judge
from ..log import Speaker
from ..messages.jobs import Instant, JobRecord, JobState, NewJob, Transition
from ..messages.mail import (
    Cancel,
    ClockJumped,
    Declare,
    Down,
    Drain,
    Ended,
    Expect,
    Farewell,
    Forget,
    GiveBack,
    Housekeep,
    Look,
    Mail,
    MarkDone,
    Pause,
    PauseSchedule,
    Progressed,
    Queue,
    Reply,
    Report,
    Requeue,
    Revoke,
    Run,
    ScheduleChanged,
    Settled,
    Tick,
    Ticked,
    Up,
    Wake,
)
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..messages.schedules import SlotEntry
from ..messages.slots import Fire, SlotRange
from ..replies import BrokerLost, answer
from ..slots import jitter_of
from ..stores.base import BootRecord, Store, Turn, Want
from ..stores.hints import Hints
from ..stores.presence import Presence
from .base import ActorContext, RuntimeActor

RETRY_SECONDS = 0.1
"""Between a turn that the store refused and the next try; BEGIN itself has waited for the lock before."""

POLL_SECONDS = 1.0
"""How often a lost hint is made up for, while another boot lives."""

PRESENCE_SECONDS = 2.0
"""How often the others are looked for."""

EXPECT_SECONDS_MIN, EXPECT_SECONDS_MAX = 0.005, 0.25
"""How often a job in a host's open transaction is looked for, backing off from the first to the second."""

PRUNED_ROWS_MAX = 500
"""Rows of one pruning turn."""

Key = tuple[str, int]


@dataclass(slots=True)
class Room:
    """What one HandlerActor can take, and the claims it holds."""

    incarnation: int
    lanes: int
    prefetch: int
    total: int | None
    interruptions_max: int
    held: dict[Key, JobRecord]


@dataclass(slots=True)
class Out:
    """What a turn lets out after its commit, in order, and not at all if it is rolled back."""

    lines: list[tuple[str, Speaker, dict[str, Any]]] = field(default_factory=list)
    replies: list[tuple[Reply, Any, BaseException | None]] = field(default_factory=list)
    tells: list[tuple[str, Any, Speaker]] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)
    freed: dict[str, set[Key]] = field(default_factory=dict)
    settled: dict[str, list[Key]] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    told: int = 0


class JobBroker(RuntimeActor):
    """See the module."""

    def __init__(
        self,
        context: ActorContext,
        incarnation: int,
        *,
        store: Store,
        presence: Presence,
        hints: Hints,
        wake_waiters: Callable[[Iterable[JobRecord]], None],
        awaited: Callable[[], list[str]],
        store_is_down: Callable[[str | None], None],
    ) -> None:
        super().__init__(context, "broker", incarnation)
        self._store = store
        self._presence = presence
        self._hints = hints
        self._wake_waiters = wake_waiters
        self._awaited = awaited
        self._store_is_down = store_is_down
        self._chance = context.environment.chance()
        self._rooms: dict[str, Room] = {}
        self._unreconciled: set[str] = set()
        self._deferred: dict[Key, Instant] = {}
        self._pending: list[Mail] = []
        self._expected: dict[str, Expect] = {}
        self._expect_wait = EXPECT_SECONDS_MIN
        self._others: list[BootRecord] = []
        self._draining = False
        self._recovered = False
        self._waiting_since: float | None = None
        self._timers: dict[str, tuple[float, Any]] = {}

    def on_start(self) -> None:
        """Runs on the broker's thread: ask the living what they hold. The first turn takes back what the dead held."""
        names = [name for name in self.context.post.names() if name.startswith("handler:")]
        self._unreconciled = {name for name in names if self.tell(name, Report())}
        self.tell("scheduler", Report())
        self._again("presence", 0.0, Housekeep("boots"))
        self._again("retention", self._retention_step(), Housekeep("retention"))

    def on_down(self) -> None:
        """Whoever still waits for an answer asks the next incarnation; ids make that harmless."""
        mails = [*self._pending, *self.take_more(10**9)]
        for mail in mails:
            reply = getattr(mail.body, "reply", None)
            if reply is not None:
                answer(reply, None, BrokerLost("the broker died before it answered"))

    def receive(self, mail: Mail) -> None:
        batch = [*self._pending, mail, *self.take_more(self.context.limits.turn_messages_max)]
        self._pending = batch
        if self._recovered and all(isinstance(m.body, Look) for m in batch) and not self._is_worth_a_turn(batch):
            self._pending = []
            return
        self._take_turn(batch)

    # --- a turn ---------------------------------------------------------------------------------------------

    def _take_turn(self, batch: list[Mail]) -> None:
        try:
            out = self._commit(batch)
        except StoreUnavailable as error:
            self._wait_for_store(error)
            return
        except Exception:
            self._pending = []
            self._one_by_one(batch)
        else:
            self._pending = []
            self._let_out(out)
        self._store_is_back()
        self._set_alarms()

    def _one_by_one(self, batch: list[Mail]) -> None:
        """The turn failed and was rolled back. Only the message that fails alone is refused."""
        for index, mail in enumerate(batch):
            try:
                out = self._commit([mail])
            except StoreUnavailable as error:
                self._pending = batch[index:]
                self._wait_for_store(error)
                return
            except Exception as error:
                self._refuse(mail, error)
            else:
                self._let_out(out)

    def _refuse(self, mail: Mail, error: Exception) -> None:
        kind = type(mail.body).__name__
        self.context.log.emit(
            "message.refused", self._speaker_of(mail),
            message=kind, reason=repr(error)[:500], traceback=traceback.format_exc(),
        )  # fmt: skip
        reply = getattr(mail.body, "reply", None)
        if reply is not None:
            answer(reply, None, LamplighterError(f"{kind} could not be carried out: {error!r}"))
        if isinstance(mail.body, Ended):
            failed = Outcome(kind=OutcomeKind.FAILED, error=f"its ending could not be stored: {error!r}"[:500])
            if mail.body.outcome != failed:
                self._one_by_one([replace(mail, body=replace(mail.body, outcome=failed))])

    def _commit(self, batch: list[Mail]) -> Out:
        out = Out()
        with self._store.turn(self.context.boot, self.context.clock.now()) as turn:
            turn.tell_untold()
            self._collect(turn, out, Speaker(self.name, self.incarnation))
            if not self._recovered:
                self._recover(turn, out)
            for mail in batch:
                self._apply(turn, mail, out)
            self._finish_deferred(turn, out)
            turn.expire()
            self._claim(turn, out)
            out.transitions = turn.transitions
        self._recovered = True
        return out

    def _apply(self, turn: Turn, mail: Mail, out: Out) -> None:
        speaker = self._speaker_of(mail)
        reply: Reply | None = getattr(mail.body, "reply", None)
        if reply is not None and reply.cancelled():
            return
        try:
            value = self._handle(turn, mail.body, speaker, out)
        except LamplighterError as refusal:
            if reply is None or isinstance(refusal, StoreUnavailable):
                raise
            out.replies.append((reply, None, refusal))
        else:
            if reply is not None:
                out.replies.append((reply, value, None))
        self._collect(turn, out, speaker)

    def _handle(self, turn: Turn, body: Any, speaker: Speaker, out: Out) -> Any:
        match body:
            case Queue(jobs=jobs):
                return [self._insert(turn, job, speaker, out) for job in jobs]
            case Ended():
                self._ended(turn, body, speaker, out)
            case Up():
                self._up(turn, body, speaker, out)
            case GiveBack(name=name, claims=claims):
                for claim in claims:
                    turn.release(claim.job, "not started in time")
                    out.freed.setdefault(name, set()).add(claim.key)
            case Tick():
                self._tick(turn, body, speaker, out)
            case Progressed(job_id=job_id, claim_no=claim_no, progress=progress):
                turn.note_progress(job_id, claim_no, progress)
            case MarkDone():
                return self._mark_done(turn, body, speaker, out)
            case Requeue(job_id=job_id, run_at=run_at):
                job = self._known(turn, job_id)
                moved = turn.requeue(job, run_at)
                self._revoke(job, "requeued", speaker, out)
                return moved
            case Cancel(job_id=job_id):
                return self._cancel(turn, job_id, speaker, out)
            case Down(child=child, incarnation=incarnation, reason=reason):
                self._down(turn, child, incarnation, reason, speaker, out)
            case _:
                return self._handle_rest(turn, body, speaker, out)
        return None

    def _handle_rest(self, turn: Turn, body: Any, speaker: Speaker, out: Out) -> Any:
        match body:
            case Look():
                pass
            case Expect(job_id=job_id):
                self._expected[job_id] = body
                self._expect_wait = EXPECT_SECONDS_MIN
            case Pause(name=name, paused=paused):
                turn.pause(name, paused=paused)
                out.lines.append(("name.paused" if paused else "name.resumed", speaker, {"job_name": name}))
                out.after.append(self._hint)
            case Declare(schedule=schedule):
                stored, news = turn.declare(schedule)
                if news is not None:
                    fields = {
                        "schedule": stored.id, "job_name": stored.name, "when": stored.when,
                        "timezone": stored.timezone, "durable": bool(stored.durable),
                    }  # fmt: skip
                    out.lines.append((f"schedule.{news}", speaker, fields))
                out.tells.append(("scheduler", ScheduleChanged(schedule_id=stored.id, record=stored), speaker))
                return stored
            case Forget(schedule_id=schedule_id):
                self._forget_schedule(turn, schedule_id, speaker, out)
            case PauseSchedule(schedule_id=schedule_id, paused=paused):
                record = turn.pause_schedule(schedule_id, paused=paused)
                if record is None:
                    raise UnknownSchedule(f"expected the id of an active schedule, got: {schedule_id!r}")
                event = "schedule.paused" if paused else "schedule.resumed"
                out.lines.append((event, speaker, {"schedule": schedule_id, "job_name": record.name}))
                out.tells.append(("scheduler", ScheduleChanged(schedule_id=schedule_id, record=record), speaker))
            case Housekeep(what=what):
                self._housekeep(turn, what, speaker, out)
            case ClockJumped(delta=delta):
                jobs = turn.pull_forward() if delta < 0 else 0
                out.lines.append(("clock.jumped", speaker, {"delta": round(delta, 3), "jobs": jobs}))
                out.tells.append(("scheduler", Wake(), speaker))
            case Drain():
                self._draining = True
            case Farewell():
                self._farewell(turn, speaker, out)
            case other:
                raise TypeError(f"the JobBroker does not hear {type(other).__name__}")
        return None

    # --- what a host asks -----------------------------------------------------------------------------------

    def _insert(self, turn: Turn, job: NewJob, speaker: Speaker, out: Out) -> tuple[JobRecord, bool]:
        record, fresh = turn.insert(job)
        self._collect(turn, out, speaker)
        if not fresh:
            fields = {**names_job(record), "asked_id": job.id, "unique_key": job.unique_key}
            out.lines.append(("job.deduplicated", speaker, fields))
        elif not self._is_handled(job.name):
            out.lines.append(("job.parked", speaker, names_job(record)))
        return record, fresh

    def _known(self, turn: Turn, job_id: str) -> JobRecord:
        job = turn.job(job_id)
        if job is None:
            raise UnknownJob(f"expected the id of a stored job, got: {job_id!r}; it never was, or retention removed it")
        return job

    def _mark_done(self, turn: Turn, body: MarkDone, speaker: Speaker, out: Out) -> JobRecord:
        job = self._known(turn, body.job_id)
        if body.claim_no is None:
            if job.state == JobState.QUEUED:
                return turn.finish(job, body.result)
            if job.state == JobState.DONE:
                return job
            raise StaleClaim(
                f"job {job.id} is {job.state}: an id marks only a queued job done; "
                "use the Job that its handler got, or that Job's token"
            )
        if job.state == JobState.DONE and job.settled_no == body.claim_no:
            return job
        if job.state != JobState.RUNNING or job.claim_no != body.claim_no:
            self._fenced(job, body.claim_no, "mark_done", speaker, out)
            raise StaleClaim(
                f"claim {body.claim_no} of job {job.id} no longer holds it: the job is {job.state}, its claim number "
                f"{job.claim_no}; whatever this attempt did, another one decides"
            )
        succeeded = Outcome(kind=OutcomeKind.SUCCEEDED, result=body.result)
        settled = self._settle(turn, job, succeeded, Policy(), speaker, out)
        assert settled is not None
        self._deferred.pop((job.id, job.claim_no), None)
        return settled

    def _cancel(self, turn: Turn, job_id: str, speaker: Speaker, out: Out) -> JobRecord:
        job = self._known(turn, job_id)
        match JobState(job.state):
            case JobState.QUEUED:
                return turn.cancel(job, "cancelled by the host")
            case JobState.RUNNING:
                outcome = Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled by the host while it ran")
                settled = self._settle(turn, job, outcome, Policy(), speaker, out)
                self._revoke(job, "cancelled", speaker, out)
                assert settled is not None
                return settled
            case _:
                return job

    def _revoke(self, job: JobRecord, reason: str, speaker: Speaker, out: Out) -> None:
        """Signal the lane that still runs a job whose claim counts no longer. Another boot learns it by the hint."""
        key = (job.id, job.claim_no)
        self._deferred.pop(key, None)
        if job.state == JobState.RUNNING and job.boot == self.context.boot:
            out.tells.append((f"handler:{job.name}", Revoke(key=key, reason=reason), speaker))

    def _forget_schedule(self, turn: Turn, schedule_id: str, speaker: Speaker, out: Out) -> None:
        record = turn.schedule(schedule_id)
        if record is None or not turn.forget_schedule(schedule_id):
            raise UnknownSchedule(f"expected the id of an active schedule, got: {schedule_id!r}")
        out.lines.append(("schedule.removed", speaker, {"schedule": schedule_id, "job_name": record.name}))
        out.tells.append(("scheduler", ScheduleChanged(schedule_id=schedule_id, record=None), speaker))
        out.after.append(self._hint)

    # --- endings: one road ----------------------------------------------------------------------------------

    def _ended(self, turn: Turn, body: Ended, speaker: Speaker, out: Out) -> None:
        job, key = body.claim.job, body.claim.key
        out.freed.setdefault(body.name, set()).add(key)
        out.settled.setdefault(body.name, []).append(key)
        if body.outcome.kind is OutcomeKind.DEFERRED:
            timeout = body.outcome.seconds or None
            if turn.defer(job, timeout):
                due = deferred_until(replace(job, timeout=timeout))
                out.after.append(lambda: self._deferred.update({key: due}))
            return
        if self._settle(turn, job, body.outcome, body.policy, speaker, out) is not None:
            return
        current = turn.job(job.id)
        # An ending that is told twice is no news; one of a lane that had been given up is.
        if current is not None and (current.settled_no != job.claim_no or body.late):
            self._fenced(current, job.claim_no, body.outcome.kind.value, speaker, out)

    def _settle(
        self, turn: Turn, job: JobRecord, outcome: Outcome, policy: Policy, speaker: Speaker, out: Out
    ) -> JobRecord | None:
        earlier = 0
        if outcome.kind is OutcomeKind.INTERRUPTED:
            earlier = turn.recent_interruptions(job.id, turn.now - INTERRUPTION_WINDOW_SECONDS)
        verdict = judge(job, outcome, policy, turn.now, earlier_interruptions=earlier, chance=self._chance.random())
        settled = turn.settle(job, outcome, verdict)
        if settled is None:
            return None
        if outcome.kind not in (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.CANCELLED):
            fields = {
                **names_job(job), "attempt": job.attempt + 1, "outcome": outcome.kind.value, "reason": outcome.reason,
                "error": outcome.error, "traceback": outcome.traceback, "boot_was": job.boot,
            }  # fmt: skip
            out.lines.append(("job.failed", replace(speaker, corr=job.corr), fields))
        self._collect(turn, out, speaker)
        return settled

    def _fenced(self, job: JobRecord, claim_no: int, outcome: str, speaker: Speaker, out: Out) -> None:
        fields = {
            **names_job(job), "claim_no": claim_no, "outcome": outcome, "claim_no_now": job.claim_no,
            "state": job.state, "why": job.reason,
        }  # fmt: skip
        out.lines.append(("job.fenced", replace(speaker, corr=job.corr), fields))

    def _finish_deferred(self, turn: Turn, out: Out) -> None:
        speaker = Speaker(self.name, self.incarnation)
        for (job_id, claim_no), due in list(self._deferred.items()):
            job = turn.job(job_id) if due <= turn.now else None
            if job is not None and job.claim_no == claim_no and job.state == JobState.RUNNING:
                outcome = Outcome(kind=OutcomeKind.TIMED_OUT, error="nobody marked it done in time")
                self._settle(turn, job, outcome, Policy(), speaker, out)
            if due <= turn.now:
                out.after.append(lambda key=(job_id, claim_no): self._deferred.pop(key, None))  # type: ignore[misc]

    # --- who lives ------------------------------------------------------------------------------------------

    def _up(self, turn: Turn, body: Up, speaker: Speaker, out: Out) -> None:
        known = self._rooms.get(body.name)
        if known is not None and known.incarnation > body.incarnation:
            return
        held: dict[Key, JobRecord] = {} if known is None or known.incarnation < body.incarnation else known.held
        if f"handler:{body.name}" in self._unreconciled or known is None:
            # What the store says it holds and it does not was on its way when a broker died.
            for job in turn.open_claims(self.context.boot, body.name):
                key = (job.id, job.claim_no)
                if key in body.held:
                    held[key] = job
                elif job.deferred:
                    self._deferred[key] = deferred_until(job)
                else:
                    lost = Outcome(kind=OutcomeKind.INTERRUPTED, reason="it was not delivered")
                    self._settle(turn, job, lost, Policy(), speaker, out)
            out.after.append(lambda: self._unreconciled.discard(f"handler:{body.name}"))
        had = body.name in self._rooms and self._rooms[body.name].lanes > 0
        maximum = body.interruptions_max or self.context.limits.interruptions_max
        self._rooms[body.name] = Room(body.incarnation, body.lanes, body.prefetch, body.total, maximum, held)
        if had != (body.lanes > 0):
            turn.set_names(self.context.boot, [name for name, room in self._rooms.items() if room.lanes > 0])

    def _down(self, turn: Turn, child: str, incarnation: int, reason: str, speaker: Speaker, out: Out) -> None:
        kind, _, name = child.partition(":")
        if kind != "handler":
            return
        # An actor runs no code of the host's, so its death is never held against a job.
        interrupted = Outcome(kind=OutcomeKind.INTERRUPTED, reason=f"its HandlerActor died: {reason}")
        for job in turn.open_claims(self.context.boot, name, incarnation):
            if not job.deferred:
                self._settle(turn, job, interrupted, Policy(), speaker, out)
        room = self._rooms.get(name)
        if room is not None and room.incarnation <= incarnation:
            del self._rooms[name]
            turn.set_names(self.context.boot, [other for other, left in self._rooms.items() if left.lanes > 0])

    def _recover(self, turn: Turn, out: Out) -> None:
        """Before anything else: take back what dead boots held, and what nobody in this one can hold."""
        speaker = Speaker(self.name, self.incarnation)
        self._bury_dead(turn, speaker, out)
        living = {name.partition(":")[2] for name in self._unreconciled}
        for job in turn.open_claims(self.context.boot):
            if job.name not in living and not job.deferred:
                lost = Outcome(kind=OutcomeKind.INTERRUPTED, reason="its HandlerActor is gone")
                self._settle(turn, job, lost, Policy(), speaker, out)

    def _bury_dead(self, turn: Turn, speaker: Speaker, out: Out) -> None:
        boots = turn.boots()
        living = [boot for boot in boots if boot.boot != self.context.boot and self._presence.is_alive(boot.boot)]
        self._others = living
        for dead in boots:
            if dead.boot == self.context.boot or dead in living or not turn.forget_boot(dead.boot):
                continue
            jobs = turn.open_claims(dead.boot)
            for job in jobs:
                maximum = job.interruptions_max or self.context.limits.interruptions_max
                reason = f"the process of boot {dead.boot} (pid {dead.pid}) died"
                # A claim whose handler has returned had no lane: its process's death cannot be its doing.
                outcome = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=not job.deferred)
                self._settle(turn, job, outcome, Policy(interruptions_max=maximum), speaker, out)
            fields = {"dead_boot": dead.boot, "dead_pid": dead.pid, "jobs": len(jobs), "told": list(dead.turn)}
            out.lines.append(("runtime.recovered", speaker, fields))
            out.after.append(lambda boot=dead.boot: self._presence.bury(boot))  # type: ignore[misc]

    def _farewell(self, turn: Turn, speaker: Speaker, out: Out) -> None:
        self._draining = True
        for job in turn.open_claims(self.context.boot):
            outcome = Outcome(kind=OutcomeKind.INTERRUPTED, reason="the runtime stopped")
            self._settle(turn, job, outcome, Policy(), speaker, out)
        turn.forget_boot(self.context.boot)
        out.after.append(self._hint)

    def _housekeep(self, turn: Turn, what: str, speaker: Speaker, out: Out) -> None:
        if what == "boots":
            self._bury_dead(turn, speaker, out)
            out.after.append(lambda: self._again("presence", PRESENCE_SECONDS, Housekeep("boots")))
            return
        limits = self.context.limits
        rows = turn.prune(
            done_before=turn.now - limits.keep_done_seconds,
            dead_before=turn.now - limits.keep_dead_seconds,
            slots_before=turn.now,
            batch=PRUNED_ROWS_MAX,
        )
        if rows:
            out.lines.append(("retention.pruned", speaker, {"rows": rows}))
        wait = 0.0 if rows >= PRUNED_ROWS_MAX else self._retention_step()
        out.after.append(lambda: self._again("retention", wait, Housekeep("retention")))

    def _retention_step(self) -> float:
        limits = self.context.limits
        return max(1.0, min(60.0, limits.keep_done_seconds / 4, limits.keep_dead_seconds / 4))

    # --- slots ----------------------------------------------------------------------------------------------

    def _tick(self, turn: Turn, tick: Tick, speaker: Speaker, out: Out) -> None:
        known = turn.schedule(tick.schedule.id)
        if known is None or known.definition != tick.schedule.definition or known.accounted_to != tick.since:
            # Another runtime was first, or the schedule is another one now: the scheduler thinks again.
            if known is not None and tick.accounting.fires:
                fields = {"schedule": known.id, "slot": tick.accounting.fires[0].slot, "job_name": known.name}
                out.lines.append(("slot.taken", speaker, fields))
            out.tells.append(("scheduler", ScheduleChanged(schedule_id=tick.schedule.id, record=known), speaker))
            return
        for gone in tick.accounting.skipped:
            self._skip(turn, tick, gone, speaker, out, by=None)
        last: Instant | None = None
        for fire in tick.accounting.fires:
            if self._fire(turn, replace(tick, schedule=known), fire, speaker, out):
                last = fire.slot
        turn.account(known.id, tick.accounting.accounted_to, last)
        done = Ticked(schedule_id=known.id, accounted_to=tick.accounting.accounted_to)
        out.tells.append(("scheduler", done, speaker))

    def _fire(self, turn: Turn, tick: Tick, fire: Fire, speaker: Speaker, out: Out) -> bool:
        schedule = tick.schedule
        held_by = self._hold_back(turn, tick)
        if held_by is not None:
            reason, by = held_by
            gone = SlotRange(first=fire.slot, last=fire.slot, count=1, reason=reason)
            self._skip(turn, tick, gone, speaker, out, by=by)
            return False
        # The id follows from the slot, so that the same slot can never make two jobs.
        job_id = f"{schedule.id}-{fire.slot:.6f}".rstrip("0").rstrip(".")
        job = NewJob(
            id=job_id,
            name=schedule.name,
            data=schedule.data,
            queued_at=turn.now,
            run_at=fire.slot + jitter_of(schedule.id, fire.slot, schedule.jitter),
            corr=job_id,
            schedule=schedule.id,
            slot=fire.slot,
            solo=schedule.overlap == "queue_one",
        )
        entry = SlotEntry(
            schedule_id=schedule.id, slot=fire.slot, last=fire.slot, count=1, outcome=fire.outcome,
            reason=fire.reason, job_id=job_id,
        )  # fmt: skip
        stored = turn.fire(entry, job)
        fields = {"schedule": schedule.id, "slot": fire.slot, "job_name": schedule.name}
        if stored is None:
            out.lines.append(("slot.taken", speaker, fields))
            return False
        event = "slot.caught_up" if fire.outcome == "caught_up" else "slot.fired"
        late = round(turn.now - fire.slot, 3)
        more = {"job_id": job_id, "outcome": fire.outcome, "reason": fire.reason, "late": late}
        out.lines.append((event, replace(speaker, corr=job_id), {**fields, **more}))
        self._collect(turn, out, speaker)
        return True

    def _hold_back(self, turn: Turn, tick: Tick) -> tuple[str, str | None] | None:
        """Why a slot may not fire now, and which job is in its way."""
        schedule = tick.schedule
        if schedule.paused:
            return "paused", None
        if schedule.overlap == "allow":
            return None
        unfinished = turn.unfinished_of(schedule.id)
        waiting = [job_id for job_id, state in unfinished if state == JobState.QUEUED]
        if schedule.overlap == "skip" and unfinished:
            return "overlap=skip: an earlier job is unfinished", unfinished[0][0]
        if schedule.overlap == "queue_one" and waiting:
            return "overlap=queue_one: an earlier job still waits", waiting[0]
        return None

    def _skip(self, turn: Turn, tick: Tick, gone: SlotRange, speaker: Speaker, out: Out, *, by: str | None) -> None:
        if turn.skip(tick.schedule.id, gone):
            fields = {
                "schedule": tick.schedule.id, "slot": gone.first, "last": gone.last, "count": gone.count,
                "job_name": tick.schedule.name, "reason": gone.reason, "by": by,
            }  # fmt: skip
            out.lines.append(("slot.skipped", speaker, fields))

    # --- claims ---------------------------------------------------------------------------------------------

    def _claim(self, turn: Turn, out: Out) -> None:
        speaker = Speaker(self.name, self.incarnation)
        suspect_held = any(
            (job.suspect_until or 0.0) > turn.now for room in self._rooms.values() for job in room.held.values()
        )
        for name, room in self._rooms.items():
            held = len(room.held.keys() - out.freed.get(name, set()))
            begun = max(0, room.lanes - held)
            prefetched = max(0, room.lanes + room.prefetch - held) - begun
            if self._draining or begun + prefetched == 0 or room.lanes == 0:
                continue
            want = Want(
                name=name, boot=self.context.boot, incarnation=room.incarnation, begun=begun, prefetched=prefetched,
                total=room.total, interruptions_max=room.interruptions_max, suspect=not suspect_held,
            )  # fmt: skip
            claims = turn.claim(want)
            if not claims:
                continue
            suspect_held = suspect_held or any((claim.job.suspect_until or 0.0) > turn.now for claim in claims)
            out.tells.append((f"handler:{name}", Run(claims=tuple(claims)), speaker))
            out.after.append(lambda room=room, claims=claims: room.held.update({c.key: c.job for c in claims}))  # type: ignore[misc]
        self._collect(turn, out, speaker)

    # --- after the commit -----------------------------------------------------------------------------------

    def _collect(self, turn: Turn, out: Out, speaker: Speaker) -> None:
        """Put the transitions since the last call into the order of what is said."""
        for step in turn.transitions[out.told :]:
            out.lines.append((step.event, replace(speaker, corr=step.job.corr), line_of(step)))
        out.told = len(turn.transitions)

    def _let_out(self, out: Out) -> None:
        for name, keys in out.freed.items():
            room = self._rooms.get(name)
            for key in keys if room is not None else ():
                room.held.pop(key, None)  # type: ignore[union-attr]
        for after in out.after:
            after()
        for event, speaker, fields in out.lines:
            self.context.log.emit(event, speaker, **fields)
        for name, settled in out.settled.items():
            self.tell(f"handler:{name}", Settled(keys=tuple(settled)))
        for to, body, speaker in out.tells:
            self.context.post.tell(to, body, speaker=speaker)
        for reply, value, error in out.replies:
            answer(reply, value, error)
        ended = [step.job for step in out.transitions if JobState(step.job.state).ended]
        for job in ended:
            self._deferred.pop((job.id, job.claim_no), None)
        if ended:
            self._wake_waiters(ended)
        if self._others and self._concerns_others(out):
            self._hint()

    def _concerns_others(self, out: Out) -> bool:
        claimed = {step.job.id for step in out.transitions if step.event == "job.claimed"}
        return any(step.event != "job.claimed" and step.job.id not in claimed for step in out.transitions)

    def _hint(self) -> None:
        self._hints.send([boot.hint for boot in self._others if boot.hint is not None])

    def _is_handled(self, name: str) -> bool:
        room = self._rooms.get(name)
        return (room is not None and room.lanes > 0) or any(name in boot.names for boot in self._others)

    def _speaker_of(self, mail: Mail) -> Speaker:
        return Speaker(self.name, self.incarnation, mail.msg, mail.cause, mail.corr)

    # --- waiting --------------------------------------------------------------------------------------------

    def _is_worth_a_turn(self, batch: list[Mail]) -> bool:
        """Look, without taking the write lock, whether time or another process has changed anything for us."""
        try:
            if any(mail.body.foreign for mail in batch):
                self._look_abroad()
            now = self.context.clock.now()
            free = [name for name, room in self._rooms.items() if len(room.held) < room.lanes and not self._draining]
            expiry = self._store.next_expiry()
            worth = (
                self._store.untold()
                or self._store.due(free, now)
                or (expiry is not None and expiry <= now)
                or any(due <= now for due in self._deferred.values())
            )
        except StoreUnavailable:
            return True
        if not worth:
            self._set_alarms()
        return worth

    def _look_abroad(self) -> None:
        if not self._store.changed():
            return
        self.tell("scheduler", Wake(reload=True))
        awaited = (self._store.get(job_id) for job_id in self._awaited())
        ended = [job for job in awaited if job is not None and JobState(job.state).ended and job.rev is not None]
        if ended:
            self._wake_waiters(ended)
        for name, room in self._rooms.items():
            for key in room.held:
                job = self._store.get(key[0])
                if job is not None and (job.claim_no, job.state) != (key[1], JobState.RUNNING.value):
                    self.tell(f"handler:{name}", Revoke(key=key, reason=job.reason or f"it is {job.state}"))

    def _set_alarms(self) -> None:
        """Be woken when the next thing becomes due."""
        now = self.context.clock.now()
        try:
            due = [self._store.next_expiry()]
            for name, room in self._rooms.items():
                if len(room.held) < room.lanes and not self._draining:
                    due.append(self._store.next_due(name, now))
            self._look_for_expected(now)
        except StoreUnavailable:
            return
        due.extend(at for at in self._deferred.values() if at != float("inf"))
        instants = [at for at in due if at is not None]
        if instants:
            self._alarm("due", min(instants), self.context.clock.at, Look())
        if self._others:
            self._again("poll", POLL_SECONDS, Look(foreign=True), keep=True)

    def _look_for_expected(self, now: Instant) -> None:
        for job_id, expect in list(self._expected.items()):
            job = self._store.get(job_id)
            there = job is not None and job.rev is not None and expect.state in (None, job.state)
            if there or expect.give_up_at <= now:
                del self._expected[job_id]
        if self._expected:
            self._again("expect", self._expect_wait, Look())
            self._expect_wait = min(EXPECT_SECONDS_MAX, self._expect_wait * 1.2)

    def _again(self, key: str, seconds: float, body: Any, *, keep: bool = False) -> None:
        due = self.context.clock.monotonic() + seconds
        known = self._timers.get(key)
        if keep and known is not None and known[0] > self.context.clock.monotonic():
            return
        if known is not None:
            known[1].cancel()
        self._timers[key] = (due, self.context.clock.after(seconds, lambda: self._tell_self(body)))

    def _alarm(self, key: str, at: Instant, wait: Callable[[Instant, Callable[[], object]], Any], body: Any) -> None:
        known = self._timers.get(key)
        if known is not None and known[0] == at and at > self.context.clock.now():
            return
        if known is not None:
            known[1].cancel()
        self._timers[key] = (at, wait(at, lambda: self._tell_self(body)))

    def _tell_self(self, body: Any) -> None:
        # Told by name: when this incarnation is gone, its alarms wake the next.
        self.context.post.tell("broker", body)

    def _wait_for_store(self, error: StoreUnavailable) -> None:
        now = self.context.clock.monotonic()
        locked = "locked" in str(error) or "busy" in str(error)
        first = self._waiting_since is None
        self._waiting_since = self._waiting_since if self._waiting_since is not None else now
        waited = round(now - self._waiting_since + (self.context.limits.busy_seconds_max if locked else 0.0), 3)
        if first:
            self._store_is_down(str(error))
            event = "store.waiting" if locked else "store.unavailable"
            self.say(event, store=self._store.address, waited=waited, reason=str(error))
        self._pending = [mail for mail in self._pending if not self._given_up(mail)]
        self._again("retry", RETRY_SECONDS, Look())

    def _given_up(self, mail: Mail) -> bool:
        reply: Reply | None = getattr(mail.body, "reply", None)
        return (reply is not None and reply.cancelled()) or isinstance(mail.body, Look)

    def _store_is_back(self) -> None:
        if self._waiting_since is not None and not self._pending:
            waited = round(self.context.clock.monotonic() - self._waiting_since, 3)
            self._waiting_since = None
            self._store_is_down(None)
            self.say("store.available", store=self._store.address, waited=waited)


def names_job(job: JobRecord) -> dict[str, Any]:
    """The fields by which a line names a job."""
    return {"job_id": job.id, "job_name": job.name, "claim_no": job.claim_no, "attempt": job.attempt}


def deferred_until(job: JobRecord) -> Instant:
    """Until when a claim lives whose handler has returned."""
    if job.timeout is None or job.claimed_at is None:
        return float("inf")
    return job.claimed_at + job.timeout


def line_of(step: Transition) -> dict[str, Any]:
    """What the line of a transition carries."""
    job = step.job
    line = {**names_job(job), "from": step.before, "to": job.state, "rev": step.rev, **step.fields}
    match step.event:
        case "job.queued":
            line |= {
                "priority": job.priority, "run_at": job.run_at, "bytes": len(job.data), "digest": digest(job.data),
                "schedule": job.schedule, "slot": job.slot, "unique_key": job.unique_key,
            }  # fmt: skip
        case "job.claimed":
            line["waited"] = round((job.claimed_at or 0.0) - job.run_at, 6)
        case "job.done" if job.claimed_at is not None and job.ended_at is not None:
            line |= {"took": round(job.ended_at - job.claimed_at, 6), "schedule": job.schedule, "slot": job.slot}
        case "job.dead":
            line |= {"schedule": job.schedule, "slot": job.slot}
    return line
