"""Corrects what a step of the clock has shifted.

A wait in seconds ends when so many have passed, whatever wall time says; a wait until an instant ends at that instant.
To tell them apart, a job keeps the seconds. To tell a step from time that has passed, the store keeps the offset of
wall time to a count that nobody can set. The first turn after a step corrects everything in one transaction, so no
other process does it again.
"""

from __future__ import annotations

from ...cron.schedule import cut
from ...messages.clock_steps import STEP_SECONDS_MIN, Reading, Stepped
from ...messages.schedules import ScheduleRecord
from ...rules.lifecycle import INTERRUPTION_WINDOW_SECONDS
from . import turns
from .due import NEXT_EXPIRY
from .open_turn import OpenTurn
from .rows import SLOT, slot_entry
from .schedule_changes import SCHEDULE

# Due jobs keep their places in the queue.
SHIFT_WAITS = """
  update lamplighter_jobs set
    run_at = case when due_in is not null and run_at > :due then run_at + :step else run_at end,
    expires_at = case when expires_in is not null then expires_at + :step else expires_at end,
    suspect_until = suspect_until + :step,
    debounce_until = debounce_until + :step
  where (state = 'queued' or state = 'running')
    and ((expires_at is not null and expires_in is not null) or suspect_until is not null
         or (state = 'queued' and due_in is not null and run_at > :due))
"""
"""Shift all waits and expiries in seconds by a step of wall time."""

SHIFT_RATES = "update lamplighter_rates set spent_to = spent_to + ?"

BOUND_WAITS = """
  update lamplighter_jobs set
    run_at = case when run_at > :now + due_in then :now + due_in else run_at end,
    expires_at = case when expires_at > :now + expires_in then :now + expires_in else expires_at end,
    suspect_until = case when suspect_until > :now + :window then :now + :window else suspect_until end
  where (state = 'queued' or state = 'running')
    and (run_at > :now + due_in or expires_at > :now + expires_in or suspect_until > :now + :window)
"""
"""Cut waits and expiries to their whole length from now: a longer one began while the clock was ahead."""


def correct(turn: OpenTurn, reading: Reading) -> Stepped:
    """Correct what a step has shifted. If nobody knows how far: nothing lasts longer from now than it was to last."""
    step = turn.clock.step(reading)
    if reading.counter is not None:
        turn.clock = turn.clock.after(reading)
        turn.connection.execute(
            "update lamplighter_store set clock_count = ?, clock_offset = ?, clock_stepped = ?", turn.clock
        )
    if step is not None:
        due = min(turn.now, turn.now - step)
        jobs = turn.connection.execute(SHIFT_WAITS, {"step": step, "due": due}).rowcount
        turn.connection.execute(SHIFT_RATES, (step,))
    else:
        bounds = {"now": turn.now, "window": INTERRUPTION_WINDOW_SECONDS}
        jobs = turn.connection.execute(BOUND_WAITS, bounds).rowcount
    # Jobs without a delay lie among the ready ones.
    turn.connection.execute(
        "update lamplighter_jobs set waits = 1 where state = 'queued' and waits = 0 and run_at > ?", (turn.now,)
    )
    turns.pull_in(turn.connection, turn.now)
    if jobs:
        turn.expiry = turn.connection.execute(NEXT_EXPIRY).fetchone()[0]
    return Stepped(step, jobs, _recount(turn))


def _recount(turn: OpenTurn) -> int:
    turn.hold_schedules()
    rows = turn.connection.execute(
        f"select {SCHEDULE} from lamplighter_schedules s where accounted_to > ?", (turn.now + STEP_SECONDS_MIN,)
    ).fetchall()
    for schedule in map(ScheduleRecord._make, rows):
        _take_back_skips(turn, schedule)
        turn.connection.execute(
            """update lamplighter_schedules
               set accounted_to = :now, changed_at = min(changed_at, :now), change_no = :change_no,
                 last_slot = (select max(slot) from lamplighter_slots
                              where schedule_id = :id and outcome <> 'skipped' and slot <= :now)
               where id = :id""",
            {"now": turn.now, "change_no": turn.next_change(), "id": schedule.id},
        )
    return len(rows)


def _take_back_skips(turn: OpenTurn, schedule: ScheduleRecord) -> None:
    """Forget that future slots were skipped, so that they fire when they come. Fired slots stay."""
    ahead = turn.connection.execute(
        f"select {SLOT} from lamplighter_slots where schedule_id = ? and outcome = 'skipped' and last > ?",
        (schedule.id, turn.now),
    ).fetchall()
    for row in ahead:
        entry = slot_entry(row)
        kept = cut(schedule, entry, turn.now)
        if kept is None:
            turn.connection.execute(
                "delete from lamplighter_slots where schedule_id = ? and slot = ?", (schedule.id, entry.slot)
            )
            continue
        turn.connection.execute(
            "update lamplighter_slots set last = ?, count = ? where schedule_id = ? and slot = ?",
            (kept.last, kept.count, schedule.id, entry.slot),
        )
