"""The checks of what runtimes say of themselves: from which number on each of them fires."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lamplighter.doctor import boot_checks, name_checks
from lamplighter.doctor.diagnosis import Check
from lamplighter.doctor.evidence import _Asked
from lamplighter.doctor.examining import evidence_at, examine
from lamplighter.messages.views import (
    Abandoned,
    Death,
    Health,
)
from lamplighter.stores.control_client import BootView

from ..admin.boots import NOW, a_boot, a_handler, a_view, an_actor
from .kit import new_store


@pytest.fixture
def says(tmp_path: Path):
    """The levels and the words of a check about these boots."""
    path = new_store(tmp_path / "jobs.db")

    def look(run: Any, *boots: BootView) -> list[tuple[str, str]]:
        with evidence_at(str(path), now=lambda: NOW) as seen:
            seen._asked = _Asked(boots, NOW, NOW)  # type: ignore[misc]
            found = examine(seen, [Check("check", "what it asks", run)]).findings
            return [(one.level, one.evidence) for one in found]

    return look


def deaths(*reasons: str) -> tuple[Death, ...]:
    return tuple(Death(at=NOW, incarnation=1, why=why, over=None) for why in reasons)


WHO = "handler:work of boot b1 (pid 7) has crashed"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"restarts_in_window": 2}, []),
        ({"restarts_in_window": 3}, [f"{WHO} 3 times, of 4 that it may"]),
        ({"restarts_in_window": 3, "restarts_max": None}, []),
        (
            {"restarts_in_window": 3, "restart_window_seconds": 30.0, "last_crash": "E: x\nmore"},
            [f"{WHO} 3 times within 30 s, of 4 that it may; the last: E: x"],
        ),
        ({"deaths": deaths("x", "x", "y", "y")}, []),
        ({"deaths": deaths("x", "y", "x", "x")}, [f"{WHO} 3 times in the same way: x"]),
        (
            {"status": "quarantined", "last_crash": "E: x", "restarts_in_window": 5, "deaths": deaths(*"xxx")},
            [f"{WHO} too often, and is not started again; the last: E: x"],
        ),
    ],
)
def test_an_actor_is_told_of_once_it_has_used_most_of_its_budget(says, changes, found):
    told = says(boot_checks.restarts, a_boot(a_view(actors=(an_actor(**changes),))))

    assert [words for level, words in told if level != "ok"] == found


def hangs(number: int, stack: str = "File x\n  f()\n") -> tuple[Abandoned, ...]:
    one = Abandoned(job_id="j", job_name="work", lane=1, why="timed out", seconds=2.0, stack=stack)
    return (one,) * number


@pytest.mark.parametrize(
    ("number", "most", "levels", "last"),
    [
        (0, 16, ["ok"], "no thread hangs in 1 runtime"),
        (5, 16, ["warning"] * 5, "for 2 s, at: f()"),
        (6, 16, ["warning"] * 6, "1 more threads of boot b1 hang"),
        (7, 16, ["warning"] * 6, "2 more threads of boot b1 hang"),
        (8, 16, ["warning"] * 7, "8 of the 16 threads that may hang in boot b1 do; then its handlers are halted"),
        (1, 0, ["warning"], "for 2 s, at: f()"),
    ],
)
def test_threads_that_hang_are_told_one_by_one_and_from_half_of_the_limit_on(says, number, most, levels, last):
    health = Health(status="yellow", reasons=(), boot="b1", abandoned=hangs(number))

    told = says(boot_checks.zombies, a_boot(a_view(health=health, limits={"abandoned_threads_max": most})))

    assert [level for level, _ in told] == levels
    assert told[-1][1].endswith(last)


@pytest.mark.parametrize(("stack", "where"), [("File x\n  f()\n", "f()"), ("", "nobody knows where")])
def test_a_thread_that_hangs_is_told_with_its_job_and_its_place(says, stack, where):
    health = Health(status="yellow", reasons=(), boot="b1", abandoned=hangs(1, stack))

    assert says(boot_checks.zombies, a_boot(a_view(health=health))) == [
        ("warning", f"a thread of boot b1 (pid 7) hangs in job j (work), timed out, for 2 s, at: {where}")
    ]


def test_handlers_that_are_halted_are_named(says):
    actors = tuple(an_actor(name=f"handler:{name}", is_halted=name != "b") for name in "cab")

    (told,) = says(boot_checks.zombies, a_boot(a_view(actors=actors)))

    assert told == ("error", "boot b1 takes no more jobs of a, c: too many of its threads hang")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"descriptors": 80}, ("ok", "1 runtime well within what the system gives")),
        ({"descriptors": 81}, ("warning", "boot b1 (pid 7) has 81 of 100 files open")),
        ({"descriptors": 81, "descriptors_max": None}, ("ok", "1 runtime well within what the system gives")),
        ({"threads": 2_000}, ("ok", "1 runtime well within what the system gives")),
        ({"threads": 2_001}, ("warning", "boot b1 (pid 7) has 2,001 threads")),
        ({"threads": None}, ("unknown", "this system does not tell how many files and threads a process has")),
        ({"descriptors": None}, ("unknown", "this system does not tell how many files and threads a process has")),
    ],
)
def test_what_a_process_uses_is_told_beyond_its_share(says, changes, found):
    used = replace(a_view().process, **changes)

    assert says(boot_checks.process, a_boot(a_view(process=used))) == [found]


@pytest.mark.parametrize("check", [boot_checks.zombies, boot_checks.restarts, boot_checks.process, name_checks.differ])
def test_of_runtimes_that_have_not_answered_nothing_is_known(says, check):
    assert [level for level, _ in says(check, a_boot(a_view()), a_boot(None, boot="b2"))] == ["unknown"]
    assert [level for level, _ in says(check)] == ["note"]
    assert [level for level, _ in says(check, a_boot(a_view()), a_boot(None, boot="b2", is_alive=False))] == ["ok"]


@pytest.mark.parametrize(
    ("boot", "level", "words"),
    [
        (a_boot(a_view()), "ok", "of 1 runtime on the store that live, all answer"),
        (a_boot(condition="stopped"), "error", "boot b1 (pid 7 on here) does nothing: it was not asked"),
        (a_boot(condition="silent"), "warning", "boot b1 (pid 7 on here) lives and does not answer: it was not asked"),
        (
            a_boot(condition="unknown"),
            "unknown",
            "boot b1 (pid 7 on here) has said nothing of itself: it was not asked",
        ),
        (a_boot(a_view(actors=(an_actor(busy_seconds=9_999.0),))), "error", "has been at one message for 9999 s"),
    ],
)
def test_a_runtime_that_does_not_answer_is_told_by_how_it_looks(says, boot, level, words):
    ((found, told),) = says(boot_checks.hung, boot)

    assert found == level
    assert words in told


@pytest.mark.parametrize(
    ("boots", "found"),
    [
        ([], ("note", "no process runs jobs, and no job is due")),
        (
            [a_boot(a_view(), kind="producer")] * 2,
            ("note", "no process runs jobs: the 2 runtimes on the store only queue, and no job is due"),
        ),
        ([a_boot(a_view())], ("ok", "1 runtime runs jobs")),
        ([a_boot(a_view()), a_boot(None)], ("ok", "2 runtimes run jobs")),
        (
            [a_boot(None)],
            ("unknown", "1 runtime runs jobs as their rows say, and none has answered whether it still takes any"),
        ),
        (
            [a_boot(a_view(), stops=True)],
            ("note", "the only runtime that could run jobs is about to stop, and no job is due"),
        ),
        (
            [a_boot(a_view(), stops=True), a_boot(a_view(), is_quiet=True)],
            ("note", "all 2 runtimes that could run jobs were told to be quiet, and no job is due"),
        ),
        ([a_boot(a_view(), is_quiet=True), a_boot(a_view())], ("ok", "1 runtime runs jobs")),
    ],
)
def test_whether_anybody_runs_jobs_is_told_by_kind_and_condition(says, boots, found):
    assert says(boot_checks.none, *boots) == [found]


@pytest.mark.parametrize(
    ("boots", "levels"),
    [
        ([a_boot(a_view())], ["ok"]),
        ([a_boot(is_alive=None)], ["unknown"]),
        ([a_boot(is_alive=False)], ["warning"]),
        ([a_boot(is_alive=False), a_boot(a_view())], ["note"]),
        ([a_boot(is_alive=False), a_boot(a_view(), stops=True)], ["warning"]),
        ([a_boot(is_alive=False), a_boot()], ["warning"]),
    ],
)
def test_a_dead_runtime_is_a_warning_where_nobody_takes_its_jobs_back(says, boots, levels):
    assert [level for level, _ in says(boot_checks.dead, *boots)] == levels


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "task"},
        {"concurrency": 2},
        {"attempts": 4},
        {"timeout": 5.0},
        {"total": 1},
        {"per_group": 1},
        {"rate": "1/1s"},
        {"rate_per_group": "1/1s"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_handlers_of_one_name_that_differ_in_an_option_are_told(says, change):
    one = a_boot(a_view(handlers=(a_handler(),)))
    other = a_boot(a_view(boot="b2", handlers=(a_handler(**change),)), boot="b2")

    (found,) = says(name_checks.differ, one, other)

    assert found[0] == "warning"
    assert " on b1" in found[1] and " on b2" in found[1]
    assert says(name_checks.differ, one, replace(other, view=a_view(boot="b2", handlers=(a_handler(),)))) == [
        ("ok", "1 name with handlers on 2 runtimes, the same on each")
    ]
