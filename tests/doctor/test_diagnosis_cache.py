"""An examination that several look at."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from lamplighter.doctor.diagnosis import KEPT_SECONDS, Diagnosis, DiagnosisCache, Examination


def found(*levels: str) -> Examination:
    """An examination with findings of these levels."""
    findings = [Diagnosis(check=f"c{at}", level=level, evidence="", remedy="") for at, level in enumerate(levels)]
    return Examination(at=0.0, store="s", unread=None, findings=tuple(findings))


def test_another_examination_is_made_when_the_last_is_old():
    made, now = [], [0.0]
    rounds = DiagnosisCache(lambda: made.append(1) or found(), lambda: now[0])

    first = rounds.latest()
    now[0] = KEPT_SECONDS - 0.1
    again = rounds.latest()
    now[0] = KEPT_SECONDS
    rounds.latest()

    assert first is again
    assert len(made) == 2


def test_while_one_is_made_others_get_the_last_and_wait_only_for_the_first():
    begun, go, now = threading.Event(), threading.Event(), [0.0]

    def examine():
        begun.set()
        assert go.wait(15)
        return found()

    rounds = DiagnosisCache(examine, lambda: now[0])
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(rounds.latest) for _ in range(2)]
        begun.wait(15)
        go.set()
        first, other = (one.result(15) for one in both)
        begun.clear(), go.clear()
        now[0] = KEPT_SECONDS
        makes = threads.submit(rounds.latest)
        begun.wait(15)

        old = rounds.latest()
        go.set()

        assert first is other
        assert old is first
        assert makes.result(15) is not first


def test_the_worst_are_what_somebody_must_do_something_about():
    examination = found("ok", "warning", "unknown", "error", "warning", "warning")

    assert [one.check for one in examination.wrong[:3]] == ["c3", "c1", "c4"]
    assert (examination.is_well, found("ok", "note", "unknown").is_well) == (False, True)
