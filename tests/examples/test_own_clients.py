"""The examples under the test clients of their frameworks, as the tests of an application would have them."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from .letters import EXAMPLES

JOIN_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10
"""How long a test client may take to stop a runtime that has a job of minutes in hand. It was a whole drain of 30."""


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of an example, whose files are the test's own."""
    monkeypatch.setenv("LETTERS_DB", str(tmp_path / "letters.db"))
    monkeypatch.syspath_prepend(EXAMPLES / request.param)
    for name in ("app", "letters"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("app")
    for name in ("app", "letters"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("app", ["fastapi_app"], indirect=True)
def test_fastapis_client_sends_a_letter_and_its_end_is_no_wait_for_a_long_one(app: ModuleType) -> None:
    with TestClient(app.app) as client:
        short = client.post("/letters", json={"subject": "short", "readers": 1}).json()["job"]
        assert app.jobs.join(short, timeout=JOIN_SECONDS_MAX).result["sent"] == 1
        assert client.post("/letters", json={"subject": "short", "readers": 1}).status_code == 409
        assert client.post("/letters", json={"subject": "", "readers": 1}).status_code == 422
        assert client.get("/jobs/nope").status_code == 404
        long = client.post("/letters", json={"subject": "long", "readers": 10_000}).json()["job"]
        stops_at = time.monotonic()

    assert time.monotonic() - stops_at < STOP_SECONDS_MAX
    with TestClient(app.app) as client:
        assert client.get(f"/jobs/{long}").json()["state"] in ("queued", "running")
        assert client.post(f"/jobs/{long}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize("app", ["flask_app"], indirect=True)
def test_flasks_client_sends_a_letter_within_the_runtime_of_the_test(app: ModuleType, tmp_path: Path) -> None:
    made = app.create_app({"TESTING": True, "LAMPLIGHTER_STORE": str(tmp_path / "letters.db")})
    runtime = made.extensions["lamplighter"]

    with runtime, made.test_client() as client:
        assert client.post("/letters", data={"subject": "short", "readers": 1}).status_code == 303
        (letter,) = client.get("/letters").json["letters"]
        assert runtime.jobs.join(letter["job"], timeout=JOIN_SECONDS_MAX).result["sent"] == 1
        assert client.get(f"/jobs/{letter['job']}").json["state"] == "done"
        assert client.post("/letters", data={"subject": "short", "readers": 1}).status_code == 409
        assert b"short" in client.get("/").data
