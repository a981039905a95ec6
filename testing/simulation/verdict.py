"""How a simulation is judged: by the audit of its log, the store, and the jobs that applications were told are
stored.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any

import msgspec

from ...errors import UsageError
from ...history.audit.audit import Audit, Report
from ...history.audit.store_check import StoreView
from ...history.log_files.lines import parse
from ...log.outlets import LEVELS
from ...messages.jobs import Instant, Seconds
from ...rules.limits import Limits
from ...stores.sqlite.read_only import ReadOnlyView
from ...stores.stored_lives import StoredLives

JUDGED_LEVELS = ("debug", "info")
"""Levels at which a log tells every job's end."""

_encode = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__name__}>", order=None).encode


class CapturedLog:
    """Every line that the runtimes of a simulation have written, the same for the same seed, byte for byte.

    Args:
        level: the quietest that is kept.
    """

    def __init__(self, level: str) -> None:
        if level not in JUDGED_LEVELS:
            raise UsageError(
                f"expected level to be {' or '.join(JUDGED_LEVELS)}, because nothing can be checked by louder lines "
                f"alone, got: {level!r}"
            )
        self.lines: list[bytes] = []
        self.lowest = LEVELS[level]
        self._hidden = b""

    @property
    def text(self) -> str:
        return b"".join(line + b"\n" for line in self.lines).decode()

    def hide(self, text: str) -> None:
        """Leave this out of every line: where the store lies differs from run to run."""
        self._hidden = text.encode()

    def write(self, line: dict[str, Any]) -> None:
        text = _encode(line)
        self.lines.append(text.replace(self._hidden, b"") if self._hidden else text)


class CapturedLogger:
    """Writes into the captured log while its process lives: an outlet for the events, a structlog-like logger for
    handlers.
    """

    def __init__(self, log: CapturedLog, is_alive: Callable[[], bool], bound: dict[str, Any] | None = None) -> None:
        self._captured = log
        self._is_alive = is_alive
        self._bound = bound or {}

    def hears(self, level: str) -> bool:
        return LEVELS[level] >= self._captured.lowest

    def is_ours(self) -> bool:
        """Nobody is called for a line."""
        return True

    def only_file(self) -> None:
        return None

    def write(self, lines: Sequence[dict[str, Any]]) -> None:
        if self._is_alive():
            for line in lines:
                self._captured.write(line)

    def bind(self, **fields: Any) -> CapturedLogger:
        return CapturedLogger(self._captured, self._is_alive, {**self._bound, **fields})

    bound = bind

    def is_enabled_for(self, level: int) -> bool:
        return level >= self._captured.lowest

    def _write(self, level: str, event: str, **fields: Any) -> None:
        if self.hears(level):
            self.write([{"event": event, "level": level, **self._bound, **fields}])

    debug = partialmethod(_write, "debug")
    info = partialmethod(_write, "info")
    warning = partialmethod(_write, "warning")
    error = critical = exception = partialmethod(_write, "error")


SHOWN_BY_LINES = (
    "missing lines",
    "missing turns",
    "missing moves",
    "missing boot",
    "told otherwise",
    "illegal transition",
    "slot without an account",
    "lost",
    "orphan",
)
"""Findings that a lost line makes. The loss is then looked for in the store alone."""


TELLING_SECONDS_MAX = 3600.0
"""Longer than any event is told after it happened."""


class Violation(AssertionError):
    """A promise was broken in a simulation."""


def kept_since_of(limits: Limits, now: Instant, stepped: Seconds) -> Instant:
    """Retention has removed no job known at this time or later. `stepped`: how far the clock moved, to and fro."""
    kept = min(limits.keep_done_seconds, limits.keep_dead_seconds)
    return now - kept + 2.0 * stepped + TELLING_SECONDS_MAX


def lives_in(file: Path | sqlite3.Connection) -> StoredLives:
    return ReadOnlyView(file)


def verdict(
    lines: Iterable[bytes],
    store: Callable[[], StoredLives],
    *,
    accepted: Mapping[str, Instant],
    kept_since: Instant | None = None,
    set_back: Instant | None = None,
) -> tuple[Report, Sequence[str], Counter[str]]:
    """Audit a log against its store: the report, what is wrong in words, and how often each event was logged.

    Args:
        store: reads all that the store keeps.
        accepted: the ids of the jobs that applications were told are stored, and when they were.
        kept_since: given if lines were lost on purpose: the effects of such a loss are then no finding. A job that was
            known at this time or later must be in the store all the same: retention cannot have removed it since.
        set_back: given if the store was set back then, so that no log can agree with it: what was accepted since must
            be in the store.
    """
    audit, logged, said = Audit(), set[str](), Counter[str]()
    known = dict(accepted)
    for raw in lines:
        line = parse(raw)
        if line is None:
            continue
        audit.feed(line)
        said[line.event] += 1
        for move in line.moves or ():
            if move.j:
                logged.add(move.j)
                if kept_since is not None and line.at is not None:
                    known[move.j] = max(line.at, known.get(move.j, line.at))
    view = StoreView(store)
    with contextlib.closing(view.read()) as stored:
        ids = {job.id for job in stored.jobs()}
    report = audit.finish(view)
    if set_back is not None:
        gone = [job_id for job_id, at in accepted.items() if at > set_back and job_id not in ids]
        return report, [f"accepted after the store was set back, and lost: {job_id}" for job_id in gone], said
    if kept_since is None:
        lost = [f"accepted and lost: {job_id}" for job_id in accepted if job_id not in logged and job_id not in ids]
        return report, [*map(str, report.unexcused), *lost], said
    findings = [finding for finding in report.unexcused if finding.kind not in SHOWN_BY_LINES]
    gone = [job_id for job_id, at in known.items() if at >= kept_since and job_id not in ids]
    return report, [*map(str, findings), *(f"lost: the store has no job {job_id}" for job_id in gone)], said
