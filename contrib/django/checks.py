"""The checks of the settings by `manage.py check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections
from django.urls import NoReverseMatch, reverse

from .configured import begins_by_locking, configured_runtime
from .options import database, problems


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Called by Django's check framework."""
    wrong = list(problems())
    if wrong:
        return [Error(problem, id="lamplighter.E001") for problem in wrong]
    return [*_warnings(), *_of_page()]


def _warnings() -> Iterator[CheckMessage]:
    runtime, alias = configured_runtime(), database()
    connection = connections[alias]
    if runtime.is_on(connection) and not begins_by_locking(connection):
        yield Warning(
            f"LAMPLIGHTER['STORE'] is the file of DATABASES[{alias!r}], whose transactions begin by reading: one that "
            "writes later fails with 'database is locked' when somebody else has written meanwhile.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE"}}.',
            id="lamplighter.W001",
        )
    if runtime.is_in_memory:
        yield Warning(
            "LAMPLIGHTER['STORE'] is in memory, so the worker never sees what other processes queue.",
            hint="Set it to a path, to that of your SQLite database for one, or to the address of a RabbitMQ.",
            id="lamplighter.W002",
        )


def _of_page() -> Iterator[CheckMessage]:
    """The problems that keep people from the page, if the project has it."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        path = reverse("lamplighter:page", kwargs={"rest": ""})
    except NoReverseMatch:
        return
    # The page needs another extra.
    from .page import login_url, page, view_at

    if view_at(path) is not page:
        yield Warning(
            f"The page at {path} is never shown: a URL pattern before it answers instead, as the admin does for all "
            "that begins with its own path.",
            hint="Move the line that includes lamplighter.contrib.django.urls above that pattern.",
            id="lamplighter.W003",
        )
    if login_url() is None:
        yield Warning(
            f"Whoever is not logged in is sent from the page at {path} to LOGIN_URL, {settings.LOGIN_URL!r}, where no "
            "view is.",
            hint='Set LOGIN_URL, to "admin:login" for one.',
            id="lamplighter.W004",
        )
