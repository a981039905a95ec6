"""Outlets for lines: the application's standard logging or its structlog, each as configured at that moment; and sinks
for standard records, a file of JSON lines or readable lines on a terminal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from operator import attrgetter, methodcaller
from types import FunctionType
from typing import Any, Protocol, cast

import structlog

from ..errors import UsageError
from ..stores.locks import identity
from .job_context import JOB_FIELDS, current_job, is_absent
from .log_line import LogLine, Unwritten, formatted, on_terminal, one_by_one, to_json

LAST_RESORT = logging.lastResort
"""Python's handler of last resort, which shows warnings where there is no other."""

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Outlet(Protocol):
    """A logger that a Log writes to. No method ever raises."""

    def hears(self, level: str) -> bool:
        """Whether a line of this level goes anywhere. True when that cannot be known."""

    def is_ours(self) -> bool:
        """Whether lines of any level call no code of the application."""

    def only_file(self) -> LineFile | None:
        """The file of ours that alone gets the lines, without a call of the application's code."""

    def write(self, lines: Sequence[dict[str, Any]]) -> Unwritten | None:
        """Write lines, whose fields begin with `event` and `level`. Returns those that were not written."""

    def bound(self, **fields: Any) -> Any:
        """A structlog logger to the same place that carries these fields."""


def outlet_of(logger: Any) -> Outlet:
    """The outlet of a standard or structlog logger; for None, of the application's structlog or else standard logging.
    A logger that is an outlet itself, such as a simulation's, is returned.
    """
    if hasattr(type(logger), "hears"):
        # By type, because a logger that accepts any attribute name would have this one too.
        return cast(Outlet, logger)
    if logger is None:
        structlogs = structlog.is_configured() and structlog.get_config()["wrapper_class"] is not StandardBoundLogger
        logger = structlog.get_logger("lamplighter") if structlogs else logging.getLogger("lamplighter")
    return StandardOutlet(logger) if isinstance(logger, logging.Logger) else StructlogOutlet(logger)


class StandardOutlet:
    """A standard logger. If only our sinks get its lines, they get all at once without records, which is several times
    cheaper.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._bindable: Any = structlog.wrap_logger(logger, PROCESSORS, StandardBoundLogger)

    def hears(self, level: str) -> bool:
        return self._logger.isEnabledFor(LEVELS[level])

    def is_ours(self) -> bool:
        sinks = _only_sinks(self._logger)
        if sinks:
            return all(map(methodcaller("is_ours"), sinks))
        # Without a handler standard logging makes a record all the same, and shows it if it is a warning.
        return sinks is not None and _resort_is_pythons()

    def only_file(self) -> LineFile | None:
        sinks = _only_sinks(self._logger)
        return sinks[0] if sinks and len(sinks) == 1 and isinstance(sinks[0], LineFile) else None

    def write(self, lines: Sequence[dict[str, Any]]) -> Unwritten | None:
        sinks = _only_sinks(self._logger)
        if not sinks:
            return one_by_one(self._write, lines)
        lost = filter(None, map(methodcaller("write", lines, lines[0]["ts"]), sinks))
        return max(lost, key=attrgetter("lines"), default=None)

    def _write(self, line: dict[str, Any]) -> None:
        logger = self._logger
        said = LogLine(line, logger=logger, is_event=True)
        logger.handle(logger.makeRecord(logger.name, LEVELS[line["level"]], "(lamplighter)", 0, said, (), None))
        lost, said.lost = said.lost, None
        if lost is not None:
            raise lost.why

    def bound(self, **fields: Any) -> Any:
        return self._bindable.bind(**fields)


class StructlogOutlet:
    """The application's structlog logger, or a proxy that follows `structlog.configure`."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def hears(self, level: str) -> bool:
        # The logger is asked for each line: an application changes levels, processors and its whole configuration as it
        # runs.
        try:
            logger = self._logger.bind() if isinstance(self._logger, _PROXY) else self._logger
            if isinstance(logger, structlog.stdlib.BoundLogger):
                # Its processors see every line, unless the first of them asks the level.
                first = next(iter(logger._processors), None)
                return first is not structlog.stdlib.filter_by_level or logger.isEnabledFor(LEVELS[level])
            # By type, because a plain BoundLogger takes any name for a level and would log the question.
            asks = getattr(type(logger), "is_enabled_for", None)
            return asks is None or bool(asks(logger, LEVELS[level]))
        except Exception:
            return True

    def is_ours(self) -> bool:
        return False

    def only_file(self) -> None:
        return None

    def write(self, lines: Sequence[dict[str, Any]]) -> Unwritten | None:
        return one_by_one(self._write, lines)

    def _write(self, line: dict[str, Any]) -> None:
        fields = dict(line)
        event, level = fields.pop("event"), fields.pop("level")
        getattr(self._logger, level)(event, **fields)

    def bound(self, **fields: Any) -> Any:
        return self._logger.bind(**fields)


def _only_sinks(logger: logging.Logger) -> Sequence[Sink] | None:
    """The sinks of a logger, if its lines go to ours alone or nowhere. None if anything else may see a record: a
    filter, handler or logger of the application, or a replaced method of logging, as monitoring tools install.
    """
    found: list[Sink] = []
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            if not isinstance(handler, Sink) or handler.filters or handler.level:
                return None
            found.append(handler)
        at = at.parent if at.propagate else None
    calls = logging.Logger.callHandlers
    is_loggings_own = type(calls) is FunctionType and calls.__globals__ is vars(logging)
    return found if is_loggings_own and type(logger) is logging.Logger and not logger.filters else None


def _resort_is_pythons() -> bool:
    """Whether records without a handler are made and shown by Python's own code alone."""
    is_made_by_python = logging.getLogRecordFactory() is logging.LogRecord
    return is_made_by_python and logging.lastResort is LAST_RESORT and is_pythons_stderr()


class StandardBoundLogger(structlog.stdlib.BoundLogger):
    """The default structlog logger where none is configured: its lines become records with a LogLine."""


def as_record(logger: Any, method: str, said: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The last processor of a StandardBoundLogger: the arguments of the standard logger's method."""
    passed = {name: said.pop(name) for name in ("exc_info", "stack_info") if name in said}
    event = formatted(said.pop("event", None), said.pop("positional_args", ()))
    level = {"warn": "warning", "exception": "error"}.get(method, method)
    return (LogLine({"event": event, "level": level, **said}, logger=logger),), passed


PROCESSORS: list[Any] = [structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, as_record]
_PROXY = type(structlog.get_logger())


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
        """Close the file. The next line opens it again, as a `logging.FileHandler` does: `logging.config.dictConfig`,
        which uvicorn calls, closes every handler, also those that stay in use.
        """
        super().close()
        if self._is_ours():
            os.close(self._fd)
        self._file, self._looked = None, float("-inf")

    def _put(self, lines: Sequence[dict[str, Any]], now: float) -> Unwritten | None:
        if self._path is not None and not 0 <= now - self._looked < LOOK_SECONDS_MAX:
            self._look(self._path)
            self._looked = now
        texts, lost = list(map(to_json, lines)), None
        # Where several processes write, no line may end up within another: only a file takes many at once.
        for text in [b"\n".join(texts)] if self._takes_many else texts:
            # Terminate a partly written line first, so that it spoils no other.
            rest = (b"\n" if self._torn else b"") + text + b"\n"
            try:
                while len(rest) > (written := os.write(self._fd, rest)):
                    self._torn = not rest.endswith(b"\n", 0, written)
                    rest = rest[written:]
            except OSError as error:
                self._looked = float("-inf")
                lost = Unwritten(min(rest.count(b"\n"), text.count(b"\n") + 1) + (lost.lines if lost else 0), error)
            else:
                self._torn = False
        return lost

    def _look(self, path: str) -> None:
        """Reopen the file when it is no longer the one of that name."""
        # Somebody may have closed every descriptor, as daemons do; the number may then be another file's, which must
        # not be written to or closed.
        ours = self._is_ours()
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

    def _is_ours(self) -> bool:
        return self._file is not None and identity(self._fd) == self._file

    def _open(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        self._file = identity(self._fd)
        self._takes_many = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._torn = False


class Console(Sink):
    """Readable lines on the current `sys.stderr`."""

    def __init__(self) -> None:
        super().__init__()
        from .console_text import ConsoleText

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
