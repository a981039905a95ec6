"""The messages and changes of a turn after its commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..log.emitter import Said, Speaker
from ..messages.boots import BootRecord, LedgerTurn
from ..messages.jobs import Attribution, Claim, ClaimKey, Instant, JobRecord, Seconds, Transition
from ..messages.mail import Reply, WatchExternalCommit
from ..messages.names import NameLimits
from ..messages.outcomes import Policy


class QuietSwitch(NamedTuple):
    """The last time that somebody had a boot be quiet, or go on."""

    is_quiet: bool
    at: Instant
    who: Attribution


class Quiet:
    """The request that a boot was given, by any thread; the broker heeds it at once, also before it has read a message
    about it.

    Attributes:
        switched: what it was told last; None if it never was.
        is_on: whether it claims nothing.
        logged: which of what it was told the log has.
    """

    def __init__(self) -> None:
        self.switched: QuietSwitch | None = None
        self.is_on = False
        self.logged: QuietSwitch | None = None
        self._lock = threading.Lock()

    @property
    def is_untold(self) -> bool:
        """Whether the log does not have yet what holds now."""
        logged = self.logged
        return self.is_on != (logged is not None and logged.is_quiet)

    def switch(self, is_quiet: bool, at: Instant, who: Attribution) -> None:
        """Be quiet, or go on. Nothing changes where it is so already: whoever was first has done it."""
        with self._lock:
            if self.is_on != is_quiet:
                self.switched, self.is_on = QuietSwitch(is_quiet, at, who), is_quiet


@dataclass(slots=True)
class HandlerCapacity:
    """The capacity of one HandlerActor, and the claims it holds."""

    incarnation: int
    lanes: int
    prefetch: int
    limits: NameLimits
    policy: Policy
    held: dict[ClaimKey, JobRecord]


class Membership(NamedTuple):
    """The other living boots; those without a lock file, of which nobody knows whether they live, since when by
    monotonic time; and sentences about those whose lock file may not be opened here. Where it is not whole, there is
    more to be told, by the next turn.
    """

    others: Sequence[BootRecord]
    untraced: dict[str, Seconds]
    hidden: Sequence[str]
    is_whole: bool = True


@dataclass(slots=True, kw_only=True)
class Outbox:
    """The effects of a turn after its commit, and not at all if it is rolled back: a field for each effect.

    Attributes:
        lines: each made of its fields, or of a transition, or of a job that is only named, if somebody listens.
        replies: answers to whoever waits: a value or an error.
        tells: to which actor, what, and on whose behalf.
        transitions: those that `lines` has so far.
        slots: of schedules whose jobs have this name, what became of so many slots.
        fenced: the names of jobs that an attempt without a claim tried to end.
        did: what the turn did, as the ledger tells it; None if it has changed nothing.
        unlogged: earlier turns that it tells, because whoever should have may not.
        hint: whether other boots must look, though no job says so.
        settled: endings that their HandlerActors need not keep any more, by job name, where nothing tells them yet.
        ticked: schedules that are accounted for, up to when, and their change number.
        claimed: what HandlerActors have been given, by job name.
        served: which name has got the last of the places, if they are limited.
        freed: claims that they hold no more.
        capacities: what HandlerActors have said that they can take; None of one that has died.
        reconciled: actors whose claims have been compared with the store.
        progress: how far jobs are.
        membership: who lives, if the turn has looked.
        stored_names: the job names that other boots now know to have lanes here.
        next_due: by job name, from when on it pays to look again; None where the turn has not looked.
        version: the store's.
        expiry: no queued job expires before then.
        drains: whether nothing more is claimed.
        quieted: what of `Quiet` the log has from now on.
        known: the boots that the store has, if nobody else may leave anything beside it.
        buried: boots that have died, whose jobs the turn has taken back.
        expected: jobs, and changes of schedules, in hosts' own transactions.
        made_good: by how many seconds wall time was stepped for which the turn has made good.
        parked: names of which it is said that no living boot has a handler for them, and when, by monotonic time.
        is_renewed: whether the store knows the boot that this runtime has become.
        slots_are_pruned: whether nobody needs any of the slots that are left.
        housekeep_after: when to remove the next batch of what ended long ago.
        is_tallied: whether the turn has stored what was counted before it.
    """

    lines: list[Said] = field(default_factory=list)
    replies: list[tuple[Reply, Any, BaseException | None]] = field(default_factory=list)
    tells: list[tuple[str, Any, Speaker]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    slots: list[tuple[str, str, int]] = field(default_factory=list)
    fenced: list[str] = field(default_factory=list)
    did: LedgerTurn | None = None
    unlogged: Sequence[LedgerTurn] = ()
    hint: bool = False
    settled: dict[str, list[ClaimKey]] = field(default_factory=dict)
    ticked: list[tuple[str, Instant, int]] = field(default_factory=list)
    claimed: dict[str, Sequence[Claim]] = field(default_factory=dict)
    served: str | None = None
    freed: dict[str, set[ClaimKey]] = field(default_factory=dict)
    capacities: dict[str, HandlerCapacity | None] = field(default_factory=dict)
    reconciled: set[str] = field(default_factory=set)
    progress: dict[ClaimKey, str] = field(default_factory=dict)
    membership: Membership | None = None
    stored_names: list[str] | None = None
    next_due: dict[str, Instant] | None = None
    version: int = 0
    expiry: Instant | None = None
    drains: bool = False
    quieted: QuietSwitch | None = None
    known: set[str] | None = None
    buried: list[BootRecord] = field(default_factory=list)
    expected: list[WatchExternalCommit] = field(default_factory=list)
    made_good: Seconds = 0.0
    parked: dict[str, Seconds] = field(default_factory=dict)
    is_renewed: bool = False
    slots_are_pruned: bool = False
    housekeep_after: Seconds | None = None
    is_tallied: bool = False
