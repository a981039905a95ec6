"""Fixtures of the page in a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ...web.conftest import made, page, server, store
from ...web.server import Served

__all__ = ["made", "page", "server", "store"]

NAMES = ("chromium", "chromium-browser", "google-chrome")

WAIT_MS = 20_000


@pytest.fixture
def open_page(chromium: Any, server: Served) -> Iterator[Callable[..., Any]]:
    """Opens a page in a browser of its own; what the browser complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_at(path: str, prepare: Callable[[Any], object] = lambda tab: None, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(dialog.message))
        prepare(tab)
        tab.goto(server.url + path)
        return tab

    yield open_at
    for context in contexts:
        context.close()
    assert complaints == []


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
