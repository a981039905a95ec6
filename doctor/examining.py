"""Runs the checks over one look at a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from ..admin.inspector import wait
from ..environment.clock import SystemClock
from ..errors import LamplighterError, UsageError, alike, shown
from ..messages.controls import ANSWER_SECONDS
from ..messages.jobs import Instant, Seconds
from ..stores.control_client import ControlClient
from ..stores.opening import place_of
from ..stores.places import StorePlace
from ..stores.ports import Readable
from . import boot_checks, lock_checks, name_checks, postgresql_checks, schedule_checks, server_checks, store_checks
from .diagnosis import Check, Diagnosis, Examination, Symptom, note, ok, unknown
from .evidence import Evidence
from .log_checks import gaps, read_logs


@contextmanager
def evidence_at(
    address: str,
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
    timeout: Seconds = ANSWER_SECONDS,
    now: Callable[[], Instant] | None = None,
) -> Iterator[Evidence]:
    """Evidence about a store, each part read on demand.

    Args:
        address: as `Runtime` takes it.
        logs: log files of its runtimes.
        is_deep: whether the checks may take unlimited time.
        timeout: how long a runtime may take to answer.
        now: wall time; this machine's unless given.

    Raises:
        StoreError: there is no file.
    """
    place = place_of(address)
    with ExitStack() as opened:
        store = None if place.tables is None else opened.enter_context(closing(place.tables()))
        client = place.client(timeout)
        seen = evidence_of(place, store, client, now or SystemClock().now, logs=logs, is_deep=is_deep)
        seen.condition.check_there()
        opened.callback(seen.condition.close)
        yield seen


def evidence_of(
    place: StorePlace,
    store: Readable | None,
    client: ControlClient,
    now: Callable[[], Instant],
    *,
    logs: Sequence[str] = (),
    is_deep: bool = False,
) -> Evidence:
    """Evidence about a store.

    Args:
        store: reads its rows, where it has any.
        client: asks its boots.
        now: wall time.
        logs, is_deep: as `evidence_at` has them.
    """
    return Evidence(
        place.shown,
        now=now,
        wait=wait,
        condition=place.condition(),
        client=client,
        store=store,
        read_logs=partial(read_logs, logs, place) if logs else None,
        is_deep=is_deep,
    )


REACH = ("rabbit.reach", "postgresql.reach")
"""Unless this check succeeds, nothing else of a server can be read."""

OF_WORK = ("names.", "schedules.")
"""Checks of what keeps jobs and slots waiting, which everything here does once the store has been moved."""

CHECKS = (
    Check("store.sound", "damage to the file, and its tables and indexes", store_checks.sound, "file"),
    Check("store.schema", "the versions of the file, of this code, and of the runtimes", store_checks.versions, "file"),
    Check("store.network", "network file systems, and files that are mounted alone", store_checks.network, "file"),
    Check("store.rights", "who owns the file and what lies beside it", store_checks.rights, "file"),
    Check("store.space", "room on the disk", store_checks.space, "file"),
    Check("store.wal", "what keeps the log beside the database from being copied", lock_checks.wal, "file"),
    Check("store.lock", "who keeps the write lock", lock_checks.lock, "file"),
    Check("store.bloat", "empty pages, and ended jobs that were not removed", store_checks.bloat, "file"),
    Check("postgresql.reach", "whether the server lets anybody in", postgresql_checks.reach, "database"),
    Check("postgresql.version", "the server's version", postgresql_checks.version, "database"),
    Check("postgresql.schema", "the store's tables and indexes", postgresql_checks.schema, "database"),
    Check("postgresql.rights", "whether this user may do what a runtime does", postgresql_checks.rights, "database"),
    Check("postgresql.settings", "whether a commit survives a crash", postgresql_checks.settings, "database"),
    Check("postgresql.connections", "how many connections are left", postgresql_checks.connections, "database"),
    Check("postgresql.standby", "whether the server takes writes", postgresql_checks.standby, "database"),
    Check("postgresql.locks", "transactions that keep jobs locked", postgresql_checks.locks, "database"),
    Check("postgresql.snapshots", "who keeps dead rows", postgresql_checks.old_snapshots, "database"),
    Check("postgresql.bloat", "dead rows, and ended jobs that were not removed", postgresql_checks.bloat, "database"),
    Check("postgresql.clock", "the server's clock", postgresql_checks.clock, "database"),
    Check("log.gaps", "what the log does not tell; with --log, the audit", gaps, "table"),
    Check("boots.dead", "dead runtimes whose jobs nobody has taken back", boot_checks.dead, "table"),
    Check("boots.hung", "runtimes that are stopped, silent or stuck", boot_checks.hung),
    Check("boots.none", "whether anybody runs jobs", boot_checks.none, "table"),
    Check(
        "claims.orphan", "jobs that run for nobody, or wait for ever to be marked done", boot_checks.orphans, "table"
    ),
    Check("names.parked", "due jobs that nobody has a handler for", name_checks.parked, "table"),
    Check("names.paused", "pauses that are long, or keep many jobs waiting", name_checks.paused, "table"),
    Check("names.behind", "jobs that are due for long, and get more", name_checks.behind, "table"),
    Check("names.failing", "names of which most attempts fail", name_checks.failing, "table"),
    Check("names.differ", "handlers that are not the same on each runtime", name_checks.differ),
    Check("jobs.signals", "jobs that wait for signals", name_checks.signals, "table"),
    Check("jobs.poison", "jobs that kill the processes that run them", name_checks.poison, "table"),
    Check("lanes.zombie", "threads that hang", boot_checks.zombies),
    Check("actors.restarts", "actors that crash again and again", boot_checks.restarts),
    Check("schedules.silent", "schedules that do not fire, or fire for nothing", schedule_checks.silent, "table"),
    Check("clock", "clocks that do not agree", boot_checks.clock),
    Check("process", "files and threads of the processes", boot_checks.process),
    Check("rabbit.reach", "whether the server lets anybody in", server_checks.reach, "queues"),
    Check("rabbit.rights", "whether this user may do what a runtime does", server_checks.rights, "queues"),
    Check("rabbit.version", "the server's version", server_checks.version, "queues"),
    Check("rabbit.alarms", "whether the server takes messages", server_checks.alarms, "queues"),
    Check("rabbit.arguments", "queues that are not as runtimes declare them", server_checks.arguments, "queues"),
    Check("rabbit.leader", "whether a runtime leads", server_checks.leader, "queues"),
    Check("rabbit.consumers", "jobs in queues that nobody takes from", server_checks.consumers, "queues"),
    Check("rabbit.delayed", "delayed jobs that are past their time", server_checks.rungs, "queues"),
    Check("rabbit.dead", "dead jobs, and messages that nobody can read", server_checks.dead, "queues"),
)
"""Findings have this order."""


def chosen(only: Collection[str], checks: Sequence[Check] = CHECKS) -> Sequence[Check]:
    """The checks with these ids or id prefixes, such as `store`; all if none is named.

    Raises:
        UsageError: there is none of that name.
    """
    if not only:
        return checks
    for wanted in only:
        if not any(_is_meant(check.id, wanted) for check in checks):
            hint = "".join(f"; did you mean {close!r}?" for close in alike(wanted, [check.id for check in checks]))
            known = ", ".join(check.id for check in checks)
            raise UsageError(f"expected the id of a check ({known}), got: {shown(wanted)}{hint}")
    return [check for check in checks if any(_is_meant(check.id, wanted) for wanted in only)]


def _is_meant(id: str, wanted: str) -> bool:
    return id == wanted or id.startswith(f"{wanted}.")


def examine(seen: Evidence, checks: Sequence[Check] = CHECKS) -> Examination:
    """Run the checks for this kind of store. A check that fails says so, and the others go on."""
    findings: list[Diagnosis] = []
    for check in checks:
        if check.on == "any" or check.on in seen.condition.parts:
            findings += (Diagnosis(check=check.id, **one._asdict()) for one in _run(check, seen))
    return Examination(at=seen.at, store=seen.address, unread=seen.unread, findings=tuple(findings))


def _run(check: Check, seen: Evidence) -> list[Symptom]:
    if check.id not in REACH and seen.condition.unreached is not None:
        return [unknown("the server lets nobody in")]
    found: list[Symptom] = []
    try:
        if check.id.startswith(OF_WORK) and seen.condition.moved_to() is not None:
            return [note("the store has been moved, so that nothing is to run here")]
        symptoms = iter(check.run(seen))
        while True:
            found.append(next(symptoms))
    except StopIteration as end:
        if not found:
            found = [ok(end.value) if end.value else unknown("the check has found nothing to say")]
    except (LamplighterError, OSError) as error:
        # A reason that keeps most checks from looking is reported once, and not by each of them.
        is_known = str(error) == seen.unread
        found.append(unknown("the store cannot be read" if is_known else f"this could not be looked at: {error}"))
    except Exception as error:
        # A bug in one check must not hide the findings of the others.
        found.append(unknown(f"the check itself has failed: {type(error).__name__}: {error}", "please report it"))
    return found
