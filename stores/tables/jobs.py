"""The jobs of a turn: every write to job state, except an application's own transaction.

Every change of state goes through `moves`, and is fenced there. So a stale ending cannot touch its successor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import count, repeat
from typing import Any

from ...errors import KeyTaken
from ...messages.jobs import Claim, ClaimKey, Instant, JobRecord, JobState, NewJob, Seconds, Transition
from ...messages.names import NO_LIMITS, PauseRecord, changed
from ...messages.outcomes import Outcome, OutcomeKind, Verdict
from ...messages.steps import SIGNAL
from ...rules.codec import digest
from ...rules.lifecycle import is_suspect
from ...rules.rates import rate_said
from ..transitions import (
    LEFT,
    REPLACED,
    UNCOUNTED,
    born,
    deferred,
    ending,
    finished,
    granted,
    is_replaced_by,
    released,
    replaced,
    requeued,
    revived,
    says_ending,
)
from ..turn_ports import Claimed, End, Want
from . import attempts, due, host_follow_ups, links, removal, turns
from .job_rows import HELD_BY, KEPT, STATE, WHOLE, KeptOut, insert_unless_known, insertion, jobs_by_id, stored_twins
from .moves import Move, move, move_all, surely, tell, without_steps, write
from .names import keep_pause, pause_of, rate_room, take_starts
from .open_turn import CLAIMS, PAUSES, TurnPart

INSERTED_ROWS_MAX = 25
"""Rows of one insert. More are not faster, and each number of rows is a statement of its own."""

HELD = f"where no = ? and claim_no = ? and {STATE} = 'running' and {HELD_BY}"

NOTE_PROGRESS = f"""update lamplighter_jobs set progress = ? where no in (
                      select no from lamplighter_jobs {HELD} /*pg for no key update skip locked */)"""
"""A job that somebody has locked is left as it is: the next report, or the end, says more."""

RUNNING_OF = """select no from lamplighter_jobs indexed by lamplighter_jobs_running
                where boot = ? and state = 'running' and deferred = 0"""
RUNNING_FREE = f"{RUNNING_OF} /*pg for no key update skip locked */"

HOST_JOBS_MAX = 2_000

EXPIRED_JOBS_MAX = 500

HOST_REASON = "marked in a transaction of the application"


class TableJobs(TurnPart):
    inserted_max = INSERTED_ROWS_MAX
    tries_max = 1
    """Where others write at the same time, a twin may have ended before it is looked for."""

    def insert(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        if len(jobs) <= self.inserted_max:
            return self._insert_together(jobs) if jobs else []
        stored: list[tuple[JobRecord, bool]] = []
        for start in range(0, len(jobs), self.inserted_max):
            stored += self._insert_together(jobs[start : start + self.inserted_max])
        return stored

    def _insert_together(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        first = self._turn.last_no + 1
        try:
            inserted = self._connection.execute(*insertion(jobs, first))
        except self._connection.IntegrityError:
            # Nothing was inserted.
            return self._find_or_insert(jobs)
        if inserted.rowcount != len(jobs):
            raise KeptOut(len(jobs) - inserted.rowcount)
        return list(zip(map(self._add, jobs, count(first)), repeat(True)))

    def _find_or_insert(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]]:
        """Insert the jobs that have no twin, and find the twins of the others: in batches, as a call that is repeated
        has thousands of them.
        """
        found: dict[int, int | JobRecord] = {}
        left: Sequence[int] = range(len(jobs))
        for _ in range(self.tries_max):
            for look in (self._inserted, partial(stored_twins, self._connection)):
                seen = zip(left, look([jobs[place] for place in left]), strict=True)
                found |= {place: one for place, one in seen if one is not None}
                left = [place for place in left if place not in found]
            if not left:
                return self._stored(jobs, found)
        raise KeptOut(len(left))

    def _inserted(self, jobs: Sequence[NewJob]) -> list[int | None]:
        """Insert the jobs that have no twin: their `row_id`s, and None for the others."""
        numbers: list[int | None] = []
        for job in jobs:
            is_new = insert_unless_known(self._connection, job, self._turn.last_no + 1)
            self._turn.last_no += is_new
            numbers.append(self._turn.last_no if is_new else None)
        return numbers

    def _stored(self, jobs: Sequence[NewJob], found: Mapping[int, int | JobRecord]) -> list[tuple[JobRecord, bool]]:
        """Tell of each job that it was inserted, or that its twin has become what it says. Such a twin is written once,
        however many jobs have found it.

        Args:
            found: the `row_id` of an inserted job, or the twin, by the place of the job.
        """
        stored: list[tuple[JobRecord, bool]] = []
        became: dict[int, JobRecord] = {}
        for place, job in enumerate(jobs):
            if isinstance(no := found[place], int):
                stored.append((self._add(job, no), True))
                continue
            twin = became.get(no.row_id, no)
            if is_replaced := is_replaced_by(twin, job):
                before = twin if twin.is_counted else self._count_host_moves_of(twin)
                twin = became[twin.row_id] = self._replace(before, job)
            stored.append((twin, is_replaced))
        write(self._turn, list(became.values()), REPLACED)
        return stored

    def _replace(self, before: JobRecord, by: NewJob) -> JobRecord:
        changes = replaced(before, by)
        return tell(self._turn, before, "job.replaced", says_replaced(before._replace(**changes)), changes)

    def _add(self, job: NewJob, row_id: int) -> JobRecord:
        self._turn.last_no = row_id
        stored = born(job, row_id)
        self._turn.heed(stored)
        says: dict[str, Any] = {}
        if job.parents:
            says = says_parents([parent.job_id for parent in job.parents])
            links.tie(self._connection, stored.row_id, job.parents)
            self._turn.has_open_links = True
            self._turn.heed_linked(stored.row_id)
        self._turn.transitions.append(Transition("job.queued", stored, None, says))
        return stored

    def get(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        found = jobs_by_id(self._connection, job_ids, KEPT)
        return {job.id: job if job.is_counted else self._count_host_moves_of(job) for job in found.values()}

    def find(self, job_ids: Collection[str]) -> dict[str, JobRecord]:
        return self.get(job_ids)

    def twin(self, job: NewJob) -> JobRecord | None:
        return stored_twins(self._connection, (job,))[0]

    def claim(self, wants: Sequence[Want], *, suspect: bool) -> Claimed:
        claims: dict[str, Sequence[Claim]] = {}
        next_due: dict[str, Instant] = {}
        if self._turn.lined_up:
            self.line_up()
        self._turn.gate_claims(wants)
        # Under a limit none in advance: others would lack them, and what is given back would have used up a rate.
        for want in [one if one.limits == NO_LIMITS else one._replace(prefetched=0) for one in wants]:
            most = want.begun + want.prefetched
            if most == 0:
                claims[want.name] = ()
                continue
            front = due.front_of(self._connection, want.name)
            claimed = claims[want.name] = self._claim(want, front, suspect=suspect)
            if suspect:
                suspect = not any(is_suspect(one.job, self._turn.now) for one in claimed)
            if len(claimed) < most:
                left = due.front_of(self._connection, want.name) if claimed else front
                in_line = None if left.highest is None else turns.first(self._connection, want.name)
                first = due.earliest(left.ready, left.waiting, in_line)
                if first is None or first > self._turn.now:
                    next_due[want.name] = float("inf") if first is None else first
                elif want.limits.rate is not None:
                    room = rate_room(self._connection, want.limits.rate, want.name, self._turn.now)
                    if not room.free:
                        next_due[want.name] = room.opens
                if want.name not in next_due and (again_at := self._held_up(want)) is not None:
                    next_due[want.name] = again_at
        return Claimed(claims, next_due)

    def _held_up(self, want: Want) -> Instant | None:
        """When to look again for due jobs that a claim with places left has not taken, because other turns hold them.
        On SQLite turns never overlap.
        """
        return None

    def _claim(self, want: Want, front: due.QueueHead, *, suspect: bool) -> list[Claim]:
        """Claim for one want. Each feature that the name does not use costs only its condition here."""
        turn, begun, prefetched = self._turn, want.begun, want.prefetched
        if turn.has_pauses or want.limits != NO_LIMITS:
            begun, prefetched = self._places(want)
        claims: list[Claim] = []
        most, line = begun + prefetched, None
        if most <= 0:
            return claims
        suspect = suspect and turn.has_suspects
        due_jobs = self._due(front, most, suspect=suspect)
        if any(job.one_at_a_time for job in due_jobs) and turn.gate(CLAIMS, (want.name,)):
            due_jobs = self._due(front, most, suspect=suspect)
        grants: list[Move] = []
        taken: set[str | None] = set()

        def write() -> None:
            if grants:
                claims.extend(self._granted(grants))
                grants.clear()

        if front.highest is not None:
            gate = partial(turn.gate, CLAIMS, (want.name,))
            line = turns.FairQueue(turn, want.name, want.limits, most, front.highest, due_jobs, write, gate)
        for job in due_jobs if line is None else line.jobs():
            careful = job.must_begin or is_suspect(job, self._turn.now)
            if begun <= 0 and (prefetched <= 0 or careful):
                continue
            if job.one_at_a_time and job.schedule in taken:
                continue
            taken.add(job.schedule if job.one_at_a_time else None)
            said = {} if line is None else line.take(job)
            grants.append(self._grant(job, want, said, begun=begun > 0))
            begun, prefetched = (begun - 1, prefetched) if begun > 0 else (begun, prefetched - 1)
            if begun + prefetched <= 0:
                break
        write()
        if line is not None:
            line.close()
        if claims and want.limits.rate is not None:
            take_starts(self._connection, want.limits.rate, want.name, self._turn.now, len(claims))
        return claims

    def _places(self, want: Want) -> tuple[int, int]:
        """How many may be claimed: at once, and in advance."""
        begun, prefetched = want.begun, want.prefetched
        pause, limits = self._pause_of(want.name), want.limits
        if pause.is_paused(self._turn.now):
            return 0, 0
        total = min((most for most in (limits.total, pause.limit) if most is not None), default=None)
        if total is not None:
            query = "select count(*) from lamplighter_jobs where state = 'running' and name = ?"
            ((running,),) = self._connection.execute(query, (want.name,)).fetchall()
            begun, prefetched = min(begun, total - running), 0
        if limits.rate is not None:
            begun = min(begun, rate_room(self._connection, limits.rate, want.name, self._turn.now).free)
        return begun, prefetched

    def line_up(self) -> None:
        turns.line_up(self._connection, self._turn.lined_up, self._turn.now)
        self._turn.lined_up = {}

    def leave_lines(self) -> None:
        turns.leave(self._turn, self._turn.left_lines)

    def _pause_of(self, name: str) -> PauseRecord:
        return pause_of(self._connection, name) if self._turn.has_pauses else PauseRecord(name)

    def _grant(self, job: JobRecord, want: Want, of_group: dict[str, Any], *, begun: bool) -> Move:
        said = {"begun": begun, **of_group}
        if want.limits.rate is not None:
            said["rate"] = rate_said(want.limits.rate)
        return job, "job.claimed", said, granted(job, want, self._turn.now, begun=begun)

    def _granted(self, grants: Sequence[Move]) -> list[Claim]:
        return list(map(Claim, map(surely, move_all(self._turn, grants))))

    def _due(self, front: due.QueueHead, most: int, *, suspect: bool) -> list[JobRecord]:
        due_jobs = due.jobs(self._connection, front, self._turn.now, most)
        found = due.suspect(self._connection, front.name, self._turn.now) if suspect else None
        return due_jobs if found is None else sorted([*due_jobs, found], key=due.order)

    def settle(self, claimed: JobRecord, outcome: Outcome, verdict: Verdict) -> JobRecord | None:
        return self.settle_all([(claimed, outcome, verdict)])[0]

    def settle_all(self, ends: Sequence[End]) -> list[JobRecord | None]:
        now = self._turn.now
        moves: list[Move] = []
        for claimed, outcome, verdict in ends:
            changes = ending(claimed, outcome, verdict, now)
            moves.append((claimed, verdict.event, says_ending(outcome, verdict), changes))
        settled = move_all(self._turn, moves)
        for (claimed, outcome, verdict), moved in zip(ends, settled, strict=True):
            if outcome.log or outcome.kind is not OutcomeKind.SUCCEEDED:
                self._keep(claimed, outcome, verdict.attempt, is_current=moved is not None)
        return settled

    def _keep(self, claimed: JobRecord, outcome: Outcome, attempt: int, *, is_current: bool) -> None:
        """Keep how a claim ended, or only its lines if something else has ended it."""
        if is_current:
            attempts.keep(self._turn, claimed, outcome, attempt, self._turn.now)
        elif outcome.log:
            attempts.keep_lines(self._connection, claimed, outcome.log, self._turn.now)

    def release(self, claimed: JobRecord, reason: str) -> JobRecord | None:
        return move(self._turn, claimed, "job.released", {"reason": reason}, released(claimed, self._turn.now))

    def defer(
        self, claimed: JobRecord, timeout: Seconds | None, passed: Seconds, max_attempts: int, log: str | None = None
    ) -> bool:
        changes = deferred(claimed, timeout, passed, max_attempts, self._turn.now)
        done = self._connection.execute(
            f"update lamplighter_jobs set {', '.join(f'{column} = ?' for column in changes)} {HELD}",
            (*changes.values(), *claimed.key, claimed.boot),
        )
        self._turn.heed_expiry(changes["expires_at"])
        is_current: bool = done.rowcount == 1
        if log:
            self._keep(claimed, Outcome(kind=OutcomeKind.DEFERRED, log=log), claimed.attempt, is_current=is_current)
        return is_current

    def overdue(self) -> list[JobRecord]:
        return self._expired("running")

    def note_progress(self, key: ClaimKey, progress: str) -> None:
        self._connection.execute(NOTE_PROGRESS, (progress, *key, self._turn.boot))

    def requeue(self, job: JobRecord, run_at: Instant, waits: Mapping[str, Any] | None = None) -> JobRecord:
        """As in the port. With `waits`, what the log is to say of it, the job waits for its parents again."""
        now = self._turn.now
        changes = requeued(run_at, now) if waits is None else revived(now)
        try:
            with self._turn.savepoint():
                moved = self.move_surely(job, "job.requeued", {"run_at": run_at, **(waits or {})}, changes)
        except self._connection.IntegrityError as error:
            raise KeyTaken(
                f"job {job.id} cannot be requeued: another unfinished {job.name} job holds its unique key "
                f"{job.unique_key!r}; wait for that one, or cancel it"
            ) from error
        self._turn.ripen(job.row_id)
        return moved

    def finish(self, job: JobRecord, result: str | None) -> JobRecord:
        return self.move_surely(job, "job.done", {"reason": "marked"}, finished(result, self._turn.now))

    def cancel(self, job: JobRecord, reason: str) -> JobRecord:
        changes = {**LEFT, "reason": reason, "ended_at": self._turn.now}
        return self.move_surely(job, "job.cancelled", {"reason": reason}, changes)

    def wake(self, job: JobRecord, signal: str) -> JobRecord:
        changes = {"waits": 0, "run_at": self._turn.now, "due_in": 0.0, "reason": f"signal {signal} has come"}
        return self.move_surely(job, "job.woken", {"step": SIGNAL + signal}, changes)

    def reprioritize(self, job: JobRecord, priority: int) -> JobRecord:
        changes = {"priority": priority, "waits": job.waits}
        return self.move_surely(job, "job.reprioritized", {"priority": priority}, changes)

    def open_claims(self, boot: str, name: str | None = None, incarnation_max: int | None = None) -> list[JobRecord]:
        # The index holds running jobs alone. Without this hint SQLite would scan all of them.
        query = f"""select {WHOLE} from lamplighter_jobs indexed by lamplighter_jobs_running
                   where state = 'running' and boot = ? and deferred = 0"""
        values: list[Any] = [boot]
        if name is not None:
            query, values = query + " and name = ?", [*values, name]
        if incarnation_max is not None:
            query, values = query + " and incarnation <= ?", [*values, incarnation_max]
        return self._jobs(query + " order by no", *values)

    def held_beside(self, boots: Sequence[str]) -> Collection[str]:
        execute = self._connection.execute
        return [boot for boot in boots if set(execute(RUNNING_OF, (boot,))) - set(execute(RUNNING_FREE, (boot,)))]

    def orphans(self) -> list[JobRecord]:
        return self._jobs(
            f"""select {WHOLE} from lamplighter_jobs indexed by lamplighter_jobs_running
               where state = 'running' and boot not in (select boot from lamplighter_boots) and deferred = 0
               order by no"""
        )

    def unfinished_of(self, schedule_id: str) -> list[tuple[str, str]]:
        return self._connection.execute(
            """select id, state from lamplighter_jobs
               where schedule = ? and state in ('queued', 'running') order by no""",
            (schedule_id,),
        ).fetchall()

    def recent_interruptions(self, job_ids: Collection[str], since: Instant) -> dict[str, int]:
        return attempts.recent_interruptions(self._connection, job_ids, since)

    def pause(
        self,
        name: str,
        *,
        paused: bool,
        by: str | None = None,
        reason: str | None = None,
        until: Instant | None = None,
    ) -> None:
        self._turn.gate(PAUSES)
        known, now = pause_of(self._connection, name), self._turn.now
        keep_pause(self._connection, changed(known, now, paused=paused, by=by, reason=reason, until=until))
        self._turn.has_pauses = True

    def limit(self, name: str, most: int | None) -> None:
        self._turn.gate(PAUSES)
        keep_pause(self._connection, pause_of(self._connection, name)._replace(limit=most))
        self._turn.has_pauses = True

    def refresh(self) -> None:
        turn = self._turn
        if turn.has_host_moves:
            # An end is stored by the claim alone, so what is kept of a running job must be told before it.
            running_first = "order by state <> 'running', no"
            query = f"select {WHOLE} from lamplighter_jobs where rev <= 0 {running_first} limit ? {turns.SKIP_LOCKED}"
            for job in self._jobs(query, HOST_JOBS_MAX):
                self._count_host_moves_of(job, waits=False)
        for job in self._expired("queued"):
            self.cancel(job, "expired")

    def _expired(self, state: str) -> list[JobRecord]:
        turn = self._turn
        if turn.expiry is None or turn.expiry > turn.now:
            return []
        query = f"""select {WHOLE} from lamplighter_jobs indexed by lamplighter_jobs_expiring
                    where {due.MAY_EXPIRE} and expires_at <= ? and state = ? and rev > 0 order by expires_at limit ?
                    /*pg for update skip locked */"""
        return self._jobs(query, turn.now, state, EXPIRED_JOBS_MAX)

    def _count_host_moves_of(self, job: JobRecord, *, waits: bool = True) -> JobRecord:
        """Log moves of a job by a host's transaction, with its followers or the job that it follows, in one turn. If
        another transaction holds one of them, a turn that does not wait leaves the job as it is.
        """
        counted, connection = self._turn.counted, self._connection
        if job.row_id in counted:
            return counted[job.row_id]
        if self._turn.has_ties is None:
            self._turn.has_ties = host_follow_ups.are_any(connection)
        ones = host_follow_ups.together(connection, job, waits=waits) if self._turn.has_ties else [(job, None, 0)]
        are_kept = (waits or not one.is_linked or links.may_be_kept(connection, one.row_id) for one, *_ in ones)
        # An application may have one of them, or a parent of one, for minutes. A later turn counts them.
        if not ones or not all(are_kept):
            return job
        if self._turn.has_ties:
            host_follow_ups.untie(connection, [one for one, *_ in ones])
        for one, followed, followers in ones:
            counted[one.row_id] = self._count_host_moves(one, followed, followers)
        return counted[job.row_id]

    def _count_host_moves(self, job: JobRecord, followed: JobRecord | None = None, then: int = 0) -> JobRecord:
        """Log the one or two steps of a host's own transaction.

        Args:
            followed: the job that it follows, if any.
            then: the number of its followers.
        """
        moves = self._turn.transitions
        counted = job._replace(move_no=-job.move_no)
        if counted.move_no == UNCOUNTED:
            counted = counted._replace(move_no=1)
            born = counted._replace(state="queued", result=None, ended_at=None)
            tie = {} if followed is None else {"then_of": followed.id}
            moves.append(Transition("job.queued", born, None, {**self._says_parents_of(counted), **tie}))
        elif job.state == JobState.QUEUED and job.debounce_until is not None:
            # All finds by hosts' calls since the last turn are one move.
            counted = counted._replace(move_no=counted.move_no + 1)
            moves.append(Transition("job.replaced", counted, job.state, says_replaced(counted)))
        if self._turn.has_steps:
            from .signals import tell

            counted = tell(self._turn, counted, self.wake)
        if job.state == "done":
            counted = counted._replace(move_no=counted.move_no + 1)
            # Either a claim has ended it, or it had no claim.
            before = "running" if job.settled_no else "queued"
            fields = {
                "reason": HOST_REASON,
                **without_steps(self._turn, job.row_id),
                **({"then": then} if then else {}),
            }
            moves.append(Transition("job.done", counted, before, fields))
            if job.group_key is not None and before == "queued":
                self._turn.left_lines.add(turns.key_of(job))
            if self._turn.has_open_links:
                self._turn.ripen(job.row_id)
        self._connection.execute("update lamplighter_jobs set rev = ? where no = ?", (counted.move_no, job.row_id))
        self._turn.heed(counted)
        return counted

    def _says_parents_of(self, child: JobRecord) -> dict[str, Any]:
        """How many parents a host's job waits for; no turn has looked at them yet."""
        # A job that its host also marked as done no longer waits, but may have parents.
        if not child.is_linked and child.state != JobState.DONE:
            return {}
        ids = links.parent_ids(self._connection, child.row_id)
        if ids:
            self._turn.lock(links.PARENTS_KEPT, (child.row_id,))
            self._connection.execute(links.CLOSE, (child.row_id,))
            self._turn.heed_linked(child.row_id)
        return says_parents(ids)

    def forget(self, job: JobRecord) -> None:
        removal.forget(self._turn, job)

    def move_surely(self, job: JobRecord, event: str, fields: dict[str, Any], changes: dict[str, Any]) -> JobRecord:
        return surely(move(self._turn, job, event, fields, changes))

    def _jobs(self, query: str, *values: Any) -> list[JobRecord]:
        return [JobRecord._make(row) for row in self._connection.execute(query, values).fetchall()]


def says_parents(ids: Sequence[str]) -> dict[str, Any]:
    return {"parents": len(ids), "waits_for": ids} if ids else {}


def says_replaced(job: JobRecord) -> dict[str, Any]:
    """Fields of the event of a call that found a job: a hash of its data."""
    return {"run_at": job.run_at, "digest": digest(job.data), "until": job.debounce_until}
