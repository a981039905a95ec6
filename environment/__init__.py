"""WHAT A TEST MUST OWN: time, chance, ids, threads, mailboxes, replies, failpoints.

`Environment` is imported lazily: a command that only reads the clock need not load the waiting for events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import Environment

__all__ = ["Environment"]

if not TYPE_CHECKING:
    # A type checker would assume that it answers every name.

    def __getattr__(name: str) -> Any:
        if name != "Environment":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .environment import Environment

        return Environment
