"""The error for a missing package that a part of the kit needs."""

from __future__ import annotations

from ..errors import UsageError


class MissingExtra(UsageError, ImportError):
    """A package that a part of the test kit needs is not installed; an `ImportError` for whoever asks whether it is."""


def missing(package: str, purpose: str) -> MissingExtra:
    """The error that says what to install."""
    return MissingExtra(f"expected {package} for {purpose}, got none installed; pip install lamplighter[testing]")
