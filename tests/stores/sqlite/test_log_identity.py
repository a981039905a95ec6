"""Which file is at a path, by a question that leaves it as it is."""

from __future__ import annotations

import os
import sys

import pytest
from lamplighter.stores.file_identity import identity
from lamplighter.stores.sqlite import connections as log_identity
from lamplighter.stores.sqlite.connections import STATX_INO, identity_of
from lamplighter.stores.sqlite.store import SqliteStore


def asked_of_stat(path):
    found = os.stat(path)
    return found.st_dev, found.st_ino


@pytest.fixture(params=["asked for alone", "forbidden", "not answered", "no such call"])
def answer(request, monkeypatch):
    """How the system answers the question for the number of a file alone."""

    def forbidden(*asked):
        return -1

    def not_answered(*asked):
        return 0

    if request.param != "asked for alone":
        statx = {"forbidden": forbidden, "not answered": not_answered}.get(request.param)
        monkeypatch.setattr(log_identity, "_statx", statx)
    return request.param


def test_it_is_that_of_the_system(tmp_path, answer):
    paths = [tmp_path / "jobs.db", tmp_path / "jöbs.db", os.fsdecode(os.fsencode(tmp_path) + b"/\xff.db"), "/dev/null"]
    for path in paths:
        with open(path, "a"):
            pass
        assert identity_of(str(path)) == identity(str(path)) == asked_of_stat(path)


def test_a_file_in_its_place_is_another(tmp_path, answer):
    path, other = tmp_path / "jobs.db", tmp_path / "other.db"
    path.touch()
    other.touch()
    before = identity_of(str(path))

    os.replace(other, path)

    assert before != identity_of(str(path)) == asked_of_stat(path)


def test_what_is_not_there_has_none(tmp_path, answer):
    assert identity_of(str(tmp_path / "jobs.db")) is None
    assert identity_of(str(tmp_path / "no folder" / "jobs.db")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be asked for alone")
def test_the_times_of_a_log_are_not_asked_for(tmp_path, monkeypatch):
    asked, statx = [], log_identity._statx

    def heard(folder, path, flags, mask, found):
        asked.append((path, mask))
        return statx(folder, path, flags, mask, found)

    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.open()
    monkeypatch.setattr(log_identity, "_statx", heard)
    with store.turn("b", 1.0):
        pass
    store.close()

    assert (os.fsencode(tmp_path / "jobs.db-wal"), STATX_INO) in asked
    assert {mask for _, mask in asked} == {STATX_INO}
