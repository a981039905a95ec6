"""The layer rule of the house: who may import whom, and where each third-party library lives."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("messages", "stores", "rabbit", "lanes", "turns", "actors", "testing", "history", "cli")
RULES = {
    "errors", "cron", "cronrule", "intervals", "walltime", "zones", "slots", "lifecycle", "events", "limits", "codec",
    "checks", "views", "replies", "visible",
}  # fmt: skip
LAYERS = (
    {"messages"},
    RULES,
    {
        "clock", "alarms", "failpoints", "jsonline", "outlets", "log", "logfile", "environment", "payload", "job",
        "waiting", "expected", "stores", "rabbit",
    },
    {"history"},
    {"lanes", "turns", "neighbours", "standing"},
    {"actors", "supervisor"},
    {"registry", "handlers", "refs", "jobs", "reviving", "scheduler", "asking", "life", "runtime", "__init__"},
    {"testing"},
    {"cli", "__main__"},
)  # fmt: skip
HOMES = {
    "croniter": {"cron.py"},
    "structlog": {"log.py", "outlets.py", "logfile.py"},
    "msgspec": {"codec.py", "payload.py", "jsonline.py", "history/", "rabbit/wire.py", "testing/paper.py"},
    "rich": {"cli/"},
    "sqlite3": {"stores/", "testing/"},
    "pika": {"rabbit/pika_"},
    "apsw": {"testing/power.py"},
    "greenlet": {"testing/world.py"},
    "hypothesis": {"testing/shrinking.py"},
    "pytest": {"testing/"},
    "pykka": {"actors/", "supervisor.py"},
}


def modules() -> list[Path]:
    return sorted([*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(level, dotted name) of every import that runs, not those for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def layer_of(part: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_layer_and_those_below(path: Path) -> None:
    own = part_of(path)
    inside = path.parent != ROOT

    for level, name in imports(path):
        if level == 0:
            continue
        target = own if inside and level == 1 else name.split(".")[0]
        assert layer_of(target) <= layer_of(own), f"{path.name} imports {name}"


def test_no_actor_module_imports_another_but_the_base() -> None:
    for path in (ROOT / "actors").glob("*.py"):
        siblings = {name for level, name in imports(path) if level == 1}
        assert siblings <= {"base"}, path.name


def test_each_third_party_library_has_one_home() -> None:
    for path in modules():
        where = str(path.relative_to(ROOT))
        for level, name in imports(path):
            library = name.split(".")[0]
            if level or library in ("lamplighter", "__future__"):
                continue
            homes = HOMES.get(library)
            if homes is None:
                assert library in sys.stdlib_module_names, f"{where} imports {library}"
            else:
                assert any(where == home or (home[-1] in "/_" and where.startswith(home)) for home in homes), (
                    f"{where} imports {library}"
                )


def test_the_vocabulary_imports_only_the_standard_library_and_itself() -> None:
    for path in (ROOT / "messages").glob("*.py"):
        assert all(level == 1 or name.split(".")[0] in sys.stdlib_module_names for level, name in imports(path))


WAITS = ("threading.Event(", "threading.Thread(", "threading.Condition(", "queue.SimpleQueue(", "time.sleep(")
WAITING = {
    "clock.py": "the real clock's thread",
    "environment.py": "where everybody else gets them from",
    "failpoints.py": "a sleep that a test asked for",
    "runtime.py": "`run`, which waits for signals in the main thread of a real process",
    "lanes/child.py": "the other side of a real process",
    "lanes/forks.py": "the end of a forked child, where there is no other thread",
    "lanes/processes.py": "the keeper of a real process",
    "stores/connecting.py": "the switch to WAL, of real processes",
    "stores/readers.py": "threads that read a real file",
}


def test_whoever_waits_waits_by_the_environment() -> None:
    for path in modules():
        where = str(path.relative_to(ROOT))
        if where in WAITING or where.startswith("testing/"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in WAITS if call in text], where


def test_only_the_clock_reads_a_clock_and_only_the_environment_makes_ids_and_chance() -> None:
    forbidden = ("time.time(", "time.monotonic(", "datetime.now(", "utcnow(", "uuid.", "random.random(", "secrets.")

    for path in modules():
        if path.name in ("clock.py", "environment.py"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not [call for call in forbidden if call in text], path.name
