"""Whether the store and the log say the same, and the view of the store that this needs."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...messages.jobs import ENDED, JobState
from ...rules.capabilities import needed
from ...rules.codec import digest
from ...rules.wording import many
from ...stores.opening import place_of
from ...stores.stored_lives import StoredJob, StoredLives, StoredSlots
from ..replay.findings import GIVEN_UP, Findings, Kind, named
from ..replay.logged_moves import ReplayedJob
from ..replay.replay import Replay, StoreReplay


class StoreView:
    """A store, looked at now for how far it has come, and again when the log has been read.

    So what the store does while the log is read is no finding.

    Args:
        store: as `Runtime` takes it, or what reads it.

    Raises:
        StoreError, StoreUnavailable: it is no store, or cannot be read.
    """

    def __init__(self, store: Any) -> None:
        self._read = store if callable(store) else place_of(store).lives
        self._slots: dict[str, list[StoredSlots]] | None = None
        with self.read() as reading:
            self.store_id = reading.store_id()
            self.turns = {boot.boot: boot.turn for boot in reading.boots()}
            self.boots_wanted = reading.boot_no()

    def read(self) -> StoredLives:
        lives: StoredLives = needed(self._read, "history")()
        return lives

    def accounts_for(self, schedule: str, slot: float) -> bool:
        if self._slots is None:
            self._slots = {}
            with self.read() as reading:
                for entry in reading.slots():
                    self._slots.setdefault(entry.schedule, []).append(entry)
        entries = self._slots.get(schedule, [])
        index = bisect_right(entries, slot, key=lambda entry: entry.slot) - 1
        return index >= 0 and slot <= entries[index].last


DISAGREES: Kind = "disagreement with the store"


class Kept(NamedTuple):
    """Turns and moves that need no line yet, because the store keeps them until somebody has logged them.

    Attributes:
        turns: (boot, turn number).
        moves: (job id, move number).
    """

    turns: frozenset[tuple[str, int]] = frozenset()
    moves: frozenset[tuple[str, int]] = frozenset()


def compare(replay: Replay, store: StoreReplay, view: StoreView) -> Kept:
    """Compare boots, jobs and remembered slots. Returns what need not be logged yet."""
    with contextlib.closing(view.read()) as stored:
        check = _Check(replay, store, view, stored)
        check.boots()
        check.jobs()
        _compare_slots(store, replay.findings, stored)
        return check.kept


class _Check:
    def __init__(self, replay: Replay, store: StoreReplay, view: StoreView, stored: StoredLives) -> None:
        self._replay = replay
        self._findings = replay.findings
        self._store = store
        self._view = view
        self._stored = stored
        rows = list(stored.boots())
        kept = [turn for row in rows for turn in row.unlogged]
        # The removal of a job has no number among its moves.
        of_jobs = [move for turn in kept for move in turn.moves if "r" in move]
        moves = [(str(move["j"]), int(move["r"])) for move in of_jobs]
        self.kept = Kept(frozenset((turn.boot, turn.turn) for turn in kept), frozenset(moves))
        self._kept_jobs = {job_id for job_id, _ in moves}
        # The store goes on while the log is read.
        self._is_live = any(row.turn > view.turns.get(row.boot, 0) for row in rows)
        self._rows = rows

    def boots(self) -> None:
        """No boot may have logged more than the store knows; what it is known to have done must be logged."""
        for row in self._rows:
            boot = self._replay.boots.get(row.boot)
            wanted = self._view.turns.get(row.boot, 0)
            if boot is None:
                if wanted and not all((row.boot, turn) in self.kept.turns for turn in range(1, wanted + 1)):
                    says = f"boot {row.boot} has come to turn {wanted} in the store, and no line is of it"
                    self._findings.say("missing boot", says)
                continue
            if boot.turns.last > row.turn:
                says = f"the log tells turn {boot.turns.last} of boot {row.boot}, and the store has {row.turn} only"
                self._findings.say(DISAGREES, says, boot.line)
            if boot.line is not None and boot.turns:
                boot.come_to(wanted, boot.line)

    def jobs(self) -> None:
        store, jobs, found = self._store, self._store.jobs, set[str]()
        steps: defaultdict[str, set[str]] = defaultdict(set)
        for job_id, name in self._stored.steps():
            steps[job_id].add(name)
        ahead: list[tuple[StoredJob, ReplayedJob | None]] = []
        ended, store.stored_unfinished = 0, 0
        for row in self._stored.jobs():
            job = jobs.get(row.id)
            found.add(row.id) if row.id in jobs.open else None
            ended += row.state in ENDED
            store.stored_unfinished += row.state not in ENDED
            if not row.is_counted or row.id in self._kept_jobs or row.id in jobs.waiting:
                continue
            if job is None or row.move_no > job.move_no:
                if job is not None or not self._may_be_unknown(row):
                    ahead.append((row, job))
                continue
            self._compare(row, job)
            if row.move_no == job.move_no:
                self._compare_steps(row, job, steps.get(row.id, set()))
        self._say_ahead(ahead)
        for job_id, job in jobs.open.items():
            if job_id not in found and not self._may_be_gone():
                says = f"job {job_id} was {job.state}, and the store has no such job"
                self._findings.say("lost", says, job.step.line)
        for job_id, boot in self._stored.orphans():
            running = jobs.open.get(job_id)
            says = f"job {job_id} is running for boot {boot}, which is not on the store; the next start takes it back"
            self._findings.say("orphan", says, running.step.line if running else None)
        for job_id in self._stored.left_waiting():
            waiting = jobs.open.get(job_id)
            says = f"job {job_id} waits for others, all of which have ended in the store, and nothing is to free it"
            self._findings.say("left waiting", says, waiting.step.line if waiting else None)
        gone = len(jobs.ended) + jobs.evicted - ended
        if gone > jobs.pruned and not self._may_be_gone():
            are, rows = "is" if gone == 1 else "are", many(jobs.pruned, "row")
            says = f"{many(gone, 'ended job')} {are} not in the store any more, and retention has removed {rows}"
            self._findings.say(DISAGREES, says)

    def _compare(self, row: StoredJob, job: ReplayedJob) -> None:
        told = (job.name, job.state, job.move_no, job.claim_no, job.attempt)
        if (row.name, row.state, row.move_no, row.claim_no, row.attempt) == told:
            for what in _differences(row, job):
                self._findings.say(DISAGREES, f"job {row.id}: the store has {what}", job.step.line)
            return
        if (row.move_no != job.move_no or self._store.jobs.pruned) and self._has_holes:
            # A missing turn is found by its number. It may have removed this job, and told of the birth of another.
            return
        says = (
            f"job {row.id}: the store has {row.name}, {row.state}, claim {row.claim_no}, attempt {row.attempt}, "
            f"move {row.move_no}; "
            f"the log has {job.name}, {job.state}, claim {job.claim_no}, attempt {job.attempt}, move {job.move_no}"
        )
        self._findings.say(DISAGREES, says, job.step.line)

    def _compare_steps(self, row: StoredJob, job: ReplayedJob, stored: set[str]) -> None:
        """Each stored step of a job is logged, and each logged step is stored until the job is done."""
        if row.state == JobState.DONE:
            if stored:
                steps = many(len(stored), "step")
                says = f"job {row.id} is done, and the store has {steps} of it: {named(sorted(stored))}"
                self._findings.say(DISAGREES, says, job.step.line)
            return
        told = self._store.steps.kept(row.id)
        if not self._store.steps.is_sure(row.id) or self._may_be_gone():
            return
        for name in sorted(told.keys() - stored):
            says = f"job {row.id}: step {name!r} was kept, and the store has no such step"
            self._findings.say("lost step", says, told[name].line)
        for name in sorted(stored - told.keys()):
            says = f"job {row.id}: the store has step {name!r}, and no line tells of it"
            self._findings.say(DISAGREES, says, job.step.line)

    def _may_be_unknown(self, row: StoredJob) -> bool:
        """Whether a job may be none that this log tells of: it began before it, or ended long ago."""
        return self._is_headless or (row.state in ENDED and self._store.jobs.evicted > 0)

    def _may_be_gone(self) -> bool:
        """Whether the log may not tell how a job ended, or that it was removed: the log is incomplete."""
        return self._is_live or self._is_headless or self._is_open or self._has_holes

    @property
    def _is_headless(self) -> bool:
        store = self._store
        return min(store.numbers, default=1) > 1 or any(boot.is_headless for boot in store.boots.values())

    @property
    def _is_open(self) -> bool:
        """Whether the store has come further than the log."""
        return self._view.boots_wanted > max(self._store.numbers, default=0) or any(
            row.boot in self._replay.boots and row.turn > self._replay.boots[row.boot].turns.last for row in self._rows
        )

    @property
    def _has_holes(self) -> bool:
        """Whether turns are missing between those that the log tells, or lines that the log itself says were lost."""
        return any(
            boot.turns.pieces > 1 or boot.turns.first > 1 or boot.dropped > 0 for boot in self._store.boots.values()
        )

    def _say_ahead(self, ahead: list[tuple[StoredJob, ReplayedJob | None]]) -> None:
        """Report once the moves that the store knows and no line tells: one cut causes many of them."""
        if not ahead or self._is_live:
            return
        row, job = ahead[0]
        known = "no line" if job is None else f"move {job.move_no}"
        says = f"the store has come further with {many(len(ahead), 'job')}, as with {row.id}: {row.state} by move "
        says += f"{row.move_no}, and the log has {known}"
        boots = [boot for boot in self._store.boots.values() if boot.turns]
        # A boot that has left the store has logged its stop, or another has logged that it was found dead.
        cut = [boot.name for boot in boots if boot.ended is None and boot.name not in self._view.turns]
        if cut:
            says += f". Boot {named(cut)} has ended since its last line: the rest of its log is missing, or was never "
            says += "written, as on a full disk"
        holed = [boot for boot in boots if boot.misses_turns]
        excused = any(boot.dropped for boot in holed)
        kind: Kind = "missing moves" if job is not None or self._is_open or cut or holed else "orphan"
        line = None if job is None else job.step.line
        self._findings.say(kind, says + (GIVEN_UP if excused else ""), line, excused=excused)


def _differences(row: StoredJob, job: ReplayedJob) -> Iterator[str]:
    if job.digest is not None and digest(row.data) != job.digest:
        yield f"data with the hash {digest(row.data)}, and it was queued with {job.digest}"
    move = job.step.move
    if row.state != "queued" or row.due_at is None:
        return
    if move.u is not None and row.due_at != move.u:
        yield f"it due at {row.due_at}, and the log at {move.u}"
    elif move.u is None and move.k == "queued" and row.due_at > job.step.at:
        yield f"it due at {row.due_at}, and the log at once"


def _compare_slots(store: StoreReplay, findings: Findings, stored: StoredLives) -> None:
    kept = {name: schedule.fired for name, schedule in store.slots.schedules.items() if schedule.fired}
    for entry in stored.slots():
        fired = kept.get(entry.schedule)
        if fired is None or entry.job_id is None or entry.slot not in fired:
            continue
        job_id, step = fired[entry.slot]
        if job_id != entry.job_id:
            says = f"slot {entry.slot} of schedule {entry.schedule} has job {entry.job_id} in the store, {job_id} here"
            findings.say(DISAGREES, says, step.line)
