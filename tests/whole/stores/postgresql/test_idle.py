"""A runtime with nothing to do costs a server next to nothing, and still finds what comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import psycopg
import pytest
from lamplighter import Runtime
from lamplighter.actors import job_broker
from lamplighter.stores.postgresql.store import PostgresStore

from ....conftest import Recorder
from ....faults.kit import eventually
from ....support.conformance.kit import NOW, new
from ....support.postgresql.server import Server

LOOK, ALIVE = "clock_timestamp()", "pg_locks"


@pytest.fixture
def said(postgres_server: Server) -> Iterator[Callable[[], list[str]]]:
    """The statements of sessions that begin from now on, since the last call."""
    postgres_server.psql("alter role lamplighter set log_statement = 'all'")
    before = len(postgres_server.output())

    def said() -> list[str]:
        nonlocal before
        output = postgres_server.output()[before:]
        before += len(output)
        return output.split("LOG:  ")[1:]

    yield said
    postgres_server.psql("alter role lamplighter reset log_statement")


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "two"])
def test_who_has_nothing_to_do_runs_no_statement_but_the_look_of_each_second(
    postgres: str, runtime: Callable[..., Runtime], said: Callable[[], list[str]], others: int
) -> None:
    for _ in range(1 + others):
        runtime(postgres).jobs.add_handler("work", lambda job: None)
    found: list[str] = []

    def is_idle() -> bool:
        for text in said():
            if LOOK in text or ALIVE in text:
                found.append(text)
            else:
                # What the start has left to do, and the sums of each minute.
                found.clear()
        return sum(LOOK in text for text in found) >= 5

    eventually(is_idle)
    assert any(ALIVE in text for text in found) is bool(others)


def test_who_has_nothing_to_do_finds_what_an_application_has_committed(
    postgres: str, runtime: Callable[..., Runtime], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise the look that is due now and then would find it too.
    monkeypatch.setattr(job_broker, "REST_SECONDS_MAX", math.inf)
    runtime(postgres).jobs.add_handler("work", lambda job: None)
    application = PostgresStore(postgres).host
    assert application is not None
    for job_id in ("first", "second"):
        with psycopg.connect(postgres.partition("?")[0]) as connection:
            application.join(connection, NOW, lambda turn, job_id=job_id: turn.insert(new(job_id)))
        # Sooner than the look that comes in any case.
        recorder.wait_for("job.done", job_id=job_id, timeout=8.0)
