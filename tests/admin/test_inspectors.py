"""Where looks come from: what those see that look at one instant."""

from __future__ import annotations

from lamplighter.admin.inspectors import inspector_of, readable_table
from lamplighter.environment.clock import SystemClock
from lamplighter.stores.sqlite.control_client import FileControlClient


def test_a_store_at_one_instant_is_seen_the_same_by_all_and_asks_its_boots_once(tmp_path, runtime, monkeypatch):
    file, rt = str(tmp_path / "jobs.db"), runtime()
    room, asked = FileControlClient(file), []
    inspector, ask = inspector_of(readable_table(file, "list"), room, now=SystemClock().now), room.views
    monkeypatch.setattr(room, "views", lambda *given: asked.append(given) or ask(*given))

    with inspector.at_one_instant() as there:
        before = there.counts()
        rt.jobs.queue("work")
        assert there.counts().of == before.of
        assert tuple(there.boots()) == there.overview().boots

    assert inspector.counts().of["queued"].count == before.of["queued"].count + 1
    assert len(asked) == 1
