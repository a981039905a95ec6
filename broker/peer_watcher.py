"""Watches the commits of other processes on the store, and sends them hints about this one's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import StoreError, StoreUnavailable, UsageError
from ..messages.jobs import Instant, JobState, Seconds
from ..messages.mail import CheckDue, Revoke, Wake
from ..stores.ports import Store
from .alarms import Alarms
from .outbox import Outbox
from .state import PARKED_SECONDS, BrokerState, Joins

POLL_SECONDS = 1.0
"""The polling interval for other processes, also without known peers: a new one's hint may be lost."""

POLL = CheckDue(foreign=True, poll=True)

CHANGES_SECONDS, CHANGES_SECONDS_MAX = 0.02, 0.2
"""Interval between reads of boots, schedules and lost claims, and of any look by a boot without a free lane: under load
each turn of each peer brings a hint, and nothing but the answer to `join`, which is sent at once, is that urgent. It is
longer where such a read takes long, as beside many busy processes.
"""

AGAIN_SECONDS = 0.1
"""Retry interval after a failed look."""


@dataclass(eq=False)
class PeerWatcher:
    """A broker's knowledge of other processes between turns. Only the thread that takes the turn calls it.

    Attributes:
        saw_nothing: the last look has found that nobody else has committed since the one before.
        has_put_off: nobody has looked, because nothing was urgent; an alarm brings the look.
    """

    state: BrokerState
    store: Store
    alarms: Alarms
    now: Callable[[], Instant]
    tell: Callable[[str, Any], object]
    say: Callable[..., None]
    joins: Joins
    parked_due: Seconds = 0.0
    saw_nothing: bool = False
    has_put_off: bool = False
    _unseen: bool = False
    _schedules_seen: int = 0
    _others_committed: bool = False
    _polled: bool = False
    _changed: bool = False
    _changes_due: Seconds = 0.0
    _boot_of_last_turn: str = ""

    def note(self, look: CheckDue) -> None:
        self._others_committed = self._others_committed or look.foreign
        self._polled = self._polled or look.poll
        if look.poll:
            # Now, because no ordinary turn may follow: without that no later poll would ever come.
            self.alarms.unheard = False

    def look(self) -> bool:
        """After a hint or poll, read what other processes did; now and then, look for parked jobs. True when a process
        has come or died, which takes a turn.
        """
        self.saw_nothing = self.has_put_off = False
        try:
            if self._others_committed:
                self._read_commits()
            # Before the first turn it is not known which other boots live.
            if self._boot_of_last_turn == self.state.boot:
                monotonic = self.state.monotonic()
                is_any_news = self._others_committed and self.state.parked.is_any_news(monotonic)
                if is_any_news or monotonic >= self.parked_due:
                    self._look_for_parked(monotonic)
            self._others_committed = self._polled = False
        except (StoreUnavailable, StoreError):
            # The turn meets the same trouble and reports it. If it does not, no message may come before the next poll,
            # so an alarm brings one.
            self.alarms.after("changes", AGAIN_SECONDS, CheckDue(foreign=True))
            return True
        return self.state.membership_changed

    def poll(self) -> None:
        """Poll if there may be other processes. The turn just taken knows which of them live."""
        wanted = not self.state.standing.presence.is_sole
        if wanted != self.alarms.polls:
            self.alarms.poll(POLL_SECONDS, POLL, wanted=wanted)
        if self._boot_of_last_turn != self.state.boot:
            self._boot_of_last_turn = self.state.boot
            # Not at once: an application may add handlers right after its start.
            self.parked_due = self.state.monotonic() + POLL_SECONDS

    def hint(self, out: Outbox) -> None:
        """Send a hint if a turn has changed anything that may concern other processes."""
        claimed = {moved.job.id for moved in out.transitions if moved.event == "job.claimed"}
        if out.hint or any(moved.event != "job.claimed" and moved.job.id not in claimed for moved in out.transitions):
            self.state.standing.hint(self.state.others)

    def _read_commits(self) -> None:
        """Read dead boots, ended jobs and other changes."""
        wait = self._changes_due - self.state.monotonic()
        if wait > 0.0:
            self.alarms.after("changes", wait, CheckDue(foreign=True))
            is_full = self.store.table is not None and not self.state.free_names()
            self.has_put_off = is_full and not self._polled and not self.joins.awaited()
            if self.has_put_off:
                return
        if self._polled:
            self._keep_up()
            # A boot whose lock file is visible again is no longer untraced.
            unsure = self.state.untraced or self.state.hidden
            if unsure or not all(self.state.presence.is_alive(other.boot) for other in self.state.others):
                self.state.membership_changed = True
        self._changed = self.store.changed() or self._changed
        if not self._changed:
            self.saw_nothing = True
            return
        self.joins.look(self.store)
        if wait <= 0.0:
            began = self.state.monotonic()
            self._read_changes()
            now, self._changed = self.state.monotonic(), False
            self._changes_due = now + min(max(CHANGES_SECONDS, 4 * (now - began)), CHANGES_SECONDS_MAX)

    def _look_for_parked(self, monotonic: Seconds) -> None:
        """Once a minute, with the next message: log names whose jobs no boot can handle."""
        state = self.state
        is_handled = partial(state.is_handled, others=state.others)
        meant = partial(state.meant, others=state.others)
        for line in state.parked.look(self.store, self.now(), monotonic, is_handled, meant):
            self.say("name.parked", **line)
        # The wake-ups by polls suffice, or by retention where nobody is polled for.
        self.parked_due = monotonic + PARKED_SECONDS

    def _keep_up(self) -> None:
        """Recreate this boot's files if somebody removed them: without its lock file it counts as dead."""
        try:
            self.state.presence.keep(self.state.boot)
            self._unseen = False
        except (StoreUnavailable, UsageError) as error:
            if not self._unseen:
                self._unseen = True
                self.say("presence.lost", reason=str(error))
        self.state.standing.hints.keep()
        controls = self.state.standing.controls
        controls.keep()
        if (trouble := controls.trouble()) is not None:
            self.say("control.lost", reason=trouble)

    def _read_changes(self) -> None:
        """Read boots that came or went, lost claims, and changes for the scheduler."""
        others = self.state.others
        around = self.store.surroundings(self.state.boot)
        present = {boot.boot: boot for boot in around.boots if boot.boot != self.state.boot}
        if present.keys() != {other.boot for other in others} or around.is_lost:
            self.state.membership_changed = True
        # Their names may have changed, which decides whether a job is parked.
        self.state.others = [present.get(other.boot, other) for other in others]
        if around.change_no != self._schedules_seen:
            self.tell("scheduler", Wake(reload=True))
            self._schedules_seen = around.change_no
        held_ids = [job.id for capacity in self.state.capacities.values() for job in capacity.held.values()]
        known = self.store.jobs.known(held_ids) if held_ids else {}
        for name, capacity in self.state.capacities.items():
            for key, held in capacity.held.items():
                job = known.get(held.id)
                if job is None:
                    self.tell(f"handler:{name}", Revoke(key=key, reason="it has ended elsewhere"))
                elif (job.key, job.state) != (key, JobState.RUNNING.value):
                    self.tell(f"handler:{name}", Revoke(key=key, reason=job.reason or f"it is {job.state}"))
