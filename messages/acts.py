"""On whose behalf something is done: what the log says of a person, or of an application, that acts."""

from __future__ import annotations

from typing import NamedTuple


class Attribution(NamedTuple):
    """On whose behalf something is done, and why.

    Attributes:
        by: who has it done, as the person or the application calls them.
        via: what they have used: a command, a page, a tool.
        reason: why, in their own words.
    """

    by: str | None = None
    via: str | None = None
    reason: str | None = None

    @property
    def told(self) -> dict[str, str]:
        """The part of a move in the ledger, by its keys."""
        return {key: value for key, value in zip(("by", "via", "why"), self, strict=True) if value is not None}

    @property
    def said(self) -> dict[str, str]:
        """The fields of a line for people."""
        return {name: value for name, value in self._asdict().items() if value is not None}


UNATTRIBUTED = Attribution()
"""Nothing is said of who acts."""
