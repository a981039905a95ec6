"""The conformance suite: it quotes the port, leaves no promise out, and finds a store that breaks one."""

from __future__ import annotations

import inspect

import lamplighter.testing.simulation.simulation  # noqa: F401 (in-process runs forget what they are the first to import)
import pytest
from lamplighter.stores import ports, turn_ports

from support.conformance.suite import CAPABILITIES, StoreConformance

pytest_plugins = ["pytester"]

TESTS = {name: test for name, test in inspect.getmembers(StoreConformance) if name.startswith("test_")}
QUOTES = {name: inspect.getdoc(test) for name, test in TESTS.items() if inspect.getdoc(test)}
PORTS = {
    name: port
    for module in (ports, turn_ports)
    for name, port in inspect.getmembers(module, inspect.isclass)
    if port.__module__ == module.__name__
}
PROTOCOLS = [name for name, port in PORTS.items() if getattr(port, "_is_protocol", False)]

OF_OTHERS = {
    "test_a_job_name_that_nobody_handles_is_handled_by_nobody",
    "test_the_dead_are_found_newest_first_page_by_page",
    "test_the_dead_that_match_are_at_hand_but_for_some",
    "test_what_only_this_runtime_has_declared_is_no_others",
    "test_who_lives_is_known_where_boots_have_no_rows",
}
"""What is promised by ports that a SQLite file need not have."""

TESTED_ELSEWHERE = {
    "Births.bear",
    "HostTransactions.written_here",
    "Notifier.answer",
    "Notifier.holds",
    "Notifier.listen",
    "QueueReader.names",
    "QueueReader.ready",
    "Readable.close",
}
"""What a server tells is tested where there is one, and whose transaction is open with the libraries that tell it. A
store that can only be read is closed as any other."""

OF_SQLITE = """
import sqlite3
import lamplighter.testing.simulation.simulation
from lamplighter.stores.sqlite.store import SqliteStore
from lamplighter.stores.tables.jobs import TableJobs
from lamplighter.stores.tables.schedules import TableSchedules
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
    assert TESTS.keys() - QUOTES.keys() == {
        "test_what_the_store_cannot_is_declared_by_names_that_are_known",
        "test_what_the_store_has_not_is_none",
    }


@pytest.mark.parametrize("port", PROTOCOLS)
def test_every_call_of_the_port_has_a_test(port: str) -> None:
    calls = {name for name, member in inspect.getmembers(PORTS[port]) if inspect.isfunction(member) and name[0] != "_"}

    quoted = {(quote or "").split(":")[0] for quote in QUOTES.values()}

    assert {f"{port}.{call}" for call in calls} - quoted <= TESTED_ELSEWHERE


def test_a_store_that_keeps_every_promise_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OF_SQLITE)

    pytester.runpytest_inprocess().assert_outcomes(passed=len(TESTS) - len(OF_OTHERS), skipped=len(OF_OTHERS))


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        (
            "TableJobs.settle = lambda self, claimed, *rest, settle=TableJobs.settle: "
            "settle(self, self.get([claimed.id])[claimed.id], *rest)",
            "test_settle_is_refused_once_the_claim_is_not_the_current_one",
        ),
        (
            "TableSchedules.fire = lambda self, entry, fire=TableSchedules.fire: fire(self, entry) or True",
            "test_a_slot_fires_once",
        ),
        (
            "TableJobs._claim = lambda self, want, claim=TableJobs._claim, **how: claim(self, want, **how)[::-1]",
            "test_claim_goes_by_priority_then_run_at_then_queue_order",
        ),
    ],
    ids=["no fence", "a slot fires twice", "the wrong order"],
)
def test_a_store_that_breaks_a_promise_is_found(pytester: pytest.Pytester, sabotage: str, found: str) -> None:
    pytester.makepyfile(
        f"{OF_SQLITE}\n\nimport pytest\n@pytest.fixture(autouse=True)\ndef sabotage(monkeypatch):\n"
        f"    for part, name in ((TableJobs, 'settle'), (TableSchedules, 'fire'), (TableJobs, '_claim')):\n"
        f"        monkeypatch.setattr(part, name, getattr(part, name))\n"
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
    ran.stdout.fnmatch_lines([f"*the store declares that it cannot: {CAPABILITIES['table']}*"])


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
