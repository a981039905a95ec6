"""Runs the jobs of one name on the lanes of its handlers.

Owns: claims that have not ended, and endings that are not settled. Hears: Run, Settled, Revoke, Paused, Resync,
LanesEnded, LanesAiling, DeadlinePassed, GraceOver, Unstarted, Attach, Detach, Interrupt, Drain. Tells:
Capacity, Ended, GiveBack.

It runs no application code itself, so no job can kill it. It keeps an ending until the broker has settled it, and
sends it again to a restarted broker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from ..environment.replies import answer, reply_of
from ..handlers.handler import Handler
from ..handlers.lane import Lane
from ..handlers.lanes import Backlog, Deadlines, LaneEnded, Lanes, LaneWatch, PrefetchSizer, Waiting
from ..handlers.outcomes import UNBEGUN, not_started
from ..messages.jobs import Claim, ClaimKey, Seconds
from ..messages.mail import (
    Attach,
    Capacity,
    DeadlinePassed,
    Detach,
    Drain,
    Ended,
    Ending,
    GiveBack,
    GraceOver,
    Interrupt,
    LanesAiling,
    LanesEnded,
    Mail,
    Paused,
    Resync,
    Revoke,
    Run,
    Settled,
    Unstarted,
)
from ..messages.names import NameLimits
from ..messages.outcomes import Outcome, OutcomeKind
from ..rules.rates import least, slower
from .base import ActorContext, RuntimeActor

CONCURRENCY = attrgetter("concurrency")

LOST = "the thread that it ran on has died"

RUNS_ON = {"thread": "worker thread", "task": "event loop", "process": "child process"}

SHORTAGE_PAUSE_SECONDS, SHORTAGE_SECONDS_MAX = 1.0, 5.0
"""How long no more lanes are started after one could not be, and when the shortage counts as over: if no start has
failed for so long, no job has waited for one.
"""


class Shortage(NamedTuple):
    """The system has given no thread or child process for one more lane, beside `lanes` that ran."""

    lanes: int
    reason: str
    at: Seconds


class HandlerActor(RuntimeActor):
    """Attributes, which other threads read:
    holds_nothing: the condition that a stop waits for.
    is_halted: whether it takes no jobs because too many threads hang.
    """

    def __init__(
        self,
        context: ActorContext,
        job_name: str,
        incarnation: int,
        *,
        handlers: Callable[[], Sequence[Handler]],
        lanes: Lanes,
        emptied: Callable[[], None],
    ) -> None:
        super().__init__(context, f"handler:{job_name}", incarnation)
        self.job_name = job_name
        self._handlers = handlers
        self._lanes = lanes
        self._emptied = emptied
        self.holds_nothing = True
        self._backlog = Backlog()
        self._running: dict[int, Lane] = {}
        # Claims that each wait for a lane, by its id.
        self._held_back: dict[int, Waiting] = {}
        self._unsettled: dict[ClaimKey, Ending] = {}
        self._pace = PrefetchSizer(context.limits)
        self._offered: tuple[Sequence[Handler], int, int, int] | None = None
        self._answers = 0
        self._boot: str | None = None
        self.is_halted = False
        self._is_look_due = True
        self._unstarted_timer: Any = None
        self._halt_timer: Any = None
        self._shortage: Shortage | None = None
        self._shortage_timer: Any = None
        self._watch = LaneWatch(
            lanes, job_name, context.clock, context.limits, tell=self.tell_self, is_over=self.actor_stopped.is_set
        )
        self._deadlines = Deadlines(context.clock, self.later)

    @property
    def may_be_stood_in_for(self) -> bool:
        """No, if it may wait for a child process: that is for its own thread."""
        first = self.mailbox.first()
        return first is None or isinstance(getattr(first.message, "body", None), (Run, Settled, LanesEnded))

    @property
    def shortage(self) -> str | None:
        """Why not all of its lanes can be started, if that is so. Any thread may ask."""
        short = self._shortage
        return None if short is None else f"jobs of {self.job_name!r} wait: {short.reason}"

    def current(self) -> list[str]:
        """The ids of running jobs."""
        return [lane.claim.job.id for lane in self._lanes_here() if not lane.is_closed]

    def on_start(self) -> None:
        """Signal the lanes of the previous incarnation, whose claims are lost."""
        for lane in self._lanes.open(self.job_name):
            if lane.abandoned_because is None and not lane.cancelled:
                lane.signal("its HandlerActor died")
            self._grace_begins(lane)
        # The previous incarnation may have received LanesEnded and died before reading it, so look once at the start.
        self._lanes_ended()
        self._offer(*self._takers())

    def on_down(self) -> None:
        """Lanes cannot die with their actor: signal them that their claims are lost. A stop waits for none of them, and
        the broker has the endings that are not settled.
        """
        self._backlog.close()
        for lane in self._lanes_here():
            self._deadlines.forget(lane.id)
            lane.signal("its HandlerActor died")
        self.holds_nothing = True
        self._emptied()

    def receive(self, mail: Mail) -> None:
        # A burst may end with `Settled`, which alone triggers no look.
        self._is_look_due = self._is_look_due or not isinstance(mail.body, Settled)
        match mail.body:
            case Run(settled=keys) | Settled(keys=keys):
                if isinstance(mail.body, Run):
                    self.holds_nothing = False
                    now, by = self.context.clock.monotonic(), self.context.environment.thread_id()
                    self._backlog.add(mail.body.claims, now, by)
                for key in keys:
                    self._unsettled.pop(key, None)
                if keys:
                    self._pace.note_trip(self.context.clock.monotonic(), begins=False)
            case LanesEnded():
                self._lanes_ended()
            case LanesAiling():
                self._end_lost_lanes()
                self._say_slow()
            case DeadlinePassed(lane_id=lane_id):
                self._deadline_passed(lane_id)
            case GraceOver(lane_id=lane_id):
                self._grace_over(lane_id)
            case Unstarted():
                self._unstarted_timer = None
                self._give_back_unstarted()
            case Revoke(key=key, reason=reason):
                self._revoke(key, reason)
            case Paused(reply=reply):
                self._give_back_all()
                answer(reply, None, None)
            case Resync(sync_id=sync_id, boot=boot):
                self._disown_others(boot)
                self._answers = sync_id
                self._offered = None
                self._offer(*self._takers())
                self._tell_ended(*self._unsettled.values())
            case Attach():
                self._halt_timer = None
                self._shortage_timer = None
            case Detach(handler_id=handler_id, drain=drain):
                self._detach(handler_id, drain)
            case Interrupt(handler_id=handler_id, reason=reason):
                self._interrupt(handler_id, reason)
            case Drain():
                # A turn that was under way may still bring claims. They must not be started: `stop` would not wait for
                # them. A claim that waits for the job's old thread would keep `stop` waiting for that thread.
                self._backlog.close()
                self._give_back(self._drop())
            case other:
                raise TypeError(f"a HandlerActor does not hear {type(other).__name__}")
        if not (self.mailbox.mail and self.has_mail):
            # Look once after a burst of messages. Only `Mail` counts as more to come: with a stop behind it this line
            # would never be reached.
            if self._is_look_due:
                self._is_look_due = False
                if self.is_halted:
                    self._recover_from_halt()
                if self._shortage is not None:
                    self._recover_from_shortage(self._shortage)
                handlers, usable = self._takers()
                if self._backlog.waiting:
                    self._fill(usable)
                self._offer(handlers, usable)
                if not self._watch.is_watching:
                    self._watch.begin()
            self._look_what_is_held()

    def _look_what_is_held(self) -> None:
        waiting = self._running or self._backlog.waiting or self._held_back
        self.holds_nothing = not (waiting or self._unsettled)
        if self.holds_nothing:
            self._emptied()

    def on_lost(self, mail: Mail, *, read: bool) -> None:
        """Start nothing that a dead HandlerActor holds: its successor begins with nothing."""
        reply = reply_of(mail.body)
        if reply is not None:
            answer(reply, None, None)

    def _takers(self) -> tuple[Sequence[Handler], Sequence[Handler]]:
        """The handlers, and those of them that take lanes now."""
        handlers = self._handlers()
        return handlers, self._lanes.usable(handlers)

    def _offer(self, handlers: Sequence[Handler], usable: Sequence[Handler]) -> None:
        places = lanes = 0 if self.is_halted else sum(map(CONCURRENCY, usable))
        if not self.is_halted:
            # A claim that waits for its job's old lane takes no capacity from other jobs, nor do lanes of closed
            # handlers.
            lanes += len(self._held_back)
            for lane in self._lanes_here():
                lanes += lane.handler not in usable
        if (most := self._lanes_max()) is not None:
            places, lanes = 0, min(lanes, most + len(self._held_back))
        prefetch, answers = self._pace.prefetch(lanes if places else 0), self._answers
        asked = handlers, lanes, prefetch, answers
        if asked != self._offered:
            self._offered = asked
            limits = NameLimits(
                total=least(handler.concurrency_total for handler in handlers),
                rate=slower(handler.rate for handler in handlers),
                per_group=least(handler.concurrency_per_group for handler in handlers),
                rate_per_group=slower(handler.rate_per_group for handler in handlers),
            )
            # The policy, among several handlers, that blames a job least.
            policy = max((handler.policy for handler in handlers), key=attrgetter("interruptions_max"), default=None)
            of_actor, held = (self.job_name, self.incarnation), tuple(self._held())
            self.tell("broker", Capacity(*of_actor, lanes if handlers else 0, prefetch, limits, policy, held, answers))

    def _lanes_here(self) -> list[Lane]:
        # A copy: a lane that ends adds its next_lane, on its own thread.
        return list(self._running.values())

    def _held(self) -> list[ClaimKey]:
        return [
            *self._backlog.keys(),
            *(lane.claim.key for lane in self._lanes_here() if self._boot in (None, lane.claim.job.boot)),
            *(waiting.claim.key for waiting in self._held_back.values()),
            *self._unsettled,
        ]

    def _fill(self, handlers: Sequence[Handler]) -> None:
        busy = Counter[str]()
        for lane in self._lanes_here():
            busy[lane.handler.id] += 1
        if not handlers or self._backlog.closed:
            # No handler takes any more, or the runtime stops, and these claims were in transit.
            self._give_back(self._backlog.remove(lambda _: True))
        self._take_places(handlers, busy)
        if self._shortage is not None:
            # No lane can be started for these, and another process may have one.
            self._give_back(self._backlog.remove(lambda _: True))
        if self._backlog.waiting and self._unstarted_timer is None:
            self._unstarted_timer = self.later(self._pace.unstarted_seconds, Unstarted())

    def _take_places(self, handlers: Sequence[Handler], busy: Counter[str]) -> None:
        while self._backlog.waiting:
            if (most := self._lanes_max()) is not None and len(self._running) >= most:
                break
            handler = min(handlers, key=lambda one: busy[one.id] / one.concurrency)
            claim = self._backlog.take() if busy[handler.id] < handler.concurrency else None
            if claim is None:
                break
            old = self._lanes.of_job(claim.job.id)
            if old is not None:
                self._hold_back(claim, old)
                continue
            busy[handler.id] += 1
            self._start(handler, claim)

    def _start(self, handler: Handler, claim: Claim) -> None:
        try:
            lane = self._lanes.start(handler, claim, self._next_lane_after)
        except (OSError, RuntimeError) as error:
            self._run_short(claim, not_started(RUNS_ON[handler.kind], error))
            return
        self._running[lane.id] = lane
        self._started(lane)

    def _run_short(self, claim: Claim, reason: str) -> None:
        """Give a claim back for which the system has no thread or child process. Its function was not called, so that
        costs the job nothing.
        """
        if self._shortage is None:
            self.say("lane.refused", job_name=self.job_name, reason=reason)
        self._shortage = Shortage(len(self._running), reason, self.context.clock.monotonic())
        if self._shortage_timer is not None:
            self._shortage_timer.cancel()
        self._shortage_timer = self.later(SHORTAGE_PAUSE_SECONDS, Attach())
        # Before the claim goes back: otherwise the broker might make it again for this actor at once.
        self._offer(*self._takers())
        self._give_back([claim])

    def _lanes_max(self) -> int | None:
        """How many lanes may run while the system gives no more: as many as ran, and after the pause one more, to find
        out whether it does.
        """
        short = self._shortage
        if short is None:
            return None
        return short.lanes + (self.context.clock.monotonic() - short.at >= SHORTAGE_PAUSE_SECONDS)

    def _recover_from_shortage(self, short: Shortage) -> None:
        """Take all lanes again once one more has begun than ran then, or after some time without a failed start."""
        begun = sum(lane.unbegun is None for lane in self._lanes_here())
        if begun > short.lanes or self.context.clock.monotonic() - short.at >= SHORTAGE_SECONDS_MAX:
            self._shortage = None
        elif self._shortage_timer is None:
            self._shortage_timer = self.later(SHORTAGE_PAUSE_SECONDS, Attach())

    def _next_lane_after(self, ended: Lane) -> Lane | None:
        """The next claim takes the place of an ended lane. Runs on that lane's thread, so no other need wake up."""
        return self._backlog.serve(partial(self._succeed, ended.handler))

    def _succeed(self, handler: Handler, waiting: Waiting) -> Lane | None:
        if handler not in self._handlers() or self._lanes.of_job(waiting.claim.job.id) is not None:
            return None
        lane = self._lanes.open_lane(handler, waiting.claim, self._next_lane_after)
        lane.is_own = waiting.by == self.context.environment.thread_id()
        self._running[lane.id] = lane
        return lane

    def _started(self, lane: Lane) -> None:
        self.context.log.emit_made("job.started", self.speaker, lane.start_fields)
        if lane.timeout is not None:
            self._deadlines.begin(lane, lane.timeout)

    def _hold_back(self, claim: Claim, old: Lane) -> None:
        """The job's old lane still runs: wait for its end or the end of its grace."""
        job, attempt = claim.job, claim.job.attempt + 1
        self.say("job.waiting", job_id=job.id, job_name=job.name, claim_no=job.claim_no, attempt=attempt, lane=old.id)
        if not old.cancelled:
            # The job has a newer claim, so the old one is lost, though no Revoke has come.
            old.signal("its claim was lost")
            self._grace_begins(old)
        if (replaced := self._held_back.get(old.id)) is not None:
            self._give_back([replaced.claim])
        self._held_back[old.id] = Waiting(claim, 0.0)
        old.when_ended(lambda: self.tell_self(GraceOver(lane_id=old.id)))

    def _give_back_unstarted(self) -> None:
        """Prefetched claims that have waited too long go back; others keep their place."""
        now, old = self.context.clock.monotonic(), self._pace.unstarted_seconds
        unstarted = self._backlog.remove(lambda one: not one.claim.job.counts_attempt and now - one.since >= old)
        if unstarted:
            self._pace.note_stuck()
        self._give_back(unstarted)

    def _give_back_all(self) -> None:
        """Give back unstarted claims, even one that a lane's thread is about to start."""
        waiting = self._drop()
        for lane in self._lanes_here():
            if lane.take_back("not started"):
                self._deadlines.forget(lane.id)
                waiting.append(self._running.pop(lane.id).claim)
        self._give_back(waiting)

    def _drop(self, goes: Callable[[Waiting], bool] = lambda _: True) -> list[Claim]:
        """Remove claims that have not started, those that wait for their job's old lane too."""
        gone = [waiting.claim for waiting in self._held_back.values() if goes(waiting)]
        self._held_back = {lane_id: waiting for lane_id, waiting in self._held_back.items() if not goes(waiting)}
        return [*self._backlog.remove(goes), *gone]

    def _give_back(self, claims: Sequence[Claim]) -> None:
        if claims:
            self.tell("broker", GiveBack(name=self.job_name, claims=tuple(claims)))

    def _end_lost_lanes(self) -> None:
        for lane in self._watch.lost():
            self._say_of(lane, "lane.lost")
            kind = OutcomeKind.FAILED if lane.abandoned_because is None else OutcomeKind.INTERRUPTED
            lane.finish(Outcome(kind=kind, reason=LOST, error=LOST))
        for lane, reason in self._watch.unbegun():
            if lane.id in self._running:
                self._give_up(lane, reason, UNBEGUN._replace(reason=reason), unbegun=True)

    def _say_slow(self) -> None:
        for lane, seconds, usual in self._watch.slow():
            lane.is_said_slow = True
            self._say_of(lane, "job.slow", seconds=round(seconds, 3), usual=round(usual, 6), stack=lane.stack())

    def _lanes_ended(self) -> None:
        """Send all endings in one message: the broker handles them in one step of its turn."""
        self._tell_ended(*filter(None, map(self._lane_ended, self._lanes.take_ended(self.job_name))))

    def _lane_ended(self, ended: LaneEnded) -> Ending | None:
        lane, outcome, seconds, following = ended
        if outcome.kind is OutcomeKind.DEFERRED:
            outcome = outcome._replace(seconds=lane.timeout or 0.0)
        if following is not None and following.id in self._running:
            self._started(following)
        if lane.timeout is not None:
            self._deadlines.forget(lane.id)
        if lane.id in self._running and lane.shortage is not None:
            del self._running[lane.id]
            self._run_short(lane.claim, lane.shortage)
            return None
        if lane.id in self._running:
            if self._shortage is not None and len(self._running) > self._shortage.lanes:
                self._shortage = None
            self._pace.note(seconds)
            self._watch.usual.note(outcome.kind, seconds)
            ending = self._keep(Ending(lane.claim, outcome, lane.handler.policy, seconds=seconds))
            del self._running[lane.id]
            return ending
        if outcome.kind is OutcomeKind.INTERRUPTED:
            # A lane that was killed after it was given up has no ending of its own to report.
            return None
        # The lane had been given up, or belonged to an earlier incarnation: the fence refuses its ending, and logs
        # that. `lane.returned` is only for lanes logged as hung.
        if lane.grace_is_over:
            self._say_of(lane, "lane.returned", after=round(seconds, 3))
        handlers = self._handlers()
        return Ending(lane.claim, outcome, handlers[0].policy, late=True, seconds=seconds) if handlers else None

    def _keep(self, ending: Ending) -> Ending:
        """Keep an ending until the broker has settled it."""
        self._unsettled[ending.claim.key] = ending
        return ending

    def _tell_ended(self, *endings: Ending) -> None:
        if endings:
            self._pace.note_trip(self.context.clock.monotonic(), begins=True)
            # If there are several, none is the root of the message.
            speaker = self.speaker.about(endings[0].claim.job.root_id if len(endings) == 1 else None)
            self.context.post.tell("broker", Ended(self.job_name, endings), speaker=speaker)

    def _deadline_passed(self, lane_id: int) -> None:
        lane = self._running.get(lane_id)
        if lane is None or not self._deadlines.is_over(lane):
            return
        error = f"timed out after {lane.timeout:g} s"
        outcome = Outcome(kind=OutcomeKind.TIMED_OUT, error=error, traceback=lane.stack() or None)
        self._give_up(lane, "timed out", outcome)

    def _give_up(self, lane: Lane, why: str, outcome: Outcome, *, unbegun: bool = False) -> None:
        """End the claim now. The lane may still run, but its results are ignored, and another takes its place."""
        if not lane.abandon(why, unbegun=unbegun):
            return
        self._deadlines.forget(lane.id)
        self._tell_ended(self._keep(Ending(lane.claim, lane.with_log(outcome), lane.handler.policy)))
        self._running.pop(lane.id, None)
        self._grace_begins(lane)
        abandoned, most = len(self._lanes.abandoned()), self.context.limits.abandoned_threads_max
        if abandoned > most and not self.is_halted:
            self.is_halted = True
            self.say("handler.halted", job_name=self.job_name, abandoned=abandoned, abandoned_threads_max=most)

    def _recover_from_halt(self) -> None:
        """Take jobs again once enough hung threads, of any name, have ended."""
        if len(self._lanes.abandoned()) <= self.context.limits.abandoned_threads_max:
            self.is_halted = False
        elif self._halt_timer is None:
            self._halt_timer = self.later(self.context.limits.lane_grace_seconds, Attach())

    def _grace_begins(self, lane: Lane) -> None:
        self.later(self.context.limits.lane_grace_seconds, GraceOver(lane_id=lane.id))

    def _grace_over(self, lane_id: int) -> None:
        lane = next((lane for lane in self._lanes.open() if lane.id == lane_id), None)
        if lane is not None:
            if lane.abandoned_because is None and lane.abandon(lane.reason or "its HandlerActor died"):
                self._running.pop(lane_id, None)
                self._give_back([lane.claim])
            if lane.abandoned_because is not None:
                self._tell_abandoned(lane)
        if (held_back := self._held_back.pop(lane_id, None)) is not None:
            self._backlog.put_first(held_back.claim, self.context.clock.monotonic())

    def _tell_abandoned(self, lane: Lane) -> None:
        if not lane.grace_is_over:
            lane.grace_is_over = True
            abandoned = len(self._lanes.abandoned())
            self._say_of(lane, "lane.abandoned", why=lane.abandoned_because, stack=lane.stack(), abandoned=abandoned)

    def _revoke(self, key: ClaimKey, reason: str) -> None:
        self._give_back(self._drop(lambda waiting: waiting.claim.key == key))
        for lane in self._lanes_here():
            if lane.claim.key == key and not lane.cancelled:
                lane.signal(reason)
                self._grace_begins(lane)

    def _disown_others(self, boot: str) -> None:
        """The claims that this runtime made as another boot are lost; unstarted ones are never started."""
        self._boot = boot
        self._drop(lambda waiting: waiting.claim.job.boot != boot)
        self._unsettled = {key: one for key, one in self._unsettled.items() if one.claim.job.boot == boot}
        for lane in self._lanes_here():
            if lane.claim.job.boot != boot and not lane.cancelled:
                lane.signal("its claim was lost with its boot")
                self._grace_begins(lane)

    def _detach(self, handler_id: str, drain: float | None) -> None:
        if drain is not None:
            self.later(drain, Interrupt(handler_id=handler_id, reason="its handler was removed"))
        left = bool(self._handlers())
        # Ask the backlog in any case: it waits for a lane of this handler that is just opening, which is then among the
        # running ones.
        self._give_back(self._backlog.remove(lambda _: not left))
        self._lanes.close(handler_id)

    def _interrupt(self, handler_id: str | None, reason: str) -> None:
        if handler_id is None:
            self._backlog.close()
        for lane in self._lanes_here():
            if handler_id is None or lane.handler.id == handler_id:
                self._give_up(lane, reason, Outcome(kind=OutcomeKind.INTERRUPTED, reason=reason))
        if handler_id is None:
            self._give_back_all()

    def _say_of(self, lane: Lane, event: str, **fields: Any) -> None:
        """Log an event of a run under the job's root, not the message's."""
        self.context.log.emit(
            event, self.speaker.about(lane.claim.job.root_id), **lane.fields(), lane=lane.id, **fields
        )
