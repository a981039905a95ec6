"""Changes of schedules in the application's own transactions, on behalf of a boot, which looks for their commit."""

from __future__ import annotations

from typing import Any

from ..broker.host_transactions import change_schedule_on, change_schedule_on_async
from ..messages.schedules import HostChange
from .boot import Boot


def change_on(boot: Boot, connection: Any, change: HostChange) -> None:
    """Write a change in the transaction of an open connection.

    Raises:
        UnknownSchedule, UsageError, NotSupported: see `change_schedule_on`.
    """
    change_schedule_on(boot.store, connection, change)
    boot.expect_change(change)


async def change_on_async(boot: Boot, connection: Any, change: HostChange) -> None:
    """`change_on`, also for connections that are used by `await`."""
    await change_schedule_on_async(boot.store, connection, change)
    boot.expect_change(change)
