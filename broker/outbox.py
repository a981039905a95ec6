"""The output of a turn, collected while it runs, sent after its commit, dropped if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..log.emitter import Said, Speaker
from ..messages.boots import BootRecord, LedgerTurn
from ..messages.jobs import UNATTRIBUTED, Attribution, Claim, ClaimKey, Instant, JobRecord, Seconds, Transition
from ..messages.mail import Reply, WatchExternalCommit
from ..messages.names import NameLimits
from ..messages.outcomes import Policy


class QuietSwitch(NamedTuple):
    is_quiet: bool
    at: Instant
    who: Attribution


AWAKE = QuietSwitch(is_quiet=False, at=0.0, who=UNATTRIBUTED)


@dataclass(slots=True)
class HandlerCapacity:
    incarnation: int
    lanes: int
    prefetch: int
    limits: NameLimits
    policy: Policy
    held: dict[ClaimKey, JobRecord]


class Membership(NamedTuple):
    """The other living boots; boots without a lock file and since when (monotonic); reasons why a lock file cannot be
    opened here. Not `is_whole`: the next turn has more to log.
    """

    others: Sequence[BootRecord]
    untraced: dict[str, Seconds]
    hidden: Sequence[str]
    is_whole: bool = True


@dataclass(slots=True, kw_only=True)
class Outbox:
    """The effects of a turn after its commit, dropped if it is rolled back.

    Attributes:
        lines: each is made of fields, a transition, or a job that is only named, and only if somebody listens.
        tells: (actor, message, root).
        transitions: those that `lines` has so far.
        slots: how many slots fired or were skipped, by job name.
        fenced: the names of jobs that an attempt without a claim tried to end.
        did: the ledger's record of the turn; None if it has changed nothing.
        unlogged: earlier turns that this one logs in place of their boot.
        hint: whether other boots must look, though no job says so.
        settled: endings that HandlerActors may drop, by job name, not yet sent to them.
        ticked: accounted schedules: (id, up to when, change number).
        served: which name got the last of the limited places.
        freed: claims that HandlerActors hold no more.
        capacities: as reported by HandlerActors; None for one that has died.
        reconciled: actors whose claims have been compared with the store.
        membership: which boots live, if the turn has looked.
        stored_names: the names for which other boots now know lanes here.
        next_due: by job name, from when on it pays to look again; None where the turn has not looked.
        expiry: no queued job expires before then.
        drains: whether nothing more is claimed.
        quieted: the quiet switch that is now logged.
        known: the boots on the store, if nobody else may leave files beside it.
        buried: dead boots whose jobs the turn has taken back.
        expected: jobs and changes of schedules in hosts' own transactions.
        steps: how many of the noticed clock steps the turn has corrected.
        parked: names logged as having no handler on a living boot, and when (monotonic).
        is_renewed: whether the store knows the boot that this runtime has become.
        slots_are_pruned: whether no removable slots are left.
        housekeep_after: seconds until the next batch is removed.
        is_tallied: whether the turn has stored the counts.
        is_held_up: whether open turns of others keep jobs that are to be freed.
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
    steps: int = 0
    parked: dict[str, Seconds] = field(default_factory=dict)
    is_renewed: bool = False
    slots_are_pruned: bool = False
    housekeep_after: Seconds | None = None
    is_tallied: bool = False
    is_held_up: bool = False
