"""Fixtures of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kit import Page, make_store
from .server import Served, served


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bit of everything, which tests only look at."""
    return make_store(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A test's own copy of it."""
    return Path(shutil.copytree(made.parent, tmp_path / "own")) / made.name


@pytest.fixture
def page(store: Path) -> Page:
    """The page over it, for one who may do everything."""
    return Page(store)


@pytest.fixture
def server(page: Page) -> Iterator[Served]:
    """The page at a port of this machine."""
    with served(page.site.asgi) as one:
        yield one
