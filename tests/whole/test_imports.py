"""What a program pays that only imports the package, or asks the command for help: next to nothing is loaded."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import SUBCOMMANDS
from lamplighter.messages.jobs import NewJob
from lamplighter.stores.sqlite.store import SqliteStore

LOADED = """
import json, sys
before = set(sys.modules)
{does}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

HELP = """
import contextlib, io
from lamplighter.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main({arguments})
"""


def loaded(does: str) -> set[str]:
    """What a fresh interpreter loads when it does this."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(does=does)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(ran.stdout))


def test_importing_the_package_loads_no_other_module_of_it() -> None:
    assert {name for name in loaded("import lamplighter") if name.startswith("lamplighter")} == {"lamplighter"}


def test_help_loads_no_library_no_store_and_no_subcommand() -> None:
    names = loaded(HELP.format(arguments=["--help"]))

    foreign = {name.partition(".")[0] for name in names} - {"lamplighter", "__editable___lamplighter_0_1_0_finder"}
    assert foreign <= sys.stdlib_module_names
    assert not names & {"asyncio", "logging", "multiprocessing", "socket", "sqlite3", "ssl", "threading"}
    assert {name for name in names if name.startswith("lamplighter.")} == {
        "lamplighter.cli",
        "lamplighter.cli.main",
        "lamplighter.errors",
        "lamplighter.rules",
        "lamplighter.rules.printable",
    }


HEAVY = {"_strptime", "asyncio", "datetime", "difflib", "logging", "multiprocessing", "sqlite3", "ssl"}
"""What a health check loads none of that Python has: it is run every few seconds, and is to take 80 ms of processor."""


def test_a_health_check_loads_what_asks_and_nothing_else(runtime: Callable[..., Runtime]) -> None:
    store = runtime().boot.store.path

    names = loaded(HELP.format(arguments=["health", "-s", store, "--timeout", "15"]))

    foreign = {name.partition(".")[0] for name in names} - {"lamplighter", "__editable___lamplighter_0_1_0_finder"}
    assert foreign <= sys.stdlib_module_names
    assert not names & HEAVY
    assert {name.removeprefix("lamplighter.") for name in names if name.startswith("lamplighter.")} == {
        "cli",
        "cli.health",
        "cli.main",
        "cli.options",
        "environment",
        "environment.clock",
        "environment.process",
        "errors",
        "messages",
        "messages.clock_steps",
        "messages.controls",
        "rules",
        "rules.printable",
        "stores",
        "stores.asking",
        "stores.control_client",
        "stores.controls",
        "stores.hints",
        "stores.locks",
        "stores.opening",
        "stores.presence",
        "stores.sqlite",
        "stores.sqlite.control_client",
        "stores.sqlite.place",
        "stores.tables",
        "stores.tables.control_client",
    }


@pytest.mark.parametrize("subcommand", sorted(SUBCOMMANDS))
def test_a_subcommand_loads_no_other(subcommand: str) -> None:
    names = loaded(HELP.format(arguments=[subcommand, "--help"]))

    others = SUBCOMMANDS.keys() - {subcommand}
    assert f"lamplighter.cli.{subcommand}" in names
    assert not names & {f"lamplighter.cli.{other}" for other in others}


ENGINE = """
import tempfile
from pathlib import Path
from lamplighter import Runtime
runtime = Runtime(Path(tempfile.mkdtemp()) / "jobs.db")
runtime.jobs.add_handler("nothing", lambda job: None)
with runtime:
    runtime.jobs.join(runtime.jobs.queue("nothing"), timeout=30)
"""
ENGINE_MODULES_MAX, ENGINE_LINES_MAX = 150, 27_300
"""The code that a maintainer of the engine has to read. `docs/decisions/rooms.md` says why a change raises these."""


def test_what_runs_a_job_on_sqlite_loads_less_than_half_of_the_package() -> None:
    names = [name for name in loaded(ENGINE) if name.partition(".")[0] == "lamplighter"]

    files = [find_spec(name).origin for name in names]
    lines = sum(Path(file).read_text(encoding="utf-8").count("\n") for file in files)
    assert (len(files) <= ENGINE_MODULES_MAX, lines <= ENGINE_LINES_MAX) == (True, True), (len(files), lines)


WORKING = (
    *("actors", "api.jobs", "api.runtime", "api.scheduler"),
    *("boot", "broker", "handlers", "supervisor", "stores.rabbitmq"),
)
"""What only runtimes need, of which whoever looks at a store has none."""


@pytest.mark.parametrize("words", ["jobs list", "jobs why j", "errors list", "names list", "schedules list", "doctor"])
def test_whoever_looks_at_a_store_loads_nothing_of_what_works_on_it(tmp_path: Path, words: str) -> None:
    path = str(tmp_path / "jobs.db")
    with contextlib.closing(SqliteStore(path)) as store:
        store.open()
        with store.turn("b", 0.0) as turn:
            turn.jobs.insert([NewJob("j", "work", "null", 0, 0.0, 0.0, "j")])

    names = loaded(HELP.format(arguments=[*words.split(), "--store", path]))

    assert not names & {"asyncio", "pykka", "structlog", "pika"}
    assert not {name for name in names if name.startswith(tuple(f"lamplighter.{room}" for room in WORKING))}
    assert "croniter" not in names or words == "schedules list"
