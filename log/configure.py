"""Logging for applications without their own: JSON lines in a file, readable lines on a terminal.

Nothing here runs unless the application calls `configure_logging`. Its structlog lines, its standard ones and
Lamplighter's events all become records of the standard library and meet at the root logger's sinks.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

import structlog

from ..errors import UsageError
from .log_line import on_terminal
from .outlets import LEVELS, PROCESSORS, Console, LineFile, Sink, StandardBoundLogger

TALKATIVE = "pika"
"""RabbitMQ's client logs ten or more lines for each message at debug, none of them about a job."""

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
        path: a file for JSON lines. It is appended to in whole lines, so several processes may share it; created
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
    if console or (console is None and on_terminal()):
        sinks.append(Console())
    if not sinks:
        sinks.append(LineFile(None))
    root = logging.getLogger()
    with _configuring:
        before = [handler for handler in root.handlers if isinstance(handler, Sink)]
        # Old and new handlers are exchanged in one assignment, so that another thread's line never goes to none or to
        # both.
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


def is_configured() -> bool:
    """Whether the application has configured where Lamplighter's lines go."""
    return structlog.is_configured() or logging.getLogger("lamplighter").hasHandlers()


def _standard_logger(*name: Any) -> logging.Logger:
    """A standard logger: the named one, or that of the module that asked structlog for one."""
    frame: Any = sys._getframe(1)
    while not name and frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] != "structlog":
            name = (module,)
        frame = frame.f_back
    return logging.getLogger(*name[:1])
