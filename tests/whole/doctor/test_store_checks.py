"""The checks of a store's file: what makes each fire, and what keeps it silent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ...doctor.kit import new_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_store(tmp_path / "jobs.db")


def test_a_file_that_is_mounted_alone_is_told(path, tmp_path):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this user may not mount anything")
    mounted = tmp_path / "alone.db"
    mounted.touch()
    doctor = f"{sys.executable} -m lamplighter doctor --only store.network -s {mounted}"

    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"mount --bind {path} {mounted} && {doctor}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )

    assert ran.returncode == 1
    assert "the file is mounted alone" in ran.stdout
