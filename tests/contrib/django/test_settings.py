"""What is wrong with the settings is told by Django's check framework, by its name; nothing half starts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.db import connections
from django.test import override_settings
from lamplighter import Carrier


class Tenant(Carrier):
    """Named by its path."""


def failed(error: Exception) -> None:
    """Named by its path."""


def told() -> list[tuple[str | None, str]]:
    return [(found.id, str(found.msg)) for found in checks.run_checks(tags=["lamplighter"])]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "the setting LAMPLIGHTER = {"),
        ({"DRAIN": 3}, "the setting LAMPLIGHTER = {"),
        ({"STORE": "jobs.db", "DRAIN": "long"}, "LAMPLIGHTER['DRAIN']: expected drain"),
        ({"STORE": "jobs.db", "REPLY_SECONDS": 5}, "did you mean REPLY_SECONDS_MAX?"),
        ({"STORE": "http://jobs"}, "LAMPLIGHTER['STORE']: expected a store"),
        ({"STORE": "jobs.db", "DATABASE": "replica"}, "LAMPLIGHTER['DATABASE']: expected an alias"),
        ({"STORE": "jobs.db", "CARRIERS": ["no.such.Carrier"]}, "LAMPLIGHTER['CARRIERS']: No module"),
        ({"STORE": "jobs.db", "CARRIERS": "lamplighter.Carrier"}, "LAMPLIGHTER['CARRIERS']: expected carriers"),
        ({"STORE": "jobs.db", "WORK_IN": "cellar"}, "LAMPLIGHTER['WORK_IN']: expected WORK_IN"),
        ({"STORE": "jobs.db", "ON_FAILURE": 3}, "LAMPLIGHTER['ON_FAILURE']: expected on_failure"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(shop: None, given: Any, says: str) -> None:
    with override_settings(LAMPLIGHTER=given):
        ((code, message),) = told()

    assert code == "lamplighter.E001"
    assert says in message


OWN = "postgresql://ada@db.example/shop"


@pytest.mark.parametrize(
    ("given", "store"),
    [
        (None, OWN),
        ({}, OWN),
        ({"DRAIN": 3}, OWN),
        ({"DATABASE": "default"}, OWN),
        ({"DATABASE": "replica"}, "none"),
        ({"STORE": "jobs.db"}, "jobs.db"),
        # A variable of the environment that is not set.
        ({"STORE": ""}, ""),
        ({"STORE": None}, None),
        ({"STORE": "", "DRAIN": 3}, ""),
    ],
)
def test_only_a_project_that_says_no_store_has_it_in_its_own_database(
    shop: None, given: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamplighter.contrib.django.configured import runtime_options

    own = {"NAME": "shop", "HOST": "db.example", "USER": "ada", "PASSWORD": "", "PORT": "", "OPTIONS": {}}
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    for name, value in own.items():
        monkeypatch.setitem(connections["default"].settings_dict, name, value)

    with override_settings(LAMPLIGHTER=given):
        options = runtime_options()

    assert options.pop("store", "none") == store
    assert options == ({"drain": 3} if given and "DRAIN" in given else {})


def test_each_wrong_part_is_told_by_itself(shop: None) -> None:
    with override_settings(LAMPLIGHTER={"STORE": 1, "DRAIN": -1, "COLOUR": "blue"}):
        assert [code for code, _ in told()] == ["lamplighter.E001"] * 3


def test_right_settings_are_taken_and_what_is_named_by_its_path_is_imported(shop: None) -> None:
    from lamplighter.contrib.django.configured import runtime_options

    given = {"STORE": "jobs.db", "DRAIN": 2, "REPLY_SECONDS_MAX": 5, "DATABASE": "default"}
    with override_settings(LAMPLIGHTER={**given, "CARRIERS": [f"{__name__}.Tenant", Tenant()]}):
        options = runtime_options()

    assert [type(carrier).__name__ for carrier in options.pop("carriers")] == ["Tenant", "Tenant"]
    assert options == {"store": "jobs.db", "drain": 2, "reply_seconds_max": 5}


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, ["lamplighter.W001"]),
        ({"transaction_mode": "DEFERRED"}, ["lamplighter.W001"]),
        ({"transaction_mode": "immediate"}, []),
    ],
)
def test_a_database_whose_transactions_begin_by_reading_is_warned_of(
    shop: None, options: dict[str, Any], codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", options)

    assert [code for code, _ in told()] == codes


@pytest.mark.parametrize(
    ("vendor", "store", "codes"),
    [
        ("postgresql", "shop", ["lamplighter.W005"]),
        ("postgresql", "/srv/jobs.db", []),
        ("sqlite", "shop", []),
    ],
)
def test_a_file_named_like_a_database_of_a_server_is_warned_of(
    shop: None, vendor: str, store: str, codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`STORE` is `DATABASES["default"]["NAME"]`, as in the time before the move to PostgreSQL."""
    monkeypatch.setattr(connections["default"], "vendor", vendor)

    with override_settings(LAMPLIGHTER={"STORE": store}):
        assert [code for code, _ in told()] == codes


def test_a_store_in_memory_is_warned_of(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamplighter.contrib.django import runtime

    monkeypatch.setattr(runtime, "is_in_memory", True)

    assert [code for code, _ in told()] == ["lamplighter.W002"]
