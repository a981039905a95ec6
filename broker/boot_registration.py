"""A runtime's registration on its store: a row, a lock that shows that it lives, a hint channel, a control socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..environment.clock import Clock
from ..environment.environment import Environment
from ..errors import StoreError, StoreUnavailable
from ..messages.boots import OPERATOR, BootKind, BootRecord
from ..messages.jobs import Instant, Seconds
from ..messages.schedules import ScheduleRecord
from ..stores.opening import meet
from ..stores.ports import Answer, Store
from ..stores.troubles import again
from ..stores.turn_ports import Turn
from .outbox import AWAKE

RETRY_SECONDS = 0.01


class Renewal(NamedTuple):
    """The row that a turn must store first, because this runtime has become another boot.

    Attributes:
        boot_was: the id of the previous boot.
        schedules: the host's declarations; the store may be an older one.
        about: the fields of `runtime.started`.
    """

    record: BootRecord
    boot_was: str
    schedules: Sequence[ScheduleRecord]
    about: dict[str, Any]


class BootRegistration:
    """A runtime's registration on its store. A boot that its store no longer knows takes a new one. A broker that has
    died leaves it to the next: it says how much of this boot's work is logged.

    Attributes:
        boot_no: the boot's number on its store; 0 if unknown, or if boots have none.
        logged: the last logged turn of this boot.
        quiet_logged: the last quiet switch that this boot's log has.
        renewal: set while the store does not know this boot yet.
        stays: whether the boot ends and its row stays, so that others have to find it dead.
    """

    def __init__(self, environment: Environment, store: Store, kind: BootKind = "worker") -> None:
        self.boot = environment.new_id()[:12]
        self.presence, self.hints, self.controls = meet(environment, store, self.boot)
        self.stays = False
        self.boot_no = self.logged = 0
        self.quiet_logged = AWAKE
        self.renewal: Renewal | None = None
        self._kind = kind
        self._environment = environment
        self._store = store

    def enter(self, heard: Callable[[], None], answer: Answer) -> None:
        """Take the boot's lock, call `heard` for every hint, and `answer` for every question from outside.

        Raises:
            UsageError, StoreUnavailable: see `Presence.enter`.
        """
        self.presence.enter(self.boot)
        self.hints.listen(heard, self._environment.spawn)
        self.controls.serve(answer, self._environment.spawn)

    def leave(self) -> None:
        self.controls.close()
        self.hints.close()
        self.presence.leave(self.boot, stays=self.stays)

    def record(self, names: Sequence[str], now: Instant) -> BootRecord:
        host, pid = self._environment.whereabouts()
        version, python = self._environment.versions()
        return BootRecord(
            boot=self.boot,
            pid=pid,
            host=host,
            started_at=now,
            hint=self.hints.address,
            names=tuple(names),
            kind=self._kind,
            version=version,
            python=python,
            control=self.controls.address,
        )

    def register(
        self, names: Sequence[str], clock: Clock, seconds_max: Seconds
    ) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
        """Store this boot's row. Return the fields for `runtime.started`, and the events that the store has to log.

        Raises:
            StoreUnavailable: not possible within `seconds_max`.
            StoreError: waiting would not help, because a person must change something.
        """
        give_up_at = clock.monotonic() + seconds_max
        while True:
            try:
                self.boot_no, others, news = self._enroll(self.record(names, clock.now()))
            except StoreUnavailable as error:
                for ailment in self._store.health_issues():
                    if ailment.status == "red":
                        reason = f"expected {self._store.address} to be usable, got: {ailment.reason}"
                        raise StoreError(reason) from error
                if clock.monotonic() > give_up_at:
                    raise
                self._environment.event().wait(RETRY_SECONDS)
            else:
                # Without this hint a runtime that was alone on the file would not look for others until its next poll.
                self.hint(others)
                return place_of(self.boot_no, others), news

    def _enroll(self, record: BootRecord) -> tuple[int, Sequence[BootRecord], list[tuple[str, dict[str, Any]]]]:
        with self._store.turn(self.boot, record.started_at) as turn:
            others = turn.boots.all()
            boot_no = turn.boots.register(record)
        return boot_no, others, turn.news

    def unregister(self, now: Instant) -> None:
        """Remove this boot's row, if nothing is left for others to do."""
        others, self.stays = again(partial(self._leave, now))
        self.hint(others)

    def _leave(self, now: Instant) -> tuple[Sequence[BootRecord], bool]:
        with self._store.turn(self.boot, now) as turn:
            return leave(turn, self.boot, self.logged)

    def hint(self, others: Sequence[BootRecord]) -> None:
        """Tell the other boots that something has changed."""
        self.hints.send([other.hint for other in others if other.hint is not None and other.boot != self.boot])


def leave(turn: Turn, boot: str, logged: int) -> tuple[list[BootRecord], bool]:
    """Remove the row of a boot whose actors have stopped. Return the other boots, and whether the row stays.

    The row stays if the boot still holds a claim or has unlogged turns: the boot that finds it dead handles both.
    """
    boots = turn.boots.all()
    own = next((one for one in boots if one.boot == boot), None)
    stays = own is not None and (own.turn != logged or bool(turn.jobs.open_claims(boot)))
    if own is not None and not stays:
        turn.boots.forget((boot,))
    elif own is not None:
        # Its broker may have died before it could say so, and a job is not to blame for that.
        turn.boots.note_stop(boot)
    return [one for one in boots if one.boot != boot], stays


def place_of(boot_no: int, others: Sequence[BootRecord]) -> dict[str, Any]:
    """The boot's number and the numbers beside it, for `runtime.started`; empty where boots have no numbers."""
    beside = sorted(other.boot_no for other in others if other.kind != OPERATOR)
    return {"boot_no": boot_no, "beside": beside} if boot_no else {}
