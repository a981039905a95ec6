"""The parts of the environment that a store on RabbitMQ takes, so that a test can own it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ...environment.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEnvironment:
    """The parts of the environment that the store takes.

    Attributes:
        event, future: make what a thread waits at.
        new_id: makes an id that nobody else makes.
    """

    clock: Clock
    event: Callable[[], Any]
    future: Callable[[], Future[Any]]
    new_id: Callable[[], str]
