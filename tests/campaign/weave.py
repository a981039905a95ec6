"""What a host does with jobs that wait for others: graphs of any shape, in which both ends are meddled with."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
from lamplighter import JobSpec, LamplighterError, Runtime
from lamplighter.stores.postgresql.address import parse_address

WOVEN = 30
"""How many jobs wait for others, or are waited for."""

NAMES = ("work", "work", "quick", "async", "child", "single")

Insist = Callable[[Runtime, Callable[[], object]], None]


def address_of(runtime: Runtime) -> str | None:
    """Where a host connects for a transaction of its own; None where it cannot, or while its runtime is over."""
    boot = runtime.boot
    if boot is None or boot.store.host is None:
        return None
    return boot.store.place.address if "://" in boot.store.address else boot.store.path


def in_own_transaction(address: str, call: Callable[..., object]) -> bool:
    """Make a call in a transaction of the host's, as its `connection`; where that fails, the host does without.

    Whether it was committed.
    """
    with closing(connect(address)) as connection:
        try:
            call(connection=connection)
            connection.commit()
        except (sqlite3.OperationalError, psycopg.Error, LamplighterError):
            connection.rollback()
            return False
    return True


def connect(address: str) -> Any:
    """A connection that does not wait for others: nobody else goes on meanwhile."""
    if "://" not in address:
        return sqlite3.connect(address, timeout=0)
    return psycopg.connect(parse_address(address).conninfo, options="-c lock_timeout=1ms")


class Weaver:
    """Queues a part of a graph at a time. What it queues follows from its seed, in every life.

    Args:
        requeued: gets the ids of the jobs that it requeues.
    """

    def __init__(self, seed: int, requeued: set[str]) -> None:
        self._seed = seed
        self._requeued = requeued

    def steps(self, insist: Insist) -> list[Callable[[Runtime], None]]:
        """What it does, in this order, between other things."""
        chance = random.Random(f"weaves of {self._seed}")
        steps: list[Callable[[Runtime], None]] = []
        known: list[str] = []
        while len(known) < WOVEN:
            specs = [self._spec(chance, [*known], f"w{len(known) + number}") for number in range(chance.randint(1, 5))]
            for place, spec in enumerate(specs[1:], start=1):
                if chance.random() < 0.6:
                    # By identity, as a call names what stands earlier in it.
                    specs[place] = self._within(chance, spec, specs[:place])
            known += [str(spec.id) for spec in specs]
            steps.append(self._queueing(chance, specs, insist))
            if chance.random() < 0.5:
                steps.append(self._meddling(chance, chance.choice(known), insist))
        return steps

    def _spec(self, chance: random.Random, known: list[str], job_id: str) -> JobSpec:
        parents = chance.sample(known, min(len(known), chance.choice((0, 1, 1, 2, 4))))
        cut = chance.randint(0, len(parents)) if chance.random() < 0.4 else len(parents)
        return JobSpec(
            name=chance.choice(NAMES),
            # An odd number: what has parts of its own is looked at elsewhere.
            data=2 * int(job_id[1:]) + 1,
            id=job_id,
            after=parents[:cut],
            **{"after_failed" if int(job_id[1:]) % 3 == 0 else "after_ended": parents[cut:]},  # type: ignore[arg-type]
            delay=chance.uniform(0.0, 20.0) if chance.random() < 0.2 else None,
            unique=f"woven-{chance.randrange(4)}" if chance.random() < 0.1 else None,
            priority=chance.choice((0, 0, 0, 2)),
        )

    def _within(self, chance: random.Random, spec: JobSpec, before: list[JobSpec]) -> JobSpec:
        part = chance.choice(before)
        if chance.random() < 0.3:
            return replace(spec, after_ended=[*spec.after_ended, part])  # type: ignore[misc]
        return replace(spec, after=[*spec.after, part])  # type: ignore[misc]

    def _queueing(self, chance: random.Random, specs: list[JobSpec], insist: Insist) -> Callable[[Runtime], None]:
        if len(specs) == 1 and chance.random() < 0.5:
            (spec,) = specs
            names = ("id", "delay", "unique", "priority", "after", "after_ended", "after_failed")
            options = {name: getattr(spec, name) for name in names}
            return lambda runtime: self._on_file(runtime, partial(runtime.jobs.queue, spec.name, spec.data, **options))
        return lambda runtime: insist(runtime, partial(runtime.jobs.queue_many, specs))

    def _on_file(self, runtime: Runtime, call: Callable[..., object]) -> None:
        if (address := address_of(runtime)) is not None:
            in_own_transaction(address, call)

    def _meddling(self, chance: random.Random, job_id: str, insist: Insist) -> Callable[[Runtime], None]:
        match chance.randrange(5):
            case 0:
                return lambda runtime: insist(runtime, partial(runtime.jobs.cancel, job_id))
            case 1:
                return lambda runtime: insist(runtime, partial(runtime.jobs.mark_done, job_id, "marked"))
            case 2:
                then = [JobSpec(name="quick", data=1), JobSpec(name="quick", data=1, after_ended=job_id)]
                return lambda runtime: self._on_file(
                    runtime, partial(runtime.jobs.mark_done, job_id, "marked", then=then)
                )
            case _:
                return lambda runtime: self._requeue(runtime, job_id, insist)

    def _requeue(self, runtime: Runtime, job_id: str, insist: Insist) -> None:
        self._requeued.add(job_id)
        insist(runtime, partial(runtime.jobs.requeue, job_id))
