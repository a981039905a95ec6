"""What is wrong, and what to do."""

from __future__ import annotations

from ...doctor.diagnosis import LEVELS, Diagnosis, Examination, Level
from .page import PageContent, PageVisit

REFRESH_SECONDS = 30
"""As long as an examination is kept."""

TONES: dict[Level, str] = {"ok": "green", "note": "quiet", "unknown": "quiet", "warning": "yellow", "error": "red"}
"""How each level looks; each is said in words too."""


def doctor(visit: PageVisit) -> PageContent:
    """All that the checks have found, the worst first."""
    found = visit.examined()
    more = {"findings": sorted(found.findings, key=_badness), "tones": TONES, "counts": _counts(found)}
    return PageContent("doctor.html", "Doctor", found, more, refresh_seconds=REFRESH_SECONDS)


def _badness(finding: Diagnosis) -> int:
    return LEVELS.index(finding.level)


def _counts(found: Examination) -> dict[Level, int]:
    return {level: sum(1 for one in found.findings if one.level == level) for level in LEVELS}
