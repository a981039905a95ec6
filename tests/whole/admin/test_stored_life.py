"""A job's life, by its store alone and beside a log."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter.admin.stored_life import stored_life

from ...history.kit import Talker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def test_a_store_is_read_whose_process_stands_still(file, tmp_path):
    talker = Talker(file, tmp_path / "log", "info", "t")
    try:
        talker.started()
        talker.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, talker.process.pid, os.WSTOPPED)
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            ids = [job_id for (job_id,) in connection.execute("select id from lamplighter_jobs")]
        before = {path: path.stat().st_size for path in (file, Path(f"{file}-wal"))}

        lives = [stored_life(str(file), job_id, 0.0) for job_id in ids]

        assert [life.job.id for life in lives] == ids
        assert {path: path.stat().st_size for path in before} == before
    finally:
        talker.kill()
