"""What `make page-demo` has made before the page is opened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hashbase import page
from lamplighter.admin.inspector import inspector_at
from lamplighter.admin.stats import stats_by_name, stats_by_start
from lamplighter.messages.tallies import MINUTE


def test_the_demo_of_the_page_has_a_past_in_which_one_name_fails_and_one_is_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads draw in any order. So often that no chance makes another name fail more.
    monkeypatch.setitem(page.VISITS, "index-search", 10)
    random.seed(7)
    config, host, users = page.make(tmp_path, users=20, minutes=8)
    host.close()

    with inspector_at(str(config.database)) as inspector:
        names, now = inspector.names(), inspector.now()
        with inspector.store.snapshot() as seen:
            tallies = [tally for name in names for tally in seen.tallies.between(MINUTE, now - 3_600, now, name.name)]
    stats = stats_by_name(tallies)
    assert len(users) == 20
    assert [name.name for name in names if name.pause] == ["send-newsletter"]
    assert max(stats, key=lambda name: stats[name].failed) == "index-search"
    assert stats["verify-profile-dat"].done > 0
    assert len(stats_by_start(tallies)) >= 4
