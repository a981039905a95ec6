"""One turn on SQLite: every write to job state that there is.

Every change of state goes through `_move`, which is fenced on the state and the `claim_no` that the caller saw, and
takes a revision only if a row has changed. So revisions are gapless, and a stale ending cannot touch its successor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, cast

from ...errors import KeyTaken, UnknownJob
from ...messages.jobs import Claim, ClaimKey, Instant, JobRecord, JobState, NewJob, Seconds, Transition
from ...messages.outcomes import Outcome, OutcomeKind, Verdict
from ...rules.codec import encode_own
from ...rules.lifecycle import MOVES, QUIET
from ..ports import Deed, Want
from ..transitions import (
    FirstMark,
    born,
    deed_of,
    ending,
    first_mark,
    granted,
    joined,
    mark,
    released,
    requeued,
    says_ending,
)
from . import due
from .boots import BootTurn, Seen
from .clock_steps import NEXT_EXPIRY, ClockTurn
from .job_rows import fenced_update, insert_unless_known, insertion, kept_out, stored_twin
from .schedules import SqliteScheduleTurn

INSERTED_ROWS_MAX = 25
"""Rows of one insert. More are not faster, and each number of rows is a statement of its own."""

UNTOLD_JOBS_MAX = 2_000
"""How many jobs from hosts' own transactions one turn gives revisions to."""

EXPIRED_JOBS_MAX = 500
"""How many expired jobs one turn cancels."""

ATTEMPTS_KEPT_MAX = 100
"""How many ended claims are kept of one job, the newest."""

OVERVIEW = f"""
  select rev, change_no,
    exists (select 1 from lamplighter_pauses),
    exists (select 1 from lamplighter_jobs where rev is null),
    exists (select 1 from lamplighter_jobs where state = 'queued' and suspect_until is not null),
    ({NEXT_EXPIRY}),
    clock_count, clock_offset, clock_stepped,
    (select turns from lamplighter_boots where boot = ?)
  from lamplighter_store
"""
"""What every turn must know, in one statement."""


class SqliteTurn(SqliteScheduleTurn, BootTurn, ClockTurn):
    """A `Turn` on SQLite."""

    def __init__(
        self, connection: sqlite3.Connection, boot: str, now: Instant, *, openings: int = 0, seen: Seen | None = None
    ) -> None:
        self.now = now
        self.transitions: list[Transition] = []
        self.untold: list[Deed] = []
        self.did: tuple[Deed, ...] = ()
        self.leads = True
        self.news: list[tuple[str, dict[str, Any]]] = []
        self._skipped: list[Deed] = []
        self._declared: list[Deed] = []
        self._connection = connection
        self._boot = boot
        # SQLite's number holds for one connection only; another one may begin with the same.
        self.version = openings << 32 | int(connection.execute("pragma data_version").fetchone()[0])
        (
            self._rev,
            self._change_no,
            self._has_pauses,
            self._has_untold,
            self._has_suspects,
            self.expiry,
            *clock,
            self._turns,
        ) = connection.execute(OVERVIEW, (boot,)).fetchone()
        self._clock = clock[0], clock[1], clock[2]
        self._changes_before = self._change_no
        self.seen = seen if seen is not None and seen.boot == boot else None
        self.lost = None if self.seen is None else self.seen.compare(self._turns, self._rev, self._change_no)

    def seal(self) -> None:
        """Write what the whole turn needs once: both counters, and in the boot's row what the turn did."""
        # A slot that fires in the turn that changes its schedule was due before, by the old rule, so it must be logged
        # before the change.
        self.did = (*self.untold, *self._skipped, *map(deed_of, self.transitions), *self._declared)
        if self.transitions:
            self._connection.execute("update lamplighter_store set rev = ?", (self._rev,))
        if self._change_no > self._changes_before:
            self._connection.execute("update lamplighter_store set change_no = ?", (self._change_no,))
        if self.did and self._turns is not None:
            self._turns += 1
            values = (encode_own(self.did), self._turns, self._boot)
            self._connection.execute("update lamplighter_boots set turn = ?, turns = ? where boot = ?", values)
        if self.seen is not None:
            self.seen = Seen(self._boot, self._turns or 0, self._rev, self._change_no)

    def insert(self, job: NewJob) -> tuple[JobRecord, bool]:
        first = first_mark(job, self._rev + 1)
        no = insert_unless_known(self._connection, job, first)
        if no is None:
            return stored_twin(self._connection, job), False
        return self._add(job, no, first), True

    def insert_many(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        stored: list[tuple[JobRecord, bool]] = []
        for start in range(0, len(jobs), INSERTED_ROWS_MAX):
            stored += self._insert_together(jobs[start : start + INSERTED_ROWS_MAX])
        return stored

    def _insert_together(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        """Insert jobs in one statement, unless one of them is there already."""
        firsts = [first_mark(job, rev) for rev, job in enumerate(jobs, self._rev + 1)]
        try:
            inserted = self._connection.execute(*insertion(jobs, firsts))
        except sqlite3.IntegrityError:
            # The statement has inserted nothing. Insert the jobs one by one, to find which have a twin.
            return [self.insert(job) for job in jobs]
        if inserted.rowcount != len(jobs):
            raise kept_out(len(jobs) - inserted.rowcount)
        no = cast(int, inserted.lastrowid) - len(jobs) + 1
        return [(self._add(*one), True) for one in zip(jobs, range(no, no + len(jobs)), firsts, strict=True)]

    def _add(self, job: NewJob, no: int, first: FirstMark) -> JobRecord:
        """Note that a job was inserted, with the next revision."""
        self._rev += 1
        stored = born(job, no, first)
        self._note(stored)
        self.transitions.append(Transition("job.queued", stored, None, self._rev, {}))
        return stored

    def job(self, job_id: str) -> JobRecord | None:
        row = self._connection.execute("select * from lamplighter_jobs where id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        job = JobRecord._make(row)
        return self._tell(job) if job.rev is None else job

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
               where state = 'queued' and expires_at is not null and expires_at <= ? and told is not null
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

    def tell_untold(self) -> None:
        if not self._has_untold:
            return
        rows = self._connection.execute(
            "select * from lamplighter_jobs where rev is null order by no limit ?", (UNTOLD_JOBS_MAX,)
        ).fetchall()
        for row in rows:
            self._tell(JobRecord._make(row))

    def _tell(self, job: JobRecord) -> JobRecord:
        """Give revisions to the one or two steps that a host's own transaction has made."""
        trail = job.trail
        if job.told is None:
            self._rev += 1
            trail = joined(trail, mark(self._rev, job.queued_at))
            first = job._replace(state="queued", rev=self._rev, told="queued", trail=trail, result=None, ended_at=None)
            self.transitions.append(Transition("job.queued", first, None, self._rev, {}))
        told = job._replace(rev=self._rev, told=job.state, trail=trail)
        if job.state == "done":
            self._rev += 1
            trail = joined(trail, mark(self._rev, job.ended_at or self.now))
            told = told._replace(rev=self._rev, trail="")
            fields = {"reason": "marked in a transaction of the application"}
            before = job.told or "queued"
            self.transitions.append(Transition("job.done", told, before, self._rev, fields, trail))
        self._connection.execute(
            "update lamplighter_jobs set rev = ?, told = ?, trail = ? where id = ?",
            (told.rev, told.told, told.trail, told.id),
        )
        return told

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
        return pruned if slots_before is None else pruned + self.prune_slots(slots_before, batch - pruned)

    def _prune_jobs(self, state: str, before: Instant, batch: int) -> int:
        gone = self._connection.execute(
            """delete from lamplighter_jobs where no in (
                 select no from lamplighter_jobs where state = ? and ended_at < ? and rev is not null
                 order by ended_at limit ?)
               returning id""",
            (state, before, batch),
        ).fetchall()
        self._connection.executemany("delete from lamplighter_attempts where job_id = ?", gone)
        return len(gone)

    def _move(self, before: JobRecord, event: str, fields: dict[str, Any], changes: dict[str, Any]) -> JobRecord | None:
        """Change a job's state if it is still as the caller saw it; None if it is not."""
        rev = self._rev + 1
        state = MOVES[event][1].value
        trail = joined(before.trail, mark(rev, self.now))
        kept, summed = (trail, "") if event in QUIET else ("", trail)
        changes = {**changes, "state": state, "rev": rev, "told": state, "trail": kept}
        update, changed = fenced_update(tuple(changes))
        values = changes.values()
        done = self._connection.execute(update, (*values, before.no, before.claim_no, before.state))
        if done.rowcount != 1:
            return None
        self._rev = rev
        moved = JobRecord._make(changed((*before, *values)))
        self._note(moved)
        self.transitions.append(Transition(event, moved, before.state, rev, fields, summed))
        return moved

    def _note(self, job: JobRecord) -> None:
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
