"""`make dist` builds and `pip install` brings the one name `lamplighter`, typed, which needs no checkout."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import pytest

from ..support.package_files import ROOT, package_files

pytestmark = pytest.mark.timeout(300)

URL = "https://example.org/them/lamplighter"

METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and a wheel built from it, of what git tracks."""
    out = tmp_path_factory.mktemp("dist")
    runpy.run_path(str(ROOT / "docs" / "build_dist.py"))["main"](URL, out)
    return out


def contents(wheel: Path) -> dict[str, str]:
    """The files of a wheel, and a digest of each."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


def test_the_wheel_holds_the_whole_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    beside = [ROOT / "py.typed", *(ROOT / "web").glob("templates/*"), *(ROOT / "web").glob("static/*")]

    names = {name for name in contents(wheel) if ".dist-info/" not in name}

    assert names == {f"lamplighter/{path.relative_to(ROOT).as_posix()}" for path in [*package_files(), *beside]}


def test_the_sdist_builds_the_same_wheel_again_and_holds_no_tests(dist: Path, tmp_path: Path) -> None:
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    holds = {path.name for path in source.iterdir()}

    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)], check=True)

    (again,) = tmp_path.glob("*.whl")
    assert contents(again) == contents(wheel)
    assert holds >= {"README.md", "CHANGELOG.md", "LICENSE"}
    assert not holds & {"tests", "examples", "bench", "docs"}


class Installed:
    """A virtual environment into which the wheel was installed without an index.

    Attributes:
        wheels: a folder with the wheel, and those that it and the page need.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.bin, self.wheels = folder / "bin", wheels
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        self.env = {**inherited, "PIP_CONFIG_FILE": os.devnull}
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.install("lamplighter")

    def run(self, *command: str | Path, cwd: Path, code: int = 0, **env: str) -> str:
        """All that a command says."""
        words = [self.bin / command[0], *command[1:]]
        ran = subprocess.run(
            words, cwd=cwd, env=self.env | env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert ran.returncode == code, ran.stdout
        return ran.stdout

    def install(self, *words: str | Path) -> None:
        self.run("pip", "install", "-q", "--no-index", "--find-links", self.wheels, *words, cwd=self.wheels)


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    wheels = tmp_path_factory.mktemp("wheels")
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--dest", wheels, f"{wheel}[web]"], check=True)
    return Installed(tmp_path_factory.mktemp("environment"), wheels)


def test_the_installed_package_runs_the_program_of_the_readme(installed: Installed, tmp_path: Path) -> None:
    program = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert program is not None
    (tmp_path / "host.py").write_text(program[1], encoding="utf-8")

    said = installed.run("python", "host.py", cwd=tmp_path)

    assert said == "{'sent': True}\n"
    audited = installed.run("lamplighter", "audit", "jobs.log", "--store", "jobs.db", cwd=tmp_path)
    assert audited.startswith("all is well: 1 job,")
    examined = installed.run("lamplighter", "doctor", "--store", "jobs.db", cwd=tmp_path)
    assert examined.endswith("nothing that is known is wrong\n")


def test_the_installed_command_tells_its_version_and_its_commands(installed: Installed, tmp_path: Path) -> None:
    version = METADATA["project"]["version"]

    assert installed.run("lamplighter", "--version", cwd=tmp_path) == f"lamplighter {version}\n"
    assert installed.run("lamplighter", "--help", cwd=tmp_path).startswith("usage: lamplighter")
    assert installed.run("lamplighter", cwd=tmp_path, code=2).startswith("usage: lamplighter")


APPLICATION = """
import os, signal
from lamplighter import Runtime

runtime = Runtime("jobs.db")

@runtime.jobs.handler("end")
def end(job):
    os.kill(os.getpid(), signal.SIGTERM)

if __name__ == "__main__":
    with runtime.start(work=False):
        runtime.jobs.queue("end", id="the-end")
"""
"""Its one job ends the process that runs it."""


def test_the_installed_command_does_the_jobs_of_an_application(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    installed.run("python", "application.py", cwd=tmp_path)

    installed.run("lamplighter", "run", "application:runtime", cwd=tmp_path)

    shown = installed.run("lamplighter", "jobs", "show", "the-end", "--store", "jobs.db", "--json", cwd=tmp_path)
    assert json.loads(shown)["job"]["state"] == "done"


def test_the_installed_page_comes_with_its_templates_and_its_style(installed: Installed, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    installed.install("--target", extra, "lamplighter[web]")
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    installed.run("python", "application.py", cwd=tmp_path)
    command = [installed.bin / "lamplighter", "web", "--store", "jobs.db", "--port", "0"]
    env = {**installed.env, "PYTHONPATH": str(extra)}

    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            link = server.stderr.readline().strip()
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            page = browser.open(link).read().decode()
            files = re.findall(r'(?:href|src)="([^"]*/static/[^"]+)"', page)
            found = [browser.open(urllib.parse.urljoin(link, file)).status for file in files]
        finally:
            server.terminate()

    assert ">end<" in page
    assert len(found) >= 3 and set(found) == {200}


WITHOUT = {
    "cli": "lamplighter completion bash",
    "django": "python -m lamplighter.contrib.django.configured",
    "flask": "python -m lamplighter.contrib.flask",
    "mcp": "lamplighter mcp --store jobs.db",
    "otel": "python -m lamplighter.contrib.otel",
    "postgresql": "lamplighter doctor --store postgresql://db.example/jobs",
    "prometheus": "python -m lamplighter.contrib.prometheus",
    "rabbitmq": "lamplighter doctor --store amqp://mq.example/",
    "reload": "lamplighter run --reload application:runtime",
    "sentry": "python -m lamplighter.contrib.sentry",
    "testing": "python -m lamplighter.testing.simulation.virtual_scheduler",
    "web": "lamplighter web --store jobs.db",
}
"""A command that needs each extra."""


def test_each_extra_has_a_command_that_needs_it() -> None:
    for_developers = {"bench", "dev", "docs", "hashbase"}

    # croniter brings tzdata.
    assert {*WITHOUT} == {*METADATA["project"]["optional-dependencies"]} - for_developers - {"tzdata"}


@pytest.mark.parametrize("extra", WITHOUT)
def test_what_needs_an_extra_that_is_not_installed_says_what_to_install(
    extra: str, installed: Installed, tmp_path: Path
) -> None:
    code = 2 if WITHOUT[extra].startswith("lamplighter") else 1

    said = installed.run(*WITHOUT[extra].split(), cwd=tmp_path, code=code)

    assert said.rstrip().endswith(f"got none installed; pip install 'lamplighter[{extra}]'")


def test_the_readme_and_the_changelog_are_those_of_the_version() -> None:
    version = METADATA["project"]["version"]

    assert f"Version {version}." in (ROOT / "README.md").read_text("utf-8")
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_package_folder_is_named() -> None:
    folders = {
        ".".join(("lamplighter", *path.parent.relative_to(ROOT).parts))
        for path in package_files()
        if path.name == "__init__.py"
    }

    assert set(METADATA["tool"]["setuptools"]["packages"]) == folders


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


def test_the_installed_package_passes_mypy_strict(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(tmp_path)
    options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "lamplighter"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("checker", ["mypy --strict --python-executable", "pyright --pythonpath"])
def test_type_checkers_find_the_types_of_the_installed_package(
    checker: str, installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "host.py").write_text(HOST)

    checked = subprocess.run(
        [sys.executable, "-m", *checker.split(), installed.bin / "python", "host.py"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout
