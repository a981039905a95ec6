"""What these tests share: the example project, set up in this process on a database of its own."""

from __future__ import annotations

import logging.config
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

PROJECT = Path(__file__).resolve().parents[3] / "examples" / "django_app"


@pytest.fixture(scope="session")
def shop() -> Iterator[None]:
    """The shop of the examples, with its tables."""
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(PROJECT))
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("SHOP_DATA", folder)
            patched.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")
            # The tests of others, in this process too, have their own logging and their own time zone.
            patched.setenv("TZ", "UTC")
            patched.setattr(logging.config, "dictConfig", lambda config: None)
            django.setup()
        time.tzset()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        yield
        connections.close_all()
        sys.path.remove(str(PROJECT))


@pytest.fixture
def worker(shop: None) -> Iterator[Any]:
    """The runtime of the project's settings, which works until the test ends."""
    from lamplighter.contrib.django import runtime

    with runtime:
        yield runtime


@pytest.fixture
def elsewhere(shop: None, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes further runtimes of the project, on stores of their own unless told otherwise."""
    from lamplighter.contrib.django.configured import DjangoRuntime

    made = []

    def make(store: Any = None, database: str = "default", **options: Any) -> Any:
        made.append(DjangoRuntime((), database, {"store": store or tmp_path / "jobs.db", **options}))
        return made[-1]

    yield make
    for one in made:
        one.stop(0.0)
