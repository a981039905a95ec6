"""`lamplighter schedules run`, `pause`, `resume` and `remove`."""

from __future__ import annotations

import argparse

from ..errors import UnknownSchedule, shown
from .acting import Act, acting, declare_acting
from .options import argument

_KEY = argument("--key", metavar="KEY", help="the application's own name for it")
SCHEDULE, SCHEDULES = (
    (argument("schedule", metavar="ID", nargs=nargs, help="its id; with --key, the name of its jobs"), _KEY)
    for nargs in (None, "?")
)
"""Which schedule is meant; and which, if one is."""

ACT = (*SCHEDULE, declare_acting)


def id_meant(arguments: argparse.Namespace) -> str:
    # Imported only here: it loads the calendar.
    from ..cron.schedule import keyed_id

    return arguments.schedule if arguments.key is None else keyed_id(arguments.schedule, arguments.key)


@acting
def run(act: Act) -> int:
    schedule_id = _meant(act)
    if act.is_dry:
        act.done("run", f"would queue a job of {schedule_id}", schedule=schedule_id)
        return 0
    job = act.operator.run_now(schedule_id, reason=act.reason)
    act.done("run", job.id, schedule=schedule_id, id=job.id, name=job.name, state=job.state)
    return 0


@acting
def pause(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        act.operator.pause_schedule(schedule_id, reason=act.reason)
    told = f"the slots of {schedule_id} {'would ' if act.is_dry else ''}pass until it is resumed"
    act.done("pause", told, schedule=schedule_id)
    return 0


@acting
def resume(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        act.operator.resume_schedule(schedule_id, reason=act.reason)
    act.done("resume", f"{schedule_id} {'would fire' if act.is_dry else 'fires'} again", schedule=schedule_id)
    return 0


@acting
def remove(act: Act) -> int:
    schedule_id = _meant(act)
    if not act.is_dry:
        if not act.is_sure(f"remove the schedule {schedule_id}"):
            return 1
        act.operator.remove_schedule(schedule_id, reason=act.reason)
    told = f"{schedule_id} {'would be' if act.is_dry else 'is'} removed"
    act.done("remove", told, schedule=schedule_id)
    return 0


def _meant(act: Act) -> str:
    """The id of the schedule that was named, which must be there."""
    schedule_id = id_meant(act.arguments)
    if act.can_look:
        with act.store.snapshot() as seen:
            if seen.schedules.one(schedule_id) is None:
                raise UnknownSchedule(f"no schedule {shown(schedule_id)} on {act.store.address}")
    return schedule_id
