"""Fixtures of the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .browser import chromium  # noqa: F401
from .kit import Page, make_store


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
