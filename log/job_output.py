"""The last lines that a handler has logged by `job.log`, for the store. Loaded where one logs any."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from logging import INFO, getLevelName
from typing import Any

import structlog

from ..messages.jobs import Instant
from ..rules.codec import encode_own, valid_text
from .job_context import JOB_FIELDS
from .log_line import safe_str

LINES_MAX, LINE_CHARACTERS_MAX = 100, 1_000

LEVELS = {
    "info": "info",
    "msg": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
    "fatal": "critical",
}
"""Methods of a logger whose lines are kept, and their levels. Lines of `debug` are not."""

BINDS = ("bind", "unbind", "try_unbind", "new")


class JobOutput:
    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        # Several threads of a handler may log.
        self._lines: deque[tuple[Instant, str, str]] = deque(maxlen=LINES_MAX)

    def of(self, logger: Any) -> OutputLogger:
        return OutputLogger(self, logger)

    def add(self, level: str, event: Any, arguments: tuple[Any, ...], fields: dict[str, Any]) -> None:
        text = safe_str(event)
        with suppress(Exception):
            text = text % arguments if arguments else text
        told = [f"{name}={safe_str(value)}" for name, value in fields.items() if name not in JOB_FIELDS]
        line = valid_text(" ".join(" ".join([text, *told]).split("\n"))[:LINE_CHARACTERS_MAX]).replace("\0", "\ufffd")
        self._lines.append((round(self._now(), 3), level, line))

    def text(self) -> str | None:
        """The lines as JSON text; None if there are none."""
        return encode_own(list(self._lines)) if self._lines else None


class OutputLogger:
    """The application's logger, whose lines are kept as well."""

    def __init__(self, output: JobOutput, logger: Any) -> None:
        self._output = output
        self._logger = logger

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is the application's logger alone."""
        return copy, (self._logger,)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._logger, name)
        if name in BINDS:
            return lambda *names, **fields: OutputLogger(self._output, found(*names, **fields))
        # Each method has a twin for coroutines.
        method = name if name in LEVELS else name.removeprefix("a")
        if method not in LEVELS and method != "log":
            return found

        def said(*given: Any, **fields: Any) -> Any:
            self._keep(method, given, fields)
            return found(*given, **fields)

        return said

    def _keep(self, method: str, given: Sequence[Any], fields: dict[str, Any]) -> None:
        level = LEVELS.get(method)
        if level is None and given:
            # `log` has the level as a number before the event.
            number, *given = given
            level = getLevelName(number).lower() if isinstance(number, int) and number >= INFO else None
        if level is None:
            return
        bound: dict[str, Any] = {}
        # A logger that is not structlog's has no fields to be asked for.
        with suppress(Exception):
            bound = dict(structlog.get_context(self._logger))
        told = {**bound, **fields}
        event = given[0] if given else told.pop("event", None)
        self._output.add(level, event, tuple(given[1:]), told)
