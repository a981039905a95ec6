"""`lamplighter migrate`: moves what waits in a SQLite store into a RabbitMQ.

A job is cancelled in the file once the server has confirmed it. A migration that was interrupted is run again: a job
that it had published and not yet cancelled is then in the server twice, and its handler may be run twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..checks import not_supported
from ..environment import Environment, neighbours
from ..errors import UsageError
from ..messages.jobs import JobRecord, JobState, NewJob
from ..stores.base import Store

JOBS_A_TURN = 500
BOOT = "migration"


def add_to(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "migrate",
        help="move what waits in a SQLite store into a RabbitMQ",
        description="Moves queued jobs and durable schedules from a SQLite store into a RabbitMQ. Stop every runtime "
        "on the file first. Ended jobs stay where they are.",
    )
    parser.add_argument("source", metavar="FILE", help="the SQLite store")
    parser.add_argument("target", metavar="URL", help="amqp://user:password@host/vhost")
    parser.add_argument(
        "--drop-unique", action="store_true", help="move jobs with unique keys too; the keys are not kept"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Migrate; the exit code."""
    environment = Environment()
    source, target = _open(environment, given.source), _open(environment, given.target)
    if source.is_server or not target.is_server:
        raise UsageError("expected the path of a SQLite store and then an amqp:// URL")
    source.open()
    try:
        _check_idle(source)
        target.open()
        try:
            jobs = _move_jobs(environment, source, target, drop_unique=given.drop_unique)
            schedules = _move_schedules(environment, source, target)
        finally:
            target.close()
    finally:
        source.close()
    print(f"moved {jobs} queued jobs and {schedules} durable schedules from {source.address} to {target.address}")
    return 0


def _open(environment: Environment, address: str) -> Store:
    return environment.store(
        address, durability="full", busy_seconds_max=10.0,
        failpoints=environment.failpoints, new_id=environment.new_id,
    )  # fmt: skip


def _check_idle(source: Store) -> None:
    """Nobody may work on the file meanwhile: a job would be run here and there."""
    presence, _ = neighbours(source, BOOT)
    living = [boot for boot in source.boots() if presence.is_alive(boot.boot)]
    if living:
        where = ", ".join(f"process {boot.pid} on {boot.host}" for boot in living)
        raise UsageError(f"expected no runtime on {source.address}, got: {where}; stop it first")
    running = source.counts(None)[JobState.RUNNING.value]
    if running:
        raise UsageError(
            f"expected no running job in {source.address}, got: {running}, of a process that has died; start a "
            "runtime on the file once, so that they are taken back, and stop it"
        )


def _move_jobs(environment: Environment, source: Store, target: Store, *, drop_unique: bool) -> int:
    clock, moved = environment.clock(), 0
    while True:
        jobs = source.list(name=None, state=JobState.QUEUED.value, limit=JOBS_A_TURN, before=None)
        if not jobs:
            return moved
        if not drop_unique and any(job.unique_key is not None for job in jobs):
            raise not_supported("unique")
        with target.turn(BOOT, clock.now()) as turn:
            turn.insert_many([_new(job) for job in reversed(jobs)])
        with source.turn(BOOT, clock.now()) as turn:
            for job in jobs:
                turn.cancel(job, f"moved to {target.address}")
        moved += len(jobs)


def _move_schedules(environment: Environment, source: Store, target: Store) -> int:
    clock = environment.clock()
    durable: Sequence[str] = ()
    schedules = [schedule for schedule in source.schedules() if schedule.durable]
    if schedules:
        with target.turn(BOOT, clock.now()) as turn:
            turn.declare(schedules)
            for schedule in schedules:
                if schedule.paused:
                    turn.pause_schedule(schedule.id, paused=True)
        durable = [schedule.id for schedule in schedules]
        with source.turn(BOOT, clock.now()) as turn:
            for schedule_id in durable:
                turn.forget_schedule(schedule_id)
    return len(durable)


def _new(job: JobRecord) -> NewJob:
    """The same job, as it was queued: its attempts are counted anew."""
    return NewJob(
        id=job.id, name=job.name, data=job.data, queued_at=job.queued_at, run_at=job.run_at, corr=job.corr,
        priority=job.priority, max_attempts=job.max_attempts, timeout=job.timeout, expires_at=job.expires_at,
        schedule=job.schedule, slot=job.slot,
    )  # fmt: skip
