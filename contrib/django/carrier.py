"""Django's database connections, around each job as around each request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import close_old_connections

from ...api.job import Job
from ...handlers.carriers import Carrier


class ConnectionCarrier(Carrier):
    """Closes the connections of the job's thread that are too old or broken, before it and after it."""

    @contextmanager
    def around(self, job: Job[Any]) -> Iterator[None]:
        """Called by the runtime."""
        _close()
        try:
            yield
        finally:
            _close()


def _close() -> None:
    # Django refuses to touch a connection on an event loop's thread, where a coroutine could not have opened one.
    if asyncio._get_running_loop() is None:
        close_old_connections()
