"""WHAT A TEST MUST OWN: time, chance, ids, threads, mailboxes, replies, failpoints."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .environment import Environment as Environment

__all__ = ["Environment"]


def __getattr__(name: str) -> Any:
    # Whoever wants a clock must not load what opens a store.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .environment import Environment

    return Environment
