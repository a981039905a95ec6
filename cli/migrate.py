"""`lamplighter migrate`: moves a whole store between SQLite and PostgreSQL, or what waits in one into a RabbitMQ.

An error names what cannot move, before anything does. Into a RabbitMQ, pauses move first, then schedules, then jobs. A
job is cancelled in the source once the server has confirmed it. A migration that was interrupted is run again: a job
that it had published and not yet cancelled is then in the server twice, and its handler may be run twice.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from itertools import chain

from ..environment.environment import Environment
from ..errors import UsageError
from ..messages.jobs import JobRecord, JobState, NewJob
from ..messages.names import paused_at
from ..messages.queries import JobQuery
from ..messages.schedules import ScheduleRecord
from ..rules.capabilities import needed, not_supported
from ..rules.limits import batches
from ..rules.wording import many
from ..stores.opening import open_store, place_of
from ..stores.places import StorePlace
from ..stores.ports import Store
from ..stores.tables.moving import BOOT, check_idle, move

JOBS_A_TURN = 500

NOT_MOVED = frozenset(
    ("unique_key", "one_at_a_time", "due_in", "expires_in", "group_key", "debounce_key", "debounce_until", "parents")
)
"""The fields of a job that a RabbitMQ cannot keep. A job that waits for seconds is due at the same instant there."""


def declare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Moves a store with all that it keeps from SQLite to PostgreSQL or back, into an empty file or schema; or the "
        "queued jobs, durable schedules and pauses of a store into a RabbitMQ, and leaves ended jobs where they are. "
        "Stop every runtime on the store first."
    )
    parser.add_argument("source", type=os.fsdecode, metavar="FROM", help="a path, or the URL of a PostgreSQL")
    parser.add_argument("target", metavar="TO", help="likewise, or amqp://user:password@host/vhost")
    parser.add_argument(
        "--drop-unique",
        action="store_true",
        help="move jobs with unique keys into a RabbitMQ too; the keys are not kept",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    here, there = place_of(arguments.source), place_of(arguments.target)
    if not (here.has_table and here.is_shared and there.is_shared) or here.address == there.address:
        raise UsageError(
            "expected the path of a SQLite store or the URL of a PostgreSQL, and then another one or an amqp:// URL"
        )
    # Look at the source read-only first: opened for writing, a mistyped path would become a new store.
    needed(here.lives, "list")().close()
    environment = Environment()
    source, target = _open(environment, here), _open(environment, there)
    source.open()
    try:
        if there.has_table:
            moved = _move_all(environment, source, target)
        else:
            moved = _move_what_waits(environment, source, target, drop_unique=arguments.drop_unique)
    finally:
        source.close()
    print(f"moved {moved} from {source.address} to {target.address}")
    return 0


def _move_all(environment: Environment, source: Store, target: Store) -> str:
    check_idle(source)
    target.open()
    try:
        jobs = move(source, target, environment.clock().now())
    finally:
        target.close()
    return f"{many(jobs, 'job')}, and all else that the store keeps,"


def _move_what_waits(environment: Environment, source: Store, target: Store, *, drop_unique: bool) -> str:
    check_idle(source)
    schedules = [schedule for schedule in source.schedules.all() if schedule.durable]
    _check_movable(source, schedules, drop_unique=drop_unique)
    target.open()
    try:
        pauses = _move_pauses(environment, source, target)
        _move_schedules(environment, source, target, schedules)
        jobs = _move_jobs(environment, source, target)
    finally:
        target.close()
    declared = many(len(schedules), "durable schedule")
    return f"{many(jobs, 'queued job')}, {declared} and {many(pauses, 'pause')}"


def _open(environment: Environment, place: StorePlace) -> Store:
    return open_store(environment, place, durability="full", busy_seconds_max=10.0)


def _check_movable(source: Store, schedules: Sequence[ScheduleRecord], *, drop_unique: bool) -> None:
    """Refuse what the server cannot keep, while all of it is still in one place."""
    if any(schedule.overlap != "allow" for schedule in schedules):
        raise not_supported("overlap")
    for job in chain.from_iterable(_queued(source)):
        if job.is_linked:
            raise not_supported("after")
        if needed(source.table, "steps").steps_seen(job.row_id, 0).kept:
            # On the server the job would begin anew, repeat its finished steps, and lose its signals.
            raise not_supported("steps")
        if job.group_key is not None:
            raise not_supported("groups")
        if job.debounce_until is not None:
            raise not_supported("debounce")
        if job.one_at_a_time:
            raise not_supported("overlap")
        if job.unique_key is not None and not drop_unique:
            raise not_supported("unique")


def _queued(source: Store) -> Iterator[Sequence[JobRecord]]:
    """Every queued job, the oldest first, some at a time."""
    for ids in needed(source.table, "list").sweep(JobQuery(states=(JobState.QUEUED,))):
        for some in batches(ids, JOBS_A_TURN):
            known = source.jobs.known(some)
            yield [known[job_id] for job_id in some]


def _move_pauses(environment: Environment, source: Store, target: Store) -> int:
    """Pauses move before the jobs, so that no job of a paused name is started."""
    clock = environment.clock()
    paused = paused_at(source.jobs.pauses(), clock.now()).values()
    if paused:
        with target.turn(BOOT, clock.now()) as turn:
            for name, _, by, reason, until, _ in paused:
                turn.jobs.pause(name, paused=True, by=by, reason=reason, until=until)
        with source.turn(BOOT, clock.now()) as turn:
            for pause in paused:
                turn.jobs.pause(pause.name, paused=False)
    return len(paused)


def _move_schedules(
    environment: Environment, source: Store, target: Store, schedules: Sequence[ScheduleRecord]
) -> None:
    clock = environment.clock()
    if not schedules:
        return
    with target.turn(BOOT, clock.now()) as turn:
        for schedule in schedules:
            # The schedule counts from where the file has accounted for it, so that it catches up with what was missed
            # meanwhile.
            turn.now = schedule.accounted_to
            turn.schedules.declare([schedule])
            turn.schedules.account(schedule.id, schedule.accounted_to, schedule.last_slot)
            if schedule.paused:
                turn.schedules.pause(schedule.id, paused=True)
    with source.turn(BOOT, clock.now()) as turn:
        for schedule in schedules:
            turn.schedules.forget(schedule.id)


def _move_jobs(environment: Environment, source: Store, target: Store) -> int:
    clock, moved = environment.clock(), 0
    for jobs in _queued(source):
        with target.turn(BOOT, clock.now()) as turn:
            turn.jobs.insert(list(map(as_new, jobs)))
        with source.turn(BOOT, clock.now()) as turn:
            for job in jobs:
                needed(turn.queued, "remove").cancel(job, f"moved to {target.address}")
        moved += len(jobs)
    return moved


def as_new(job: JobRecord) -> NewJob:
    """The same job, as it was queued: its attempts are counted anew."""
    return NewJob(**{name: getattr(job, name) for name in NewJob._fields if name not in NOT_MOVED})
