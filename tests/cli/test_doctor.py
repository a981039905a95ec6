"""`lamplighter doctor`: what it prints, and how it exits."""

from __future__ import annotations

import json

import pytest
from lamplighter.cli.doctor import _summary
from lamplighter.cli.main import main
from lamplighter.doctor.diagnosis import Diagnosis, Examination
from lamplighter.doctor.examining import CHECKS


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return str(tmp_path / "jobs.db")


PATIENT = ("--timeout", "15")


def test_where_all_is_well_the_exit_code_is_0_and_each_check_has_a_line(runtime, capsys):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)

    assert main(["doctor", *PATIENT]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {line[1] for line in lines[:-1]} == {check.id for check in CHECKS if check.on not in ("queues", "database")}
    assert lines[-1][0] == "nothing"


def test_a_warning_is_exit_code_1_and_has_its_remedy_below(runtime, capsys):
    runtime().jobs.queue("nobody")

    assert main(["doctor", "--only", "names.parked", *PATIENT]) == 1

    first, remedy, last = capsys.readouterr().out.splitlines()
    assert first.startswith("warning  names.parked")
    assert remedy.strip().startswith("-> start a process that has it")
    assert last == "1 warning"


def test_programs_get_an_object_a_line(runtime, capsys):
    runtime().jobs.queue("nobody")

    assert main(["doctor", "--only", "names.parked", "--json", *PATIENT]) == 1

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["check"], line["level"]) == ("names.parked", "warning")
    assert set(line) == {"check", "level", "evidence", "remedy"}


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ([], "nothing that is known is wrong"),
        (["ok", "note"], "nothing that is known is wrong"),
        (["unknown"], "nothing that is known is wrong; 1 thing could not be known"),
        (["error", "unknown", "unknown"], "1 error; 2 things could not be known"),
        (["warning", "error", "warning", "ok"], "1 error and 2 warnings"),
    ],
)
def test_the_last_line_counts_what_is_wrong_and_what_is_not_known(levels, says):
    findings = tuple(Diagnosis(check="clock", level=level, evidence="", remedy="") for level in levels)

    assert _summary(Examination(at=0.0, store="app.db", unread=None, findings=findings)) == says


def test_checks_are_listed(capsys):
    assert main(["doctor", "--list"]) == 0

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [check.id for check in CHECKS]


def test_a_check_that_is_none_is_refused_with_what_was_meant(runtime, capsys):
    assert main(["doctor", "--only", "store.look"]) == 2

    assert "did you mean 'store.lock'?" in capsys.readouterr().err


def test_where_no_store_is_the_exit_code_is_3(capsys, tmp_path):
    assert main(["doctor"]) == 3
    assert "which is no file" in capsys.readouterr().err

    (tmp_path / "jobs.db").write_text("no store, and long enough that SQLite reads it")
    assert main(["doctor", "--only", "store"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("  the store cannot be read")
    assert lines[-2].startswith("the store cannot be read: expected a store of Lamplighter, got: ")


def test_what_is_no_log_is_refused(runtime, capsys, tmp_path):
    runtime()
    (tmp_path / "no.log").write_text("nothing of ours\n")

    assert main(["doctor", "--log", str(tmp_path / "no.log"), *PATIENT]) == 2
    assert "expected a log of Lamplighter's" in capsys.readouterr().err


def test_what_somebody_has_named_in_a_strange_way_moves_no_terminal(runtime, capsys):
    runtime().jobs.queue("\x1b[31mred\n")

    assert main(["doctor", "--only", "names", *PATIENT]) == 1

    assert "\x1b" not in capsys.readouterr().out
