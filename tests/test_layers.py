"""The layer rule of the house: who may import whom, and where each third-party library lives."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .support.package_files import ROOT, package_files

FLOORS = (
    {"messages"},
    {"errors"},
    {"cron", "stores"},
    {"environment", "rules"},
    {"api/job_steps"},
    {"api/job", "log"},
    {"stores/tables"},
    {"stores/postgresql", "stores/sqlite"},
    {"stores/rabbitmq"},
    {"stores/rabbitmq/pika"},
    {"handlers", "history/log_files"},
    {"history/replay", "stores/rabbitmq/place"},
    {"stores/opening"},
    {"broker", "history/audit", "history/trace"},
    {"actors", "admin"},
    {"doctor", "supervisor"},
    {"boot"},
    {"api"},
    {"__init__"},
    {"contrib/prometheus"},
    {"web/faces"},
    {"web/pages"},
    {"web"},
    {"contrib"},
    {"contrib/django", "contrib/flask", "contrib/mcp", "contrib/otel", "contrib/sentry"},
    {"contrib/django/management/commands"},
    {"testing/draining", "testing/manual_clock", "testing/runtime_proxy"},
    {"testing/simulation"},
    {"testing"},
    {"contrib/django/testing"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. A room is a folder of modules, or a module at the root."""

ALONE = {
    "api/job",
    "api/job_steps",
    "contrib/django/testing",
    "contrib/flask",
    "contrib/mcp",
    "contrib/otel",
    "contrib/prometheus",
    "contrib/sentry",
    "stores/opening",
    "stores/rabbitmq/place",
    "testing/draining",
    "testing/manual_clock",
    "testing/runtime_proxy",
}
"""Modules on another floor than the rest of their folder: what opens the stores stands above them, what all of the test
kit needs below it, integrations above what they share, and what of one is for tests above that.
"""

HOMES = {
    "click": ("contrib/flask.py",),
    "croniter": ("cron/when.py",),
    "django": ("contrib/django/",),
    "flask": ("contrib/flask.py",),
    "sentry_sdk": ("contrib/sentry.py",),
    "structlog": ("log/",),
    "msgspec": (
        "rules/codec.py",
        "rules/control_lines.py",
        "handlers/payload.py",
        "log/log_line.py",
        "history/",
        "stores/rabbitmq/job_message.py",
        "testing/simulation/verdict.py",
    ),
    "rich": ("cli/",),
    "shtab": ("cli/completion.py",),
    "mcp": ("contrib/mcp.py",),
    "watchfiles": ("contrib/reloading.py",),
    "sqlite3": ("stores/", "testing/"),
    "prometheus_client": ("contrib/prometheus.py",),
    "opentelemetry": ("contrib/otel.py",),
    "pika": ("stores/rabbitmq/pika/",),
    "psycopg": ("stores/postgresql/",),
    "greenlet": ("testing/simulation/virtual_scheduler.py",),
    "hypothesis": ("testing/simulation/shrinking.py",),
    "pytest": ("testing/",),
    "typing_extensions": ("api/job.py", "messages/jobs.py"),
    "pykka": ("actors/", "supervisor.py"),
}

MODULE_LINES_MAX = 650
"""A module has one subject and is split by subject; this bound only notices one that has none left."""


MODULES = {path.relative_to(ROOT).with_suffix("").parts: path for path in package_files()}


Import = tuple[int, str, list[str]]
"""Level, dotted name and imported names, also where they are only for type checkers."""


@cache
def parsed(path: Path) -> tuple[list[Import], list[str]]:
    """The imports of a module, and the names of its public classes."""
    found: list[Import] = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [alias.name for alias in node.names]))
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return found, classes


def imported(module: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each module of the package that this one imports."""
    for level, name, names in parsed(MODULES[module])[0]:
        if level == 0:
            continue
        base = (*module[: len(module) - level], *(name.split(".") if name else ()))
        for inner in names:
            yield next(found for found in ((*base, inner), base, (*base, "__init__")) if found in MODULES)


def room_of(module: tuple[str, ...]) -> str:
    name, folder = "/".join(module), "/".join(module[:-1])
    return name if name in ALONE or not folder else folder


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@pytest.mark.parametrize("own", sorted({room_of(module) for module in MODULES}))
def test_the_modules_of_a_room_import_only_it_and_lower_floors(own: str) -> None:
    modules = [module for module in MODULES if room_of(module) == own]

    wrong = [
        f"{'/'.join(module)} imports {'/'.join(other)}"
        for module in modules
        if not (module[-1] == "__init__" and len(module) > 1 and module[0] in ("history", "testing"))
        for other in imported(module)
        if room_of(other) != own and floor_of(room_of(other)) >= floor_of(own)
    ]

    assert wrong == []


OF_A_STORE = {
    "cli/migrate": "all tables of a store are moved",
    "doctor/evidence": "for the type checker: the checks of a place look at its condition",
    "doctor/lock_checks": "likewise",
    "testing/simulation/processes": "a simulated fork closes the files of its stores for a moment",
    "testing/simulation/places": "a simulation makes the files of its stores",
    "testing/simulation/simulated_environment": "likewise",
    "testing/simulation/verdict": "likewise",
}
"""The modules outside of stores/ that import from the folder of a store, and why."""


def test_only_the_place_of_a_store_leads_to_its_modules() -> None:
    found = {
        "/".join(module)
        for module in MODULES
        for other in imported(module)
        if module[0] != "stores" and other[0] == "stores" and len(other) > 2
    }

    assert found == OF_A_STORE.keys()


SCHEMES = re.compile(r"""(SCHEMES|["'](sqlite|amqps?|postgres(ql)?)(:///?)?["']|["']:///?["'])""")
OF_A_SCHEME = {
    "environment/process": "what may be a password on a command line",
    "stores/opening": "the registry of places",
    "stores/postgresql/address": "reads such a URL",
    "stores/postgresql/place": "the vendor of a database, and the extra with its driver",
    "stores/rabbitmq/address": "reads such a URL",
    "stores/sqlite/place": "the vendor of a database",
}


def test_only_the_registry_of_places_knows_a_scheme() -> None:
    found = {"/".join(module) for module, path in MODULES.items() if SCHEMES.search(path.read_text(encoding="utf-8"))}

    assert found == OF_A_SCHEME.keys()


def test_only_a_store_reads_the_text_of_an_error() -> None:
    found = {
        "/".join(module)
        for module, path in MODULES.items()
        if module[0] != "stores" and re.search(r"in str\((error|trouble)\)", path.read_text(encoding="utf-8"))
    }

    assert found == set()


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    lines = {"/".join(module): len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}

    assert {module: count for module, count in lines.items() if count > MODULE_LINES_MAX} == {}


def test_no_two_modules_have_a_class_of_one_name() -> None:
    homes = defaultdict(list)
    for module, path in MODULES.items():
        for name in parsed(path)[1]:
            homes[name].append("/".join(module))

    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_actor_module_imports_another_but_the_base() -> None:
    for module in MODULES:
        if room_of(module) == "actors":
            assert {other for other in imported(module) if room_of(other) == "actors"} <= {("actors", "base")}, module


def test_each_third_party_library_has_one_home() -> None:
    for path in package_files():
        where = path.relative_to(ROOT).as_posix()
        for level, name, _ in parsed(path)[0]:
            library = name.split(".")[0]
            if level or library in ("lamplighter", "__future__"):
                continue
            if library in HOMES:
                assert where.startswith(HOMES[library]), f"{where} imports {library}"
            else:
                assert library in sys.stdlib_module_names, f"{where} imports {library}"


WHOLE = {"bench", "campaign", "examples", "faults", "hashbase", "soak", "support"}
"""What is tested on the whole of it, or beside it; and the tests of what tests are made with."""


def test_the_tests_lie_in_the_rooms_of_what_they_test() -> None:
    tests = ROOT / "tests"

    files = {path.relative_to(tests) for path in tests.rglob("test_*.py")}
    folders = {
        (path.relative_to("whole") if path.is_relative_to("whole") else path).parent.as_posix() for path in files
    }

    assert folders - {".", *WHOLE} <= set().union(*FLOORS)


NAME_CHARACTERS_MAX = 80


def test_a_claim_is_short_enough_to_be_read_in_a_list_of_failures() -> None:
    names = (
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    )

    assert [name for name in names if len(name) > NAME_CHARACTERS_MAX] == []


WAITS = ("threading.Event(", "threading.Thread(", "threading.Condition(", "queue.SimpleQueue(", "time.sleep(")
WAITING = {
    "environment/clock.py": "the real clock's thread",
    "environment/environment.py": "where everybody else gets them from",
    "environment/replies.py": "what an actor waits at",
    "environment/failpoints.py": "a sleep that a test asked for",
    "api/runtime.py": "`run`, which waits for signals in the main thread of a real process",
    "handlers/child.py": "the other side of a real process",
    "handlers/execute.py": "the end of a forked child, where there is no other thread",
    "stores/sqlite/connections.py": "the switch to WAL, of real processes",
    "stores/tables/readers.py": "threads that read a real file or server",
}


def test_whoever_waits_waits_by_the_environment() -> None:
    for path in package_files():
        where = path.relative_to(ROOT).as_posix()
        if where in WAITING or where.startswith("testing/"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in WAITS if call in text], where


def test_only_the_clock_reads_a_clock_and_only_the_environment_makes_ids_and_chance() -> None:
    forbidden = ("time.time(", "time.monotonic(", "datetime.now(", "utcnow(", "uuid.", "random.random(", "secrets.")

    for path in package_files():
        if path.relative_to(ROOT).parts[0] == "environment":
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in forbidden if call in text], path.name
