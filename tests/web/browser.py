"""A real Chromium, as Debian has it, for tests of what only a browser does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; a test makes contexts of its own in it."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        said = f"expected one of {', '.join(NAMES)} on this machine, got none"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
