"""What the store keeps until somebody has told it is not missing in the log, though others have gone on from it."""

from __future__ import annotations

import json

import pytest
from lamplighter import Runtime
from lamplighter.admin.operator import Operator
from lamplighter.history.audit import audit as audit_module
from lamplighter.history.audit.audit import Audit
from lamplighter.history.audit.store_check import Kept, StoreView, compare

from ..kit import audited, clean_run, kinds, logger_to, without


def test_the_moves_of_an_operator_whom_nobody_has_told_of_are_kept(tmp_path):
    path, log = tmp_path / "jobs.db", tmp_path / "log"
    with Runtime(path, logger=logger_to(log, "info")):
        pass
    job = Operator(str(path), by="ada", via="test").queue("work", 1)
    view, told = StoreView(path), Audit()
    for line in log.read_text().splitlines():
        told.feed(json.loads(line))
    (store,) = told.replay.stores.values()

    kept = compare(told.replay, store, view)

    assert kept.moves == {(job.id, 1)}
    assert len(kept.turns) == 1


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_move_that_follows_what_is_kept_misses_nothing(monkeypatch, is_kept):
    lines, store = clean_run("info")
    queued = next(
        index
        for index, line in enumerate(lines)
        if line["event"] == "turn.committed"
        and any((move["k"], move.get("n")) == ("queued", "bad") for move in line["moves"])
    )
    line = lines[queued]
    moves = {(move["j"], move["r"]) for move in line["moves"] if "j" in move}
    kept = Kept(frozenset({(line["boot"], line["turn"])}), frozenset(moves if is_kept else ()))
    monkeypatch.setattr(audit_module, "compare", lambda *given: kept)

    report = audited(without(lines, queued), store)

    assert kinds(report) == ([] if is_kept else ["missing moves"])
