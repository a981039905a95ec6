"""The checks of a store's file: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lamplighter.messages.boots import BootRecord
from lamplighter.stores import presence
from lamplighter.stores.presence import FilePresence, folder_of
from lamplighter.stores.sqlite.store import SqliteStore

from .kit import DAY, change, found, levels, new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_a_sound_file_is_said_to_be_sound(path):
    (finding,) = found(path, "store.sound")

    assert (finding.check, finding.level) == ("store.sound", "ok")
    assert "quick_check" in finding.evidence


def test_a_damaged_page_is_found(path):
    change(path, "create table host (x)", "insert into host values (zeroblob(200000))")
    change(path, "pragma wal_checkpoint (truncate)")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 3 * 4096)
        file.write(b"\xff" * 4096)

    (finding,) = found(path, "store.sound")

    assert finding.level == "error"
    assert finding.evidence.startswith("the file is damaged: ")
    assert "backup" in finding.remedy


def test_a_file_whose_schema_is_damaged_is_damaged(path):
    change(path, "pragma wal_checkpoint (truncate)")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 400)

    (finding,) = found(path, "store.sound")

    assert finding.level == "error"
    assert "malformed" in finding.evidence


def test_an_index_that_somebody_has_dropped_is_missed(path):
    change(path, "drop index lamplighter_jobs_ended")

    first, second = found(path, "store.sound")

    assert (first.level, second.level) == ("error", "ok")
    assert first.evidence.startswith("index lamplighter_jobs_ended is missing")


def test_a_table_that_is_another_is_told_and_those_of_the_application_are_not(path):
    change(path, "create table orders (id)", "alter table lamplighter_jobs add column colour text")

    assert [one.evidence.split(" is ")[0] for one in found(path, "store.sound")][:-1] == ["table lamplighter_jobs"]


def test_a_large_file_is_looked_through_only_if_that_is_asked_for(path):
    change(path, "create table host (x)", "insert into host values (zeroblob(70000000))")

    (quick,), (deep,) = found(path, "store.sound"), found(path, "store.sound", is_deep=True)

    assert (quick.level, deep.level) == ("unknown", "ok")
    assert "--deep" in quick.remedy
    assert "integrity_check" in deep.evidence


def test_the_schema_of_this_version_is_well(path, runtime):
    runtime()

    assert levels(found(path, "store.schema")) == ["ok"]


@pytest.mark.parametrize(("version", "level"), [(1, "error"), (99, "error")])
def test_another_schema_is_told(path, version, level):
    change(path, f"update lamplighter_store set schema_version = {version}")

    (finding,) = found(path, "store.schema")

    assert finding.level == level
    assert f"schema {version}" in finding.evidence


def test_runtimes_of_two_versions_on_a_store_are_told(path, runtime):
    runtime()
    older = FilePresence(folder_of(str(path)))
    older.enter("older")
    store = SqliteStore(str(path))
    store.open()
    with store.turn("older", 0.0) as turn:
        turn.boots.register(BootRecord("older", os.getpid(), "h", 0.0, None, (), version="0.0.9"))
    store.close()

    (finding,) = found(path, "store.schema", timeout=0.2)
    older.leave("older")

    assert finding.level == "warning"
    assert "0.0.9" in finding.evidence


def test_a_local_disk_is_well(path):
    assert levels(found(path, "store.network")) == ["ok"]


def test_a_network_file_system_is_told(path, monkeypatch, tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(presence, "MOUNTS", mounts)

    (finding,) = found(path, "store.network")

    assert finding.level == "error"
    assert f"nfs4, mounted at {tmp_path}" in finding.evidence


def test_where_no_system_tells_of_mounts_that_is_unknown(path, monkeypatch, tmp_path):
    monkeypatch.setattr(presence, "MOUNTS", tmp_path / "none")

    assert levels(found(path, "store.network")) == ["unknown"]


def test_one_owner_and_one_mode_are_well(path, runtime):
    runtime()

    assert levels(found(path, "store.rights")) == ["ok"]


def test_a_log_with_another_mode_is_told(path, runtime):
    runtime()
    os.chmod(f"{path}-wal", 0o666)

    (finding,) = found(path, "store.rights")

    assert finding.level == "warning"
    assert "jobs.db-wal has 666" in finding.evidence


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_log_of_another_user_is_told(path, runtime):
    runtime()
    os.chown(f"{path}-shm", 65534, 65534)

    (finding,) = found(path, "store.rights")

    assert finding.level == "error"
    assert "user 65534 owns jobs.db-shm" in finding.evidence


def test_room_on_the_disk_is_measured_by_what_the_log_may_need(path):
    free = os.statvfs(path.parent)
    (before,) = found(path, "store.space")
    with open(f"{path}-wal", "wb") as log:
        # It takes no room: a file may have holes.
        log.truncate(free.f_bavail * free.f_frsize)

    (finding,) = found(path, "store.space")

    assert before.level == "ok"
    assert finding.level == "warning"
    assert "are free on its disk" in finding.evidence


@pytest.mark.parametrize(
    ("inodes", "favail", "told"),
    [(100_000, 12, ["12 inodes are free on its disk: no more files can be made soon"]), (0, 0, []), (9_999, 9_000, [])],
)
def test_a_disk_that_can_hold_hardly_any_more_files_is_told(path, monkeypatch, inodes, favail, told):
    real = list(os.statvfs(path.parent))
    real[4], real[5], real[7] = max(real[4], 1 << 40), inodes, favail
    monkeypatch.setattr(os, "statvfs", lambda of: os.statvfs_result(real))

    findings = found(path, "store.space")

    assert [one.evidence for one in findings if one.level == "warning"] == told
    assert levels(findings) == (["warning"] if told else ["ok"])


def test_a_file_of_which_much_is_empty_is_noted(path, runtime):
    runtime()
    change(path, "create table host (x)", "insert into host values (zeroblob(90000000))", "drop table host")

    (finding,) = found(path, "store.bloat")

    assert finding.level == "note"
    assert "vacuum" in finding.remedy


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("done", "done jobs are to be kept for 24 h 0 min, and the oldest is 2 d 0 h older"),
        ("cancelled", "cancelled jobs are to be kept for 24 h 0 min, and the oldest is 2 d 0 h older"),
        ("dead", "dead jobs are to be kept for 2 d 0 h, and the oldest is 24 h 0 min older"),
    ],
    ids=["done", "cancelled", "dead"],
)
def test_ended_jobs_that_retention_should_have_removed_are_told(path, runtime, recorder, state, says):
    rt = runtime(keep_dead_seconds=2 * DAY)
    rt.jobs.add_handler("work", lambda job: job.data["dead"] if state == "dead" else None, max_attempts=1)
    job = rt.jobs.queue("work", {}, delay=3600 if state == "cancelled" else 0)
    if state == "cancelled":
        rt.jobs.cancel(job)
    recorder.wait_for(f"job.{state}")

    well = found(path, "store.bloat")
    change(path, "update lamplighter_jobs set ended_at = ended_at - :days", days=3 * DAY)
    (finding,) = found(path, "store.bloat")

    assert levels(well) == ["ok"]
    assert finding.level == "warning"
    assert finding.evidence == says


def test_how_long_jobs_are_kept_is_unknown_only_while_a_runtime_lives(path, runtime):
    assert levels(found(path, "store.bloat")) == ["note"]

    runtime()
    (control,) = Path(f"{path}-boots").glob("*.ctl")
    control.unlink()

    assert levels(found(path, "store.bloat")) == ["unknown"]


def test_nothing_is_guessed_of_a_file_that_is_no_store(tmp_path):
    (tmp_path / "x.db").write_text("this is no database, but it is long enough to look like one")

    findings = found(tmp_path / "x.db", "store")

    assert {one.level for one in findings if one.check in ("store.sound", "store.schema", "store.bloat")} == {"unknown"}
