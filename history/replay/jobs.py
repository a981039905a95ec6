"""The replay of jobs: where each one stands, and whether it may have come there.

The moves of one job are numbered, so each follows the one before it, in whichever order the logs are read: an early
move waits. On RabbitMQ the server may deliver a claimed job again. A claim then has the number of deliveries, and
follows the move that put the job into its queue; so two boots may have claimed and even ended one job. The moves of
such a job are judged at the end of the logs, by their numbers and the instants of their turns.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection

from ...messages.jobs import ENDED
from ..log_files.lines import Line, LoggedMove
from .findings import Findings, Kind, TooMuch, stretch
from .groups import EXACT_SECONDS, FOUND_MAX
from .links import LinkReplay
from .logged_moves import (
    AFTER,
    ANY_BOOT,
    BEFORE,
    OTHERS_KEPT_MAX,
    DoubtfulMove,
    ReplayedJob,
    ReplayedMove,
    Tangle,
    places_of,
    wrong_attempt,
)

FOUND_BY_CALLS = ("queued", "replaced")
"""The moves after which a job holds its key. Any other releases the key."""


def digest_after(move: LoggedMove, last: LoggedMove | None, digest: str | None, *, follows: bool) -> str | None:
    """The hash of a job's data after a move; None where it cannot be known.

    Args:
        last: the last logged move before it.
        digest: the hash after that one.
        follows: whether none lies between the two.
    """
    if last is None or move.k in FOUND_BY_CALLS:
        return move.d
    # A host transaction may have replaced its data and marked it done: only the end is logged.
    may_be_other = last.until is not None and (move.k == "done" or not follows)
    return None if may_be_other else digest


ENDED_KEPT_MAX = 20_000

WAITING_JOBS_MAX = 100_000
"""Jobs with moves that wait for earlier ones. Beyond that, the oldest of them began before the log."""

UNSEEN = ("claimed", "replaced", "freed", "woken", "doomed")
"""No untold moves on a server: it says what it has delivered, and no job there waits for others or has other data."""


class JobReplay:
    """Replays the moves of the jobs of one store.

    Attributes:
        redelivers: whether the store may deliver a job again, as a RabbitMQ.
        waiting: by job, moves that wait for an earlier one, by their numbers.
        repeated: jobs that have ended twice, because the server had delivered them again.
        put_off: calls that have put a debounced job off for too long.
    """

    def __init__(self, findings: Findings) -> None:
        self.redelivers = False
        self.open: dict[str, ReplayedJob] = {}
        self.ended: OrderedDict[str, ReplayedJob] = OrderedDict()
        self.waiting: OrderedDict[str, list[ReplayedMove]] = OrderedDict()
        self.born = 0
        self.moves = 0
        self.evicted = 0
        self.pruned = 0
        self.in_state: Counter[str] = Counter()
        self.headless = 0
        self.repeated: set[str] = set()
        # None once they are replayed, at the end of the logs.
        self._tangles: dict[str, Tangle] | None = {}
        # Jobs queued twice because their parent was redelivered and ran twice. A process that was killed may have
        # queued one of them without logging it.
        self._queued_twice: set[str] = set()
        # The time at which a boot's job was last given to another boot.
        self.bereft: dict[str, ReplayedMove] = {}
        # Impossible moves: on a server, unless a connection was lost or a process has died; in a file, unless turns are
        # missing, in which the job may have been removed and born again.
        self.doubtful: list[DoubtfulMove] = []
        # Jobs whose ids were used again before their removal was logged.
        self._born_again: list[tuple[ReplayedJob, ReplayedMove]] = []
        self._told_twice: set[str] = set()
        # The number of the move by which a handler returned, where the claim is not logged yet.
        self._deferred: dict[str, int] = {}
        self._findings = findings
        self.links = LinkReplay(findings, self._end_of)
        self.put_off: list[TooMuch] = []
        self.on_birth: Callable[[ReplayedMove], None] = lambda step: None

    def hear(self, step: ReplayedMove) -> None:
        self.moves += 1
        if not self._is_tangled(step):
            self._hear(step)

    def _hear(self, step: ReplayedMove) -> None:
        move = step.move
        job = self.get(move.j)
        if job is None:
            if move.r == 1 and not move.p:
                self._enter(None, step)
            elif move.f in ENDED and self.evicted:
                # It had ended so long ago that it was forgotten.
                self.evicted -= 1
                self.born -= 1
                self.in_state[move.f] -= 1
                self._adopt(step)
            else:
                self._wait(step)
        elif self._follows(job, step):
            self._enter(job, step)
        elif move.r <= job.move_no and (self.redelivers or job.state not in ENDED or move.r == 1):
            self._again(job, step)
        else:
            self._wait(step)

    def defer(self, move: LoggedMove) -> None:
        """The handler of a running job has returned, and the job lives on without its boot."""
        job = self.get(move.j)
        if job is not None and job.move_no == move.r:
            job.is_deferred = True
        elif job is None or job.move_no < move.r:
            self._deferred[move.j] = move.r

    def get(self, job_id: str) -> ReplayedJob | None:
        return self.open.get(job_id) or self.ended.get(job_id)

    def settle(self, *, may_be_missing: bool, kept: Collection[tuple[str, int]] = ()) -> None:
        """No further move will come: waiting moves follow moves that are missing.

        Args:
            may_be_missing: whether earlier moves may have been logged elsewhere.
            kept: moves that are stored and not logged yet: (job id, move number).
        """
        self._disentangle()
        for job_id in list(self.waiting):
            self._settle(job_id, may_be_missing=may_be_missing, kept=kept)
        for job, step in self._born_again if not self.pruned else ():
            self._say_twice(job, step)
        self._born_again.clear()
        self.links.settle(self._told_twice)

    def _is_tangled(self, step: ReplayedMove) -> bool:
        """Whether a move is kept for the end, because its job may have taken several paths at once."""
        move = step.move
        if not self.redelivers or self._tangles is None:
            return False
        tangle = self._tangles.get(move.j)
        if tangle is None:
            job = self.get(move.j)
            parent = None if job is None else self._parent(job, step)
            is_odd = (parent is not None and self._wrong(parent, step)) or (job is not None and move.r <= job.move_no)
            if not (move.p or is_odd):
                return False
            tangle = self._tangles[move.j] = self._tangle(move.j, job)
        tangle.steps.append(step)
        return True

    def _tangle(self, job_id: str, job: ReplayedJob | None) -> Tangle:
        *later, start = (job, *job.others) if job is not None else (None,)
        if self.open.pop(job_id, None) is None and self.ended.pop(job_id, None) is not None and job is not None:
            self.in_state[job.state or ""] -= 1
        steps = [one.step for one in reversed(later) if one is not None]
        return Tangle(start, [*steps, *self.waiting.pop(job_id, ())])

    def _disentangle(self) -> None:
        """Replay the moves of each tangled job by their numbers, and by the instants of their turns."""
        tangles, self._tangles = self._tangles or {}, None
        again = {job_id for job_id, tangle in tangles.items() if any(move.p for move in tangle.moves)}
        for job_id, (start, steps) in tangles.items():
            if any(move.q in again for move in tangles[job_id].moves):
                self._queued_twice.add(job_id)
            if start is not None:
                self._keep(job_id, start)
            for step in sorted(steps, key=lambda step: (step.move.r, step.at)):
                self._hear(step)

    def _wait(self, step: ReplayedMove) -> None:
        self.waiting.setdefault(step.move.j, []).append(step)
        if len(self.waiting) > WAITING_JOBS_MAX:
            self._settle(next(iter(self.waiting)), may_be_missing=True)

    def _parent(self, job: ReplayedJob, step: ReplayedMove) -> ReplayedJob | None:
        """The place from which a move goes on; None if no known place fits."""
        move = step.move
        base = move.r - 1 - move.p
        if not job.others:
            return job if job.move_no == base else None
        fits = [one for one in (job, *job.others) if one.move_no == base]
        claim_no = move.c - (1 + move.p if move.k == "claimed" else 0)
        likely = [one for one in fits if (one.state, one.claim_no) == (move.f, claim_no)]
        # Two boots may hold one claim number, if two processes have queued the job.
        own = [one for one in likely if one.boot == (move.b or step.boot)]
        return next(iter((*own, *likely, *fits)), None)

    def _follows(self, job: ReplayedJob, step: ReplayedMove) -> bool:
        """Whether a move goes on from a known place.

        In a file, a move that does not continue an end may belong to the next life of the id, whose birth is logged
        late.
        """
        parent = self._parent(job, step)
        return parent is not None and (self.redelivers or parent.state not in ENDED or parent.state == step.move.f)

    def _drain(self, job_id: str) -> None:
        """Replay the waiting moves that may follow now."""
        while (steps := self.waiting.get(job_id)) is not None:
            job = self.get(job_id)
            step = next((one for one in steps if job is not None and self._follows(job, one)), None)
            if job is None or step is None:
                return
            self._unwait(job_id, step)
            if not self._is_tangled(step):
                self._enter(job, step, drain=False)

    def _unwait(self, job_id: str, step: ReplayedMove) -> None:
        steps = self.waiting[job_id]
        steps.remove(step)
        if not steps:
            del self.waiting[job_id]

    def _settle(self, job_id: str, *, may_be_missing: bool, kept: Collection[tuple[str, int]] = ()) -> None:
        while job_id in self.waiting:
            step = min(self.waiting[job_id], key=lambda one: one.move.r)
            self._unwait(job_id, step)
            job = self.get(job_id)
            if job is not None and self._parent(job, step) is not None:
                self._enter(job, step)
                continue
            if job is not None and step.move.r <= job.move_no:
                self._again(job, step)
                continue
            known = 0 if job is None else job.move_no
            missing = range(known + 1, step.move.r)
            is_kept = bool(missing) and all((job_id, number) in kept for number in missing)
            if not (is_kept or may_be_missing):
                what = f"{stretch('move', known + 1, step.move.r - 1)} told by no line"
                says = f"job {job_id}: {what if missing else 'it follows nothing'}"
                untold = self._untold(job, step) if self.redelivers else None
                self._say("missing moves", says, step, job, untold=untold)
                job = untold or job
            self.headless += job is None and not is_kept
            self._adopt(step, job)
            self._drain(job_id)

    def _enter(self, job: ReplayedJob | None, step: ReplayedMove, *, drain: bool = True) -> None:
        move = step.move
        before = None if job is None else self._parent(job, step)
        wrong = self._wrong_birth(move) if before is None else self._wrong(before, step)
        if wrong is not None:
            kind, says = wrong
            is_doubtful = before is not None and before.state in ENDED
            untold = self._untold(job, step) if self.redelivers else None
            self._say(kind, f"job {move.j}: {says}", step, before, untold=untold, is_doubtful=is_doubtful)
            job = untold or job
        if job is not None and self.redelivers and AFTER[move.k] in ENDED:
            self._note_ends(job, step)
        self._adopt(step, job, before)
        if before is None:
            self.born += 1
            self.on_birth(step)
        if drain:
            self._drain(move.j)

    def _note_ends(self, job: ReplayedJob, step: ReplayedMove) -> None:
        """A redelivered job may end twice; any other only after a requeue."""
        known = (job, *job.others)
        again = {one.move_no - 1 for one in known if one.is_requeued}
        end = next((one for one in known if one.state in ENDED and one.move_no not in again), None)
        if end is None:
            return
        self.repeated.add(step.move.j)
        was_delivered_again = any(one.step.move.p for one in known)
        if not was_delivered_again and step.move.j not in self._queued_twice:
            says = f"job {step.move.j}: it ended by claim {end.claim_no}, and again by claim {step.move.c}"
            self._say("finished twice", says, step, end)

    def _adopt(self, step: ReplayedMove, job: ReplayedJob | None = None, before: ReplayedJob | None = None) -> None:
        move = step.move
        if job is None and before is None and move.r != 1:
            self.born += 1
        state = AFTER[move.k]
        boot = step.boot if move.k == "claimed" else ""
        earlier = before or job
        last, data = (None, None) if earlier is None else (earlier.step.move, earlier.digest)
        data = digest_after(move, last, data, follows=before is not None)
        known = ReplayedJob(state, move.r, move.c, move.a, move.n, boot, step, data)
        # Where moves are missing, one of them may have freed it.
        known.waits_for = self.links.hear(move, None if before is None else before.waits_for, step.line)
        known.end = (move.r, state) if state in ENDED else None if earlier is None else earlier.end
        if self.redelivers and job is not None:
            known.others = places_of(job)
            for one in (job, *job.others) if move.k == "claimed" and move.p else ():
                if one.state == "running" and one.boot != step.boot and one.move_no < move.r:
                    latest = self.bereft.get(one.boot, step)
                    self.bereft[one.boot] = max(latest, step, key=lambda told: told.line.ts)
        if self._deferred.get(move.j) == move.r:
            known.is_deferred = bool(self._deferred.pop(move.j))
        self.open.pop(move.j, None)
        self.ended.pop(move.j, None)
        if job is not None and job.state in ENDED:
            self.in_state[job.state] -= 1
        self._keep(move.j, known)

    def _keep(self, job_id: str, job: ReplayedJob) -> None:
        if job.state not in ENDED:
            self.open[job_id] = job
            return
        self.in_state[job.state or ""] += 1
        self.ended[job_id] = job
        if len(self.ended) > ENDED_KEPT_MAX:
            self.ended.popitem(last=False)
            self.evicted += 1

    def _end_of(self, job_id: str) -> tuple[int, str] | None:
        job = self.get(job_id)
        return None if job is None else job.end

    def _again(self, job: ReplayedJob, step: ReplayedMove) -> None:
        """A repeated number: a new life, another delivery, or an impossible move."""
        move = step.move
        if self.redelivers:
            if move.k == "queued":
                self._queued_twice.add(move.j)
                self.on_birth(step)
                return
            says = f"job {move.j}: {move.k} by claim {move.c} follows nothing that is told"
            self._say("illegal transition", says, step, job, untold=self._untold(job, step))
            return
        if move.k == "queued" and move.r == 1 and job.state in ENDED:
            # Retention had removed it, so the id was free again. That turn may be logged later than this one.
            if not self.pruned:
                self._born_again.append((job, step))
            self.ended.pop(move.j, None)
            self._enter(None, step)
            return
        self._say_twice(job, step)

    def _say_twice(self, job: ReplayedJob, step: ReplayedMove) -> None:
        self._told_twice.add(step.move.j)
        is_end = AFTER[step.move.k] in ENDED and job.state in ENDED
        says = f"job {step.move.j}: its move {step.move.r} is told by two turns"
        self._say("finished twice" if is_end else "told twice", says, step, job, is_doubtful=True)

    def _wrong_birth(self, move: LoggedMove) -> tuple[Kind, str] | None:
        if move.k != "queued" or move.f is not None:
            return "illegal transition", f"its first move is {move.k} from {move.f or 'nothing'}"
        if move.c or move.a:
            return "illegal transition", f"expected a new job with claim 0 and attempt 0, got: {move.c} and {move.a}"
        return None

    def _wrong(self, job: ReplayedJob, step: ReplayedMove) -> tuple[Kind, str] | None:
        """Why a job cannot have made this move from here; None when it can."""
        move = step.move
        if move.f != job.state or move.f not in BEFORE[move.k]:
            again = job.state in ENDED and AFTER[move.k] in ENDED
            says = f"it was {job.state}, and {move.k} says from {move.f or 'nothing'}"
            return "finished twice" if again else "illegal transition", says
        if move.n != job.name:
            return "illegal transition", f"expected a job of {job.name}, got: {move.n}"
        if job.waits_for and move.k == "claimed":
            return "started too soon", f"it was claimed, and nobody has freed it: it waits for {job.waits_for} jobs"
        if job.waits_for == 0 and move.k in ("freed", "doomed"):
            return "illegal transition", f"it waits for nobody, and {move.k} says that it has"
        claim_no = job.claim_no + (1 + move.p if move.k == "claimed" else 0)
        if move.c != claim_no:
            kind: Kind = "fence going back" if move.c < claim_no else "illegal transition"
            return kind, f"expected {move.k} by claim {claim_no}, got: claim {move.c}"
        wrong = wrong_attempt(job.attempt, move)
        if wrong is None and move.k == "replaced":
            wrong = self._wrong_call(job.step.move, move, step.line)
        if wrong is not None:
            return "illegal transition", wrong
        holder = move.b or step.boot
        # A host transaction may have ended it; the first turn that sees it logs it.
        if job.state == "running" and job.boot not in ("", holder) and not (move.k == "done" and move.o is None):
            return "illegal transition", f"boot {job.boot} held it, and {move.k} ends a claim of boot {holder}"
        return None

    def _wrong_call(self, last: LoggedMove, move: LoggedMove, line: Line) -> str | None:
        """Why a debounced call cannot have found a job whose last move is this; None when it can."""
        if last.k not in FOUND_BY_CALLS or last.until is None:
            return f"its data were replaced, and it held no debounce key any more after {last.k}"
        latest = last.until if move.until is None else move.until
        if latest > last.until + EXACT_SECONDS or (move.u or 0.0) > latest + EXACT_SECONDS:
            says = f"job {move.j}: it was due at {last.until} at the latest, and a call has put it off until {move.u}"
            if latest > last.until + EXACT_SECONDS:
                says += f", or {latest} at the latest"
            if len(self.put_off) < FOUND_MAX:
                self.put_off.append(TooMuch(says, line))
        return None

    def _say(
        self,
        kind: Kind,
        says: str,
        step: ReplayedMove,
        before: ReplayedJob | None,
        *,
        untold: ReplayedJob | None = None,
        is_doubtful: bool = False,
    ) -> None:
        """Report what is wrong; on a server later, when it is known which processes had died.

        Args:
            before: the place that the step was compared with.
            untold: the place before the step after one unlogged move.
        """
        if self.redelivers or is_doubtful:
            by = None if untold is None else untold.boot
            self.doubtful.append(DoubtfulMove(kind, says, step, None if before is None else before.step, by))
        else:
            self._findings.say(kind, says, None if before is None else before.step.line, step.line)

    def _untold(self, job: ReplayedJob | None, step: ReplayedMove) -> ReplayedJob | None:
        """The place after one unlogged move, if a step follows it, with the boot of that move or `ANY_BOOT`."""
        move = step.move
        base = move.r - 1 - move.p
        if job is None:
            born = ReplayedJob("queued", 1, 0, 0, move.n, ANY_BOOT, step)
            return born if base == 1 and self._wrong(born, step) is None else None
        known = (job, *job.others)
        for one in known:
            if one.move_no != base - 1:
                continue
            for kind, after in AFTER.items():
                # An untold claim is no move that is missing: the server says that it had delivered the job. And nobody
                # can requeue what waits in its queue.
                if kind in UNSEEN or after != move.f or after == one.state or one.state not in BEFORE[kind]:
                    continue
                by = one.boot if one.state == "running" else ANY_BOOT
                for attempt in {0 if kind == "requeued" else one.attempt, one.attempt + (one.state == "running")}:
                    led = ReplayedJob(
                        after, base, one.claim_no, attempt, one.name, by, one.step, others=known[:OTHERS_KEPT_MAX]
                    )
                    if self._wrong(led, step) is None:
                        return led
        return None
