"""The findings of checks: frozen values, the same for the command, the page and programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..messages.jobs import Instant

if TYPE_CHECKING:
    from .evidence import Evidence

Level = Literal["ok", "note", "unknown", "warning", "error"]
"""How much a person must do about it: nothing; nothing, but know it; find out by other means; something soon; something
now.
"""

LEVELS: tuple[Level, ...] = ("error", "warning", "unknown", "note", "ok")
"""The worst first."""


class Symptom(NamedTuple):
    """The answer of a check.

    Attributes:
        evidence: what was seen, in words.
        remedy: what to do; empty where nothing is to be done.
    """

    level: Level
    evidence: str
    remedy: str = ""


def ok(evidence: str) -> Symptom:
    """All is well, and this shows it."""
    return Symptom("ok", evidence)


def note(evidence: str, remedy: str = "") -> Symptom:
    """Nothing is wrong, and it is good to know."""
    return Symptom("note", evidence, remedy)


def unknown(evidence: str, remedy: str = "") -> Symptom:
    """The reason why the check cannot know its answer."""
    return Symptom("unknown", evidence, remedy)


def warning(evidence: str, remedy: str) -> Symptom:
    """Something is wrong, or will be."""
    return Symptom("warning", evidence, remedy)


def error(evidence: str, remedy: str) -> Symptom:
    """Jobs are not done, or may be lost."""
    return Symptom("error", evidence, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The finding of one check about one thing.

    Attributes:
        check: the id of the check.
    """

    check: str
    level: Level
    evidence: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The findings of all checks.

    Attributes:
        at: when.
        unread: why the store could not be read; None if it could.
        findings: in the order of the checks; each check has at least one.
    """

    at: Instant
    store: str
    unread: str | None
    findings: tuple[Diagnosis, ...]

    @property
    def worst_first(self) -> tuple[Diagnosis, ...]:
        """All that was found, the worst first."""
        return tuple(sorted(self.findings, key=lambda one: LEVELS.index(one.level)))

    @property
    def wrong(self) -> tuple[Diagnosis, ...]:
        """The findings that call for an act, the worst first."""
        return tuple(one for one in self.worst_first if one.level in ("warning", "error"))

    def worst(self, most: int) -> tuple[Diagnosis, ...]:
        """The first of these, so many at most."""
        return self.wrong[:most]

    @property
    def is_well(self) -> bool:
        """Whether nothing was found that somebody must do something about."""
        return not self.wrong

    @property
    def counts(self) -> dict[Level, int]:
        """How many findings there are of each level."""
        return {level: sum(1 for one in self.findings if one.level == level) for level in LEVELS}


class Check(NamedTuple):
    """One question about a store.

    Attributes:
        id: its name for people and programs.
        asks: what it looks at, in a line.
        run: looks. It says at least one thing; that all is well only where it has seen that.
        on: whether it is about a file, about a server, or about any store.
    """

    id: str
    asks: str
    run: Callable[[Evidence], Iterable[Symptom]]
    on: Literal["file", "server", "any"] = "any"
