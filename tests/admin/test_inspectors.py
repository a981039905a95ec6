"""Where looks come from: what those see that look at one instant."""

from __future__ import annotations

from lamplighter.admin.inspectors import inspector_factory, readable_file
from lamplighter.environment.clock import SystemClock


def test_a_place_at_one_instant_is_seen_the_same_by_all_and_asks_its_boots_once(tmp_path, runtime, monkeypatch):
    file, rt = str(tmp_path / "jobs.db"), runtime()
    place, asked = inspector_factory(readable_file(file, "list"), now=SystemClock().now), []
    ask = place.room.views
    monkeypatch.setattr(place.room, "views", lambda *given: asked.append(given) or ask(*given))

    with place.at_one_instant() as there:
        inspector = there.inspector(shows_data=False)
        before = inspector.counts()
        rt.jobs.queue("work")
        assert inspector.counts().of == before.of
        assert tuple(inspector.boots()) == inspector.overview().boots

    assert place.inspector(shows_data=False).counts().of["queued"].count == before.of["queued"].count + 1
    assert len(asked) == 1
