"""A reloader whose worker is only noted: it watches nothing, and ends at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lamplighter.contrib import reloading


def noted_workers(monkeypatch: pytest.MonkeyPatch, see: Callable[[], Any] = lambda: None) -> list[Any]:
    """The command of each worker, how long its stop may take, and what was seen as it was made."""
    made: list[Any] = []

    class Worker(reloading._Worker):
        def __init__(self, command: list[str], drain: float) -> None:
            super().__init__(command, drain)
            self._is_told = True
            made.append((command, self._seconds_max, see()))

    monkeypatch.setattr(reloading, "_Worker", Worker)
    return made
