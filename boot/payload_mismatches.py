"""Data that is queued by a name, and that the handler of this process cannot take.

It is stored all the same: the process that does the job may have another version of the code. But most often the call
is wrong, and whoever made it learns of it there, and not from a dead job.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Protocol

from .declared import Declared


class Named(Protocol):
    """A job, or what makes jobs."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> str:
        """JSON text."""


def warn_of_payload_mismatches(declared: Declared, those: Iterable[Named]) -> None:
    """Warn, once for each name, whoever has called the caller of this."""
    for one in those:
        if one.name in declared.names_warned_of:
            continue
        why = declared.misfit(one.name, one.data)
        if why is not None:
            declared.names_warned_of.add(one.name)
            warnings.warn(
                f"the handler of {one.name!r} in this process cannot take this: {why}. The job will be dead, unless a "
                "handler in another process can",
                RuntimeWarning,
                stacklevel=3,
            )
