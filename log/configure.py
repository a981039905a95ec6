"""Logging for applications that have none of their own: JSON lines in a file, readable lines on a terminal.

Nothing here runs unless the application calls `configure_logging`. One road for every line: its structlog lines, its
standard ones and Lamplighter's events all become records of the standard library and meet at the root logger's sinks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from abc import abstractmethod
from collections import Counter
from datetime import datetime
from typing import Any

import structlog

from ..errors import UsageError
from ..rules.printable import visible
from .emitter import JOB_FIELDS, current_job, is_absent
from .json_line import safe_repr, safe_str, to_json
from .outlets import LEVELS, PROCESSORS, LogLine, StandardBoundLogger, formatted

LOOK_SECONDS_MAX = 1.0
"""A file that was moved away is noticed by the first line that is so much younger than the last look."""

BROKEN = frozenset({"event", "exception", "traceback", "stack"})
"""Fields that the console shows over several lines."""

TALKATIVE = "pika"
"""RabbitMQ's client: at debug, ten lines and more for each message, and none of them about a job."""

STANDARD = frozenset([*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"])
"""What every record has; anything else was given with `extra=`, or by a filter."""

_configuring = threading.Lock()


def configure_logging(
    path: str | os.PathLike[str] | None = None, *, console: bool | None = None, level: str = "info"
) -> None:
    """Log everything of this process, for an application that has configured neither structlog nor logging.

    Your own structlog and standard lines and Lamplighter's events go to the same places with the same fields; lines of
    a handler's function carry the fields of its job. Another call replaces what the one before has set up, and no
    handlers of others. Levels of single loggers are set with `logging.getLogger(name).setLevel(...)`; that of `pika`,
    RabbitMQ's client, becomes `warning` if it is not set.

    Args:
        path: a file for JSON lines. It is appended to, one write a line, so several processes may share it; created
            with mode 0600 if it is not there; opened anew within a second when logrotate has moved it away.
        console: readable lines on standard error. None: if that is a terminal. If it is none, and there is no
            `path`, JSON lines go there.
        level: `debug`, `info`, `warning` or `error`; less is not logged.

    Raises:
        UsageError: the file cannot be opened, the level is unknown, or there is nowhere to log to.
    """
    if level not in LEVELS:
        raise UsageError(f"expected level to be one of {', '.join(LEVELS)}, got: {level!r}")
    if path is None and console is False:
        raise UsageError("expected somewhere to log to: a path, or console other than False")
    sinks: list[logging.Handler] = [] if path is None else [LineFile(os.fspath(path))]
    if console or (console is None and sys.stderr is not None and sys.stderr.isatty()):
        sinks.append(Console())
    if not sinks:
        sinks.append(LineFile(None))
    root = logging.getLogger()
    with _configuring:
        before = [handler for handler in root.handlers if isinstance(handler, Sink)]
        # Old and new handlers are exchanged in one assignment, so that a line of another thread never goes to none or
        # to both.
        root.handlers = [handler for handler in root.handlers if handler not in before] + sinks
        root.setLevel(LEVELS[level])
        if logging.getLogger(TALKATIVE).level == logging.NOTSET:
            logging.getLogger(TALKATIVE).setLevel(logging.WARNING)
        structlog.configure(
            processors=list(PROCESSORS),
            wrapper_class=StandardBoundLogger,
            context_class=dict,
            logger_factory=_standard_logger,
            cache_logger_on_first_use=True,
        )
    for handler in before:
        handler.close()


class Sink(logging.Handler):
    """A logging handler that never raises into the code that logs. It counts lines that it cannot write, and says so
    later.

    Attributes:
        dropped: how many lines of the application were not written since `log.dropped` was written last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self._dropped_last = (0.0, "")

    def emit(self, record: logging.LogRecord) -> None:
        """Runs on the thread that logs, under the handler's lock."""
        try:
            if self.dropped:
                self._tell_dropped(record.created)
            self._put(fields_of(record), record.created)
        except Exception as error:
            if isinstance(record.msg, LogLine) and record.msg.is_event:
                # The Log counts a lost event itself: for `health()`, and to say so as its boot, so that an audit can
                # excuse it.
                record.msg.lost = error
                return
            self.dropped += 1
            self._dropped_last = record.created, f"{type(error).__name__}: {safe_str(error)}"[:200]

    def close(self) -> None:
        """Write the line about dropped lines, if one is due."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(Exception):
            if self.dropped:
                self._tell_dropped(self._dropped_last[0])
        super().close()

    def _tell_dropped(self, now: float) -> None:
        said = {"event": "log.dropped", "level": "error", "ts": round(now, 6)}
        self._put({**said, "count": self.dropped, "reason": self._dropped_last[1]}, now)
        self.dropped = 0

    @abstractmethod
    def _put(self, fields: dict[str, Any], now: float) -> None:
        """Write one line; may raise anything."""


class LineFile(Sink):
    """JSON lines, appended to a file, or written to standard error if there is no path."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._fd = 2
        self._file: tuple[int, int] | None = None
        self._looked = float("-inf")
        self._torn = False
        if path is not None:
            try:
                self._open(path)
            except (OSError, ValueError) as error:
                raise UsageError(f"expected a path that can be appended to, got: {path!r} ({error})") from error

    def close(self) -> None:
        super().close()
        if self._file is not None and _file_of(self._fd) == self._file:
            os.close(self._fd)
        self._path, self._file, self._fd = None, None, -1

    def _put(self, fields: dict[str, Any], now: float) -> None:
        if self._path is not None and not 0 <= now - self._looked < LOOK_SECONDS_MAX:
            self._look(self._path)
            self._looked = now
        rest = to_json(fields) + b"\n"
        if self._torn:
            # A line of which only the beginning could be written is ended first, so that it spoils no other.
            rest = b"\n" + rest
        try:
            while len(rest) > (written := os.write(self._fd, rest)):
                rest, self._torn = rest[written:], True
        except OSError:
            self._looked = float("-inf")
            raise
        self._torn = False

    def _look(self, path: str) -> None:
        """Open the file anew when it is no longer the one of that name."""
        # Somebody may have closed every descriptor, as daemons do; the number may then be another file's, not ours to
        # write to or to close.
        ours = _file_of(self._fd) == self._file
        if ours and _file_of(path) == self._file:
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
        self._file = _file_of(self._fd)
        self._torn = False


class Console(Sink):
    """Readable lines on standard error, whatever `sys.stderr` is at that moment."""

    def __init__(self) -> None:
        super().__init__()
        colours = sys.stderr is not None and sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self._render = structlog.dev.ConsoleRenderer(
            colors=colours, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )

    def _put(self, fields: dict[str, Any], now: float) -> None:
        shown = {
            visible(name): visible(value, breaks=name in BROKEN) if type(value) is str else safe_repr(value)
            for name, value in fields.items()
        }
        shown.pop("ts", None)
        if isinstance(fields.get("moves"), list):
            # For people; the whole of it is in the files.
            del shown["moves"]
            shown["did"] = in_words(fields["moves"])
        shown["timestamp"] = datetime.fromtimestamp(now).isoformat(" ", "milliseconds")
        if "traceback" in shown:
            shown["exception"] = shown.pop("traceback")
        sys.stderr.write(f"{self._render(None, shown['level'], shown)}\n")
        sys.stderr.flush()


def in_words(moves: list[Any]) -> str:
    """How many things of each kind a turn did."""
    kinds = Counter(str(move.get("k")) for move in moves if isinstance(move, dict))
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says. Lamplighter's events say all of it themselves."""
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


def _standard_logger(*name: Any) -> logging.Logger:
    """The standard logger of that name, or of the module that asked structlog for one."""
    frame: Any = sys._getframe(1)
    while not name and frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] != "structlog":
            name = (module,)
        frame = frame.f_back
    return logging.getLogger(*name[:1])


def _file_of(where: int | str) -> tuple[int, int] | None:
    try:
        found = os.stat(where)
    except OSError:
        return None
    return found.st_dev, found.st_ino
