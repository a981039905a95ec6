"""The fields that a form has sent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import UsageError, shown
from .page import PageRefused, PageVisit
from .visitor import Right

RIGHTS: Mapping[str, Right] = {"requeue": "requeue", "cancel": "cancel"}
"""The acts on jobs, and the right that each needs."""


class Form:
    """The fields that a form has sent."""

    def __init__(self, visit: PageVisit) -> None:
        self._fields = visit.request.form()
        self._visit = visit
        self.reason = self.one("reason").strip() or None

    def one(self, name: str) -> str:
        """A field; "" if it is not there."""
        return self._fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        """A field that may be there several times."""
        return self._fields.get(name, [])

    def choice(self, name: str, rights: Mapping[str, Right]) -> str:
        """The act that is asked for, if the visitor may.

        Raises:
            UsageError: it is nothing that can be done here.
            PageRefused: the visitor may not.
        """
        chosen = self.one(name)
        if chosen not in rights:
            raise UsageError(f"expected {name} to be one of {', '.join(rights)}, got: {shown(chosen)}")
        if not self._visit.may(rights[chosen]):
            raise PageRefused(403, f"{self._visit.visitor.name} may not {rights[chosen]}")
        return chosen

    def number(self, name: str) -> float:
        """A number.

        Raises:
            UsageError: it is none.
        """
        try:
            number = float(self.one(name))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"expected {name} to be a number, got: {shown(self.one(name))}")
        return number
