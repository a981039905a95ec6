"""Asks boots that are rows of a table for what only their memory has, and tells whether each is well."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...environment.clock import SystemClock
from ...environment.process import state_of
from ...errors import LamplighterError, StoreUnavailable, UsageError, shown
from ...messages.controls import ANSWER_SECONDS, HUNG_SECONDS_MAX, VIEW_ASKED, Ask, Verb
from ..asking import Heard
from ..control_client import BootView, boot_view

if TYPE_CHECKING:
    from ...messages.boots import BootRecord
    from ...messages.jobs import Attribution, Instant, Seconds
    from ...messages.views import RuntimeView
    from ..ports import Readable

V = TypeVar("V")

DEAD = "its process is dead"

SILENT_SECONDS = 0.05
"""The time limit for a boot that did not answer the last time: repeated looks must not wait for it each time."""

PATIENT_AGAIN_SECONDS = 10.0
"""After so long a silent boot gets the full time limit again: on a busy machine a healthy one may need it."""


class TableControlClient(ABC):
    """The common part of the `ControlClient`s of stores in tables. It remembers since when each boot is silent.

    Args: as `StorePlace.client` has them.
    """

    def __init__(
        self,
        timeout: Seconds = ANSWER_SECONDS,
        *,
        is_plain: bool = False,
        hung_seconds_max: Seconds = HUNG_SECONDS_MAX,
    ) -> None:
        self._timeout = timeout
        self._hung_seconds_max = hung_seconds_max
        self._read_view = plain_view if is_plain else _whole_view
        self._clock = SystemClock()
        self._silent: dict[str, _Silence] = {}

    @abstractmethod
    def ask_these(self, boots: Sequence[str], question: bytes, timeout: Seconds) -> dict[str, Heard]:
        """Ask boots the same, all at once, but for those that are known to be dead."""

    @abstractmethod
    def pid_here(self, record: BootRecord) -> int | None:
        """The process of a boot, if that is on this machine."""

    def look(self, store: Readable) -> Sequence[BootView]:
        records = _records(store)
        return list(self.views([record.boot for record in records], records).values())

    def declared(self, store: Readable, *, but: str | None = None) -> Mapping[str, frozenset[str]] | None:
        from ...messages.views import DeclaredView

        said = self.ask_all([one.boot for one in _records(store) if one.boot != but], "declares", DeclaredView)
        known = {boot: frozenset(one.schedules) for boot, one in said.items() if one is not None}
        return known if len(known) == len(said) else None

    def ask(self, boot: str, verb: Verb, kind: type[V], who: Attribution | None = None, job_id: str | None = None) -> V:
        # Imported only here, as below: a health check sends no such question, and reads the answers itself.
        from ...rules.control_lines import decode_answer, encode_ask

        question = encode_ask(Ask(verb=verb, **({} if who is None else who._asdict()), job_id=job_id))
        heard = self.ask_these([boot], question, self._timeout)[boot]
        if heard.answer is not None:
            return decode_answer(heard.answer, kind)
        found = self._unanswered(boot, heard, None)
        raise StoreUnavailable(f"expected runtime instance {boot} to answer, got: {found.unheard}")

    def ask_all(self, boots: Iterable[str], verb: Verb, kind: type[V]) -> dict[str, V | None]:
        """Ask boots the same, all that are not dead, at once; None for a boot without a usable answer."""
        from ...rules.control_lines import encode_ask

        heard = self._ask_each(list(boots), encode_ask(Ask(verb=verb)))
        return {boot: _read(one, kind) for boot, one in heard.items() if one.is_alive is not False}

    def views(self, boots: Iterable[str], records: Iterable[BootRecord] = ()) -> dict[str, BootView]:
        """Ask boots for their views, all at once; `records` tell the process of each, where the store was read."""
        known = {record.boot: record for record in records}
        boots = list(boots)
        heard = self._ask_each(boots, VIEW_ASKED)
        return {boot: self._reached(boot, heard[boot], known.get(boot)) for boot in boots}

    def _ask_each(self, boots: Sequence[str], question: bytes) -> dict[str, Heard]:
        """Ask boots, those for a shorter time that were silent a while ago."""
        now = self._clock.monotonic()
        hasty = [boot for boot in boots if boot in self._silent and now < self._silent[boot].patient_at]
        others = [boot for boot in boots if boot not in hasty]
        quick = min(self._timeout, SILENT_SECONDS)
        found = self.ask_these(others, question, self._timeout) if others else {}
        found |= self.ask_these(hasty, question, quick) if hasty else {}
        for boot, heard in found.items():
            if heard.answer is not None or heard.is_alive is False:
                self._silent.pop(boot, None)
            elif boot not in hasty:
                before = self._silent.get(boot) or self._silence(heard)
                self._silent[boot] = before._replace(patient_at=now + PATIENT_AGAIN_SECONDS)
        return found

    def _silence(self, heard: Heard) -> _Silence:
        return _Silence(self._clock.now(), heard.why, patient_at=0.0)

    def _reached(self, boot: str, heard: Heard, record: BootRecord | None) -> BootView:
        seen = partial(boot_view, record, boot=boot)
        if heard.answer is None:
            return self._unanswered(boot, heard, record)
        try:
            view = self._read_view(heard.answer)
        except LamplighterError as error:
            return seen(is_alive=True, condition="answers", unheard=str(error), pid=heard.pid)
        most = self._hung_seconds_max
        return seen(is_alive=True, condition="answers", view=view, pid=view.pid, hung_seconds_max=most)

    def _unanswered(self, boot: str, heard: Heard, record: BootRecord | None) -> BootView:
        if heard.is_alive is None:
            return boot_view(record, is_alive=None, unheard=heard.why, boot=boot, pid=None)
        if not heard.is_alive:
            return boot_view(record, is_alive=False, condition="dead", unheard=heard.why, boot=boot, pid=None)
        pid = heard.pid
        if pid is None and record is not None:
            pid = self.pid_here(record)
        stopped = pid is not None and is_stopped(pid)
        silence = self._silent.get(boot) or self._silence(heard)
        return boot_view(
            record,
            is_alive=True,
            condition="stopped" if stopped else "silent",
            unheard=f"a signal or a debugger has stopped process {pid}" if stopped else silence.why,
            silent_since=silence.since,
            boot=boot,
            pid=pid,
        )


def _records(store: Readable) -> Sequence[BootRecord]:
    with store.snapshot() as seen:
        return [record for record in seen.boots() if record.kind != "operator"]


class _Silence(NamedTuple):
    """Since when and why a boot does not answer.

    Attributes:
        patient_at: the monotonic time from which it gets the full time limit again.
    """

    since: Instant
    why: str
    patient_at: Seconds


def _whole_view(line: bytes) -> RuntimeView:
    from ...messages.views import RuntimeView
    from ...rules.control_lines import decode_answer

    return decode_answer(line, RuntimeView)


def _read(heard: Heard, kind: type[V]) -> V | None:
    from ...rules.control_lines import decode_answer

    try:
        return None if heard.answer is None else decode_answer(heard.answer, kind)
    except LamplighterError:
        return None


def is_stopped(pid: int) -> bool:
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
