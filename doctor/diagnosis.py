"""The findings of checks: frozen values, the same for command, page and programs; the last ones are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..environment.process import command_of, state_of
from ..messages.jobs import Instant, Seconds

if TYPE_CHECKING:
    from .evidence import Evidence


def size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def process(pid: int) -> str:
    """A process on this machine, with its command."""
    stopped = "stopped by a signal or a debugger" if state_of(pid) == "stopped" else ""
    told = ", ".join(text for text in (command_of(pid), stopped) if text)
    return f"process {pid} ({told})" if told else f"process {pid}"


def minutes(seconds: float) -> str:
    """A threshold of a check in words: whole minutes or hours."""
    return f"{seconds / 3600:g} hours" if seconds >= 7200 else f"{seconds / 60:g} minutes"


KEPT_SECONDS = 30.0
"""The age at which a new examination replaces the shown one."""


class DiagnosisCache:
    """Examines a store for any thread, at most once in `KEPT_SECONDS`."""

    def __init__(self, examine: Callable[[], Examination], monotonic: Callable[[], Seconds]) -> None:
        self._examine = examine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: tuple[Seconds, Examination] | None = None

    def latest(self) -> Examination:
        """The last examination, or a new one if it is old. While one thread makes a new one, others get the old."""
        last = self._last
        if last is not None and self._monotonic() - last[0] < KEPT_SECONDS:
            return last[1]
        if not self._lock.acquire(blocking=last is None):
            assert last is not None, "only then it does not wait"
            return last[1]
        try:
            if self._last is last:
                found = self._examine()
                self._last = self._monotonic(), found
            assert self._last is not None, "it was made here, or by whoever had the lock"
            return self._last[1]
        finally:
            self._lock.release()


Level = Literal["ok", "note", "unknown", "warning", "error"]
"""How urgent a finding is: no act; no act, but worth knowing; to be found out by other means; an act soon; an act now.
"""

LEVELS: tuple[Level, ...] = ("error", "warning", "unknown", "note", "ok")


class Symptom(NamedTuple):
    """The answer of a check.

    Attributes:
        evidence: the observed facts, in words.
        remedy: the advice; empty where nothing is to be done.
    """

    level: Level
    evidence: str
    remedy: str = ""


def ok(evidence: str) -> Symptom:
    return Symptom("ok", evidence)


def note(evidence: str, remedy: str = "") -> Symptom:
    """Nothing is wrong, but it is good to know."""
    return Symptom("note", evidence, remedy)


def unknown(evidence: str, remedy: str = "") -> Symptom:
    """The reason why the check cannot know its answer."""
    return Symptom("unknown", evidence, remedy)


def warning(evidence: str, remedy: str) -> Symptom:
    return Symptom("warning", evidence, remedy)


def error(evidence: str, remedy: str) -> Symptom:
    """Jobs are not done, or may be lost."""
    return Symptom("error", evidence, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The finding of one check about one thing; `check` is its id."""

    check: str
    level: Level
    evidence: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The findings of all checks.

    Attributes:
        unread: why the store could not be read; None if it could.
        findings: in the order of the checks; each check has at least one.
    """

    at: Instant
    store: str
    unread: str | None
    findings: tuple[Diagnosis, ...]

    @property
    def worst_first(self) -> tuple[Diagnosis, ...]:
        return tuple(sorted(self.findings, key=lambda one: LEVELS.index(one.level)))

    @property
    def wrong(self) -> tuple[Diagnosis, ...]:
        return tuple(one for one in self.worst_first if one.level in ("warning", "error"))

    @property
    def is_well(self) -> bool:
        """Whether no finding calls for an act."""
        return not self.wrong

    @property
    def counts(self) -> dict[Level, int]:
        return {level: sum(1 for one in self.findings if one.level == level) for level in LEVELS}


Symptoms = Generator[Symptom, None, Any]
"""The answers of a check, in order. A text that it returns is its `ok`, and counts only if it has yielded nothing."""


class Check(NamedTuple):
    """One question about a store.

    Attributes:
        id: its name for people and programs.
        asks: its subject, in a line.
        run: yields symptoms, as `Symptoms` has it; `ok` only from evidence.
        on: the part of a place that it is about (`Condition.parts`); `any` if each has what it looks at.
    """

    id: str
    asks: str
    run: Callable[[Evidence], Iterable[Symptom]]
    on: Literal["file", "table", "queues", "database", "any"] = "any"
