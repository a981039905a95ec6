"""The doctor's findings, and the remedies."""

from __future__ import annotations

from ...doctor.diagnosis import Level
from .page import PageContent, PageVisit

REFRESH_SECONDS = 30
"""As long as an examination is kept."""

TONES: dict[Level, str] = {"ok": "green", "note": "quiet", "unknown": "quiet", "warning": "yellow", "error": "red"}
"""How each level looks; each is said in words too."""


def doctor(visit: PageVisit) -> PageContent:
    found = visit.examined()
    more = {"findings": found.worst_first, "tones": TONES, "counts": found.counts}
    return PageContent("doctor.html", "Doctor", found, more, refresh_seconds=REFRESH_SECONDS)
