"""The jobs that have failed for good: listed whole and in order, and at hand for turns that revive them.

Finding them takes a while, so it is never done within a turn: a caller first puts them at hand, and keeps them there
until a turn has taken them or not. All of this runs on callers' threads, but for `for_turn`, `end` and `end_all`, which
turns call.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ...messages.jobs import JobRecord
from ...messages.queries import Found, JobQuery, place_of
from ...rules.queries import matches, place_at
from . import job_message as wire
from . import topology
from .link import Arrival, Browsed, LinkLost
from .unreadable import UnreadableMessage

REVIVED_MAX, REVIVED_BYTES_MAX = 5_000, 16_000_000
"""So many dead jobs are at hand at a time, at most."""

RETURN_SECONDS_MAX = 2.0
"""How long the server may take to take in which of them were taken, when the connection is to end."""

Browse = Callable[[str, Callable[[Arrival], object]], Browsed]


@dataclass(eq=False, slots=True)
class Hold:
    """The dead jobs that one look has found. The server keeps all of them aside until this is released.

    Attributes:
        taken: tags of those that turns have taken away.
        in_turns: how many of them turns are working on.
        is_left: whether the caller is done, so that no turn will be asked for any of them.
        back: is done once the others are given back; None until that begins.
    """

    browsed: Browsed | None
    taken: list[int] = field(default_factory=list)
    in_turns: int = 0
    is_left: bool = False
    back: Future[None] | None = None

    def let_go(self) -> None:
        """Give back all but what was taken, if neither the caller nor a turn needs it."""
        if self.is_left and self.in_turns == 0:
            browsed, self.browsed = self.browsed, None
            if browsed is not None:
                self.back = browsed.done(self.taken)


@dataclass(eq=False, slots=True)
class DeadAtHand:
    """A dead job that turns can find."""

    job: JobRecord
    tag: int
    hold: Hold
    is_in_turn: bool = False

    def begin(self) -> None:
        """A turn works on it from now on."""
        self.is_in_turn = True
        self.hold.in_turns += 1

    def take(self) -> None:
        """The turn has taken it: it is no dead job any more."""
        self.hold.taken.append(self.tag)

    def end(self) -> None:
        """The turn is over, and has taken it or not."""
        if self.is_in_turn:
            self.is_in_turn = False
            self.hold.in_turns -= 1
            self.hold.let_go()


class Dead:
    """The jobs of a RabbitMQ that have failed for good.

    Args:
        browse: has a queue seen, see `link.Link.browse`.
        put_aside: has messages that nobody can read moved to where they belong; the tags of those that are there.
        runs_here: whether a job is no dead one, because it runs in this runtime.
    """

    def __init__(
        self,
        browse: Browse,
        put_aside: Callable[[Sequence[UnreadableMessage]], Sequence[int]],
        runs_here: Callable[[str], bool],
    ) -> None:
        self._browse = browse
        self._put_aside = put_aside
        self._runs_here = runs_here
        self._at_hand: dict[str, DeadAtHand] = {}
        self._hold: Hold | None = None

    def find(self, query: JobQuery, *, limit: int, after: str | None = None) -> Found:
        """The dead jobs that match, what died last first; `after` is the `next` of the page before."""
        before, looked_at = place_at(after), 0
        last = None if before is None else (before.ended_at or 0.0, before.id)
        newest: list[tuple[float, str, int, JobRecord]] = []

        def see(job: JobRecord, tag: int) -> None:
            nonlocal looked_at
            looked_at += 1
            if (last is None or _place(job) < last) and matches(query, job):
                (heapq.heappush if len(newest) < limit else heapq.heappushpop)(newest, (*_place(job), tag, job))

        hold = self._look(see)
        hold.is_left = True
        hold.let_go()
        jobs = [job for *_, job in sorted(newest, reverse=True)]
        return Found(jobs, place_of(jobs[-1]).cursor if len(jobs) == limit else None, looked_at, True)

    def count(self, name: str | None) -> int:
        """How many dead jobs a name has, or all have together."""
        count = 0

        def see(job: JobRecord, _: int) -> None:
            nonlocal count
            count += name in (None, job.name)

        hold = self._look(see)
        hold.is_left = True
        hold.let_go()
        return count

    def one_at_hand(self, job_id: str) -> AbstractContextManager[object]:
        """Put one job at hand for turns, if it is dead."""
        return contextlib.nullcontext() if self._runs_here(job_id) else self._at_hand_if(lambda job: job.id == job_id)

    def all_at_hand(self, query: JobQuery, but: Collection[str]) -> AbstractContextManager[Sequence[str]]:
        """Put the dead jobs that match at hand for turns, `but` for some."""
        return self._at_hand_if(lambda job: job.id not in but and matches(query, job))

    @contextlib.contextmanager
    def _at_hand_if(self, wanted: Callable[[JobRecord], bool]) -> Iterator[Sequence[str]]:
        """Put the dead jobs that are wanted at hand for turns, and return their ids, the oldest first; if they are
        many, not all.
        """
        found: dict[str, tuple[JobRecord, int]] = {}
        size = 0

        def see(job: JobRecord, tag: int) -> None:
            nonlocal size
            if len(found) < REVIVED_MAX and size < REVIVED_BYTES_MAX and job.id not in found and wanted(job):
                found[job.id] = job, tag
                size += len(job.data)

        hold = self._look(see)
        mine = {job_id: DeadAtHand(job, tag, hold) for job_id, (job, tag) in found.items()}
        self._at_hand.update(mine)
        try:
            yield sorted(mine, key=lambda job_id: _place(mine[job_id].job))
        finally:
            for job_id, one in mine.items():
                if self._at_hand.get(job_id) is one and not one.is_in_turn:
                    del self._at_hand[job_id]
            hold.is_left = True
            hold.let_go()

    def _look(self, see: Callable[[JobRecord, int], object]) -> Hold:
        """Look at every dead job. Messages that nobody can read are moved away; those of a newer version stay."""
        unreadable_messages: list[UnreadableMessage] = []

        def arrived(arrival: Arrival) -> None:
            try:
                job = wire.read_ended(arrival.body)
            except wire.FutureFormat:
                return
            except wire.UnreadableJob as error:
                unreadable_messages.append(UnreadableMessage(arrival, topology.DEAD, None, error))
                return
            see(job, arrival.tag)

        # One at a time looks, so once the last of these has given all back, so have those before it.
        hold = self._hold = Hold(self._browse(topology.DEAD, arrived))
        try:
            hold.taken += self._put_aside(unreadable_messages)
        except BaseException:
            hold.is_left = True
            hold.let_go()
            raise
        return hold

    def for_turn(self, job_id: str) -> DeadAtHand | None:
        """A dead job that is at hand, for a turn, which must say when it is over."""
        found = self._at_hand.get(job_id)
        if found is not None and not found.is_in_turn:
            found.begin()
        return found

    def end(self, found: DeadAtHand) -> None:
        """Note that the turn is over which worked on one."""
        if found.hold.is_left and self._at_hand.get(found.job.id) is found:
            del self._at_hand[found.job.id]
        found.end()

    def await_return(self) -> None:
        """Wait until the server has taken in what became of those that were looked at last: the connection may end
        then. If it ended before, what was taken would be there again.
        """
        if self._hold is not None and self._hold.back is not None:
            with contextlib.suppress(LinkLost, FutureTimeout):
                self._hold.back.result(RETURN_SECONDS_MAX)

    def end_all(self) -> None:
        """No turn has any in hand: of one whose outcome was unknown it is known by now that it does not hold."""
        for found in list(self._at_hand.values()):
            self.end(found)


def _place(job: JobRecord) -> tuple[float, str]:
    """Their place in the order in which they died, by the clocks of their runtimes: the queue's own order changes with
    every look.
    """
    return job.ended_at or 0.0, job.id
