"""Where looks come from: what those see that look at one instant."""

from __future__ import annotations

from lamplighter.environment.clock import SystemClock
from lamplighter.operating.looking import lookout, readable_file


def test_a_place_at_one_instant_is_seen_the_same_by_all_and_asks_its_boots_once(tmp_path, runtime, monkeypatch):
    file, rt = str(tmp_path / "jobs.db"), runtime()
    place, asked = lookout(readable_file(file, "list"), now=SystemClock().now), []
    ask = place.room.look
    monkeypatch.setattr(place.room, "look", lambda *given: asked.append(given) or ask(*given))

    with place.at_one_instant() as there:
        look = there.look(shows_data=False)
        before = look.counts()
        rt.jobs.queue("work")
        assert look.counts().of == before.of
        assert tuple(look.boots()) == look.overview().boots

    assert place.look(shows_data=False).counts().of["queued"].count == before.of["queued"].count + 1
    assert len(asked) == 1
