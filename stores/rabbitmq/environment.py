"""The parts of the environment that a store on RabbitMQ takes, so that a test can own it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ...environment.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEnvironment:
    clock: Clock
    event: Callable[[], Any]
    future: Callable[[], Future[Any]]
    new_id: Callable[[], str]
