"""The dead jobs: listed whole and in order, and held ready for turns that revive them.

Finding them is slow, so no turn does it: a caller first holds them ready until a turn has taken them or not. Callers'
threads run all of this but `for_turn`, `end` and `end_all`.
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
from .questions import ServerClient
from .unreadable import UnreadableMessage

REVIVED_MAX, REVIVED_BYTES_MAX = 5_000, 16_000_000

RETURN_SECONDS_MAX = 2.0
"""How long a closing connection waits until the server knows which jobs were taken."""


@dataclass(eq=False, slots=True)
class Hold:
    """The dead jobs found by one look. The server keeps them aside until this is released.

    Attributes:
        taken: tags of those taken by turns.
        in_turns: how many are in open turns.
        is_left: the caller is done; no turn will ask for more.
        back: done once the rest is given back; None until that begins.
    """

    browsed: Browsed | None
    taken: list[int] = field(default_factory=list)
    in_turns: int = 0
    is_left: bool = False
    back: Future[None] | None = None

    def let_go(self) -> None:
        """Give back all but the taken ones, unless the caller or a turn still needs them."""
        if self.is_left and self.in_turns == 0:
            browsed, self.browsed = self.browsed, None
            if browsed is not None:
                self.back = browsed.done(self.taken)


@dataclass(eq=False, slots=True)
class DeadAtHand:
    job: JobRecord
    tag: int
    hold: Hold
    is_in_turn: bool = False

    def begin(self) -> None:
        self.is_in_turn = True
        self.hold.in_turns += 1

    def take(self) -> None:
        self.hold.taken.append(self.tag)

    def end(self) -> None:
        if self.is_in_turn:
            self.is_in_turn = False
            self.hold.in_turns -= 1
            self.hold.let_go()


class Dead:
    """The dead jobs of a RabbitMQ.

    Args:
        runs_here: a job that runs in this runtime is not dead.
        put_aside: moves unreadable messages away; the indexes of those that arrived.
    """

    def __init__(
        self,
        client: ServerClient,
        runs_here: Callable[[str], bool],
        put_aside: Callable[[Sequence[UnreadableMessage]], Sequence[int]] = lambda unreadable_messages: (),
    ) -> None:
        self._client = client
        self._runs_here = runs_here
        self._put_aside = put_aside
        self._at_hand: dict[str, DeadAtHand] = {}
        self._hold: Hold | None = None

    def find(self, query: JobQuery, *, limit: int, after: str | None = None) -> Found:
        """The dead jobs that match, latest death first; `after` is the `next` of the page before."""
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
        count = 0

        def see(job: JobRecord, _: int) -> None:
            nonlocal count
            count += name in (None, job.name)

        hold = self._look(see)
        hold.is_left = True
        hold.let_go()
        return count

    def one_at_hand(self, job_id: str) -> AbstractContextManager[object]:
        return contextlib.nullcontext() if self._runs_here(job_id) else self._at_hand_if(lambda job: job.id == job_id)

    def all_at_hand(self, query: JobQuery, but: Collection[str]) -> AbstractContextManager[Sequence[str]]:
        """Hold the matching dead jobs ready for turns, except `but`."""
        return self._at_hand_if(lambda job: job.id not in but and matches(query, job))

    @contextlib.contextmanager
    def _at_hand_if(self, wanted: Callable[[JobRecord], bool]) -> Iterator[Sequence[str]]:
        """Hold the wanted dead jobs ready for turns, and return their ids, oldest first; only some if they are many."""
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
        """See every dead job. Unreadable messages are moved away; those of a newer version stay."""
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

        # Only one look at a time: once the last one has given all back, so have those before it.
        hold = self._hold = Hold(self._client.browse(topology.DEAD, arrived))
        try:
            hold.taken += [unreadable_messages[one].arrival.tag for one in self._put_aside(unreadable_messages)]
        except BaseException:
            hold.is_left = True
            hold.let_go()
            raise
        return hold

    def for_turn(self, job_id: str) -> DeadAtHand | None:
        """A dead job that is held ready; the turn must call `end`."""
        found = self._at_hand.get(job_id)
        if found is not None and not found.is_in_turn:
            found.begin()
        return found

    def end(self, found: DeadAtHand) -> None:
        if found.hold.is_left and self._at_hand.get(found.job.id) is found:
            del self._at_hand[found.job.id]
        found.end()

    def await_return(self) -> None:
        """Wait until the server has the acknowledgements: if the connection ended before, taken jobs would be back."""
        if self._hold is not None and self._hold.back is not None:
            with contextlib.suppress(LinkLost, FutureTimeout):
                self._hold.back.result(RETURN_SECONDS_MAX)

    def end_all(self) -> None:
        """No turn holds any: one whose outcome was unknown is known by now to have failed."""
        for found in list(self._at_hand.values()):
            self.end(found)


def _place(job: JobRecord) -> tuple[float, str]:
    """The order of deaths by the runtimes' clocks: every look changes the order of the queue."""
    return job.ended_at or 0.0, job.id
