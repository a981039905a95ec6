"""Decides about jobs that wait for others, once these have ended.

An ending only marks its job as a parent to check. Here the children of such parents are looked at, so many links a
turn; the rest waits for the next turn of any boot. Decisions depend only on the stored state of the parents, so they
are the same whichever way led to an end, and whichever process dies in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ...errors import KeyTaken
from ...messages.jobs import ENDED, FAILED_END, JobParent, JobRecord, JobState
from ...rules.lifecycle import fate
from ...rules.links import NAMED_PARENTS_MAX, name_parents, not_needed, shared_fate
from ..transitions import freed
from . import links
from .job_rows import WHOLE, free_job, key_holders, listed
from .jobs import TableJobs
from .open_turn import FREEING, OpenTurn, TurnPart

NEXT_RIPE = """select parent, child, place from lamplighter_parents_to_check
               where parent > ? order by parent limit 1 /*pg for update */"""

LINKS_OF = f"""
  select l.child, l.place, l.met, {listed(JobRecord._fields, "c.")}
  from lamplighter_links l indexed by lamplighter_links_parent left join {free_job("l.child")} c on c.no = l.child
  where l.parent = ? and (l.child, l.place) > (?, ?) and coalesce(l.met, '') <> ? order by l.child, l.place limit ?
"""

PARENTS_OF = f"""
  select l.place, l.any_end, coalesce(p.id, g.id), coalesce(p.name, g.name), coalesce(p.state, g.state),
    coalesce(p.rev, g.rev)
  from {links.PARENTS} where l.child = ? order by l.place
"""


UNFINISHED_PARENTS = """
  select l.place, p.id from lamplighter_links l join lamplighter_jobs p on p.no = l.parent
  where l.child = ? and (p.state = 'queued' or p.state = 'running') order by l.place /*pg for share of p */
"""


class _ParentState(NamedTuple):
    place: int
    any_end: int
    id: str
    name: str
    state: str
    move_no: int


class TableLinks(TurnPart):
    def __init__(self, turn: OpenTurn) -> None:
        super().__init__(turn)
        self._jobs = TableJobs(turn)

    def unknown(self, job_ids: Sequence[str]) -> Collection[str]:
        return links.unknown(self._connection, job_ids)

    def child_of(self, job: JobRecord) -> str | None:
        # An application may be about to store one.
        self._turn.lock("select 1 from lamplighter_jobs where no = ? /*pg for update */", (job.row_id,))
        return links.child_of(self._connection, job.row_id)

    def parents_of(self, job: JobRecord) -> tuple[JobParent, ...]:
        parents = map(_ParentState._make, self._connection.execute(PARENTS_OF, (job.row_id,)))
        return tuple(JobParent(parent.id, any_end=parent.any_end) for parent in parents)

    def judge_births(self) -> Mapping[int, JobRecord]:
        born, self._turn.born_linked = self._turn.born_linked, []
        judged: dict[int, JobRecord] = {}
        for row_id in born:
            child = self._job(row_id)
            if child is not None and self._is_waiting(child) and not links.is_open(self._connection, row_id):
                judged[row_id] = self._judge(child)[0]
        return judged

    def wait_again(self, job: JobRecord) -> JobRecord | None:
        found = self._connection.execute(UNFINISHED_PARENTS, (job.row_id,)).fetchall()
        if not found:
            # Whatever has been done need not be undone because others are tried again.
            return job if job.is_linked and self._fate_of(job) == JobState.DONE else None
        moved = self._waiting_again(job, found[0][1])
        for place, _ in found:
            self._meet(job.row_id, place, None)
        return moved

    def _fate_of(self, child: JobRecord) -> JobState:
        parents = map(_ParentState._make, self._connection.execute(PARENTS_OF, (child.row_id,)))
        return fate((one.state, one.any_end) for one in parents)

    def free(self, most: int) -> bool:
        self.judge_births()
        if self._turn.has_ripe:
            self._turn.gate(FREEING)
        held = 0
        while self._turn.has_ripe:
            # What follows of a parent is of jobs with greater numbers.
            ripe = self._connection.execute(NEXT_RIPE, (held,)).fetchone()
            if ripe is None:
                self._turn.has_ripe = held > 0
                break
            if most <= 0:
                return True
            parent_no, child_no, place = ripe
            read, is_held = self._look_at(parent_no, child_no, place, most)
            most, held = most - read, parent_no if is_held else held
        return False

    def _look_at(self, parent_no: int, child_no: int, place: int, most: int) -> tuple[int, bool]:
        """Examine the links of a parent after a place, at most so many; returns how many were read, at least one, and
        whether others hold some of the children: then the next look begins there.
        """
        parent = self._job(parent_no)
        now_met = parent.state if parent is not None and links.has_ended(parent) else None
        after, read, last = (child_no, place), 0, 0
        rows = self._connection.execute(LINKS_OF, (parent_no, *after, now_met or "", most)).fetchall()
        held: list[tuple[int, int]] = []
        for child_no, place, met, *row in rows:
            if row[0] is None:
                held.append((child_no, place - 1))
                read += 1
            elif parent is not None:
                child = JobRecord._make(row)
                # A second link to one parent follows the first, which may have moved the child.
                known = self._job(child_no) if child_no == last else child
                read += 1 + (0 if known is None else self._pass_on(parent, known, place, met))
            last = child_no
            if read >= most:
                break
        if not held and read < most:
            self._connection.execute("delete from lamplighter_parents_to_check where parent = ?", (parent_no,))
        elif (reached := held[0] if held else (child_no, place)) != after:
            self._connection.execute(
                "update lamplighter_parents_to_check set child = ?, place = ? where parent = ?", (*reached, parent_no)
            )
        return max(read, 1), bool(held)

    def _pass_on(self, parent: JobRecord, child: JobRecord, place: int, met: str | None) -> int:
        """Update one link to its parent's state, and its child with it; returns how many other links were read."""
        now_met = parent.state if links.has_ended(parent) else None
        if now_met == met:
            return 0
        if not child.is_linked:
            # The child no longer waits. Its open link is marked as met, so that it is not examined again.
            if met is None:
                self._meet(child.row_id, place, now_met)
            return 0
        if child.state in ENDED:
            revival = self._revive(child, parent)
            if revival is None:
                return 0
            child = revival
        self._meet(child.row_id, place, now_met)
        if now_met is None or not self._is_waiting(child) or links.is_open(self._connection, child.row_id):
            return 0
        return self._judge(child)[1] - 1

    def _is_waiting(self, child: JobRecord) -> bool:
        return child.is_linked and child.is_counted and child.state == JobState.QUEUED

    def _meet(self, child_no: int, place: int, met: str | None) -> None:
        self._connection.execute(
            "update lamplighter_links set met = ? where child = ? and place = ?", (met, child_no, place)
        )
        self._turn.has_open_links = self._turn.has_open_links or met is None

    def _judge(self, child: JobRecord) -> tuple[JobRecord, int]:
        """Decide about a job whose links are all met; returns the job, and how many links were read."""
        parents = [_ParentState._make(row) for row in self._connection.execute(PARENTS_OF, (child.row_id,))]
        again = [one for one in parents if one.state not in ENDED or one.move_no <= 0]
        for one in again:
            # A parent was queued again in this very turn, and its links were not examined yet.
            self._meet(child.row_id, one.place, None)
        if again:
            return child, len(parents)
        ended = fate((one.state, one.any_end) for one in parents)
        if ended == JobState.QUEUED:
            return self._free(child, parents), len(parents)
        if ended == JobState.DONE:
            cause = next(one for one in parents if one.any_end == FAILED_END)
            event, says = not_needed(cause.id, cause.name, len(parents))
        else:
            cause = next(one for one in parents if one.state == ended and not one.any_end)
            event, says = shared_fate(ended, cause.id, cause.name, len(parents))
        says["named"] = name_parents([(cause.id, cause.move_no, cause.any_end)])
        changes = {"reason": says["reason"], "ended_at": self._turn.now}
        return self._jobs.move_surely(child, event, says, changes), len(parents)

    def _free(self, child: JobRecord, parents: list[_ParentState]) -> JobRecord:
        named = name_parents([(one.id, one.move_no, one.any_end) for one in parents])
        while len(named) > NAMED_PARENTS_MAX:
            # One event names no more; earlier events name the others.
            self._turn.note({"k": "linked", "j": child.id, "n": child.name, "y": named[:NAMED_PARENTS_MAX]})
            named = named[NAMED_PARENTS_MAX:]
        waited = round(max(0.0, self._turn.now - child.queued_at), 6)
        says = {"parents": len(parents), "waited": waited, "named": named}
        return self._jobs.move_surely(child, "job.freed", says, freed(child, self._turn.now))

    def _revive(self, child: JobRecord, parent: JobRecord) -> JobRecord | None:
        """Let a job that shared its parents' fate wait for them again; None if another holds its key by now."""
        try:
            return self._waiting_again(child, parent.id)
        except KeyTaken:
            # The job stays as it is, and leaves for good.
            self._connection.execute("update lamplighter_jobs set waits = 0 where no = ?", (child.row_id,))
            (holder,) = key_holders(self._connection, [child], "unique_key").values()
            about = {"job_id": holder.id, "job_name": holder.name, "claim_no": holder.claim_no}
            more = {"attempt": holder.attempt, "asked_id": child.id, "unique_key": child.unique_key}
            self._turn.news.append(("job.deduplicated", {**about, **more}))
            return None

    def _waiting_again(self, child: JobRecord, parent_id: str) -> JobRecord:
        says = {"reason": f"{parent_id} was queued again", "parents": links.count(self._connection, child.row_id)}
        return self._jobs.requeue(child, self._turn.now, says)

    def _job(self, row_id: int) -> JobRecord | None:
        row = self._connection.execute(f"select {WHOLE} from lamplighter_jobs where no = ?", (row_id,)).fetchone()
        return None if row is None else JobRecord._make(row)
