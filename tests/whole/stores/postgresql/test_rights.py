"""Roles with the rights that docs/postgresql.md gives them, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lamplighter import Operator, Runtime, StoreGone, StoreUnavailable
from lamplighter.admin.inspector import inspector_at
from lamplighter.cli.main import main
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.opening import place_of

from ....support.postgresql.server import Server

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "postgresql.md").read_text("utf-8")

GRANTS = [line for line in PAGE.splitlines() if line.startswith("grant ") and line.endswith(" to shop;")]
"""As docs/postgresql.md has them."""

LOOKS = (
    "grant usage on schema lamplighter to shop; grant select on all tables in schema lamplighter to shop; "
    "grant insert, update, delete on lamplighter.lamplighter_asks to shop;"
)


@pytest.fixture
def role(postgres: str, postgres_server: Server) -> Iterator[str]:
    """The address of the store as a role has it that has no rights yet."""
    postgres_server.psql("create role shop login password 'hush-hush'")
    yield postgres.replace("//lamplighter:", "//shop:")
    postgres_server.psql("drop owned by shop; drop role shop")


def grant(server: Server, text: str) -> None:
    server.psql(text.replace("schema lamplighter", "schema shared").replace("lamplighter.", "shared."))


def test_a_role_with_the_rights_of_a_runtime_does_jobs(role: str, postgres_server: Server):
    assert len(GRANTS) == 3
    grant(postgres_server, " ".join(GRANTS))

    with Runtime(role) as rt:
        rt.jobs.add_handler("work", lambda job: rt.jobs.queue("rest", after=[job.id]).id)
        rt.jobs.add_handler("rest", lambda job: "well")
        rest = rt.jobs.join(rt.jobs.queue("work", unique="one"), timeout=30).result
        assert rt.jobs.join(rest, timeout=30).result == "well"
        rt.scheduler.add("work", "0 3 * * *", key="nightly", durable=True)
    with Operator(role, by="ada", via="a test") as operator:
        operator.pause("work")


def test_a_role_that_may_only_look_sees_runtimes_and_jobs_and_changes_nothing(
    role: str, postgres: str, postgres_server: Server
):
    grant(postgres_server, LOOKS)

    place = place_of(role)
    with Runtime(postgres) as rt, inspector_at(role) as look:
        job = rt.jobs.queue("nobody's")
        (boot,) = place.client(15.0).look(look.store)
        assert (boot.boot, boot.is_alive, boot.unheard) == (rt.boot.id, True, None)
        assert [one.id for one in look.jobs(JobQuery(), limit=10).jobs] == [job.id]
        assert look.why(job.id)[0].code == "parked"
        with pytest.raises((StoreGone, StoreUnavailable), match="permission denied"):
            Operator(role, by="ada", via="a test").pause("work")


def test_a_role_without_any_right_is_told_what_it_lacks(role: str):
    with pytest.raises(StoreGone, match="permission denied for schema shared"):
        Runtime(role).start()


def test_an_administrator_creates_the_tables_for_a_role_that_may_not(
    role: str, postgres_server: Server, capsys: pytest.CaptureFixture[str]
):
    url = role.replace("=shared", "=made_by_hand")
    with pytest.raises(StoreGone, match="or run what `lamplighter schema` prints"):
        Runtime(url).start()

    assert main(["schema", url, "--role", "shop"]) == 0
    text = capsys.readouterr().out
    postgres_server.psql(text)
    try:
        with Runtime(url) as rt:
            rt.jobs.add_handler("work", lambda job: "well")
            assert rt.jobs.join(rt.jobs.queue("work", group="g"), timeout=30).result == "well"
            assert len(rt.boot.store.store_id) == 24
        with pytest.raises(RuntimeError, match="already exists"):
            postgres_server.psql(text)
        with Runtime(url) as rt:
            assert rt.jobs.counts("work")["done"] == 1
    finally:
        postgres_server.psql("drop schema made_by_hand cascade")


def test_a_store_without_sql_of_its_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["schema", str(tmp_path / "jobs.db")]) == 2
    assert "expected the address of a PostgreSQL" in capsys.readouterr().err
