"""Asks the boots on a file for what only their memory has, and classifies a boot that does not answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from ..environment.clock import SystemClock
from ..environment.process import state_of
from ..errors import LamplighterError, StoreUnavailable
from ..messages.controls import VIEW_ASKED, Ask, Verb
from ..stores.asking import Heard, ask_all
from ..stores.controls import CONTROL, boot_file
from ..stores.presence import FilePresence, folder_of

if TYPE_CHECKING:
    from ..messages.boots import BootRecord
    from ..messages.jobs import Instant, Seconds
    from ..messages.views import RuntimeView

V = TypeVar("V")

ANSWER_SECONDS = 1.0

SILENT_SECONDS = 0.05
"""The time limit for a boot that did not answer the last time: repeated looks must not wait for it each time."""

PATIENT_AGAIN_SECONDS = 10.0
"""After so long a silent boot gets the full time limit again: on a busy machine a healthy one may need it."""

Condition = Literal["answers", "silent", "stopped", "dead", "unknown"]
"""The state of a boot as seen from outside: it answers; it holds its lock and does not answer, because a signal has
stopped its process (`stopped`) or for another reason (`silent`); its lock is free; or it cannot be known.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The outcome of asking a boot.

    Attributes:
        is_alive: whether it holds its lock; None where that cannot be known.
        view: its own view; None where it sends none, or one that cannot be read here.
        why: why there is no view.
        silent_since: since when it has not answered this client; None if it has.
    """

    boot: str
    condition: Condition
    is_alive: bool | None
    view: RuntimeView | None = None
    why: str = ""
    pid: int | None = None
    silent_since: Instant | None = None


class ControlClient:
    """Asks the boots on one file, and remembers since when each is silent.

    Args:
        path: the store's file.
        timeout: how long a boot may take to answer.
        read_view: makes a view of an answer's line.
    """

    def __init__(
        self, path: str, timeout: Seconds = ANSWER_SECONDS, *, read_view: Callable[[bytes], RuntimeView] | None = None
    ) -> None:
        # The path by which its boots know it, whatever link leads there.
        self._folder = folder_of(os.path.realpath(path))
        self._presence = FilePresence(self._folder)
        self._timeout = timeout
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
        raise StoreUnavailable(f"expected runtime instance {boot} to answer, got: {found.why}")

    def ask_all(self, boots: Iterable[str], verb: Verb, kind: type[V]) -> dict[str, V | None]:
        """Ask boots the same, all that are not dead, at once; None for a boot without a usable answer."""
        from ..rules.control_lines import encode_ask

        living = [boot for boot in boots if self._presence.is_alive(boot) is not False]
        return {boot: _read(heard, kind) for boot, heard in self._ask_each(living, encode_ask(Ask(verb=verb))).items()}

    def views(self, boots: Iterable[str], records: Iterable[BootRecord] = ()) -> dict[str, Reached]:
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

    def _reached(self, boot: str, is_alive: bool | None, heard: Heard | None, record: BootRecord | None) -> Reached:
        if heard is None:
            self._silent.pop(boot, None)
            return Reached(boot=boot, condition="dead", is_alive=False, why="its process is dead", pid=_pid_of(record))
        if heard.answer is None:
            return self._unanswered(boot, is_alive, heard, record)
        try:
            view = self._read_view(heard.answer)
        except LamplighterError as error:
            return Reached(boot=boot, condition="answers", is_alive=True, why=str(error), pid=heard.pid)
        return Reached(boot=boot, condition="answers", is_alive=True, view=view, pid=view.pid)

    def _unanswered(self, boot: str, is_alive: bool | None, heard: Heard, record: BootRecord | None) -> Reached:
        if is_alive is not True:
            condition: Condition = "unknown" if is_alive is None else "dead"
            why = "its process is dead"
            if is_alive is None:
                why = self._presence.hidden(boot) or heard.why
            return Reached(boot=boot, condition=condition, is_alive=is_alive, why=why, pid=_pid_of(record))
        pid = heard.pid
        if pid is None and record is not None and record.host == socket.gethostname():
            pid = record.pid
        is_stopped = pid is not None and _is_stopped(pid)
        silence = self._silent.get(boot) or self._silence(heard)
        return Reached(
            boot=boot,
            condition="stopped" if is_stopped else "silent",
            is_alive=True,
            why=f"a signal or a debugger has stopped process {pid}" if is_stopped else silence.why,
            pid=pid if pid is not None else _pid_of(record),
            silent_since=silence.since,
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


def _pid_of(record: BootRecord | None) -> int | None:
    return None if record is None else record.pid
