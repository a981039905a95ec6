"""How checks are run: one that cannot look, or is wrong itself, says so, and the others go on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from lamplighter import StoreUnavailable, UsageError
from lamplighter.doctor.diagnosis import Check, ok, size
from lamplighter.doctor.examining import CHECKS, chosen, evidence_at, examine

from .kit import new_store

ROOT = Path(__file__).resolve().parents[2]


def cannot_look(seen):
    raise StoreUnavailable("it is away")


def is_wrong(seen):
    yield ok("before")
    raise KeyError("boot")


CHECKED = (
    Check("x.away", "", cannot_look),
    Check("x.wrong", "", is_wrong),
    Check("x.mute", "", lambda seen: iter(())),
    Check("x.server", "", lambda seen: iter([ok("elsewhere")]), "server"),
    Check("x.fine", "", lambda seen: iter([ok("fine")])),
)


def test_a_check_that_fails_or_says_nothing_is_unknown_and_the_others_go_on(tmp_path):
    with evidence_at(str(new_store(tmp_path / "jobs.db"))) as seen:
        found = [(one.check, one.level, one.evidence) for one in examine(seen, CHECKED).findings]

    assert found == [
        ("x.away", "unknown", "this could not be looked at: it is away"),
        ("x.wrong", "ok", "before"),
        ("x.wrong", "unknown", "the check itself has failed: KeyError: 'boot'"),
        ("x.mute", "unknown", "the check has found nothing to say"),
        ("x.fine", "ok", "fine"),
    ]


def test_checks_are_chosen_by_their_ids_or_by_how_these_begin():
    assert [check.id for check in chosen(["boots", "clock"])] == ["boots.dead", "boots.hung", "boots.none", "clock"]
    assert chosen([]) == CHECKS
    with pytest.raises(UsageError, match=r"did you mean 'store\.wal'"):
        chosen(["store.wall"])


def test_the_page_of_the_doctor_names_every_check_and_no_other():
    rows = [line.split("`")[1] for line in (ROOT / "docs" / "doctor.md").read_text().splitlines() if line[:3] == "| `"]

    levels = ["ok", "note", "unknown", "warning", "error"]
    assert sorted(rows) == sorted([*(check.id for check in CHECKS), *levels])


def test_no_check_reads_more_than_it_says_how_much():
    """Each look at jobs, schedules or tallies is bounded, by a number or by a span of time."""
    for path in (ROOT / "doctor").glob("*_checks.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "find":
                assert "limit" in {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (99 * 1024, "99.0 KiB"),
        (100 * 1024, "100 KiB"),
        (1024**2 - 1, "1024 KiB"),
        (1024**2, "1.0 MiB"),
        (1024**3, "1.0 GiB"),
        (1024**4, "1.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_a_size_is_told_in_the_greatest_unit_that_it_fills(count, told):
    assert size(count) == told
