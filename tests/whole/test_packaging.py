"""What `pip install` brings: the one name `lamplighter`, typed, with every package folder in it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from ..support.package_files import ROOT, package_files


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and a wheel built from it, of what git tracks."""
    source = tmp_path_factory.mktemp("source")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(source)], check=True, capture_output=True)
    return out


def test_the_wheel_installs_nothing_but_lamplighter(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")

    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"lamplighter"}


def test_the_wheel_is_typed_and_carries_no_tests_or_examples(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    assert "lamplighter/py.typed" in names
    assert not [name for name in names if "/tests/" in name or "/examples/" in name]


def test_the_sdist_can_be_built_from(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")

    with tarfile.open(sdist) as opened:
        names = opened.getnames()

    assert any(name.endswith("/py.typed") for name in names)


def test_every_package_folder_is_named() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    folders = {
        ".".join(("lamplighter", *path.parent.relative_to(ROOT).parts))
        for path in package_files()
        if path.name == "__init__.py"
    }

    assert set(metadata["tool"]["setuptools"]["packages"]) == folders


HOST = """
import lamplighter
from lamplighter import Job, Runtime

runtime: Runtime = lamplighter.Runtime(":memory:")

def work(job: Job[int]) -> int:
    return job.data

runtime.jobs.add_handler("work", work, isolation="process", on_timeout="raise", timeout=5)
runtime.jobs.list(state="dead")
runtime.jobs.list(state=lamplighter.JobState.DEAD)
runtime.scheduler.add("work", "@daily", catch_up="all", overlap="skip", dst_gap="skip", dst_fold="both", jitter=5)
Runtime(":memory:", durability="os", reply_seconds_max=5, turn_messages_max=10)

@runtime.jobs.handler("more", concurrency=2, max_attempts=3)
async def more(job: Job[str]) -> None:
    job.queue("work", 1, delay=5, unique="one")
    await runtime.jobs.aqueue("work", 1, priority=3, timeout=2.5)
    await runtime.jobs.alist("work", state="done", limit=5)
    job.queue("work", 1, prioriti=3)  # type: ignore[call-arg]
    job.queue("work", 1, priority="high")  # type: ignore[arg-type]
    await runtime.jobs.aqueue("work", 1, prioriti=3)  # type: ignore[call-arg]
    await runtime.jobs.aqueue("work", 1, connection=None)
    await runtime.jobs.aqueue("work", 1, unique=3)  # type: ignore[arg-type]
    await runtime.jobs.alist(state="deaf")  # type: ignore[arg-type]

lamplighter.Nothing  # type: ignore[attr-defined]
Runtime(":memory:", reply_seconds=5)  # type: ignore[call-arg]
Runtime(":memory:", turn_messages_max=0.5)  # type: ignore[arg-type]
Runtime(":memory:", durability="none")  # type: ignore[arg-type]
runtime.jobs.handler("more", concurency=2)  # type: ignore[call-overload]
runtime.jobs.handler("more", isolation="fork")  # type: ignore[call-overload]
runtime.jobs.add_handler("work", work, on_timeout="kill")  # type: ignore[arg-type]
runtime.jobs.list(state="deaf")  # type: ignore[arg-type]
runtime.scheduler.add("work", "@daily", catch_up="none")  # type: ignore[arg-type]
runtime.scheduler.add("work", "@daily", overlap="queue")  # type: ignore[arg-type]
runtime.scheduler.add("work", "@daily", dst_gap="before")  # type: ignore[arg-type]
runtime.scheduler.add("work", "@daily", dst_fold="last")  # type: ignore[arg-type]
"""
"""Strict mypy takes an ignore that nothing needs for an error: it would be one if any name or option were taken for one
that there is.
"""


def test_the_installed_package_and_its_host_pass_mypy_strict(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(tmp_path)
    (tmp_path / "host.py").write_text(HOST)

    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--cache-dir",
            str(tmp_path / "cache"),
            str(tmp_path / "lamplighter"),
            str(tmp_path / "host.py"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout
