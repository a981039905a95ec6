"""What a handler sees of a job, without a runtime."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.testing import CapturingLogger

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class FakeJob:
    """A job in hand.

    Attributes:
        cancelled: set it to make the handler end early.
        reports: what the handler said with `progress`.
        logged: what the handler logged.
    """

    def __init__(self, data: Any = None, *, cancelled: bool = False) -> None:
        self.data = data
        self.cancelled = cancelled
        self.reports: list[tuple[float, float | None, str | None]] = []
        self._capture = CapturingLogger()
        self.log = structlog.wrap_logger(self._capture, processors=[lambda _logger, _method, fields: fields])

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [dict(call.kwargs) for call in self._capture.calls]

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        self.reports.append((done, total, note))
