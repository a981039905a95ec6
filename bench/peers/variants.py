"""Lamplighter with nobody listening to its events, and with the weaker durability."""

from __future__ import annotations

import logging
from pathlib import Path

from .lamplighter import Lamplighter


class Silent(Lamplighter):
    title = "Lamplighter, events off"

    def _logger(self, folder: Path) -> logging.Logger:
        return silent()


class Os(Lamplighter):
    title = 'Lamplighter, durability="os"'
    durability = (
        "SQLite WAL, synchronous=NORMAL: survives a killed process; a power cut may take the last write batches"
    )
    survives_power = False
    level = "os"


def silent() -> logging.Logger:
    """A logger that hears nothing of what a healthy run says."""
    logger = logging.getLogger("bench.silent")
    logger.setLevel(logging.CRITICAL)
    return logger
