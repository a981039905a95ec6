"""The conformance suite: it quotes the port, leaves no promise out, and finds a store that breaks one."""

from __future__ import annotations

import inspect

import lamplighter.testing.simulation.simulation  # noqa: F401 (in-process runs forget what they are the first to import)
import pytest
from lamplighter.stores import ports as base

from support.conformance.suite import CAPABILITIES, StoreConformance

pytest_plugins = ["pytester"]

TESTS = {name: test for name, test in inspect.getmembers(StoreConformance) if name.startswith("test_")}
QUOTES = {name: inspect.getdoc(test) for name, test in TESTS.items() if inspect.getdoc(test)}
PORTS = {"Turn": base.Turn, "Store": base.Store, "Want": base.Want}

OF_SQLITE = """
import sqlite3
import lamplighter.testing.simulation.simulation
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.sqlite.turn import SqliteTurn
from support.conformance.suite import StoreConformance

class TestMine(StoreConformance):
    def make_store(self, place):
        return SqliteStore(str(place / "jobs.db"))

    def connect_host(self, store):
        return sqlite3.connect(store.address)
"""


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", QUOTES)
def test_a_test_quotes_what_the_port_says(name: str) -> None:
    where, quote = words(QUOTES[name] or "").split(": ", 1)
    port, _, member = where.partition(".")

    said = words(f"{inspect.getdoc(getattr(PORTS[port], member, None))} {inspect.getdoc(PORTS[port])}")

    assert quote in said


def test_only_what_checks_the_declaration_itself_quotes_nothing() -> None:
    assert TESTS.keys() - QUOTES.keys() == {"test_what_the_store_cannot_is_declared_by_names_that_are_known"}


@pytest.mark.parametrize("port", ["Turn", "Store"])
def test_every_call_of_the_port_has_a_test(port: str) -> None:
    calls = {name for name, member in inspect.getmembers(PORTS[port]) if inspect.isfunction(member) and name[0] != "_"}

    quoted = {(quote or "").split(":")[0] for quote in QUOTES.values()}

    # What is undone after a fork is tested with what did it.
    assert {f"{port}.{call}" for call in calls} - quoted <= {"Store.thaw"}


def test_a_store_that_keeps_every_promise_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OF_SQLITE)

    pytester.runpytest_inprocess().assert_outcomes(passed=len(TESTS))


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        (
            "SqliteTurn.settle = lambda self, claimed, *rest, settle=SqliteTurn.settle: "
            "settle(self, self.job(claimed.id), *rest)",
            "test_settle_is_refused_once_the_claim_is_not_the_current_one",
        ),
        (
            "SqliteTurn._insert_slot = lambda self, entry, insert=SqliteTurn._insert_slot: insert(self, entry) or True",
            "test_a_slot_and_its_job_are_inserted_once",
        ),
        (
            "SqliteTurn.claim = lambda self, want, claim=SqliteTurn.claim: list(reversed(claim(self, want)))",
            "test_claim_goes_by_priority_then_run_at_then_queue_order",
        ),
    ],
    ids=["no fence", "a slot fires twice", "the wrong order"],
)
def test_a_store_that_breaks_a_promise_is_found(pytester: pytest.Pytester, sabotage: str, found: str) -> None:
    pytester.makepyfile(
        f"{OF_SQLITE}\n\nimport pytest\n@pytest.fixture(autouse=True)\ndef sabotage(monkeypatch):\n"
        f"    for name in ('settle', '_insert_slot', 'claim'):\n"
        f"        monkeypatch.setattr(SqliteTurn, name, getattr(SqliteTurn, name))\n"
        f"    {sabotage}\n"
    )

    ran = pytester.runpytest_inprocess("-k", found)

    ran.assert_outcomes(failed=1, deselected=len(TESTS) - 1)


def test_what_a_store_declares_that_it_cannot_is_skipped_and_said(pytester: pytest.Pytester) -> None:
    cannot = sorted(CAPABILITIES)
    pytester.makepyfile(OF_SQLITE.replace("    def make_store", f"    cannot = {cannot}\n\n    def make_store"))

    ran = pytester.runpytest_inprocess("-rs")

    outcomes = ran.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == len(TESTS)
    assert outcomes["skipped"] > 20
    ran.stdout.fnmatch_lines([f"*the store declares that it cannot: {CAPABILITIES['unique']}*"])


def test_a_capability_that_is_none_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OF_SQLITE.replace("    def make_store", "    cannot = {'uniqe'}\n\n    def make_store"))

    ran = pytester.runpytest_inprocess("-k", "declared_by_names")

    ran.assert_outcomes(failed=1, deselected=len(TESTS) - 1)
    ran.stdout.fnmatch_lines(["*expected names among*"])


def test_a_suite_without_a_store_says_what_to_override(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import lamplighter.testing.simulation.simulation\nfrom support.conformance.suite import StoreConformance\n"
        "class TestMine(StoreConformance):\n    pass\n"
    )

    ran = pytester.runpytest_inprocess("-k", "test_a_job_is_added")

    ran.stdout.fnmatch_lines(["*NotImplementedError: expected make_store(place) to be overridden*"])
