"""The Django application. Being ready starts nothing: `migrate`, the shell and a reloader's parent come so far too."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import request_started
from django.db import connections
from django.db.models.signals import post_migrate

from ...errors import LamplighterError
from .configured import configured_runtime, is_test, works_in_web
from .page import check_settings


class LamplighterConfig(AppConfig):
    """`"lamplighter.contrib.django"` in INSTALLED_APPS."""

    name = "lamplighter.contrib.django"
    label = "lamplighter"
    verbose_name = "Lamplighter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_settings, "lamplighter")
        post_migrate.connect(_make_tables, sender=self)
        if works_in_web():
            request_started.connect(_start_in_web)


def _start_in_web(**kwargs: Any) -> None:
    """Called before a process's first request and its transaction. Parents and commands have no request."""
    if is_test():
        return
    try:
        configured_runtime().start_in_web()
    except LamplighterError:
        # Most requests need no store.
        logging.getLogger("django").exception("Lamplighter cannot be started; the next request will try again")


def _make_tables(using: str, **kwargs: Any) -> None:
    """Make the store's tables in the database's own file: a transaction that queues a job could not make them."""
    runtime = configured_runtime()
    if runtime.is_on(connections[using]):
        store = runtime.new_store()
        store.open()
        store.close()
