"""Routes jobs to handlers and records how each claim ended.

Owns: its state (the capacity of living HandlerActors) and the mail of a turn that could not be stored. Hears: the
messages listed in `broker.dispatch`. Tells: Run, Settled, Revoke, Resync, Paused, SchedulesChanged, Ticked, Wake.

A turn is a transaction: it takes what is in the mailbox, applies it to the store, claims what free lanes can take,
commits once, and only then lets anything out. A crash in the middle is as if the mail had not arrived. The effect of
each kind of mail in a turn stands in broker/.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, islice
from math import inf
from operator import attrgetter

from ..broker import boots, claims, jobs, schedules
from ..broker.alarms import Alarms, ExternalCommitWatch, Retention
from ..broker.boot_registration import BootRegistration
from ..broker.direct import DirectLane
from ..broker.dispatch import HalfDone, apply, given_up, may_wait_apart, refuse_callers, still_wanted
from ..broker.outbox import Outbox, log_lines
from ..broker.peer_watcher import PeerWatcher
from ..broker.state import BrokerInputs, BrokerState, Joins
from ..broker.tallies import FLUSH_SECONDS, Tallies, TurnTimes
from ..broker.turn_context import TurnContext, keep_time
from ..environment.replies import BrokerLost, answer, answer_all, reply_of
from ..errors import LamplighterError, StoreError, StoreGone, StoreUnavailable, UsageError
from ..handlers.lanes import Lanes
from ..log.emitter import Said
from ..messages.jobs import UNATTRIBUTED, JobRecord, NewJob, Seconds
from ..messages.mail import CheckDue, Drain, Ended, Housekeep, LanesEnded, Mail, Queue, Resync, Run, Settled, Ticked
from ..stores.ports import DueCheck
from ..stores.troubles import BootLost, CommitUnknown, StoreBusy, TurnConflict, again
from ..stores.turn_ports import held_up_seconds
from .base import ActorContext, RuntimeActor

RETRY_SECONDS = 0.1
"""Between a turn that the store refused and its retry; BEGIN itself has waited for the lock before."""

BATCH_TRIES_MAX = 2
"""How often a whole batch is tried in whose way another writer is, before its messages are tried alone."""

REST_SECONDS_MAX = 10.0
"""Between two looks at the queues of a store on a server, while polls find no commit: an alarm may have been lost."""

APART_SECONDS = 1.0
"""Between two tries of messages that wait apart."""

STOOD_IN_SECONDS_MAX = 0.05
"""A caller stands in after a turn that was shorter, because it cannot give up within a turn. On a busy machine a turn
of 0.3 ms takes ten by the clock, and a hand-over between threads as many.
"""

REFUSED_AGAIN_SECONDS = 5.0
"""Between two tries to store an ending that was refused alone."""

JOB = attrgetter("job")


class JobBroker(RuntimeActor):
    """Takes the turns, the only writers of the store.

    Attributes, which other threads read:
        leads: whether the last turn could account for slots.
        store_error: why the store is unavailable, if it is.
        held_up: what keeps messages waiting apart, if any do.
        has_given_up: whether a stop has ceased to wait for the store, so that no turn is tried any more.
        parked, hidden: as in `BrokerState`.
    """

    is_lent_to_hosts = True

    def __init__(
        self,
        context: ActorContext,
        incarnation: int,
        *,
        standing: BootRegistration,
        renew: Callable[[BootLost], BootRegistration],
        has_handler: Callable[[str], bool],
        joins: Joins,
        lanes: Lanes,
        inputs: BrokerInputs,
        tallies: Tallies,
    ) -> None:
        super().__init__(context, "broker", incarnation)
        # The speaker of lines without a causing message.
        self._itself = self.speaker
        self._store = store = context.store
        self._renew = renew
        self._joins = joins
        self._lanes = lanes
        self.store_error: Exception | None = None
        self.held_up: str | None = None
        self._held_up_since = 0.0
        self.has_given_up = False
        self._state = BrokerState(
            standing=standing,
            limits=context.limits,
            chance=context.environment.chance(),
            has_handler=has_handler,
            monotonic=context.clock.monotonic,
            inputs=inputs,
        )
        self.parked, self.hidden = self._state.parked, self._state.hidden
        self.turn_times = TurnTimes(context.clock.monotonic)
        # A caller that takes a turn cannot give up while the turn waits.
        self._lends = store.waits_seconds_max <= context.limits.reply_seconds_max
        self._pending: list[Mail] = []
        # Another transaction keeps for long what each of these needs, and the others go on.
        self._apart: deque[Mail] = deque()
        self._apart_until = inf
        self._recovered = False
        # The predecessor may have died between a commit and its answers.
        self._may_owe_answers = True
        self._kept_since: float | None = None
        self._looked_at = 0.0
        self.leads = True
        self._waiting_since: float | None = None
        self._waiting_callers = 0
        # Alarms find the broker by name: when this incarnation is gone, they wake the next.
        self._alarms = Alarms(context.clock, partial(context.post.tell, "broker"), self.actor_stopped.is_set)
        self._retention = Retention(self._state, self._alarms)
        self._tallies = tallies
        self._expected = ExternalCommitWatch(inputs.expected, store, self._alarms)
        self._neighbours = PeerWatcher(
            self._state,
            store,
            self._alarms,
            now=context.clock.now,
            tell=self.tell,
            say=self.say,
            joins=joins,
        )
        self._direct = DirectLane(
            self._state,
            store,
            context.log,
            self._itself,
            context.clock,
            tallies=tallies,
            times=self.turn_times,
            parked_due=lambda: self._neighbours.parked_due,
            environment=context.environment,
            broker=self,
            run=self._deliver,
        )

    def on_start(self) -> None:
        """Begin with a turn at once, even without mail: others may have died, applications may have queued."""
        # Read `draining` only now: a stop that began earlier was sent to the previous broker.
        self._state.draining = self._state.inputs.draining
        self._ask_the_living()
        self._begin()
        self._retention.put_off()

    def _begin(self) -> None:
        """Take the first turn. A boot that stops has to store that under each of its names."""
        self.tell_self(Drain() if self._state.draining else CheckDue())

    def _ask_the_living(self) -> None:
        """Ask HandlerActors for their claims. The next turn takes back those of dead ones, and logs what was not
        logged.
        """
        state, post = self._state, self.context.post
        # List the actors before asking: one started in between holds nothing, and need not be waited for.
        living = {name: actor.incarnation for name in post.names() if (actor := post.find(name)) is not None}
        state.sync_id = post.new_id()
        state.capacities.clear()
        state.unreconciled = {
            name: incarnation
            for name, incarnation in living.items()
            if name.startswith("handler:") and self.tell(name, Resync(state.sync_id, state.boot))
        }
        self.tell("scheduler", Resync(state.sync_id, state.boot))
        self._recovered, self._may_owe_answers = False, True

    def on_down(self) -> None:
        """Callers that still wait ask the next incarnation; ids make that idempotent."""
        for place, mail in enumerate([*self._pending, *self._apart]):
            self.on_lost(mail, read=place < self.context.limits.turn_messages_max)

    @property
    def may_be_stood_in_for(self) -> bool:
        """Whether a caller may take the turn for its own message. Several waiting callers share the next turn."""
        is_free = self._waiting_callers < 2 and self._waiting_since is None
        last = self.turn_times.last
        if last is None or last.seconds >= STOOD_IN_SECONDS_MAX:
            return False
        # Code of the application might take a lock that the caller holds.
        return is_free and self._lends and self.context.log.is_ours

    @property
    def behind(self) -> int:
        return len(self._pending) + len(self._apart) + len(self.mailbox.mail)

    def hear_first(self) -> None:
        """Have HandlerActors report lanes that have ended, before this broker handles what those have queued since."""
        for name in self._lanes.unread:
            self.context.post.tell(f"handler:{name}", LanesEnded(), here=True)

    def on_lost(self, mail: Mail, *, read: bool) -> None:
        """Only a message that a broker has read may have killed it."""
        answer(reply_of(mail.body), None, BrokerLost("the broker died before it answered", read=read))

    def receive(self, mail: Mail) -> None:
        # Hosts that were answered together ask again together, and one turn for all costs little more than for one.
        if self._waiting_callers > 1:
            self.mailbox.gather(self._waiting_callers - 1)
        limits = self.context.limits
        # While the store is unavailable, take in everything, so that superseded messages can be dropped.
        most = limits.turn_messages_max if self._waiting_since is None else limits.mailbox_messages_max
        came, looks = [mail, *self.take_more(most)], False
        for one in came:
            if isinstance(one.body, CheckDue):
                # Note hints even in mixed batches: under load no batch has hints only.
                self._neighbours.note(one.body)
                looks = True
        if self._pending:
            # Drop a CheckDue while mail is kept: where a turn takes one message, it would be sent again for ever.
            came = [one for one in came if not isinstance(one.body, CheckDue)]
        self._pending += came
        if self._waiting_since is not None and self.context.clock.monotonic() >= self._state.inputs.gives_up_at:
            self.has_given_up = True
            self._pending = refuse_callers(self._pending, StoreUnavailable("the runtime stops without its store"))
            return
        if self._apart and not self._try_apart():
            return
        batch = self._pending[: limits.turn_messages_max]
        only_looks = self._recovered and looks and all(isinstance(m.body, CheckDue) for m in batch)
        is_turn_due = self._neighbours.look()
        if not is_turn_due and self._direct.is_open and self._queue_directly(batch):
            return
        self._direct.is_open = False
        if only_looks and not is_turn_due and self._may_rest(batch):
            self._handled(batch)
            self._neighbours.poll()
            return
        outlook = None if is_turn_due or not only_looks else self._look_out()
        if outlook is None or outlook.is_due:
            self._take_turn(batch)
            return
        self._handled(batch)
        if self._waiting_since is not None:
            self._store_is_back(self._waiting_since)
        # No turn has read other processes' commits meanwhile, so the knowledge of them may be stale.
        self._state.forget_next_due()
        self._set_alarms(outlook)

    def _may_rest(self, looks: Sequence[Mail]) -> bool:
        """Whether nothing is to be done after hints that could be put off, or polls that have found no commit: the
        alarms since the last look hold. A look at a file is no trip, and in a store without a table other things than
        commits bring work.
        """
        if self._waiting_since is not None or self._state.inputs.expected:
            return False
        if self._neighbours.has_put_off and all(mail.body.foreign for mail in looks):
            return True
        if not self._neighbours.saw_nothing or self._store.table is None or self._store.wall is None:
            return False
        if not 0.0 <= self.context.clock.now() - self._looked_at < REST_SECONDS_MAX:
            return False
        return all(mail.body.poll for mail in looks) and not self._tallies.is_due(self._state.monotonic())

    def queue_here(self, jobs: Sequence[NewJob]) -> list[tuple[JobRecord, bool]] | None:
        """Store jobs without options by the calling thread, while this actor's own waits for mail and none has come,
        and answer as to `Queue`. None where the broker must be asked.

        Raises:
            BrokerLost: this broker dies of it.
        """
        stored: list[tuple[JobRecord, bool]] = []
        if self._direct.is_open and self._fatal is None and self.may_be_stood_in_for:
            self.mailbox.lend(partial(self._own_context.run, self._queue_here, jobs, stored))
        return stored or None

    def _queue_here(self, jobs: Sequence[NewJob], stored: list[tuple[JobRecord, bool]]) -> None:
        if self.mailbox.mail or self._pending or self._lanes.is_news_due:
            return
        began = self.busy_since = self.context.clock.monotonic()
        try:
            try:
                stored += self._direct.queue(jobs, began) or ()
            except (StoreUnavailable, StoreGone) as error:
                self._wait_for_store(error)
        except BaseException as error:
            self._is_to_die(error)
            self.tell_self(CheckDue())
            raise BrokerLost("the broker died before it answered", read=True) from error
        finally:
            self.busy_since = None

    def _queue_directly(self, batch: Sequence[Mail]) -> bool:
        """Take a turn of the direct lane. False, and nothing is stored, if the batch is more than jobs without options,
        or an ordinary turn must be taken for them.
        """
        jobs: list[NewJob] = []
        for mail in batch:
            body = mail.body
            if not isinstance(body, Queue) or body.reply is None or body.who is not UNATTRIBUTED or given_up(body):
                return False
            jobs += body.jobs
        try:
            stored = self._direct.queue(jobs, self.context.clock.monotonic())
        except (StoreUnavailable, StoreGone) as error:
            self._wait_for_store(error)
            return True
        if stored is None:
            return False
        answers = iter(stored)
        replies = [(mail.body.reply, list(islice(answers, len(mail.body.jobs))), None) for mail in batch]
        self._waiting_callers = len(self.mailbox.mail) + len(replies)
        answer_all(replies)
        self._handled(batch)
        return True

    def _take_turn(self, batch: list[Mail]) -> None:
        is_back = True
        try:
            out = again(partial(self._run_turn, batch), BATCH_TRIES_MAX)
        except TurnConflict:
            # First without mail: if that conflicts too, no message is to blame, and all of them wait.
            is_back = self._one_by_one(batch, batch[0]._replace(body=CheckDue()))
        except (StoreUnavailable, StoreGone) as error:
            self._wait_for_store(error)
            return
        except BootLost as lost:
            self._begin_anew(lost)
            return
        except Exception as error:
            if self.is_lent and not isinstance(error, HalfDone):
                # The host may have raised the error into this thread, so no message need be to blame.
                raise
            is_back = self._one_by_one(batch)
        else:
            self._let_out(out)
            self._handled(batch)
        if is_back and self._waiting_since is not None:
            self._store_is_back(self._waiting_since)
        self._set_alarms()
        if is_back:
            self._direct.open()

    def _begin_anew(self, lost: BootLost) -> None:
        """The store no longer knows this boot. Begin as a new broker of another boot; the mail waits for it."""
        try:
            self._state.renew(self._renew(lost))
        except (StoreUnavailable, UsageError, OSError, RuntimeError) as error:
            why = f"{lost}; and the runtime cannot go on as another instance yet: {error}"
            self._wait_for_store(StoreUnavailable(why))
            return
        self._ask_the_living()
        self._begin()

    def _try_apart(self) -> bool:
        """Try the messages that wait apart, until one conflicts again. False: the store is unavailable."""
        self._direct.is_open = False
        while self._apart and self._apart_until <= self.context.clock.monotonic():
            self._pending.insert(0, self._apart.popleft())
            if not self._one_by_one(self._pending[:1]):
                return False
        if not self._apart:
            self._store_is_back(self._held_up_since)
        return True

    def _set_apart(self, mail: Mail, conflict: TurnConflict) -> None:
        now, reason = self.context.clock.monotonic(), str(conflict)
        if self.held_up is None:
            self._held_up_since = now
            self.say("store.waiting", store=self._store.address, waited=0.0, reason=reason)
        self.held_up = reason
        self._apart.append(mail)
        self._apart_until = now + APART_SECONDS
        self._alarms.after("apart", APART_SECONDS, CheckDue())

    def _one_by_one(self, batch: list[Mail], *first: Mail) -> bool:
        """After a rolled-back turn, try each message alone and refuse failing ones. False: the store is unavailable."""
        waiting = deque(one for mail in (*first, *batch) for one in claims.one_by_one(mail))
        rest = self._pending[len(batch) :]
        while waiting:
            try:
                out = self._run_turn([waiting[0]])
            except (StoreUnavailable, StoreGone) as error:
                if isinstance(error, TurnConflict) and may_wait_apart(waiting[0].body):
                    self._set_apart(waiting.popleft(), error)
                    continue
                self._pending = [*waiting, *rest]
                self._wait_for_store(error)
                return False
            except BootLost as lost:
                self._pending = [*waiting, *rest]
                self._begin_anew(lost)
                return False
            except HalfDone as half_done:
                answer(reply_of(waiting.popleft().body), None, half_done.refusal)
            except Exception as error:
                if self.is_lent:
                    raise
                instead = self._refuse(waiting.popleft(), error)
                if instead is not None:
                    waiting.appendleft(instead)
            else:
                self._let_out(out)
                waiting.popleft()
        self._handled(batch)
        return True

    def _refuse(self, mail: Mail, error: Exception) -> Mail | None:
        """Log and refuse a message. Returns the message to try instead, if there is one."""
        kind = type(mail.body).__name__
        why = {"reason": repr(error)[:500], "traceback": traceback.format_exc()}
        self.context.log.emit("message.refused", self.speaker_of(mail), message=kind, **why)
        answer(reply_of(mail.body), None, LamplighterError(f"{kind} could not be carried out: {error!r}"))
        if isinstance(mail.body, Housekeep):
            self._retention.put_off()
        instead = claims.failed_instead(mail, error)
        if instead is None and isinstance(mail.body, Ended):
            # Otherwise the job would be running for ever. The trouble may pass, as a shortage of memory does.
            self._alarms.after(f"ended {mail.body.endings[0].claim.key}", REFUSED_AGAIN_SECONDS, mail.body)
        return instead

    def _run_turn(self, batch: list[Mail]) -> Outbox:
        out, clock, times, is_stored = Outbox(), self.context.clock, self.turn_times, False
        times.began, times.writes_from = clock.monotonic(), None
        try:
            with self._store.turn(self._state.boot, clock.now()) as turn:
                # The turn holds SQLite's write lock now.
                times.writes_from = clock.monotonic()
                if turn.lost is not None and self._state.standing.renewal is None:
                    raise turn.lost
                own = TurnContext(self._state, turn, out, self._itself)
                keep_time(own, clock, is_first=not self._recovered and self._store.wall is None)
                self._looked_at = turn.now
                self._work(own, batch)
                # The store commits at the end of its block.
            is_stored = True
            times.end(is_stored=True)
            out.did, out.unlogged, out.version, out.expiry = turn.did, turn.unlogged, turn.version, turn.expiry
            for event, fields in turn.news:
                out.lines.append(Said(event, self._itself, (fields,)))
            if turn.leads and not self.leads:
                own.tell("scheduler", Resync(self._state.sync_id, self._state.boot))
            self.leads, self._recovered = turn.leads, True
        except BaseException as error:
            # A commit that raised may hold all the same, and the jobs it queued may be due.
            self._state.forget_next_due()
            if not is_stored:
                times.end(is_stored=False)
            elif isinstance(error, Exception):
                # Do not try it again: the next broker finds and logs what it has stored.
                raise CommitUnknown(f"a write batch was stored, and then: {error!r}") from error
            raise
        return out

    def _work(self, own: TurnContext, batch: list[Mail]) -> None:
        """The stages of a turn, all its writes to the store. Their order is a promise: each builds on those before it,
        and its condition is evaluated only here, because the mail of this very turn may have made it true. `own` is the
        context for effects without a causing message; each message gets a context of its own.
        """
        turn, state = own.turn, self._state
        if turn.version != state.version:
            own.forget_next_due()
        if state.standing.renewal is not None:
            boots.renew(own, state.standing.renewal)
            own.out.is_renewed = True
        if turn.has_host_moves or (turn.expiry is not None and turn.expiry <= turn.now):
            turn.jobs.refresh()
        if not self._recovered:
            boots.recover(own, state.standing.logged)
        elif state.membership_changed:
            boots.bury_dead(own)
        if turn.transitions:
            own.collect()
        if turn.has_host_changes:
            schedules.refresh(own)
        if state.inputs.quiet is not state.standing.quiet_logged:
            claims.heed_quiet(own)
        self._take_in(own, batch)
        if turn.expiry is not None and turn.expiry <= turn.now:
            claims.finish_deferred(own)
        if turn.has_ripe:
            jobs.free(own)
        claims.claim(own)
        if own.out.drains or self._tallies.is_due(state.monotonic()):
            self._tallies.store(turn, own.out)

    def _take_in(self, own: TurnContext, batch: list[Mail]) -> None:
        """The stage of the mail: each message in order. Consecutive `Queue` messages become one statement."""
        if len(batch) == 1:
            speaker = self.speaker if batch[0] is self.in_hand else self.speaker_of(batch[0])
            apply(TurnContext(self._state, own.turn, own.out, speaker), batch[0].body, self._retention)
            return
        for kind, mails in groupby(batch, lambda mail: type(mail.body)):
            contexts = [(own._replace(speaker=self.speaker_of(mail)), mail.body) for mail in mails]
            if kind is Queue and len(contexts) > 1:
                jobs.queue_together([(context, body) for context, body in contexts if not given_up(body)])
                continue
            for context, body in contexts:
                apply(context, body, self._retention)

    def _let_out(self, out: Outbox) -> None:
        if self.context.environment.failpoints.is_live:
            self.context.environment.failpoints.at("broker.let_out", self)
        self._state.take(out)
        if out.housekeep_after is not None:
            self._retention.take(out)
        for expect in out.expected:
            self._expected.add(expect)
        for dead in out.buried:
            self._state.presence.bury(dead)
        if out.known is not None:
            self._state.presence.tidy(out.known)
        log_lines(self.context.log, out, self._itself, self._state.boot, self._store.store_id)
        self._state.note_logged(out)
        counted = self._looked_at, self._state.monotonic(), self.turn_times.last
        if self._store.tallies is not None and self._tallies.take(out, *counted):
            self._alarms.after("tallies", FLUSH_SECONDS, CheckDue())
        if out.ticked:
            self.tell("scheduler", Ticked(accounts=tuple(out.ticked)))
        may_stand_in = bool(out.tells) and self.context.environment.may_stand_in()
        for to, body, speaker in out.tells:
            here = may_stand_in and isinstance(body, Run | Settled)
            is_sent = self.context.post.tell(to, body, speaker=speaker, here=here)
            if not is_sent:
                # No such actor lives, so there is nothing to wait for.
                answer(reply_of(body), None, None)
        self._waiting_callers = 0
        if out.replies:
            self._waiting_callers = len(self.mailbox.mail) + len(out.replies)
            answer_all(out.replies)
        self._joins.wake(map(JOB, out.transitions))
        if out.is_held_up:
            now = self._state.monotonic()
            self._kept_since = self._kept_since or now
            self._alarms.after("held up", held_up_seconds(now - self._kept_since), CheckDue())
        else:
            self._kept_since = None
        if self._state.others:
            self._neighbours.hint(out)

    def _deliver(self, run: Run) -> None:
        """Have a HandlerActor start a claim of the direct lane, on this thread if the HandlerActor waits for mail."""
        job, here = run.claims[0].job, self.context.environment.may_stand_in()
        self.context.post.tell(f"handler:{job.name}", run, speaker=self._itself, root_id=job.root_id, here=here)

    def _look_out(self) -> DueCheck | None:
        """Look for work due to time or another process, without the write lock. None if a turn must look."""
        now = self.context.clock.now()
        if self._tallies.is_due(self._state.monotonic()):
            return None
        try:
            outlook = self._store.jobs.outlook(self._state.free_names(), now)
        except (StoreUnavailable, StoreError):
            # The turn meets the same trouble, and handles it.
            return None
        self._looked_at, self._state.expiry = now, outlook.expiry
        return outlook

    def _set_alarms(self, outlook: DueCheck | None = None) -> None:
        """Set the alarm for the next due work. `outlook` covers all names with a free lane, if it was read."""
        state, names = self._state, self._state.free_names()
        unknown = set(names) - state.next_due.keys()
        try:
            if outlook is None and unknown:
                # From the instant of the look, not from now: jobs that became due in between must wake us too.
                outlook = self._store.jobs.outlook(unknown, self._looked_at)
                state.expiry = outlook.expiry
            if self._state.inputs.expected:
                self._expected.look(state.monotonic())
            if self._may_owe_answers:
                self._joins.look(self._store)
                self._may_owe_answers = False
        except (StoreUnavailable, StoreError):
            self._alarms.after("retry", RETRY_SECONDS, CheckDue())
            return
        due = inf if state.expiry is None else state.expiry
        if outlook is not None and outlook.next_due is not None:
            due = min(due, outlook.next_due)
        for name in names:
            due = min(due, state.next_due.get(name, inf))
        if due != inf:
            self._alarms.at(due, CheckDue())
        self._neighbours.poll()

    def _wait_for_store(self, error: StoreUnavailable | StoreGone) -> None:
        self._pending = [*self._apart, *self._pending]
        self._apart.clear()
        # Known before callers are refused; the reason may have changed.
        self.held_up, self.store_error = None, error
        if isinstance(error, CommitUnknown):
            self._ask_the_living()
        elif isinstance(error, StoreGone):
            # Callers need not wait for a person to come; endings are kept for when the file is back.
            self._pending = refuse_callers(self._pending, error)
            self._joins.fail(error)
        now = self.context.clock.monotonic()
        locked = isinstance(error, StoreBusy)
        first = self._waiting_since is None
        self._waiting_since = self._waiting_since if self._waiting_since is not None else now
        waited = round(now - self._waiting_since + (self.context.limits.busy_seconds_max if locked else 0.0), 3)
        if first:
            event = "store.waiting" if locked else "store.unavailable"
            likely = {"likely": self.context.environment.lock_holder()} if locked else {}
            self.say(event, store=self._store.address, waited=waited, reason=str(error), **likely)
        self._pending = still_wanted(self._pending)
        self._alarms.after("retry", RETRY_SECONDS, CheckDue())

    def _handled(self, batch: Sequence[Mail]) -> None:
        """Remove a handled batch from the pending mail, and continue with the rest."""
        self._pending = self._pending[len(batch) :]
        if self._pending:
            self.tell(self.name, CheckDue())

    def _store_is_back(self, since: Seconds) -> None:
        self._waiting_since = self.store_error = self.held_up = None
        waited = round(self.context.clock.monotonic() - since, 3)
        self.say("store.available", store=self._store.address, waited=waited)
