"""`lamplighter health`."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lamplighter.cli.main import main
from lamplighter.stores.presence import FilePresence

from ..faults.kit import eventually

PATIENT = ("--timeout", "15")


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "jobs.db")


def test_all_that_live_are_well(runtime, store, capsys):
    boots = sorted(rt.boot.id for rt in (runtime(), runtime()))

    assert main(["health", "-s", store, *PATIENT]) == 0

    assert capsys.readouterr().out.splitlines() == [f"{boot}  pid {os.getpid()}  green" for boot in boots]


def test_a_store_that_a_link_leads_to_is_the_same_store(runtime, store, tmp_path, monkeypatch, capsys):
    runtime()
    (tmp_path / "link.db").symlink_to(store)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMPLIGHTER_STORE", "sqlite:///link.db")

    assert main(["health", *PATIENT]) == 0


@pytest.fixture
def silent(tmp_path):
    """A boot that holds its lock and does not answer."""
    place = FilePresence(tmp_path / "jobs.db-boots")
    place.enter("silent")
    yield "silent"
    place.leave("silent")


def test_one_that_is_silent_is_not_well_and_one_that_is_well_is_enough_for_any(runtime, store, silent, capsys):
    boot = runtime().boot.id

    codes = [
        main(["health", "-s", store, *options, *PATIENT])
        for options in ([], ["--any"], ["--boot", silent], ["--boot", boot[:6]])
    ]

    assert codes == [1, 0, 1, 0]
    assert f"{silent}  pid ?  NOT WELL, silent: nobody answers at " in capsys.readouterr().out


def test_programs_get_an_object_for_each(runtime, store, silent, capsys):
    boot = runtime().boot.id

    assert main(["health", "-s", store, "--json", *PATIENT]) == 1

    lines = {line["boot"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert (lines[boot]["is_well"], lines[boot]["status"], lines[boot]["reasons"]) == (True, "green", [])
    assert (lines[silent]["is_well"], lines[silent]["condition"]) == (False, "silent")


def test_the_dead_are_passed_over_and_where_none_lives_nobody_is_well(runtime, store, capsys):
    runtime().stop()
    Path(f"{store}-boots", "dead.lock").touch()

    codes = [main(["health", "-s", store, *options]) for options in ([], ["--any"], ["--boot", "x"])]

    assert codes == [1, 1, 1]
    no_such = f"no such runtime lives on {store}"
    assert capsys.readouterr().out.splitlines() == [f"no runtime lives on {store}"] * 2 + [no_such]


def test_one_that_is_at_a_message_for_longer_than_is_allowed_is_not_well(runtime, store, caller, capsys):
    rt = runtime()
    with closing(sqlite3.connect(store, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        queued = caller(rt.jobs.queue, "mail")
        words = ["health", "-s", store, *PATIENT]
        eventually(lambda: main([*words, "--max-age", "0.05"]) == 1, what="it has been at one message for so long")
        code = main(words)
        holder.execute("rollback")
    queued.result(15)

    assert code == 0
    assert "  NOT WELL, red: broker has been at one " in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--max-age", "--timeout"])
def test_seconds_are_spans_as_for_other_commands(option, tmp_path, capsys):
    assert main(["health", "-s", str(tmp_path / "none.db"), option, "5s"]) == 3
    assert main(["health", "-s", str(tmp_path / "none.db"), option, "soon"]) == 2

    assert f"argument {option}: invalid seconds value: 'soon'" in capsys.readouterr().err


def test_a_store_that_is_not_there_exits_with_3(tmp_path, capsys):
    assert main(["health", "-s", str(tmp_path / "none.db")]) == 3

    assert "which is no file" in capsys.readouterr().err


@pytest.mark.parametrize("has_dead", [False, True])
def test_a_file_that_is_no_store_exits_with_3(store, has_dead, capsys):
    with closing(sqlite3.connect(store)) as other:
        other.execute("create table t (a)")
    if has_dead:
        Path(f"{store}-boots").mkdir()
        Path(f"{store}-boots", "dead.lock").touch()

    assert main(["health", "-s", store]) == 3

    assert "expected a store of Lamplighter" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected --store ADDRESS"),
        (["-s", "jobs.db", "--max-age", "-1"], "expected --max-age to be a number of seconds"),
        (["-s", "jobs.db", "--timeout", "nan"], "expected --timeout to be a number of seconds"),
    ],
)
def test_what_makes_no_sense_exits_with_2(arguments, says, capsys, monkeypatch):
    monkeypatch.delenv("LAMPLIGHTER_STORE", raising=False)

    assert main(["health", *arguments]) == 2

    assert says in capsys.readouterr().err
