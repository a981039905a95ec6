"""The life of a job by its store alone, without a log: its row, and its kept ended claims."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..history.trace.job import Biography
from ..history.trace.sentences import Entry
from ..messages.jobs import ENDED, Attempt, Instant, JobRecord, JobState
from ..messages.steps import StepsSeen
from ..rules.capabilities import needed
from ..rules.lifecycle import MOVES
from ..rules.validation import unknown_job
from ..rules.wording import Tone, brief, clock, many, span
from .inspector import inspector_of, readable_table

WHO = "the store"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLife:
    """A job as its store has it at one instant.

    Attributes:
        address: of the store, without a password.
        attempts: its kept ended claims: those that failed, timed out, or were interrupted by a death.
        because: why it waits, or how far it has come; nothing of a job that has ended.
    """

    address: str
    store_id: str
    job: JobRecord
    attempts: Sequence[Attempt]
    steps: StepsSeen
    because: Sequence[str]

    @property
    def title(self) -> str:
        """One line: the job, its end, its duration."""
        job = self.job
        took = "" if job.ended_at is None else f" after {span(job.ended_at - job.queued_at)}"
        counts = f"{many(job.claim_no, 'claim')}, attempt {job.attempt}"
        return f"job {job.id} ({job.name}): {job.state}{took}, {counts}; told by {self.address} alone"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All known entries in order, and at the end what is unknown."""
        before = sorted((*map(_ended_claim, self.attempts), *self._kept_steps()), key=lambda entry: entry.at or 0.0)
        return (_queued(self.job), *before, *self._standing(), _only_a_log(self))

    def _kept_steps(self) -> Iterator[Entry]:
        for one in self.steps.newest:
            says = f"{many(self.steps.kept, 'step')} kept, the last is {one.name}, by claim {one.claim_no}"
            yield _entry(one.at, says, step=one.name, steps=self.steps.kept, claim_no=one.claim_no)

    def _standing(self) -> Iterator[Entry]:
        job = self.job
        if job.state in ENDED:
            yield _end(job)
        elif job.state == JobState.RUNNING:
            says = f"claim {job.claim_no} taken by boot {str(job.boot)[:6]}"
            yield _entry(job.claimed_at, says, claim_no=job.claim_no, boot=job.boot)
        yield from (Entry(at=None, who=WHO, says=f"now: {says}", tone="warning") for says in self.because)

    def beside(self, told: Biography) -> tuple[Entry, ...]:
        """The facts that the store adds to the logs."""
        lines = [entry.said for entry in told.entries]
        stores = {said["store_id"] for said in lines if "store_id" in said}
        if stores and self.store_id not in stores:
            says = f"these logs tell of other stores; in {self.address} (store {self.store_id}): {self.title}"
            return (Entry(at=None, who="", says=says, tone="warning", begins=True), *self.entries)
        moves = [said for said in lines if "rev" in said and said.get("store_id") == self.store_id]
        ended = {
            said.get("claim_no") for said in lines if said.get("event") in MOVES and said["event"] != "job.claimed"
        }
        found = [
            *(_ended_claim(one) for one in self.attempts if one.claim_no not in ended),
            *self._kept_steps(),
            *([_agreement(self, moves[-1])] if moves else self._standing()),
            *(Entry(at=None, who=WHO, says=f"now: {says}", tone="warning") for says in self.because if moves),
        ]
        return (Entry(at=None, who="", says=f"{self.address} adds:", tone="plain", begins=True), *found)


def stored_life(address: str, job_id: str, now: Instant) -> StoredLife:
    """Read a job from a store's file, which others may be using, or which a process holds that stands still.

    Raises:
        UnknownJob: the store has no such job.
        StoreError, StoreUnavailable: it cannot be read.
    """
    because: Sequence[str] = ()
    with contextlib.closing(readable_table(address, "history")) as store:
        with store.snapshot() as seen:
            job = seen.jobs.known((job_id,)).get(job_id)
            if job is None:
                raise unknown_job(job_id, f" to {store.place.shown}")
            attempts = () if seen.table is None else seen.table.attempts(job_id)
            steps = StepsSeen(0, ()) if seen.table is None else seen.table.steps_seen(job.row_id, 1)
        if job.state not in ENDED:
            because = [why.sentence for why in inspector_of(store, now=lambda: now).why(job_id)]
        with needed(store.place.lives, "history")() as lives:
            store_id = lives.store_id()
    shown = store.place.shown
    return StoredLife(address=shown, store_id=store_id, job=job, attempts=attempts, steps=steps, because=because)


def _entry(at: Instant | None, says: str, tone: Tone = "plain", **said: Any) -> Entry:
    return Entry(at=at, who=WHO, says=says, tone=tone, said={"ts": at, **said})


def _queued(job: JobRecord) -> Entry:
    slot = "" if job.slot is None else f" for slot {clock(job.slot)} of schedule {job.schedule}"
    root = "" if job.root_id == job.id else f", descending from {job.root_id}"
    # Each retry sets it anew.
    is_first = not job.claim_no and job.run_at > job.queued_at
    due = f", due in {span(job.run_at - job.queued_at)}" if is_first else ""
    # A debounced job has the data of the last call, which has put it off: the store does not keep when.
    called = "" if job.debounce_key is None else f", as the last call with its debounce key {job.debounce_key!r} has it"
    return _entry(job.queued_at, f"queued{slot}, {many(len(job.data), 'byte')} of data{root}{due}{called}")


def _ended_claim(one: Attempt) -> Entry:
    how = one.outcome.replace("_", " ")
    counted = "" if one.outcome == "interrupted" else f", attempt {one.attempt},"
    error = f": {brief(one.error)}" if one.error else ""
    says = (
        f"claim {one.claim_no}{counted} {how} after {span(one.ended_at - one.claimed_at)} on boot {one.boot[:6]}{error}"
    )
    return _entry(one.ended_at, says, "warning", **asdict(one))


def _end(job: JobRecord) -> Entry:
    # A cancel or a mark as done ends no claim where the job has none.
    took = ""
    if _has_ended_by_claim(job) and job.claimed_at is not None and job.ended_at is not None:
        took = f" {span(job.ended_at - job.claimed_at)} after claim {job.claim_no} on boot {str(job.boot)[:6]}"
    because = "".join(f": {brief(text)}" for text in dict.fromkeys((job.reason, job.error)) if text)
    tone: Tone = "good" if job.state == JobState.DONE else "bad" if job.state == JobState.DEAD else "plain"
    return _entry(job.ended_at, f"{job.state}{took}{because}{_of_result(job)}", tone, state=job.state)


def _of_result(job: JobRecord) -> str:
    return f", a result of {many(len(job.result), 'byte')}" if job.result not in (None, "null") else ""


def _has_ended_by_claim(job: JobRecord) -> bool:
    return job.state in ENDED and job.boot is not None and 0 < job.claim_no == job.settled_no


def _agreement(life: StoredLife, last: dict[str, Any]) -> Entry:
    """Whether the job is in the state that the last logged move led to."""
    job = life.job
    stands = f"{job.state}, claim {job.claim_no}, attempt {job.attempt}"
    says: str
    tone: Tone
    if not job.is_counted:
        says, tone = (
            f"{stands}: an application's own transaction has moved it, and no turn has counted that yet",
            "plain",
        )
    elif job.move_no > last["rev"]:
        says, tone = (
            f"it has come further: {stands} by move {job.move_no}, and these logs tell {last['rev']}",
            "warning",
        )
    elif job.move_no < last["rev"]:
        says, tone = f"it has not come so far: {stands} by move {job.move_no}, and these logs tell {last['rev']}", "bad"
    elif (job.state, job.claim_no, job.attempt) == (last.get("to"), last.get("claim_no"), last.get("attempt", 0)):
        says, tone = f"it has the same: {stands} by move {job.move_no}", "good"
    else:
        told = f"{last.get('to')}, claim {last.get('claim_no')}, attempt {last.get('attempt', 0)}"
        says, tone = f"it disagrees: {stands} by move {job.move_no}, and these logs tell {told}", "bad"
    sizes = f"{many(len(job.data), 'byte')} of data{_of_result(job)}"
    return Entry(at=None, who=WHO, says=f"{says}; {sizes}", tone=tone)


def _only_a_log(life: StoredLife) -> Entry:
    job = life.job
    told = {one.claim_no for one in life.attempts}
    if job.state == JobState.RUNNING or _has_ended_by_claim(job):
        told.add(job.claim_no)
    missing = job.claim_no - len(told)
    claims = f"how {many(missing, 'claim')} ended, " if missing else ""
    says = f"only a log can tell {claims}when it was claimed, snoozed, put back or requeued, and what its function said"
    return Entry(at=None, who="", says=says, tone="quiet")
