"""The context of a message in its turn: access to the store, and effects for after the commit.

Lines, replies and messages are collected in the `Outbox` in order, and are dropped when the turn is rolled back.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import filterfalse, groupby
from typing import Any, NamedTuple

from ..environment.clock import Clock
from ..errors import StaleClaim
from ..log.emitter import Said, Speaker
from ..messages.boots import BootRecord, Move
from ..messages.clock_steps import Stepped
from ..messages.jobs import UNATTRIBUTED, Attribution, ClaimKey, JobRecord, JobState, NewJob
from ..messages.mail import Revoke, Wake
from ..messages.outcomes import Outcome, OutcomeKind, Policy
from ..rules.capabilities import needed
from ..rules.lifecycle import INTERRUPTION_WINDOW_SECONDS, judge
from ..rules.links import NAMED_PARENTS_MAX
from ..rules.validation import unknown_job
from ..stores.transitions import tied
from ..stores.turn_ports import End, Turn
from .follow_ups import check_parents, store_follow_ups
from .outbox import EVENT, HandlerCapacity, Outbox, briefly, names_job
from .state import NAMES_TOLD_MAX, BrokerState, is_news, told

PASSED_ON = object()
"""The result for a message that was passed on to another actor, which answers it."""

SURE_OUTCOMES = (OutcomeKind.SUCCEEDED, OutcomeKind.SNOOZED, OutcomeKind.CANCELLED)
"""Outcomes without a random back-off."""


class TurnContext(NamedTuple):
    state: BrokerState
    turn: Turn
    out: Outbox
    speaker: Speaker

    @property
    def capacities(self) -> Mapping[str, HandlerCapacity]:
        """By job name, including this turn's reports."""
        if not self.out.capacities:
            return self.state.capacities
        said = {**self.state.capacities, **self.out.capacities}
        return {name: capacity for name, capacity in said.items() if capacity is not None}

    @property
    def draining(self) -> bool:
        return self.state.draining or self.out.drains

    @property
    def others(self) -> Sequence[BootRecord]:
        return self.state.others if self.out.membership is None else self.out.membership.others

    def names(self) -> list[str]:
        """The job names with lanes here."""
        return [] if self.draining else [name for name, capacity in self.capacities.items() if capacity.lanes > 0]

    def forget_next_due(self) -> None:
        """Have every name searched for due jobs."""
        self.out.next_due = {}

    def say(self, event: str, *, root_id: str | None = None, **fields: Any) -> None:
        self.collect()
        self.out.lines.append(Said(event, self.speaker if root_id is None else self.speaker.about(root_id), (fields,)))

    def tell(self, to: str, body: Any) -> None:
        self.out.tells.append((to, body, self.speaker))

    @contextlib.contextmanager
    def on_behalf(self, who: Attribution) -> Iterator[None]:
        """Attribute all moves of jobs within this context to somebody."""
        first = len(self.turn.transitions)
        yield
        if who is not UNATTRIBUTED:
            self._attribute(first, len(self.turn.transitions), who)

    def _attribute(self, first: int, last: int, who: Attribution) -> None:
        moves = self.turn.transitions
        moves[first:last] = [moved._replace(who=who) for moved in moves[first:last]]

    def add_to_move(self, **fields: Any) -> None:
        """Add fields to the line and the ledger entry of the last move."""
        moves = self.turn.transitions
        moves[-1] = moves[-1]._replace(fields={**moves[-1].fields, **fields})

    def note(self, move: Move, who: Attribution) -> None:
        """Add something other than a move of a job to the ledger."""
        self.turn.note({**move, **who.told})

    def collect(self, most: int | None = None, who: Attribution = UNATTRIBUTED) -> None:
        """Put the transitions since the last call, at most `most`, into the order of the log."""
        first = len(self.out.transitions)
        if first == len(self.turn.transitions):
            return
        last = len(self.turn.transitions) if most is None else first + most
        if who is not UNATTRIBUTED:
            self._attribute(first, last, who)
        new = self.turn.transitions[first:last]
        for event, moves in groupby(new, EVENT):
            moved = list(moves)
            self.out.lines.append(Said(event, briefly(self.speaker) if event == "job.done" else self.speaker, moved))
            for move in moved:
                if "waits_for" in move.fields:
                    self._say_parents(move.job, move.fields["waits_for"])
        self.out.transitions += new

    def _say_parents(self, job: JobRecord, ids: Sequence[str]) -> None:
        """Log the parents of a newborn job."""
        about = {"corr": job.root_id, "job_id": job.id, "job_name": job.name}
        for first in range(0, len(ids), NAMED_PARENTS_MAX):
            named = ids[first : first + NAMED_PARENTS_MAX]
            self.out.lines.append(Said("job.linked", self.speaker, ({**about, "waits_for": named},)))

    def known(self, job_id: str) -> JobRecord:
        """The job.

        Raises:
            UnknownJob: there is none.
            NotSupported: the store cannot look for it.
        """
        job = self.turn.jobs.find((job_id,)).get(job_id)
        if job is None:
            needed(self.turn.queued, "remove")
            raise unknown_job(job_id)
        return job

    def unhandled(self, names: Iterable[str]) -> set[str]:
        return set(filterfalse(partial(self.state.is_handled, others=self.others), names))

    def say_stored(
        self, asked: Sequence[NewJob], stored: Sequence[tuple[JobRecord, bool]], unhandled: Collection[str]
    ) -> Sequence[JobRecord]:
        parked: list[JobRecord] = []
        for job, (record, fresh) in zip(asked, stored, strict=True):
            if not fresh:
                line = {**names_job(record), "asked_id": job.id, "unique_key": job.unique_key}
                self.out.lines.append(Said("job.deduplicated", self.speaker, (line,)))
            elif record.name in unhandled:
                parked.append(record)
        if parked:
            self.out.lines.append(Said("job.parked", self.speaker, parked))
        return parked

    def say_parked(self, parked: Sequence[JobRecord]) -> None:
        """Warn that jobs wait for a handler: at intervals for each name, not for each job."""
        known = {**self.state.parked.said, **self.out.parked}
        if not parked or len(known) > NAMES_TOLD_MAX:
            # The next search reads so many names.
            return
        names, monotonic = dict.fromkeys(record.name for record in parked), self.state.monotonic()
        news = [name for name in names if is_news(known.get(name), monotonic)]
        if not news:
            return
        jobs = Counter(record.name for record in parked)
        self.out.parked.update(dict.fromkeys(news, monotonic))
        meant = partial(self.state.meant, others=self.others)
        for line in told(news, len(known.keys() | jobs), jobs.__getitem__, meant):
            self.say("name.parked", **line)

    def settle(
        self, job: JobRecord, outcome: Outcome, policy: Policy, who: Attribution = UNATTRIBUTED
    ) -> JobRecord | None:
        """The only way to end a claim: judge the outcome, and record it. None if the claim no longer counts."""
        return self.settle_all([(job, outcome, policy)], who)[0]

    def settle_all(
        self, ended: Sequence[tuple[JobRecord, Outcome, Policy]], who: Attribution = UNATTRIBUTED
    ) -> list[JobRecord | None]:
        """`settle` each, in order. Follow-ups are queued only with an end as done."""
        now, settled = self.turn.now, list[JobRecord | None]()
        counted = [job.id for job, outcome, _ in ended if outcome.kind is OutcomeKind.INTERRUPTED and job.interruptions]
        since = now - INTERRUPTION_WINDOW_SECONDS
        recent = self.turn.jobs.recent_interruptions(counted, since) if counted else {}
        ends: list[End] = []
        for job, said, policy in ended:
            outcome = said
            # The history of a job outlives a requeue, which begins to count anew.
            earlier = min(recent.get(job.id, 0), job.interruptions)
            chance = 0.0 if outcome.kind in SURE_OUTCOMES else self.state.chance.random()
            if outcome.signal is not None and needed(self.turn.steps, "signals").sent(job, outcome.signal) is not None:
                # It came after the handler had looked for it.
                outcome = outcome._replace(seconds=0.0, reason=f"signal {outcome.signal} has come")
            verdict = judge(job, outcome, policy, now, earlier_interruptions=earlier, chance=chance)
            ends.append((job, outcome, verdict))
            if not outcome.then:
                continue
            # Follow-ups are queued while the end is the turn's last move.
            check_parents(self.turn.links, outcome.then)
            settled += self.turn.jobs.settle_all(ends)
            ends.clear()
            if (now_settled := settled[-1]) is not None and now_settled.state == JobState.DONE:
                self.follow_up(job, outcome.then, who)
        return settled + self.turn.jobs.settle_all(ends)

    def follow_up(self, ended: JobRecord, then: Sequence[NewJob], who: Attribution) -> None:
        """Queue the follow-ups of `ended`, whose end as done is this turn's last move."""
        if not then:
            return
        moves = self.turn.transitions
        end = len(moves) - 1
        asked, stored = store_follow_ups(
            self.turn.jobs.insert, ended, then, self.turn.now, has_table=self.turn.queued is not None
        )
        moves[end:] = tied(moves[end:])
        self.collect(who=who)
        self.say_parked(self.say_stored(asked, stored, self.unhandled({job.name for job in asked})))

    def blame(self, jobs: Sequence[JobRecord], reason: str, *, blamed: bool = True) -> None:
        """End claims that were lost with their processes, for which the jobs themselves may be to blame."""
        most = self.state.limits.interruptions_max
        died = Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason, error=reason, blamed=blamed)
        self.settle_all([(job, died, Policy(interruptions_max=job.interruptions_max or most)) for job in jobs])

    def interrupt(self, jobs: Iterable[JobRecord], reason: str) -> None:
        """End claims that nobody can be blamed for.

        Their `Run` may have reached an unknown incarnation, whose lanes must stop.
        """
        ended = [(job, Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason), Policy()) for job in jobs]
        self.settle_all(ended)
        for job, _, _ in ended:
            self.tell(f"handler:{job.name}", Revoke(key=job.key, reason=reason))

    def say_fenced(self, job: JobRecord, claim_no: int, outcome: str) -> None:
        """Log that an attempt without a claim tried to end the job."""
        line = {**names_job(job), "claim_no": claim_no, "outcome": outcome}
        self.out.fenced.append(job.name)
        self.say("job.fenced", root_id=job.root_id, **line, claim_no_now=job.claim_no, state=job.state, why=job.reason)


def only_queued(job: JobRecord) -> StaleClaim:
    """Why a job that is not queued cannot be marked done by its id."""
    return StaleClaim(
        f"job {job.id} is {job.state}: an id marks only a queued job done; "
        "use the Job that its handler got, or that Job's token"
    )


def is_current(job: JobRecord, key: ClaimKey, boot: str | None) -> bool:
    """Whether a claim holds the job. Where only a token is known, the boot is not."""
    return job.state == JobState.RUNNING and job.key == key and boot in (None, job.boot)


def keep_time(context: TurnContext, clock: Clock, *, is_first: bool) -> None:
    """Correct what a step of the clock has shifted, and log it. `ClockJumped` is only a hint: it may die with a broker.
    `is_first`: nobody has observed the machine's clock before this turn.
    """
    # Read the clock here, while nobody else is in a turn: a process that had read it before a step would undo another's
    # correction of that step.
    reading, steps = clock.reading(), tuple(context.state.inputs.steps)
    delta = sum(steps)
    made_good = context.turn.keep_time(reading, may_have_gone_back=is_first or delta < 0)
    seconds, jobs, schedules = made_good or Stepped(None, 0, 0)
    context.out.steps = len(steps)
    far = delta or seconds
    if not (far or jobs or schedules):
        # The first turn since the machine was started has compared the clocks already, and found no step.
        return
    if schedules:
        context.turn.note({"k": "recounted", "x": schedules})
    context.say("clock.jumped", delta=None if far is None else round(far, 3), jobs=jobs, schedules=schedules)
    context.forget_next_due()
    context.tell("scheduler", Wake(reload=True))
