"""Schedules and their slots. A slot and its job are stored in one transaction, and each slot once."""

from __future__ import annotations

from dataclasses import replace

from ..cron.interval import ONCE, parse_at
from ..cron.schedule import jitter_of, job_of, rule_of
from ..errors import UnknownSchedule
from ..messages.clock_steps import STEP_SECONDS_MIN
from ..messages.jobs import UNATTRIBUTED, Attribution, Instant, JobState
from ..messages.mail import Declare, Forget, PauseSchedule, Retire, SchedulesChanged, Tick
from ..messages.schedules import Fire, ScheduleRecord, SlotEntry, SlotRange
from ..rules.capabilities import needed
from .turn_context import TurnContext


def declare(context: TurnContext, body: Declare) -> None:
    """Store the definitions of schedules. A new or changed one counts from now."""
    declared = context.turn.schedules.declare(body.schedules)
    for stored, news in declared:
        if news is not None:
            _say_stored(context, stored, news)
    context.tell("scheduler", SchedulesChanged(records=tuple(stored for stored, _ in declared)))


def refresh(context: TurnContext) -> None:
    """Apply what applications wrote about schedules in their own transactions."""
    for record, news in context.turn.schedules.refresh():
        if news == "removed":
            _say_removed(context, record, UNATTRIBUTED)
        else:
            _say_stored(context, record, news)
            context.tell("scheduler", SchedulesChanged(records=(record,)))


def _say_stored(context: TurnContext, record: ScheduleRecord, news: str) -> None:
    context.say(
        f"schedule.{news}",
        schedule=record.id,
        key=record.key,
        job_name=record.name,
        when=record.when,
        timezone=record.timezone,
        dst_gap=record.dst_gap,
        dst_fold=record.dst_fold,
        durable=bool(record.durable),
        change_no=record.change_no,
    )
    context.out.hint = True
    _skip_if_passed(context, record)


def _say_removed(context: TurnContext, record: ScheduleRecord, who: Attribution) -> None:
    context.say("schedule.removed", schedule=record.id, job_name=record.name, **who.said)
    context.tell("scheduler", SchedulesChanged(gone=(record.id,)))
    context.out.hint = True


def forget(context: TurnContext, body: Forget) -> None:
    record = stored(context, body.schedule_id)
    context.turn.schedules.forget(body.schedule_id)
    context.note({"k": "schedule.removed", "s": record.id}, body.who)
    _say_removed(context, record, body.who)


def retire(context: TurnContext, body: Retire) -> None:
    """This runtime no longer declares a schedule. It goes on if another runtime still accounts for its slots."""
    context.turn.schedules.retire(body.schedule_id)
    context.turn.note({"k": "schedule.removed", "s": body.schedule_id})
    context.say("schedule.removed", schedule=body.schedule_id, job_name=body.job_name)
    context.tell("scheduler", SchedulesChanged(gone=(body.schedule_id,)))


def pause(context: TurnContext, body: PauseSchedule) -> None:
    """Pause or resume a schedule. Each slot looks this up, so no scheduler needs to know."""
    stored(context, body.schedule_id)
    record = context.turn.schedules.pause(body.schedule_id, paused=body.paused)
    assert record is not None
    what = "schedule.paused" if body.paused else "schedule.resumed"
    context.note({"k": what, "s": record.id}, body.who)
    context.say(what, schedule=record.id, job_name=record.name, **body.who.said)
    context.out.hint = True


def tick(context: TurnContext, body: Tick) -> None:
    """Account for due slots, if the schedule is still what the scheduler took it for."""
    if not context.turn.leads:
        # Another runtime accounts for it. The scheduler is asked again if this one has to.
        return
    known = context.turn.schedules.one(body.schedule_id)
    if known is None:
        context.tell("scheduler", SchedulesChanged(gone=(body.schedule_id,)))
        return
    if known.change_no != body.change_no:
        # Another runtime was first, or the schedule was changed: the scheduler must read it and compute its slots
        # again.
        fires = body.accounting.fires
        if fires and known.changed_at < fires[0].slot <= known.accounted_to:
            context.say("slot.taken", schedule=known.id, slot=fires[0].slot, job_name=known.name)
        context.tell("scheduler", SchedulesChanged(records=(known,)))
        return
    if body.accounting.accounted_to > context.turn.now + STEP_SECONDS_MIN:
        # The tick was computed while the clock was ahead, and the clock was set back since. Changing the schedule makes
        # the scheduler compute again.
        change_no = context.turn.schedules.account(known.id, known.accounted_to, None)
        context.out.ticked.append((known.id, known.accounted_to, change_no))
        return
    for gone in body.accounting.skipped:
        _skip(context, known, gone, by=None)
    fired = [fire.slot for fire in body.accounting.fires if _fire(context, known, fire)]
    accounted_to = body.accounting.accounted_to
    change_no = context.turn.schedules.account(known.id, accounted_to, max(fired, default=None))
    context.out.ticked.append((known.id, accounted_to, change_no))


def _fire(context: TurnContext, schedule: ScheduleRecord, fire: Fire) -> bool:
    """Store a slot with its job, or as skipped. True when it fired."""
    held_back = _hold_back(context, schedule)
    if held_back is not None:
        reason, by = held_back
        _skip(context, schedule, SlotRange(first=fire.slot, last=fire.slot, count=1, reason=reason), by=by)
        return False
    job_id, now = _job_id(schedule, fire.slot), context.turn.now
    run_at = fire.slot + jitter_of(schedule.id, fire.slot, schedule.jitter)
    job = job_of(schedule, job_id, run_at=run_at, now=now, root_id=job_id, slot=fire.slot)
    entry = SlotEntry(
        schedule_id=schedule.id,
        slot=fire.slot,
        last=fire.slot,
        count=1,
        outcome=fire.outcome,
        reason=fire.reason,
        job_id=job.id,
    )
    if not context.turn.schedules.fire(entry):
        _taken(context, schedule, fire.slot)
        return False
    context.turn.jobs.insert([job])
    context.out.slots.append((schedule.name, fire.outcome, 1))
    event = "slot.caught_up" if fire.outcome == "caught_up" else "slot.fired"
    context.say(
        event,
        root_id=job.id,
        schedule=schedule.id,
        slot=fire.slot,
        job_name=schedule.name,
        job_id=job.id,
        outcome=fire.outcome,
        reason=fire.reason,
        late=round(context.turn.now - fire.slot, 3),
    )
    return True


def _taken(context: TurnContext, schedule: ScheduleRecord, slot: Instant) -> None:
    """Account for a slot that had fired already, while the clock was ahead."""
    context.turn.note({"k": "taken", "s": schedule.id, "t": slot})
    context.say("slot.taken", schedule=schedule.id, slot=slot, job_name=schedule.name, job_id=_job_id(schedule, slot))


def _job_id(schedule: ScheduleRecord, slot: Instant) -> str:
    """A job id derived from the slot, so that one slot can never make two jobs."""
    return f"{schedule.id}-{slot:.6f}".rstrip("0").rstrip(".")


def _hold_back(context: TurnContext, schedule: ScheduleRecord) -> tuple[str, str | None] | None:
    """Why a slot may not fire now, and which unfinished job prevents it."""
    if schedule.paused:
        return "paused", None
    if schedule.overlap == "allow":
        return None
    unfinished = needed(context.turn.queued, "overlap").unfinished_of(schedule.id)
    waiting = [job_id for job_id, state in unfinished if state == JobState.QUEUED]
    if schedule.overlap == "skip" and unfinished:
        return "overlap=skip: an earlier job is unfinished", unfinished[0][0]
    if schedule.overlap == "queue_one" and waiting:
        return "overlap=queue_one: an earlier job still waits", waiting[0]
    return None


def _skip_if_passed(context: TurnContext, schedule: ScheduleRecord) -> None:
    """A datetime that had passed when it was added will never be due: log it now, because nothing else will."""
    if not schedule.when.startswith(ONCE):
        return
    instant = parse_at(schedule.when).instant
    if instant <= schedule.changed_at:
        gone = SlotRange(first=instant, last=instant, count=1, reason="it had passed when it was added")
        _skip(context, schedule, gone, by=None)


def _skip(context: TurnContext, schedule: ScheduleRecord, gone: SlotRange, *, by: str | None) -> None:
    while not context.turn.schedules.skip(schedule.id, gone):
        # The first slot fired while the clock was ahead. The others did not, so they are recorded as skipped.
        _taken(context, schedule, gone.first)
        following = rule_of(schedule).after(gone.first)
        if following is None or following.slot > gone.last:
            return
        gone = replace(gone, first=following.slot, count=gone.count - 1)
    context.out.slots.append((schedule.name, "skipped", gone.count))
    context.say(
        "slot.skipped",
        schedule=schedule.id,
        slot=gone.first,
        last=gone.last,
        count=gone.count,
        job_name=schedule.name,
        reason=gone.reason,
        by=by,
    )


def stored(context: TurnContext, schedule_id: str) -> ScheduleRecord:
    # An operator's turn has not done so yet; people see the committed state.
    refresh(context)
    record = context.turn.schedules.one(schedule_id)
    if record is None:
        raise UnknownSchedule(f"expected the id of an active schedule, got: {schedule_id!r}")
    return record
