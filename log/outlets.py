"""Outlets for lines: the application's standard logging or its structlog, each as configured at that moment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from operator import attrgetter
from types import FunctionType
from typing import Any, Protocol, cast

import structlog

from .log_line import LogLine, Unwritten, formatted, one_by_one
from .sinks import Sink, is_pythons_stderr

LAST_RESORT = logging.lastResort
"""Python's handler of last resort, which shows warnings where there is no other."""

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Outlet(Protocol):
    """A logger that a Log writes to. No method ever raises."""

    def hears(self, level: str) -> bool:
        """Whether a line of this level goes anywhere. True when that cannot be known."""

    def is_ours(self) -> bool:
        """Whether lines of any level call no code of the application."""

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
            return all(sink.is_ours() for sink in sinks)
        # Without a handler standard logging makes a record all the same, and shows it if it is a warning.
        return sinks is not None and _resort_is_pythons()

    def write(self, lines: Sequence[dict[str, Any]]) -> Unwritten | None:
        sinks = _only_sinks(self._logger)
        if not sinks:
            return one_by_one(self._write, lines)
        lost = [unwritten for sink in sinks if (unwritten := sink.write(lines, lines[0]["ts"])) is not None]
        return max(lost, key=attrgetter("lines")) if lost else None

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
