"""How the boots on a store are asked, from outside, for what only their memory has; and how each looks then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ..messages.controls import HUNG_SECONDS_MAX, JobVerb, Verb

if TYPE_CHECKING:
    from ..messages.boots import BootRecord
    from ..messages.jobs import Attribution, Instant, JobRecord, Seconds
    from ..messages.views import ActorView, RuntimeView
    from .ports import Readable

V = TypeVar("V")

BROKER = "broker"

ROW = ("boot", "boot_no", "kind", "pid", "host", "started_at", "names", "version", "python", "stopping")
"""The fields of a `BootView` that the row of a boot has."""

Defect = Literal["restarting", "halted", "quarantined"]

Condition = Literal["answers", "silent", "stopped", "dead", "unknown"]
"""The state of a boot as seen from outside: it answers; it holds its lock and does not answer, because a signal has
stopped its process (`stopped`) or for another reason (`silent`); its lock is free; or it cannot be known.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootView:
    """A boot on a store: its row, how it looks from outside, and its own answer. `boot_view` makes one.

    Attributes:
        pid: None where neither its row nor the system tells it.
        stopping: whether its row says that it stops; `stops`, whether it takes no more jobs because it stops.
        is_alive: whether it holds its lock; None where that cannot be known.
        unheard: why there is no view.
        silent_since: since when it has not answered this client; None if it has, or was not asked.
        is_quiet: whether somebody has made it quiet.
        status: its own health, and red if a part of it hangs; None where it is unknown. `reasons` are why it is not
            green. Commands, page, metrics and doctor take this for whether it is well.
        view: its own view; None where it was not asked, or sends none that can be read here, and in an overview.
    """

    boot: str
    boot_no: int = 0
    kind: str = "worker"
    pid: int | None
    host: str = ""
    started_at: Instant = 0.0
    names: tuple[str, ...] = ()
    version: str = ""
    python: str = ""
    stopping: bool = False
    is_alive: bool | None
    condition: Condition
    unheard: str | None
    silent_since: Instant | None
    stops: bool
    is_quiet: bool
    status: str | None
    reasons: tuple[str, ...]
    view: RuntimeView | None

    @property
    def is_well(self) -> bool:
        """Whether it answers, and no person must act on it."""
        return self.status not in (None, "red")

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return f"boot {self.boot} (pid {self.pid} on {self.host})"

    @property
    def broker_busy(self) -> Seconds:
        """For how long its broker has been at one message, by its view."""
        return next((actor.busy_seconds or 0.0 for actor in self._actors(BROKER)), 0.0)

    def defect(self, name: str) -> Defect | None:
        """Why it takes no jobs of a name that it has handlers for, by its view."""
        actors = self._actors(BROKER, f"handler:{name}")
        if any(actor.status == "quarantined" for actor in actors):
            return "quarantined"
        if any(actor.status == "waiting" for actor in actors):
            return "restarting"
        return "halted" if any(actor.is_halted for actor in actors) else None

    def crash_of(self, name: str) -> str | None:
        """Its dead parts that took jobs of a name, and why they died."""
        actors = self._actors(BROKER, f"handler:{name}")
        return next((actor.last_crash for actor in actors if actor.status in ("quarantined", "waiting")), None)

    def _actors(self, *names: str) -> list[ActorView]:
        actors = () if self.view is None else self.view.actors
        return [one for name in names for one in actors if one.name == name]


def boot_view(
    row: BootRecord | RuntimeView | None,
    *,
    is_alive: bool | None,
    view: RuntimeView | None = None,
    unheard: str | None = "it was not asked",
    condition: Condition = "unknown",
    silent_since: Instant | None = None,
    hung_seconds_max: Seconds = HUNG_SECONDS_MAX,
    **bare: Any,
) -> BootView:
    """A boot by its row, or by its own view where it has none; `bare` are its `boot` and `pid` where it has neither."""
    hung = () if view is None else tuple(hung_parts(view, hung_seconds_max))
    known = bare if row is None else {name: getattr(row, name) for name in ROW if hasattr(row, name)}
    # A runtime on a server has no row, and says by its own view that it stops.
    known.setdefault("stopping", bool(getattr(row, "is_draining", False)))
    return BootView(
        **known,
        is_alive=is_alive,
        condition=condition,
        unheard=None if view is not None else unheard,
        silent_since=silent_since,
        stops=known.get("stopping", False) or (view is not None and view.is_draining),
        is_quiet=view is not None and view.quiet is not None,
        status=None if view is None else "red" if hung else view.health.status,
        reasons=() if view is None else (*hung, *view.health.reasons),
        view=view,
    )


class ControlClient(Protocol):
    """Asks the boots on a store, and lists them. Operators are no boots here.

    Raises:
        StoreUnavailable, StoreError: of every method: the store cannot be reached or read.
    """

    def found(self) -> Sequence[BootView]:
        """The boots that are known without a look at the store, with their answers."""

    def look(self, store: Readable) -> Sequence[BootView]:
        """Every boot on a store, the oldest first, with its answer."""

    def declared(self, store: Readable, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        """By boot, the ids of the schedules that its code declares; None unless every living one has answered.

        Args:
            but: a boot that is not asked.
        """

    def ask(self, boot: str, verb: Verb, kind: type[V], who: Attribution | None = None, job_id: str | None = None) -> V:
        """Ask one boot.

        Args:
            kind: the type of the verb's answer.
            who: for the log of the boot.
            job_id: the job that the question is about, if it is about one.

        Raises:
            StoreUnavailable: it does not answer; the message says why.
            AskRefused, UsageError: it answers something else.
        """


class JobHolders(Protocol):
    """The runtimes of a store where only the one that holds a job can act on it."""

    def act(self, verb: JobVerb, job_id: str, who: Attribution, *, delay: Seconds = 0.0) -> JobRecord:
        """Have a job's holder cancel or requeue it, in a turn of its own; gives the job as it is then, without its
        data.

        Args:
            who: for the log of the holder.
            delay: how long a job that is requeued waits.

        Raises:
            UnknownJob: all that are known to live have answered, and none holds it.
            StoreUnavailable: the holder has not done it, or has not answered at all; the message names it.
            AskRefused: the holder cannot do it.
        """


def hung_parts(view: RuntimeView, age_seconds_max: Seconds) -> list[str]:
    """The parts of a boot that handle one message, or let one wait, for longer, a sentence for each."""
    said = []
    for actor in view.actors:
        if (busy := actor.busy_seconds or 0.0) > age_seconds_max:
            said.append(f"{actor.name} has been at one {actor.busy_with or 'message'} for {busy:.0f} s")
        elif (oldest := actor.oldest_seconds or 0.0) > age_seconds_max:
            said.append(f"a message to {actor.name} has waited for {oldest:.0f} s")
    return said
