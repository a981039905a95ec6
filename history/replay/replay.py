"""One replay of all logs: boots, their logged turns, and the state of jobs, slots and stores.

Lines come one at a time, in any order. Lines and turns are numbered by their boot, boots by their store, moves by their
job. So gaps show wherever the rest is read, and memory follows the number of open jobs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ...log.events import EVENTS, MOVE_KINDS
from ...messages.boots import FORMAT
from ...messages.jobs import ENDED
from ...rules.codec import checksum
from ...rules.wording import many
from ..log_files.lines import Line
from .boots import BootReplay
from .findings import Findings
from .groups import OVERLAP_SECONDS, GroupReplay, RateReplay
from .jobs import ENDED_KEPT_MAX, JobReplay
from .links import FollowUpReplay
from .logged_moves import AFTER, DoubtfulMove, ReplayedMove, TurnLines
from .slots import SlotReplay

NOTHING: Mapping[str, ReplayedMove] = {}


@dataclass(slots=True)
class Shortfall:
    """A move that names more kept steps than were logged by then.

    Attributes:
        said: how many it names.
        told: how many were logged.
    """

    move: ReplayedMove
    said: int
    told: int


class StepReplay:
    """The replay of steps that are kept: each once, by the claim that runs, until its job is done or begins afresh."""

    def __init__(self, findings: Findings, jobs: JobReplay) -> None:
        self._findings = findings
        self._jobs = jobs
        # By job, the steps that are kept now.
        self._kept: dict[str, dict[str, ReplayedMove]] = {}
        # Jobs of which a step was told before the moves that it follows.
        self._unsure: set[str] = set()
        self._short: defaultdict[str, list[Shortfall]] = defaultdict(list)

    def hear(self, told: ReplayedMove) -> None:
        """Replay a step, or a signal, which no claim keeps. One that is logged before its claim, or after its end, is
        not judged; an impossible one is doubtful, because where turns are missing the job may have been removed and
        born again.
        """
        move = told.move
        if len(self._kept) + len(self._unsure) > 2 * (ENDED_KEPT_MAX + len(self._jobs.open)):
            self._forget_the_forgotten()
        job, holder = self._jobs.get(move.j), move.b or told.boot
        is_of_holder = job is not None and (job.state, job.claim_no, job.boot) == ("running", move.c, holder)
        if job is None or move.step is None or not (is_of_holder or job.move_no == move.r):
            self._misplaced(told, is_late=job is not None and move.r < job.move_no)
            return
        if move.k == "signalled":
            if job.state in ENDED:
                says = f"job {move.j}: {move.step!r} is sent after move {move.r}, by which it is {job.state}"
                self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, job.step, None))
        elif not is_of_holder or (job.move_no, job.name) != (move.r, move.n):
            says = (
                f"job {move.j}: step {move.step!r} is kept by claim {move.c} of boot {holder} after move {move.r} "
                f"of a job of {move.n}, and the job of {job.name} is {job.state} by move {job.move_no}, "
                f"claim {job.claim_no}"
            )
            self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, job.step, None))
        kept = self._kept.setdefault(move.j, {})
        earlier = kept.setdefault(move.step, told)
        if earlier is not told:
            says = f"job {move.j}: step {move.step!r} is kept by claim {earlier.move.c}, and again by claim {move.c}"
            self._jobs.doubtful.append(DoubtfulMove("step twice", says, told, earlier, None))

    def move(self, told: ReplayedMove) -> None:
        """Replay a move of a job, before the replay of jobs does: steps go with an end as done, and begin anew with a
        birth or with a requeue that says so.
        """
        move = told.move
        if move.k == "woken" and self.is_sure(move.j) and move.step not in self._kept.get(move.j, NOTHING):
            says = f"job {move.j}: it was woken by {move.step!r}, which nobody has sent"
            self._jobs.doubtful.append(DoubtfulMove("step by a stale claim", says, told, None, None))
        if not (move.k == "done" or move.k == "queued" or (move.k == "requeued" and move.steps)):
            return
        job, removed = self._jobs.get(move.j), move.steps or 0
        is_sure = job is not None and job.move_no == move.r - 1 and self.is_sure(move.j)
        kept = self._kept.pop(move.j, NOTHING)
        if move.k != "queued" and is_sure and removed != len(kept):
            self._short[move.j].append(Shortfall(told, removed, len(kept)))

    def finish(self) -> None:
        for job_id, shortfalls in self._short.items():
            for short in shortfalls:
                if short.told != short.said:
                    steps, are = many(short.said, "step"), "is" if short.told == 1 else "are"
                    what = f"job {job_id} is {short.move.move.k}, which says that {steps} went with it"
                    self._findings.say("lost step", f"{what}, and {short.told} {are} told", short.move.line)

    def forget(self, job_id: str) -> None:
        self._kept.pop(job_id, None)
        self._unsure.discard(job_id)

    def is_sure(self, job_id: str) -> bool:
        """Whether all logged steps of a job were read: those of a job that began before the log may be missing."""
        job = self._jobs.get(job_id)
        return job is not None and job.digest is not None and job_id not in self._unsure

    def kept(self, job_id: str) -> Mapping[str, ReplayedMove]:
        return self._kept.get(job_id, NOTHING)

    def _misplaced(self, told: ReplayedMove, *, is_late: bool) -> None:
        job_id = told.move.j
        for short in self._short.get(job_id, ()) if is_late else ():
            if short.move.move.r > told.move.r:
                short.told += 1
                return
        self._unsure.add(job_id)

    def _forget_the_forgotten(self) -> None:
        """Forget jobs that have ended long ago, so that memory follows the number of open ones."""
        self._kept = {job_id: kept for job_id, kept in self._kept.items() if self._jobs.get(job_id) is not None}
        self._unsure = {job_id for job_id in self._unsure if self._jobs.get(job_id) is not None}


OTHER_KINDS = frozenset(MOVE_KINDS) - AFTER.keys()
"""Kinds of moves that are no job's."""


LEDGER_LEVEL = EVENTS["turn.committed"].level
OTHER_LEVELS = sorted({kind.level for kind in EVENTS.values()} - {LEDGER_LEVEL})
"""Levels that a line of the ledger never has. A host's formatter may have words of its own for levels, so no checksum
covers them."""


def sum_of(line: Line) -> int:
    """The checksum that a line of the ledger must have, by what it says: docs/events.md has the rule."""
    boot = line.of or line.boot
    told = (line.v, line.store_id, boot, line.boot_no, line.turn, line.at, line.part, line.parts, line.moves)
    return checksum((line.event, line.boot, line.seq, line.actor, line.incarnation), checksum(told))


@dataclass(slots=True)
class Burial:
    boot: str
    last_turn: int
    line: Line


class StoreReplay:
    """The history of one store.

    Attributes:
        numbers: its boots, by their numbers.
        buried: those that were found dead, by their numbers.
    """

    def __init__(self, store_id: str, findings: Findings) -> None:
        self.store_id = store_id
        self.jobs = JobReplay(findings)
        self.slots = SlotReplay(findings)
        self.steps = StepReplay(findings, self.jobs)
        self.rates = RateReplay()
        self.groups = GroupReplay()
        self.jobs.on_birth = self.slots.fired
        self.boots: dict[str, BootReplay] = {}
        self.numbers: dict[int, BootReplay] = {}
        self.buried: dict[int, Burial] = {}
        # How many unfinished jobs the store still has, where it was compared.
        self.stored_unfinished: int | None = None

    @property
    def redelivers(self) -> bool:
        return self.jobs.redelivers

    def be_redelivering(self) -> None:
        self.jobs.redelivers = self.slots.redelivers = True


class Replay:
    def __init__(self) -> None:
        self.findings = Findings()
        self.boots: dict[str, BootReplay] = {}
        self.stores: dict[str, StoreReplay] = {}
        self.lines_of: dict[str, TurnLines] = {}
        self._follow_ups = FollowUpReplay(self.findings)
        self.lines = 0
        self.copies = 0
        self.actor_crashes = 0
        # Boots that were found dead: two lines tell that, one of which may be missing.
        self.dead: set[str] = set()
        # Boots of operators.
        self.operators: set[str] = set()
        # Operators that were lost in the middle of an act: their last acts may be unlogged.
        self.lost_operators: set[str] = set()
        self.is_troubled = False
        self.leaders: set[str] = set()
        self.newer: Counter[str] = Counter()
        # The parts logged so far of turns whose other parts are yet to come.
        self._parts: defaultdict[tuple[str, int], set[int]] = defaultdict(set)

    def hear(self, line: Line) -> None:
        self.lines += 1
        boot = self._boot(line.boot)
        if not boot.hear(line):
            self.copies += 1
            self._check_copy(line, boot)
            return
        if line.moves is not None:
            self._turn(line, boot)
            return
        if line.event not in EVENTS:
            self.newer[line.event] += 1
            if line.turn is not None:
                # A newer version may have written this move.
                self.lines_of[line.boot].excuse(line.turn, line.job_id)
            return
        if line.store_id is not None:
            self._place(boot, line.store_id, line.boot_no, line)
        if line.turn is not None:
            self._of_turn(line, boot, line.turn)
        else:
            self.lines_of[line.boot].check(line)
        match line.event:
            case "runtime.started":
                boot.beside = None if line.beside is None else frozenset(line.beside)
            case "runtime.stopped" | "runtime.renewed":
                boot.ended = "stopped"
            case "actor.crashed":
                self.actor_crashes += 1
                self.is_troubled = True
            case "store.unavailable":
                self.is_troubled = True
            case "log.dropped":
                boot.dropped += line.count or 0
                boot.dropped_because = line.reason
            case "clock.jumped":
                boot.has_jumped = True
            case "scheduler.leads":
                self.leaders.add(line.boot)
            case "job.fenced":
                self._fenced(line, boot)

    @property
    def crashes(self) -> int:
        return self.actor_crashes + len(self.dead)

    def _boot(self, name: str) -> BootReplay:
        boot = self.boots.get(name)
        if boot is None:
            boot = self.boots[name] = BootReplay(name)
            self.lines_of[name] = TurnLines(self.findings)
        return boot

    def _died(self, name: str) -> BootReplay:
        self.dead.add(name)
        boot = self._boot(name)
        boot.ended = boot.ended or "recovered"
        return boot

    def _acted(self, name: str) -> BootReplay:
        self.operators.add(name)
        boot = self._boot(name)
        boot.is_operator, boot.ended = True, "acted"
        return boot

    def _check_copy(self, line: Line, boot: BootReplay) -> None:
        """A line whose number is known must repeat the known line."""
        if line.moves is not None:
            self._turn(line, boot)
        elif line.turn is not None and self.lines_of[line.boot].knows(line.turn):
            self.lines_of[line.boot].check(line)

    def _of_turn(self, line: Line, boot: BootReplay, turn: int) -> None:
        match line.event:
            case "runtime.stopped":
                boot.come_to(turn, line)
            case "runtime.recovered" if line.dead_boot is not None:
                self._died(line.dead_boot).come_to(turn, line)
            case "operator.acted" if line.operator is not None:
                self._acted(line.operator).come_to(turn, line)
            case "turn.recovered":
                self.is_troubled = True
                boot.come_to(turn, line)
            case _:
                boot.come_to(turn, line)
                self.lines_of[line.boot].check(line)

    def _fenced(self, line: Line, boot: BootReplay) -> None:
        """Where retention removes jobs, an id may have been used again, and its claims begin anew."""
        store = self.stores.get(boot.store or "")
        is_certain = store is None or not (store.jobs.pruned or self.is_troubled)
        if (line.claim_no or 0) > (line.claim_no_now or 0) and is_certain:
            says = f"job {line.job_id}: claim {line.claim_no} was refused, and the store knows {line.claim_no_now}"
            self.findings.say("fence going back", says, line)

    def _place(self, boot: BootReplay, store_id: str, number: int | None, line: Line) -> StoreReplay:
        """The store of a boot, where the boot gets its number."""
        store = self.stores.get(store_id)
        if store is None:
            store = self.stores[store_id] = StoreReplay(store_id, self.findings)
            if number is None:
                # Logs of older versions, and of runtimes whose first line is gone, say it only by this.
                store.be_redelivering()
        if line.redelivers:
            store.be_redelivering()
        if line.overlaps:
            store.groups.late_seconds = OVERLAP_SECONDS
        if boot.store is None:
            boot.store, boot.number = store_id, number
            store.boots[boot.name] = boot
            other = store.numbers.setdefault(number, boot) if number is not None else boot
            if other is not boot:
                says = f"boots {other.name} and {boot.name} of store {store_id} have the same number, {number}"
                self.findings.say("told twice", says, other.line, line)
        elif (boot.store, boot.number) != (store_id, number):
            is_at, was_at = (
                f"number {number} of store {at}" for at, number in ((store_id, number), (boot.store, boot.number))
            )
            says = f"boot {boot.name} is said to be {is_at}, and was {was_at}"
            self.findings.say("told otherwise", says, boot.line, line)
        return store

    def _turn(self, line: Line, speaker: BootReplay) -> None:
        """A turn, or a part of one, logged by its own boot or by another."""
        if line.event not in EVENTS or line.v > FORMAT:
            self.newer[line.event] += 1
        if line.turn is None or line.turn < 1 or line.store_id is None or line.moves is None:
            self.findings.say("illegal transition", "it tells moves, and not whose turn they were", line)
            return
        owner = speaker if line.of is None else self._boot(line.of)
        self._check_sum(line, owner.name)
        store = self._place(owner, line.store_id, line.boot_no, line)
        lines = self.lines_of[owner.name]
        if line.told_by is not None:
            lines.excuse(line.turn)
        if not self._is_first_telling(line, owner, line.turn):
            if lines.differs(line.turn, line.moves, is_whole=line.parts is None):
                says = f"turn {line.turn} of boot {owner.name} is told twice, and not as the same"
                self.findings.say("told twice", says, line)
            elif line.parts is None:
                # Another boot logged it long ago, and its other lines come now.
                lines.remember(line.turn, line.moves)
            return
        lines.told(line.turn, line.moves, line, is_own=line.told_by is None)
        self._follow_ups.hear(owner.name, line.turn, line.moves, line, is_whole=line.turn in owner.turns)
        at = line.ts if line.at is None else line.at
        owner.take(line.turn, at)
        for move in line.moves:
            step = ReplayedMove(move, owner.name, at, line)
            if move.k in AFTER:
                store.steps.move(step)
                store.jobs.hear(step)
                store.groups.hear(step)
                if move.k == "claimed":
                    store.rates.hear(step)
            elif move.k in OTHER_KINDS:
                self._other(store, step)
            else:
                self.newer[f"{line.event} {move.k}"] += 1

    def _check_sum(self, line: Line, boot: str) -> None:
        if line.v > FORMAT:
            return
        crc = sum_of(line)
        if line.crc is None:
            says = f"turn {line.turn} of boot {boot} has no checksum, as all that the ledger tells has"
            self.findings.say("told otherwise", says, line)
        elif crc != line.crc:
            says = f"turn {line.turn} of boot {boot} is not told as it was written: expected crc {line.crc}, got: {crc}"
            self.findings.say("told otherwise", says, line)
        elif line.level in OTHER_LEVELS:
            says = f"turn {line.turn} of boot {boot}: expected level {LEDGER_LEVEL}, got: {line.level}"
            self.findings.say("told otherwise", says, line)

    def _is_first_telling(self, line: Line, owner: BootReplay, turn: int) -> bool:
        if turn in owner.turns:
            return False
        if line.parts is None:
            owner.turns.add(turn)
            return True
        part, told = line.part or 0, self._parts[owner.name, turn]
        if not 1 <= part <= line.parts:
            says = f"turn {turn} of boot {owner.name}: {part} is none of {line.parts} parts"
            self.findings.say("told otherwise", says, line)
            return False
        if part in told:
            return False
        told.add(part)
        if len(told) == line.parts:
            owner.turns.add(turn)
            del self._parts[owner.name, turn]
        return True

    def _other(self, store: StoreReplay, step: ReplayedMove) -> None:
        move = step.move
        match move.k:
            case "pruned":
                store.jobs.pruned += move.x or 0
            case "forgotten":
                store.jobs.pruned += 1
                store.steps.forget(move.j)
            case "deferred":
                store.jobs.defer(move)
            case "stepped" | "signalled":
                store.steps.hear(step)
            case "linked":
                store.jobs.links.linked(move, step.line)
            case "buried" | "acted" if move.b is not None:
                boot = self._acted(move.b) if move.k == "acted" else self._died(move.b)
                last = move.x or 0
                if move.k == "acted" and last == 0:
                    self.lost_operators.add(move.b)
                boot.come_to(last, step.line)
                if move.number is not None:
                    store.buried[move.number] = Burial(move.b, last, step.line)
            case _:
                store.slots.hear(step)
