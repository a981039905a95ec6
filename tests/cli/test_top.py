"""`lamplighter top`: what it shows at a terminal, and in a pipe."""

from __future__ import annotations

import argparse
import importlib

import pytest
from lamplighter import UsageError
from lamplighter.admin.views import NAME_ORDERS
from lamplighter.cli.main import main
from lamplighter.cli.options import store_or_runtimes
from lamplighter.cli.top import Keys


def test_once_shows_health_names_and_runtimes_as_plain_text(runtime, tmp_path, capsys) -> None:
    rt = runtime()
    rt.jobs.add_handler("mail", lambda job: None)
    rt.jobs.queue("nobody's \x1b[31m", id="parked")

    code = main(["top", "--store", str(tmp_path / "jobs.db"), "--once"])

    said = capsys.readouterr().out
    assert code == 0
    assert "ready 1  running 0  scheduled 0  parked 1  dead 0" in said
    assert "\nyellow\n" in said
    assert "no living runtime has a handler for" in said
    assert rt.boot.id in said
    assert "\x1b" not in said


def test_many_names_are_cut_to_the_first_ones(runtime, tmp_path, capsys) -> None:
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([(f"tenant-{number:03}", number) for number in range(60)])

    assert main(["top", "--store", str(tmp_path / "jobs.db"), "--once"]) == 0

    said = capsys.readouterr().out
    assert said.count("\ntenant-") == 50
    assert "the first 50 names; `lamplighter names list` has all" in said


def test_names_are_sorted_by_what_waits(runtime, tmp_path, capsys) -> None:
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([("few", 1), ("many", 1), ("many", 2)])

    assert main(["top", "--store", str(tmp_path / "jobs.db"), "--once", "--sort", "ready"]) == 0

    said = capsys.readouterr().out
    assert said.index("\nmany ") < said.index("\nfew ")


def test_of_many_names_the_first_are_those_of_the_order_that_was_asked_for(runtime, tmp_path, capsys) -> None:
    rt = runtime(start=False)
    rt.start(work=False)
    rt.jobs.queue_many([(f"tenant-{number:03}", number) for number in (*range(60), 59)])

    assert main(["top", "--store", str(tmp_path / "jobs.db"), "--once", "--sort", "ready"]) == 0

    names = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("tenant-")]
    assert (names[:2], len(names)) == ([["tenant-059", "2"], ["tenant-000", "1"]], 50)


def test_what_cannot_be_is_refused(tmp_path, capsys) -> None:
    assert main(["top", "--store", str(tmp_path / "nowhere.db"), "--once"]) == 3
    assert main(["top", "--store", str(tmp_path / "nowhere.db"), "--every", "0"]) == 2
    assert "expected --every to be 0.1 s or more" in capsys.readouterr().err


APPLICATION = """
from lamplighter import Runtime
runtime = Runtime("jobs.db")
nothing = None
"""


@pytest.mark.parametrize("subcommand", ["top", "web"])
def test_the_store_may_be_named_by_the_runtime_whose_it_is(tmp_path, importable, monkeypatch, subcommand) -> None:
    monkeypatch.chdir(tmp_path)
    importable("shop_of_top", APPLICATION)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"lamplighter.cli.{subcommand}").declare(parser)

    assert store_or_runtimes(parser.parse_args(["shop_of_top:runtime"])) == str(tmp_path / "jobs.db")
    for words in (["shop_of_top:runtime", "--store", "x.db"], ["shop_of_top:nothing"], ["none_such:runtime"]):
        with pytest.raises(UsageError):
            store_or_runtimes(parser.parse_args(words))


def test_without_a_file_the_store_is_that_of_a_runtime_or_of_the_environment(
    runtime, tmp_path, importable, monkeypatch, capsys
) -> None:
    rt = runtime()
    monkeypatch.chdir(tmp_path)
    importable("shop_of_top_too", APPLICATION)

    by_runtime = main(["top", "shop_of_top_too:runtime", "--once"])
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    by_environment = main(["top", "--once"])

    assert (by_runtime, by_environment) == (0, 0)
    assert capsys.readouterr().out.count(rt.boot.id) == 2
    monkeypatch.delenv("LAMPLIGHTER_STORE")
    assert main(["top", "--once"]) == 2
    assert "expected --store ADDRESS, or $LAMPLIGHTER_STORE to be set" in capsys.readouterr().err


def test_each_key_does_what_the_page_says() -> None:
    keys = Keys("name")

    keys.press("r")
    assert keys.is_reversed
    keys.press("rs")
    assert (keys.is_reversed, keys.sort) == (False, list(NAME_ORDERS)[1])
    keys.press("s" * (len(NAME_ORDERS) - 1))
    assert keys.sort == "name"
    keys.press("k\x1b[Ajj \x1b[B\x1b[5~\x1b[6~")
    assert (keys.top, keys.is_over) == (23, False)
    keys.press("q")
    assert keys.is_over
