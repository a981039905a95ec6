"""Checks a PostgreSQL, and the tables of a store in it, as far as it shows them to the user of the store."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules.wording import many, span
from .diagnosis import Symptom, Symptoms, error, note, ok, size, warning
from .evidence import Evidence
from .store_checks import late

TESTED_MAX = 18
"""The newest major version of which anybody has tried all that a store needs."""

CONNECTIONS_SHARE_MAX = 0.9

CLOCK_SECONDS_MAX = 2.0

HELD_SECONDS_MAX = 2.0
"""A longer transaction that has locked jobs is no turn, which takes milliseconds."""

OLD_SECONDS = 600.0
OLD_TRANSACTIONS = 1_000_000

DEAD_ROWS_MIN, DEAD_SHARE_MAX = 100_000, 0.5

TOLD_MAX = 3
"""The most sessions, tables or columns told of each kind."""


def reach(seen: Evidence) -> Iterator[Symptom]:
    why = seen.postgresql.unreached
    if why is None:
        yield ok(f"{seen.address} lets this user in")
    else:
        yield error(
            why,
            "see whether it runs, whether this machine can reach it (`psql` with the same address), and whether user, "
            "password and database are right",
        )


def version(seen: Evidence) -> Symptoms:
    said = seen.postgresql.facts.server_version
    if int(said.split(".")[0]) > TESTED_MAX:
        yield note(f"the server is PostgreSQL {said}, and this Lamplighter was tried with {TESTED_MAX} at the newest")
    return f"the server is PostgreSQL {said}"


def schema(seen: Evidence) -> Symptoms:
    found, newest = seen.postgresql.facts.version, seen.postgresql.schema_version
    place = f"schema {seen.postgresql.address.schema}"
    if found == 0:
        yield error(
            f"{place} has no tables of Lamplighter",
            "start a runtime, which makes them; or see whether ?schema= in the address is right",
        )
        return None
    if found != newest:
        does = "update this Lamplighter" if found > newest else "the start of a runtime of this version makes it newer"
        yield error(f"{place} has version {found} of the tables, and this Lamplighter reads {newest}", does)
        return None
    changed = seen.postgresql.differences()
    if changed:
        more = f", and {len(changed) - TOLD_MAX} more" if len(changed) > TOLD_MAX else ""
        yield error(
            f"somebody has changed the tables: {'; '.join(changed[:TOLD_MAX])}{more}",
            "undo it, or put a backup back: a runtime that meets the change fails",
        )
    return f"{place} has the tables of version {newest}, and they are as this Lamplighter makes them"


def rights(seen: Evidence) -> Symptoms:
    facts = seen.postgresql.facts
    for table, wanted in seen.postgresql.missing_rights().items():
        yield warning(
            f"user {facts.role} may not {wanted} in {table}",
            "that is well for somebody who only looks; the user of a runtime needs all four: "
            f'`grant select, insert, update, delete on all tables in schema "{seen.postgresql.address.schema}" to ...`',
        )
    if facts.owns is False:
        yield note(
            f"user {facts.role} does not own the tables, so it can neither vacuum nor update them",
            "let the first runtime of a new version be one whose user owns them; leave vacuuming to autovacuum",
        )
    return f"user {facts.role} may do all that a runtime does"


def settings(seen: Evidence) -> Symptoms:
    facts = seen.postgresql.facts
    for name, is_on in (("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)):
        if is_on == "off":
            yield error(
                f"{name} is off: a crash of the server or its machine may damage every table",
                f"`alter system set {name} = on`, and reload",
            )
    if facts.synchronous_commit == "off":
        yield note(
            "synchronous_commit is off for this user: a crash of the server may lose what was stored last",
            'runtimes set it on for themselves, unless they have durability="os"',
        )
    if facts.synchronous_standby_names and not facts.standbys:
        yield error(
            f"commits wait for a standby ({facts.synchronous_standby_names}), and none is connected: nothing ends",
            "bring a standby back, or empty synchronous_standby_names and reload",
        )
    return "a commit that has returned survives a crash of the server"


def connections(seen: Evidence) -> Symptoms:
    facts = seen.postgresql.facts
    most = facts.max_connections
    told = f"{many(facts.connections, 'connection')} of {most:,}, {facts.ours:,} of them Lamplighter's on this database"
    if facts.connections > CONNECTIONS_SHARE_MAX * most:
        yield warning(
            f"the server has {told}",
            "a runtime needs two, and up to four more while somebody looks: raise max_connections, or run fewer "
            "processes; see who has them in pg_stat_activity",
        )
    return f"the server has {told}"


def standby(seen: Evidence) -> Symptoms:
    facts = seen.postgresql.facts
    if facts.is_standby:
        yield error(
            "the server is a standby, which takes no writes",
            "name the primary in the address, or all servers: postgresql://user@one,two/database finds the primary",
        )
    elif facts.is_read_only:
        yield error(
            f"sessions of user {facts.role} only read: default_transaction_read_only is on",
            "reset it where it is set (`alter role`, `alter database` or `alter system`), or give another user",
        )
    return "the server takes writes"


def locks(seen: Evidence) -> Symptoms:
    for holder, blocks in seen.postgresql.holders()[:TOLD_MAX]:
        # The time of another user's session is only shown to who may see it.
        seconds = holder.seconds or 0.0
        if seconds <= HELD_SECONDS_MAX and not (blocks and holder.seconds is None):
            continue
        since = f" for {span(seconds)}" if seconds else ""
        what = "turns wait for jobs that it has locked" if blocks else "it has locked jobs, or all of them"
        yield (error if blocks and seconds > HELD_SECONDS_MAX else warning)(
            f"{holder.words} has had a transaction open{since}: {what}",
            "end that transaction, or its session: `select pg_terminate_backend(pid)`; it is rolled back, and nothing "
            "that was committed is lost",
        )
    return "no transaction keeps jobs locked"


def old_snapshots(seen: Evidence) -> Symptoms:
    old = [
        one
        for one in seen.postgresql.old_snapshots()
        if (one.seconds or 0.0) > OLD_SECONDS or one.transactions > OLD_TRANSACTIONS
    ]
    for one in old[:TOLD_MAX]:
        since = "" if one.seconds is None else f" for {span(one.seconds)}"
        yield warning(
            f"{one.words} keeps an old snapshot{since}, {one.transactions:,} transactions old: what was deleted or "
            "changed since cannot be removed, and each claim must pass over it",
            "end that transaction (`pg_terminate_backend`, `rollback prepared`), or drop the slot "
            "(`pg_drop_replication_slot`) if nobody reads it any more",
        )
    return "nobody keeps an old snapshot"


def bloat(seen: Evidence) -> Symptoms:
    tables = seen.postgresql.tables()
    bloated = [one for one in tables if one.dead > max(DEAD_ROWS_MIN, DEAD_SHARE_MAX * one.live)]
    for one in bloated[:TOLD_MAX]:
        yield warning(
            f"{one.name} has {one.dead:,} dead rows beside {one.live:,} live ones, and takes {size(one.bytes)}",
            f"see whether autovacuum is on and keeps up, and what postgresql.snapshots tells of those that hold it "
            f"up; `vacuum {one.name}` does it now",
        )
    yield from late(seen)
    return f"the tables take {size(sum(one.bytes for one in tables))}, and what has ended goes in time"


def clock(seen: Evidence) -> Symptoms:
    ahead = seen.postgresql.facts.ahead
    if abs(ahead) > CLOCK_SECONDS_MAX:
        yield note(
            f"the server's clock is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the one here",
            "jobs keep the server's time; have both machines set their clocks by NTP, or logs will not agree with it",
        )
    return "the server's clock agrees with the one here"
