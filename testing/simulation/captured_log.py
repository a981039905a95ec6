"""The log of a simulation: JSON lines in memory, the same for the same seed, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partialmethod
from typing import Any

import msgspec

from ...errors import UsageError
from ...log.outlets import LEVELS

JUDGED_LEVELS = ("debug", "info")
"""Levels at which a log tells every job's end."""

_encode = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__name__}>", order=None).encode


class CapturedLog:
    """Every line that the runtimes of a simulation have written. `level` is the quietest that is kept."""

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
