"""Whether this runtime leads: it reads the ledger through a second connection with a short heartbeat.

The server gives the ledger to another runtime only when the leader's connection ends. On the connection of jobs a
process that hangs would be found after a minute or more, because a handler may keep the GIL for long. With a heartbeat
of 5 s the server ends the second connection within 15 s, and running jobs lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from ...messages.jobs import Seconds
from . import topology
from .health_issues import SILENCE_SECONDS_MAX
from .ledger import PREFETCH, Ledger
from .ledger_records import Record
from .link import Arrival, Cancelled, Connected, Link, LinkEvent, Lost, Pulse, StoreEnvironment
from .state import RabbitState

HEARTBEAT_SECONDS = 5
"""RabbitMQ ends a connection that was silent for two to three heartbeats."""

LEASE_SECONDS = 2.0 * HEARTBEAT_SECONDS
"""Counted from the last write that was read back: no other runtime gets the ledger sooner, so no slot fires twice."""

UNSEEN_PULSES_MAX = 2
"""The connection is given up after so many unread pulses: the process lives, but its broker hangs."""


class Candidacy:
    """A connection that waits for the ledger, or has it: the link's listener.

    Args:
        tell: called by any thread with the candidacy and each of its link's events.
    """

    def __init__(self, link: Link, tell: Callable[[Candidacy, LinkEvent], object]) -> None:
        self.link = link
        self.session = self.unseen = 0
        self._tell = tell

    def hear(self, event: LinkEvent) -> None:
        if isinstance(event, Connected):
            self.session = event.session
        elif isinstance(event, Pulse):
            self.unseen += 1
            if self.unseen > UNSEEN_PULSES_MAX:
                self.give_up("nobody looks at what comes by it")
        self._tell(self, event)

    def give_up(self, reason: str) -> None:
        """End the connection, so that the server gives the ledger to another runtime. The link connects again."""
        self.link.give_up(self.session, reason)


class Leading:
    """This runtime's part in leader election. Only the thread that takes turns calls this.

    Args:
        link: that of jobs, used to ask for other candidates.
        connect: makes a link that is not started.
        later: has the thread that takes turns make a call. Any thread calls this.
    """

    def __init__(
        self,
        state: RabbitState,
        link: Link,
        connect: Callable[[], Link],
        environment: StoreEnvironment,
        *,
        tell: Callable[[Candidacy, LinkEvent], object],
        later: Callable[[Callable[[], object]], object],
        told: Callable[[Record], None],
        unreadable: Callable[[str, Arrival | None], None],
    ) -> None:
        self._state = state
        self._link = link
        self._connect = connect
        self._tell = tell
        self._later = later
        self._monotonic = environment.clock.monotonic
        self.ledger = Ledger(state, environment, told=told, unreadable=unreadable)
        self._candidacy: Candidacy | None = None
        self._probe: tuple[str, Seconds] | None = None
        self._proven_at: Seconds | None = None

    @property
    def is_proven(self) -> bool:
        """Whether this runtime has the ledger, and no other can have it yet."""
        proven = self._proven_at
        return self.ledger.is_read and proven is not None and self._monotonic() - proven < LEASE_SECONDS

    @property
    def _works(self) -> bool:
        """Whether this runtime is not known to be a producer."""
        return all(boot.kind == "worker" for boot in self._state.own_boots.values())

    def stand(self) -> None:
        """Become a candidate; a producer only while there is no other. Call this from time to time."""
        if self._works:
            self._begin()
        elif self._candidacy is None:
            self._link.look(topology.LEDGER).add_done_callback(self._seen)
        elif not self.ledger.is_read:
            self.withdraw()

    def _seen(self, answer: Future[tuple[int, int] | None]) -> None:
        seen = None if answer.exception() is not None else answer.result()
        if seen is not None and seen[1] == 0:
            self._later(self._begin)

    def _begin(self) -> None:
        if self._candidacy is None:
            candidacy = self._candidacy = Candidacy(self._connect(), self._tell)
            candidacy.link.start(candidacy.hear)

    def withdraw(self) -> None:
        candidacy, self._candidacy = self._candidacy, None
        self._forget()
        if candidacy is not None:
            candidacy.link.stop()

    def hear(self, candidacy: Candidacy, event: LinkEvent) -> None:
        candidacy.unseen = 0
        if candidacy is not self._candidacy:
            return
        match event:
            case Connected(session):
                self.ledger.begin(session, candidacy.link)
                # When the other connection declared the ledger, one that was just being deleted may have been found.
                declared = candidacy.link.setup((topology.LEDGER_QUEUE,))
                declared.add_done_callback(lambda _: self._consume(candidacy, session))
            case Lost():
                self._forget()
            case Cancelled():
                # The server gives the ledger to another runtime as soon as the connection has ended.
                self._forget()
                candidacy.give_up("the server has ended the consumer of the ledger")
            case Arrival() if event.session == self.ledger.session:
                since = self._monotonic()
                self.ledger.arrived(event)
                if self._probe is None and not self.ledger.is_read:
                    self._probe = self.ledger.marker, since

    def _yield(self, candidacy: Candidacy | None) -> None:
        if candidacy is self._candidacy:
            self.withdraw()

    def _consume(self, candidacy: Candidacy, session: int) -> None:
        candidacy.link.consume(session, topology.LEDGER, topology.LEDGER, prefetch=PREFETCH, apart=True)

    def acknowledge(self, arrival: Arrival) -> None:
        if self._candidacy is not None:
            self._candidacy.link.acknowledge(arrival.session, (arrival.tag,))

    def _forget(self) -> None:
        self.ledger.begin(0, None)
        self._probe = self._proven_at = None

    def probes(self, label: str) -> None:
        """Note a record that the leader must read back: otherwise this runtime leads no more."""
        if self._probe is None:
            self._probe = label, self._monotonic()
        elif self._monotonic() - self._probe[1] > SILENCE_SECONDS_MAX and self._candidacy is not None:
            self._candidacy.give_up(f"for {SILENCE_SECONDS_MAX:g} s no record of the ledger was given back")

    def told(self, record: Record) -> None:
        """Note a record that the leader has read. A producer leaves the ledger to a worker."""
        boot = self._state.shared.boots.get(str(record.get("from")))
        if self.ledger.is_read and not self._works and boot is not None and boot.get("kind", "worker") == "worker":
            self._later(partial(self._yield, self._candidacy))
        if self._probe is not None and record.get("by") == self._probe[0]:
            self._proven_at, self._probe = self._probe[1], None
