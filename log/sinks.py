"""Sinks for standard records: a file of JSON lines, or readable lines on a terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..errors import UsageError
from ..stores.file_identity import identity
from .console_text import ConsoleText, on_terminal
from .job_context import JOB_FIELDS, current_job, is_absent
from .json_line import to_json
from .log_line import LogLine, Unwritten, formatted, one_by_one

LOOK_SECONDS_MAX = 1.0
"""Interval between checks, made when a line is written, whether the file was moved away."""

STANDARD = frozenset([*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"])
"""The attributes of every record; others come from `extra=` or a filter."""


class Sink(logging.Handler):
    """A logging handler that never raises into the code that logs. It counts lines that it cannot write, and logs the
    number later. `dropped`: lines of the application lost since the last `log.dropped`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self._dropped_last = (0.0, "")

    def is_ours(self) -> bool:
        """Whether lines call no code of the application. Never raises."""
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lost = self.write([fields_of(record)], record.created)
        except Exception as error:
            lost = Unwritten(1, error)
        if isinstance(record.msg, LogLine) and record.msg.is_event:
            # The Log counts a lost event itself: for `health()`, and to log it under its boot, so that an audit can
            # excuse it.
            record.msg.lost = lost
        elif lost is not None:
            self.dropped += 1
            self._dropped_last = record.created, lost.reason

    def write(self, lines: Sequence[dict[str, Any]], now: float) -> Unwritten | None:
        """Write lines, at once if possible. Returns those that could not be written; never raises."""
        with self.lock or contextlib.nullcontext():
            try:
                lost = self._tell_dropped(now) if self.dropped else None
                return self._put(lines, now) if lost is None else Unwritten(len(lines), lost.why)
            except Exception as error:
                return Unwritten(len(lines), error)

    def close(self) -> None:
        """Write a due `log.dropped`."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(Exception):
            if self.dropped:
                self._tell_dropped(self._dropped_last[0])
        super().close()

    def _tell_dropped(self, now: float) -> Unwritten | None:
        said = {"event": "log.dropped", "level": "error", "ts": round(now, 6)}
        lost = self._put([{**said, "count": self.dropped, "reason": self._dropped_last[1]}], now)
        if lost is None:
            self.dropped = 0
        return lost

    @abstractmethod
    def _put(self, lines: Sequence[dict[str, Any]], now: float) -> Unwritten | None:
        """Write lines. Returns those that could not be written; an exception means all of them."""


class LineFile(Sink):
    """JSON lines, appended to a file, or written to standard error if there is no path."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._fd = 2
        self._file: tuple[int, int] | None = None
        self._looked = float("-inf")
        self._torn = False
        self._takes_many = False
        if path is not None:
            try:
                self._open(path)
            except (OSError, ValueError) as error:
                raise UsageError(f"expected a path that can be appended to, got: {path!r} ({error})") from error

    def close(self) -> None:
        super().close()
        if self._file is not None and identity(self._fd) == self._file:
            os.close(self._fd)
        self._path, self._file, self._fd = None, None, -1

    def _put(self, lines: Sequence[dict[str, Any]], now: float) -> Unwritten | None:
        if self._path is not None and not 0 <= now - self._looked < LOOK_SECONDS_MAX:
            self._look(self._path)
            self._looked = now
        texts, lost = [to_json(fields) + b"\n" for fields in lines], None
        # Where several processes write, no line may end up within another: only a file takes many at once.
        for text in [b"".join(texts)] if self._takes_many else texts:
            # Terminate a partly written line first, so that it spoils no other.
            rest = b"\n" + text if self._torn else text
            try:
                while len(rest) > (written := os.write(self._fd, rest)):
                    self._torn = not rest.endswith(b"\n", 0, written)
                    rest = rest[written:]
            except OSError as error:
                self._looked = float("-inf")
                lost = Unwritten(min(rest.count(b"\n"), text.count(b"\n")) + (lost.lines if lost else 0), error)
            else:
                self._torn = False
        return lost

    def _look(self, path: str) -> None:
        """Reopen the file when it is no longer the one of that name."""
        # Somebody may have closed every descriptor, as daemons do; the number may then be another file's, which must
        # not be written to or closed.
        ours = identity(self._fd) == self._file
        if ours and identity(path) == self._file:
            return
        old = self._fd
        try:
            self._open(path)
        except OSError:
            # A line in the file that was moved away is better than none.
            if not ours:
                raise
            return
        if ours:
            os.close(old)

    def _open(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        self._file = identity(self._fd)
        self._takes_many = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._torn = False


class Console(Sink):
    """Readable lines on the current `sys.stderr`."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ConsoleText(for_terminal=on_terminal())

    def is_ours(self) -> bool:
        return is_pythons_stderr()

    def _put(self, lines: Sequence[dict[str, Any]], now: float) -> Unwritten | None:
        return one_by_one(partial(self._show, now), lines)

    def _show(self, now: float, fields: dict[str, Any]) -> None:
        if self._text.shows(fields):
            sys.stderr.write(f"{self._text.of(fields, now)}\n")
            sys.stderr.flush()


def is_pythons_stderr() -> bool:
    """Whether `sys.stderr` is Python's original one, and no object of the application."""
    return sys.stderr is sys.__stderr__


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record. Lamplighter's events are complete already."""
    said = record.msg
    if isinstance(said, LogLine) and said.is_event:
        return said.fields
    fields: dict[str, Any] = {
        "event": "",
        "level": record.levelname.lower(),
        "ts": round(record.created, 6),
        "logger": record.name,
    }
    if isinstance(said, LogLine):
        fields.update(said.fields)
    else:
        fields["event"] = formatted(said, record.args)
    for name, value in vars(record).items():
        if name not in STANDARD and not (name in JOB_FIELDS and is_absent(value)):
            fields.setdefault(name, value)
    for name, value in current_job().items():
        fields.setdefault(name, value)
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        fields["exception"] = record.exc_text
    if record.stack_info:
        fields["stack"] = record.stack_info
    return fields
