"""One turn on SQLite: every write to job state that there is.

Every change of state goes through `_move`, which is fenced on the state and the `claim_no` that the caller saw, and
counts in the very row that has changed. So the moves of a job have numbers without a gap, and a stale ending cannot
touch its successor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...errors import KeyTaken, UnknownJob
from ...messages.jobs import Claim, ClaimKey, Instant, JobRecord, JobState, NewJob, Seconds, Transition
from ...messages.ledger import UNLOGGED_MAX, LedgerTurn, Move
from ...messages.outcomes import Outcome, OutcomeKind, Verdict
from ...rules.codec import encode_own
from ...rules.ledger_moves import told_moves
from ...rules.lifecycle import MOVES
from ..ports import BootLost, Want
from ..transitions import UNCOUNTED, born, ending, granted, released, requeued, says_ending
from . import due
from .boots import BootTurn, Seen
from .clock_steps import NEXT_EXPIRY, ClockTurn
from .job_rows import fenced_update, insert_unless_known, insertion, kept_out, stored_twin
from .schedules import SqliteScheduleTurn

INSERTED_ROWS_MAX = 25
"""Rows of one insert. More are not faster, and each number of rows is a statement of its own."""

HOST_JOBS_MAX = 2_000
"""How many jobs from hosts' own transactions one turn counts."""

EXPIRED_JOBS_MAX = 500
"""How many expired jobs one turn cancels."""

ATTEMPTS_KEPT_MAX = 100
"""How many ended claims are kept of one job, the newest."""

OVERVIEW = f"""
  select boots, max(last_no, (select coalesce(max(no), 0) from lamplighter_jobs)), change_no,
    exists (select 1 from lamplighter_pauses),
    exists (select 1 from lamplighter_jobs where rev <= 0),
    exists (select 1 from lamplighter_jobs where state = 'queued' and suspect_until is not null),
    ({NEXT_EXPIRY}),
    clock_count, clock_offset, clock_stepped, b.boot_no, b.turn
  from lamplighter_store left join lamplighter_boots b on b.boot = ?
"""
"""What every turn must know, in one statement."""


class SqliteTurn(SqliteScheduleTurn, BootTurn, ClockTurn):
    """A `Turn` on SQLite."""

    def __init__(
        self, connection: sqlite3.Connection, boot: str, now: Instant, *, openings: int = 0, seen: Seen | None = None
    ) -> None:
        self.now = now
        self.transitions: list[Transition] = []
        self.unlogged: list[LedgerTurn] = []
        self.did: LedgerTurn | None = None
        self.leads = True
        self.news: list[tuple[str, dict[str, Any]]] = []
        self._notes: list[tuple[int, Move]] = []
        self._connection = connection
        self._boot = boot
        # SQLite's number holds for one connection only; another one may begin with the same.
        self.version = openings << 32 | int(connection.execute("pragma data_version").fetchone()[0])
        (
            self._boots,
            self._last_no,
            self._change_no,
            self._has_pauses,
            self._has_host_moves,
            self._has_suspects,
            self.expiry,
            *clock,
            boot_no,
            self._turn,
        ) = connection.execute(OVERVIEW, (boot,)).fetchone()
        self._boot_no = boot_no or 0
        self._clock = clock[0], clock[1], clock[2]
        self._changes_before = self._change_no
        self.seen = seen if seen is not None and seen.boot == boot else None
        self.lost = None if self.seen is None else self._compare(self.seen)

    def _compare(self, seen: Seen) -> BootLost | None:
        return seen.compare(self._turn, self._boots, self._last_no, self._change_no)

    def seal(self) -> None:
        """Write what the whole turn did: its number, and the boot's memory of what it did."""
        if self._change_no > self._changes_before:
            self._connection.execute("update lamplighter_store set change_no = ?", (self._change_no,))
        moves = told_moves(self.transitions, self._notes, self.now)
        if moves:
            turn = (self._turn or 0) + 1
            self.did = LedgerTurn(self._boot, self._boot_no, turn, self.now, moves)
            if self._turn is not None:
                values = (turn, encode_own([*self.unlogged, self.did][-UNLOGGED_MAX:]), self._boot)
                self._connection.execute("update lamplighter_boots set turn = ?, unlogged = ? where boot = ?", values)
                self._turn = turn
        if self.seen is not None:
            self.seen = Seen(self._boot, self._turn or 0, self._boots, self._last_no, self._change_no)

    def note(self, move: Move) -> None:
        self._notes.append((len(self.transitions), move))

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        if not insert_unless_known(self._connection, job, self._last_no + 1):
            return stored_twin(self._connection, job), False
        return self._add(job), True

    def insert_many(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        stored: list[tuple[JobRecord, bool]] = []
        for start in range(0, len(jobs), INSERTED_ROWS_MAX):
            stored += self._insert_together(jobs[start : start + INSERTED_ROWS_MAX])
        return stored

    def _insert_together(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        """Insert jobs in one statement, unless one of them is there already."""
        try:
            inserted = self._connection.execute(*insertion(jobs, self._last_no + 1))
        except sqlite3.IntegrityError:
            # The statement has inserted nothing. Insert the jobs one by one, to find which have a twin.
            return [self.insert(job) for job in jobs]
        if inserted.rowcount != len(jobs):
            raise kept_out(len(jobs) - inserted.rowcount)
        return [(self._add(job), True) for job in jobs]

    def _add(self, job: NewJob) -> JobRecord:
        """Note that a job was inserted, with the next `no`."""
        self._last_no += 1
        stored = born(job, self._last_no)
        self._heed(stored)
        self.transitions.append(Transition("job.queued", stored, None, {}))
        return stored

    def job(self, job_id: str) -> JobRecord | None:
        row = self._connection.execute("select * from lamplighter_jobs where id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        job = JobRecord._make(row)
        return job if job.is_counted else self._count_host_moves_of(job)

    def find(self, job_id: str) -> JobRecord:
        job = self.job(job_id)
        if job is None:
            raise UnknownJob(f"expected the id of a stored job, got: {job_id!r}; it never was, or retention removed it")
        return job

    def claim(self, want: Want) -> list[Claim]:
        begun, prefetched = want.begun, want.prefetched
        if begun + prefetched == 0:
            return []
        if self._has_pauses and self._one("select 1 from lamplighter_pauses where name = ?", want.name) is not None:
            return []
        if want.total is not None:
            running = self._one("select count(*) from lamplighter_jobs where state = 'running' and name = ?", want.name)
            begun, prefetched = min(begun, want.total - running), 0
        claims: list[Claim] = []
        taken: set[str | None] = set()
        for job in self._due(want, begun + prefetched) if begun + prefetched > 0 else ():
            careful = job.must_begin or (job.suspect_until or 0.0) > self.now
            if begun <= 0 and (prefetched <= 0 or careful):
                continue
            if job.one_at_a_time and job.schedule in taken:
                continue
            taken.add(job.schedule if job.one_at_a_time else None)
            claims.append(self._grant(job, want, begun=begun > 0))
            begun, prefetched = (begun - 1, prefetched) if begun > 0 else (begun, prefetched - 1)
        return claims

    def first_due(self, name: str) -> Instant | None:
        return due.first(self._connection, name)

    def _grant(self, job: JobRecord, want: Want, *, begun: bool) -> Claim:
        claimed = self._move(job, "job.claimed", {"begun": begun}, granted(job, want, self.now, begun=begun))
        assert claimed is not None, "a row that this transaction has just read cannot have moved"
        return Claim(claimed)

    def _due(self, want: Want, limit: int) -> list[JobRecord]:
        rows = due.jobs(self._connection, want.name, self.now, limit)
        if want.suspect and self._has_suspects:
            suspect = due.suspect(self._connection, want.name, self.now)
            if suspect is not None:
                rows = sorted([*rows, suspect], key=due.order)
        return rows

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        # The index holds running jobs alone. Without this hint SQLite would read through all of them.
        query = """select * from lamplighter_jobs indexed by lamplighter_jobs_running
                   where state = 'running' and boot = ?"""
        values: list[Any] = [boot]
        if name is not None:
            query, values = query + " and name = ?", [*values, name]
        if incarnation_max is not None:
            query, values = query + " and incarnation <= ?", [*values, incarnation_max]
        return [JobRecord._make(row) for row in self._connection.execute(query + " order by no", values)]

    def orphans(self) -> list[JobRecord]:
        query = """select * from lamplighter_jobs indexed by lamplighter_jobs_running
                   where state = 'running' and boot not in (select boot from lamplighter_boots) order by no"""
        return [JobRecord._make(row) for row in self._connection.execute(query)]

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        fields, changes = says_ending(outcome, verdict), ending(claimed, outcome, verdict, self.now)
        settled = self._move(claimed, verdict.event, fields, changes)
        if settled is not None and outcome.kind not in (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED):
            self._keep_attempt(claimed, outcome, verdict)
        return settled

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        return self._move(claimed, "job.released", {"reason": reason}, released(claimed, self.now))

    def defer(self, claimed: JobRecord, timeout: Seconds | None) -> bool:
        done = self._connection.execute(
            """update lamplighter_jobs set deferred = 1, timeout = ?
               where no = ? and claim_no = ? and state = 'running'""",
            (timeout, *claimed.key),
        )
        return done.rowcount == 1

    def requeue(self, job: JobRecord, run_at: Instant) -> JobRecord:
        try:
            moved = self._move(job, "job.requeued", {"run_at": run_at}, requeued(run_at, self.now))
        except sqlite3.IntegrityError as error:
            raise KeyTaken(
                f"job {job.id} cannot be requeued: another unfinished {job.name} job holds its unique key "
                f"{job.unique_key!r}; wait for that one, or cancel it"
            ) from error
        assert moved is not None
        return moved

    def finish(self, job: JobRecord, result: str | None) -> JobRecord:
        # No claim has ended this job, so an ending that comes now must count as stale.
        changes = {"settled_no": 0, "result": result, "ended_at": self.now, "reason": None}
        moved = self._move(job, "job.done", {"reason": "marked"}, changes)
        assert moved is not None
        return moved

    def cancel(self, job: JobRecord, reason: str) -> JobRecord:
        moved = self._move(job, "job.cancelled", {"reason": reason}, {"reason": reason, "ended_at": self.now})
        assert moved is not None
        return moved

    def expire(self) -> None:
        if self.expiry is None or self.expiry > self.now:
            return
        rows = self._connection.execute(
            """select * from lamplighter_jobs
               where state = 'queued' and expires_at is not null and expires_at <= ? and rev > 0
               order by expires_at limit ?""",
            (self.now, EXPIRED_JOBS_MAX),
        ).fetchall()
        for row in rows:
            self.cancel(JobRecord._make(row), "expired")

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        self._connection.execute(
            "update lamplighter_jobs set progress = ? where no = ? and claim_no = ? and state = 'running'",
            (progress, *key),
        )

    def recent_interruptions(self, job_id: str, since: Instant) -> int:
        return int(
            self._one(
                """select count(*) from lamplighter_attempts
                   where job_id = ? and outcome = 'interrupted' and begun and ended_at >= ?""",
                job_id,
                since,
            )
        )

    def _keep_attempt(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> None:
        if outcome.kind is OutcomeKind.INTERRUPTED and not outcome.blamed:
            return
        self._connection.execute(
            "insert or replace into lamplighter_attempts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                claimed.id,
                claimed.claim_no,
                verdict.attempt,
                outcome.kind.value,
                claimed.boot or "",
                claimed.counts_attempt,
                claimed.claimed_at or self.now,
                self.now,
                outcome.error or outcome.reason,
                outcome.traceback,
            ),
        )
        if claimed.claim_no <= ATTEMPTS_KEPT_MAX:
            return
        self._connection.execute(
            """delete from lamplighter_attempts where job_id = ? and claim_no <=
               (select claim_no from lamplighter_attempts where job_id = ? order by claim_no desc limit 1 offset ?)""",
            (claimed.id, claimed.id, ATTEMPTS_KEPT_MAX),
        )

    def count_host_moves(self) -> None:
        if not self._has_host_moves:
            return
        rows = self._connection.execute(
            "select * from lamplighter_jobs where rev <= 0 order by no limit ?", (HOST_JOBS_MAX,)
        ).fetchall()
        for row in rows:
            self._count_host_moves_of(JobRecord._make(row))

    def _count_host_moves_of(self, job: JobRecord) -> JobRecord:
        """Make moves of the one or two steps that a host's own transaction has made."""
        counted = job._replace(rev=-job.rev)
        if counted.rev == UNCOUNTED:
            counted = counted._replace(rev=1)
            born = counted._replace(state="queued", result=None, ended_at=None)
            self.transitions.append(Transition("job.queued", born, None, {}))
        if job.state == "done":
            counted = counted._replace(rev=counted.rev + 1)
            # A claim has ended it, or nobody had it.
            before = "running" if job.settled_no else "queued"
            fields = {"reason": "marked in a transaction of the application"}
            self.transitions.append(Transition("job.done", counted, before, fields))
        self._connection.execute("update lamplighter_jobs set rev = ? where no = ?", (counted.rev, job.no))
        return counted

    def pause(self, name: str, *, paused: bool) -> None:
        self._has_pauses = True
        if paused:
            self._connection.execute("insert or ignore into lamplighter_pauses values (?, ?)", (name, self.now))
            return
        self._connection.execute("delete from lamplighter_pauses where name = ?", (name,))

    def prune(self, *, done_before: Instant, dead_before: Instant, slots_before: Instant | None, batch: int) -> int:
        if self.is_in_doubt():
            return 0
        pruned = 0
        for states, before in ((("done", "cancelled"), done_before), (("dead",), dead_before)):
            for state in states:
                pruned += self._prune_jobs(state, before, batch - pruned)
        if pruned:
            self.note({"k": "pruned", "x": pruned})
        return pruned if slots_before is None else pruned + self.prune_slots(slots_before, batch - pruned)

    def _prune_jobs(self, state: str, before: Instant, batch: int) -> int:
        gone = self._connection.execute(
            """delete from lamplighter_jobs where no in (
                 select no from lamplighter_jobs where state = ? and ended_at < ? and rev > 0
                 order by ended_at limit ?)
               returning no, id""",
            (state, before, batch),
        ).fetchall()
        if any(no == self._last_no for no, _ in gone):
            # No other job may get the number of the last.
            self._connection.execute("update lamplighter_store set last_no = ?", (self._last_no,))
        self._connection.executemany("delete from lamplighter_attempts where job_id = ?", [row[1:] for row in gone])
        return len(gone)

    def _move(self, before: JobRecord, event: str, fields: dict[str, Any], changes: dict[str, Any]) -> JobRecord | None:
        """Change a job's state if it is still as the caller saw it; None if it is not."""
        state = MOVES[event][1].value
        changes = {**changes, "state": state, "rev": before.rev + 1}
        update, changed = fenced_update(tuple(changes))
        values = changes.values()
        done = self._connection.execute(update, (*values, before.no, before.claim_no, before.state))
        if done.rowcount != 1:
            return None
        moved = JobRecord._make(changed((*before, *values)))
        self._heed(moved)
        holder = before.boot if before.state == JobState.RUNNING and before.boot != self._boot else None
        self.transitions.append(Transition(event, moved, before.state, fields, holder))
        return moved

    def _heed(self, job: JobRecord) -> None:
        """What `OVERVIEW` could not know of yet."""
        if job.state != JobState.QUEUED:
            return
        if job.expires_at is not None:
            self.expiry = job.expires_at if self.expiry is None else min(self.expiry, job.expires_at)
        if job.suspect_until is not None:
            # No later turn may come.
            self._has_suspects = True

    def _one(self, query: str, *values: Any) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]
