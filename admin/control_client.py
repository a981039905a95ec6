"""Asks the boots on a file for what only their memory has, and tells whether each is well."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from ..environment.clock import SystemClock
from ..environment.process import state_of
from ..errors import LamplighterError, StoreUnavailable, UsageError, shown
from ..messages.controls import VIEW_ASKED, Ask, Verb
from ..stores.asking import Heard, ask_all
from ..stores.controls import CONTROL, boot_file
from ..stores.presence import FilePresence, folder_of

if TYPE_CHECKING:
    from ..messages.boots import BootRecord
    from ..messages.jobs import Instant, Seconds
    from ..messages.views import ActorView, RuntimeView

V = TypeVar("V")

ANSWER_SECONDS = 1.0

HUNG_SECONDS_MAX = 30.0
"""No part of a runtime may handle one message, or let one wait, for longer."""

DEAD = "its process is dead"

SILENT_SECONDS = 0.05
"""The time limit for a boot that did not answer the last time: repeated looks must not wait for it each time."""

PATIENT_AGAIN_SECONDS = 10.0
"""After so long a silent boot gets the full time limit again: on a busy machine a healthy one may need it."""

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


class ControlClient:
    """Asks the boots on one file, and remembers since when each is silent.

    Args:
        path: the store's file.
        timeout: how long a boot may take to answer.
        read_view: makes a view of an answer's line.
        hung_seconds_max: a part of a boot that is at one message for longer hangs.
    """

    def __init__(
        self,
        path: str,
        timeout: Seconds = ANSWER_SECONDS,
        *,
        read_view: Callable[[bytes], RuntimeView] | None = None,
        hung_seconds_max: Seconds = HUNG_SECONDS_MAX,
    ) -> None:
        # The path by which its boots know it, whatever link leads there.
        self._folder = folder_of(os.path.realpath(path))
        self._presence = FilePresence(self._folder)
        self._timeout = timeout
        self._hung_seconds_max = hung_seconds_max
        self._read_view = _whole_view if read_view is None else read_view
        self._clock = SystemClock()
        self._silent: dict[str, _Silence] = {}

    def entered(self) -> list[str]:
        """The ids of the boots that have left traces beside the file, alive or not."""
        return self._presence.entered()

    def is_alive(self, boot: str) -> bool | None:
        return self._presence.is_alive(boot)

    def ask(
        self,
        boot: str,
        verb: Verb,
        kind: type[V],
        *,
        by: str | None = None,
        via: str | None = None,
        reason: str | None = None,
    ) -> V:
        """Ask one boot.

        Args:
            kind: the type of the verb's answer.

        Raises:
            StoreUnavailable: it does not answer; the message says why.
            AskRefused, UsageError: it answers something else.
        """
        # Imported only here, as below: a health check sends no such question, and reads the answers itself.
        from ..rules.control_lines import decode_answer, encode_ask

        question = encode_ask(Ask(verb=verb, by=by, via=via, reason=reason))
        heard = self._ask([boot], question, self._timeout)[boot]
        if heard.answer is not None:
            return decode_answer(heard.answer, kind)
        found = self._unanswered(boot, self._presence.is_alive(boot), heard, None)
        raise StoreUnavailable(f"expected runtime instance {boot} to answer, got: {found.unheard}")

    def ask_all(self, boots: Iterable[str], verb: Verb, kind: type[V]) -> dict[str, V | None]:
        """Ask boots the same, all that are not dead, at once; None for a boot without a usable answer."""
        from ..rules.control_lines import encode_ask

        living = [boot for boot in boots if self._presence.is_alive(boot) is not False]
        return {boot: _read(heard, kind) for boot, heard in self._ask_each(living, encode_ask(Ask(verb=verb))).items()}

    def views(self, boots: Iterable[str], records: Iterable[BootRecord] = ()) -> dict[str, BootView]:
        """Ask boots for their views, all at once; `records` tell the process of each, where the store was read."""
        known = {record.boot: record for record in records}
        alive = {boot: self._presence.is_alive(boot) for boot in boots}
        heard = self._ask_each([boot for boot in alive if alive[boot] is not False], VIEW_ASKED)
        return {boot: self._reached(boot, alive[boot], heard.get(boot), known.get(boot)) for boot in alive}

    def _ask_each(self, boots: Sequence[str], question: bytes) -> dict[str, Heard]:
        """Ask boots, those for a shorter time that were silent a while ago."""
        now = self._clock.monotonic()
        hasty = [boot for boot in boots if boot in self._silent and now < self._silent[boot].patient_at]
        others = [boot for boot in boots if boot not in hasty]
        quick = min(self._timeout, SILENT_SECONDS)
        found = self._ask(others, question, self._timeout) | self._ask(hasty, question, quick)
        for boot, heard in found.items():
            if heard.answer is not None:
                self._silent.pop(boot, None)
            elif boot not in hasty:
                before = self._silent.get(boot) or self._silence(heard)
                self._silent[boot] = before._replace(patient_at=now + PATIENT_AGAIN_SECONDS)
        return found

    def _silence(self, heard: Heard) -> _Silence:
        return _Silence(self._clock.now(), heard.why, patient_at=0.0)

    def _ask(self, boots: Iterable[str], question: bytes, timeout: Seconds) -> dict[str, Heard]:
        sockets = {boot: boot_file(self._folder, boot, CONTROL) for boot in boots}
        return ask_all(sockets, question, timeout, self._clock.monotonic, is_stopped=_is_stopped)

    def _reached(self, boot: str, is_alive: bool | None, heard: Heard | None, record: BootRecord | None) -> BootView:
        seen = partial(boot_view, record, boot=boot)
        if heard is None:
            self._silent.pop(boot, None)
            return seen(is_alive=False, condition="dead", unheard=DEAD, pid=None)
        if heard.answer is None:
            return self._unanswered(boot, is_alive, heard, record)
        try:
            view = self._read_view(heard.answer)
        except LamplighterError as error:
            return seen(is_alive=True, condition="answers", unheard=str(error), pid=heard.pid)
        most = self._hung_seconds_max
        return seen(is_alive=True, condition="answers", view=view, pid=view.pid, hung_seconds_max=most)

    def _unanswered(self, boot: str, is_alive: bool | None, heard: Heard, record: BootRecord | None) -> BootView:
        if is_alive is None:
            why = self._presence.hidden(boot) or heard.why
            return boot_view(record, is_alive=None, unheard=why, boot=boot, pid=None)
        if not is_alive:
            return boot_view(record, is_alive=False, condition="dead", unheard=DEAD, boot=boot, pid=None)
        pid = heard.pid
        if pid is None and record is not None and record.host == socket.gethostname():
            pid = record.pid
        is_stopped = pid is not None and _is_stopped(pid)
        silence = self._silent.get(boot) or self._silence(heard)
        return boot_view(
            record,
            is_alive=True,
            condition="stopped" if is_stopped else "silent",
            unheard=f"a signal or a debugger has stopped process {pid}" if is_stopped else silence.why,
            silent_since=silence.since,
            boot=boot,
            pid=pid,
        )


class _Silence(NamedTuple):
    """Since when and why a boot does not answer.

    Attributes:
        patient_at: the monotonic time from which it gets the full time limit again.
    """

    since: Instant
    why: str
    patient_at: Seconds


def _whole_view(line: bytes) -> RuntimeView:
    from ..messages.views import RuntimeView
    from ..rules.control_lines import decode_answer

    return decode_answer(line, RuntimeView)


def _read(heard: Heard, kind: type[V]) -> V | None:
    from ..rules.control_lines import decode_answer

    try:
        return None if heard.answer is None else decode_answer(heard.answer, kind)
    except LamplighterError:
        return None


def _is_stopped(pid: int) -> bool:
    return state_of(pid) == "stopped"


def plain_view(line: bytes) -> Any:
    """The parts of a `RuntimeView` that are read here, from an answer's line. A health check runs every few seconds,
    and loading the whole view's decoder takes longer than everything else in it.

    Raises:
        UsageError: it is no answer that can be understood here.
    """
    try:
        found = json.loads(line, object_hook=lambda fields: SimpleNamespace(**fields))
        view = found.answer
        return SimpleNamespace(
            pid=int(view.pid),
            is_draining=bool(view.is_draining),
            quiet=view.quiet,
            health=SimpleNamespace(status=str(view.health.status), reasons=tuple(map(str, view.health.reasons))),
            actors=[
                SimpleNamespace(
                    name=str(actor.name),
                    busy_with=actor.busy_with,
                    busy_seconds=float(actor.busy_seconds or 0.0),
                    oldest_seconds=float(actor.oldest_seconds or 0.0),
                )
                for actor in view.actors
            ],
        )
    except (AttributeError, TypeError, ValueError):
        raise UsageError(f"expected an answer of a runtime of this version, got: {shown(line)}") from None


def hung_parts(view: RuntimeView, age_seconds_max: Seconds) -> list[str]:
    """The parts of a boot that handle one message, or let one wait, for longer, a sentence for each."""
    said = []
    for actor in view.actors:
        if (busy := actor.busy_seconds or 0.0) > age_seconds_max:
            said.append(f"{actor.name} has been at one {actor.busy_with or 'message'} for {busy:.0f} s")
        elif (oldest := actor.oldest_seconds or 0.0) > age_seconds_max:
            said.append(f"a message to {actor.name} has waited for {oldest:.0f} s")
    return said
