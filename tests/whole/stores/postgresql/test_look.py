"""Whoever looks at a store on PostgreSQL, or acts on it from outside, finds all that there is on a file."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from lamplighter import Operator, Runtime, StoreGone, StoreUnavailable
from lamplighter.cli.main import main
from lamplighter.doctor.examining import chosen, evidence_at, examine
from lamplighter.doctor.postgresql_checks import HELD_SECONDS_MAX
from lamplighter.log.outlets import LineFile
from lamplighter.stores.postgresql.address import parse_address
from lamplighter.stores.postgresql.connection import connect

from ....conftest import Recorder
from ....faults.kit import eventually
from ....support.postgresql.server import Server

Said = Callable[..., tuple[int, str, str]]


def fail(job: Any) -> None:
    raise ValueError(f"not yet {job.data}")


@pytest.fixture
def busy(postgres: str, runtime: Callable[..., Runtime], recorder: Recorder) -> Runtime:
    """One that is done, one that is dead, one that runs, one that waits for a handler; a schedule."""
    rt = runtime(postgres)
    rt.jobs.add_handler("works", lambda job: "well")
    rt.jobs.add_handler("fails", fail, max_attempts=1)
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
    rt.scheduler.add("works", "0 3 * * *", key="nightly")
    rt.jobs.queue_many([("works", 1), ("fails", 2), ("nobody's", 3)])
    rt.jobs.queue("sleeps", id="running")
    recorder.wait_for("job.done")
    recorder.wait_for("job.dead")
    recorder.wait_for("job.started", job_id="running")
    return rt


@pytest.fixture
def said(postgres: str, capsys: pytest.CaptureFixture[str]) -> Said:
    def said(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "-s", postgres])
        out, err = capsys.readouterr()
        return code, out, err

    return said


def lines(said: Said, *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = said(*arguments, "--json")
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def test_a_runtime_goes_on_as_it_is_while_it_queues_and_works(busy: Runtime, recorder: Recorder):
    before = busy.boot.id
    for _ in range(5):
        busy.jobs.queue("works")
    for job in busy.jobs.queue_many([("works", number) for number in range(50)]):
        assert busy.jobs.join(job, timeout=30).result == "well"

    assert busy.boot.id == before
    assert recorder.of("runtime.renewed") == recorder.of("store.went_back") == []
    assert (busy.jobs.counts()["done"], busy.health().status) == (56, "yellow")


def test_the_lines_of_a_running_job_are_shown_to_who_looks_from_elsewhere(
    postgres: str, runtime: Callable[..., Runtime], recorder: Recorder, said: Said
):
    rt, began = runtime(postgres), threading.Event()

    @rt.jobs.handler("says")
    def says(job: Any) -> None:
        job.log.warning("half of it", of=7)
        began.set()
        job.sleep(60)

    says.queue(id="a")
    assert began.wait(20)
    (shown,) = lines(said, "jobs", "show", "a")

    assert [one["text"] for one in shown["output"]] == ["half of it of=7"]


def test_the_commands_that_look_tell_what_is_there(postgres: str, busy: Runtime, said: Said):
    assert {(one["name"], one["state"]) for one in lines(said, "jobs", "list") if "id" in one} == {
        ("works", "done"),
        ("fails", "dead"),
        ("nobody's", "queued"),
        ("sleeps", "running"),
    }
    assert [one["name"] for one in lines(said, "names", "list")] == ["fails", "nobody's", "sleeps", "works"]
    (boot,) = lines(said, "runtimes", "list")
    assert (boot["boot"], boot["condition"]) == (busy.boot.id, "answers")
    assert [one["key"] for one in lines(said, "schedules", "list")] == ["nightly"]
    assert [one["dead"] for one in lines(said, "errors", "list")] == [1]
    assert len(lines(said, "export", "jobs")) == 4
    assert "lamplighter_jobs_queued_total" in said("metrics")[1]
    assert "not yet" in said("jobs", "show", busy.jobs.list(state="dead")[0].id)[1]
    assert "has a handler for" in said("jobs", "why", busy.jobs.list(state="queued")[0].id)[1]
    assert said("health")[0] == 0
    assert "hush-hush" not in "".join(said("top", "--once")[1:])


def test_what_is_done_from_outside_is_logged_by_the_runtime(postgres: str, busy: Runtime, recorder: Recorder):
    with Operator(postgres, by="ada", via="a test") as operator:
        operator.requeue(busy.jobs.list(state="dead")[0].id)
        operator.cancel("running")
        operator.pause("works")

    recorder.wait_for("job.dead", count=2)
    recorder.wait_for("operator.acted", count=3)
    assert {event["by"] for event in recorder.of("operator.acted")} == {"ada"}
    assert busy.jobs.get("running").state == "cancelled"
    assert [pause.name for pause in busy.boot.store.jobs.pauses()] == ["works"]


def test_the_log_is_audited_against_the_store(postgres: str, tmp_path, capsys: pytest.CaptureFixture[str]):
    log, logger = tmp_path / "log", logging.Logger("of a test")
    logger.addHandler(LineFile(str(log)))
    with contextlib.closing(logger.handlers[0]), Runtime(postgres, logger=logger) as rt:
        rt.jobs.add_handler("works", lambda job: "well")
        for job in rt.jobs.queue_many([("works", number) for number in range(20)]):
            rt.jobs.join(job, timeout=30)

    assert main(["audit", str(log), "--store", postgres]) == 0
    assert "all is well: 20 jobs" in capsys.readouterr().out
    assert main(["trace", job.id, str(log), "--store", postgres]) == 0
    assert "it has the same: done, claim 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("trace", "running"), ("trace", "nobody"), ("schedules", "remove", "nobody", "--yes")]
)
def test_the_password_is_not_shown_by_commands_that_name_the_store(busy: Runtime, said: Said, words: tuple[str, ...]):
    told = "".join(said(*words)[1:])

    assert "hush-hush" not in told
    assert "postgresql://127.0.0.1" in told


def test_the_doctor_finds_nothing_wrong_with_a_runtime_that_is_well(postgres: str, busy: Runtime):
    with evidence_at(postgres) as seen:
        found = {one.check: one for one in examine(seen).findings}

    assert {check for check, one in found.items() if one.level not in ("ok", "note")} == {"names.parked"}
    assert {check for check in found if check.startswith(("store.", "rabbit."))} == set()
    assert len([check for check in found if check.startswith("postgresql.")]) == 11


def test_the_doctor_says_that_the_sessions_of_a_role_only_read(postgres: str, postgres_server: Server):
    postgres_server.psql("alter role lamplighter set default_transaction_read_only = on")
    try:
        with evidence_at(postgres) as seen:
            (finding,) = examine(seen, chosen(["postgresql.standby"])).findings
    finally:
        postgres_server.psql("alter role lamplighter reset default_transaction_read_only")

    assert (finding.level, "sessions of user lamplighter only read" in finding.evidence) == ("error", True)


def test_the_doctor_names_the_session_that_keeps_jobs_locked(postgres: str, busy: Runtime):
    address = parse_address(postgres)
    with contextlib.closing(connect(address, application_name="a shop")) as database:
        database.begin()
        database.execute("select * from lamplighter_jobs where id = 'running' for update")
        cancelling = threading.Thread(target=busy.jobs.cancel, args=("running",))
        cancelling.start()
        evidence = ""
        while "turns wait" not in evidence:
            with evidence_at(postgres) as seen:
                (finding,) = examine(seen, chosen(["postgresql.locks"])).findings
                # A turn of another runtime also has what turns wait for, for some milliseconds.
                ages = [one.seconds or 0.0 for one, _ in seen.postgresql.holders()]
            evidence = finding.evidence
            assert finding.level == "ok" or max(ages) > HELD_SECONDS_MAX
        database.rollback()
        cancelling.join()

    assert finding.evidence.startswith(f"session {database.pid} (a shop, ")
    assert "pg_terminate_backend" in finding.remedy


def test_an_act_that_somebody_keeps_from_its_rows_says_who_does(postgres: str, busy: Runtime):
    with contextlib.closing(connect(parse_address(postgres), application_name="a shop")) as database:
        database.begin()
        database.execute("select * from lamplighter_jobs where id = 'running' for update")
        with pytest.raises(StoreUnavailable, match=rf"session {database.pid} \(a shop, .* has rows"):
            Operator(postgres, by="ada", via="a test").cancel("running")
        database.rollback()


def test_nobody_is_there_where_no_runtime_has_been(fresh_postgres: Callable[[], str], capsys):
    url = fresh_postgres()

    assert main(["jobs", "list", "-s", url]) == 3
    assert "which has none of its tables; the start of a runtime" in capsys.readouterr().err
    with psycopg.connect(url.partition("?")[0]) as connection:
        schema = parse_address(url).schema
        assert connection.execute("select to_regnamespace(%s)", (schema,)).fetchone() == (None,)


def test_somebody_without_the_right_to_ask_sees_all_but_what_runtimes_know(
    postgres: str, busy: Runtime, postgres_server
):
    postgres_server.psql(
        "create role clerk login password 'hush-hush'; grant usage on schema shared to clerk; "
        "grant select on all tables in schema shared to clerk"
    )
    try:
        with evidence_at(postgres.replace("//lamplighter:", "//clerk:")) as seen:
            (boot,) = seen.boots
            assert (boot.is_alive, boot.view) == (True, None)
            assert "lamplighter_asks" in (boot.unheard or "")
    finally:
        postgres_server.psql("drop owned by clerk; drop role clerk")


LOSSES = {
    "the schema": (
        "revoke usage on schema {0} from lamplighter; alter schema {0} owner to admin",
        "grant usage on schema {0} to lamplighter",
    ),
    "a right to a table": (
        "alter table {0}.lamplighter_jobs owner to admin; revoke all on {0}.lamplighter_jobs from lamplighter",
        "alter table {0}.lamplighter_jobs owner to lamplighter; grant all on {0}.lamplighter_jobs to lamplighter",
    ),
    "a table": (
        "alter table {0}.lamplighter_jobs rename to was_jobs",
        "alter table {0}.was_jobs rename to lamplighter_jobs",
    ),
    "the schema, and each session": (
        "alter schema {0} rename to was_{0}; "
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'lamplighter'",
        "alter schema was_{0} rename to {0}",
    ),
    "a column": (
        "alter table {0}.lamplighter_jobs rename priority to was_priority",
        "alter table {0}.lamplighter_jobs rename was_priority to priority",
    ),
}


@pytest.mark.parametrize(("loses", "mended"), LOSSES.values(), ids=LOSSES)
def test_health_is_red_while_a_person_must_act_and_well_again_after_that(
    fresh_postgres: Callable[[], str],
    postgres_server: Server,
    runtime: Callable[..., Runtime],
    recorder: Recorder,
    loses: str,
    mended: str,
):
    url = fresh_postgres()
    schema = parse_address(url).schema
    rt = runtime(url)
    assert rt.health().status == "green"

    postgres_server.psql(loses.format(schema))
    with pytest.raises((StoreGone, StoreUnavailable), match=r"lost tables|refuses a right"):
        rt.jobs.queue("work")
    assert rt.health().status == "red"

    postgres_server.psql(mended.format(schema))
    eventually(lambda: rt.health().status == "green")
