"""Everything of a store, for other programs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lamplighter.cli.main import main
from lamplighter.environment.clock import SystemClock
from lamplighter.messages.schedules import SlotEntry
from lamplighter.messages.tallies import EVER, MINUTE, Tally, start_of
from lamplighter.rules.capabilities import not_supported
from lamplighter.stores.sqlite.store import SqliteStore

from ..admin.test_exporting import a_schedule


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return tmp_path / "jobs.db"


@pytest.fixture
def filled(runtime, recorder) -> None:
    """A store with a job that is done, one that is dead, and a schedule that has fired once."""
    with runtime() as rt:
        rt.jobs.add_handler("work", lambda job: {"ok": job.data})
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        rt.jobs.queue("work", 'ä, "b"\n', id="a")
        rt.jobs.queue("fails", {"to": "ada"}, id="b")
        rt.jobs.queue("nobody", id="c", expires=3600)
        rt.scheduler.add("nobody", "@every 1s", key="often", durable=True)
        recorder.wait_for("slot.fired")
        recorder.wait_for("job.dead")
        recorder.wait_for("job.done")


def failing(job: Any) -> None:
    raise ValueError("=1+1")


def table(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_jobs_are_written_as_json_like_those_of_a_list(filled, capsys):
    assert main(["jobs", "list", "state:dead", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[0])

    assert main(["export", "jobs", "state:dead", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == listed
    assert (listed["id"], listed["state"], listed["error"]) == ("b", "dead", "ValueError: =1+1")


def test_jobs_are_written_as_csv_without_their_data_unless_that_is_asked_for(filled, capsys):
    assert main(["export", "jobs", "--name", "work", "--csv"]) == 0
    (hidden,) = table(capsys)
    assert main(["export", "jobs", "--name", "work", "--csv", "--show-data"]) == 0
    (shown,) = table(capsys)
    assert main(["export", "jobs", "state:dead", "--csv"]) == 0
    (dead,) = table(capsys)

    assert (hidden["id"], hidden["state"], hidden["data"], hidden["result"]) == (
        "a",
        "done",
        "text",
        "object of 1: ok (text)",
    )
    assert json.loads(shown["data"]) == 'ä, "b"\n'
    assert hidden["queued_at"].endswith("Z") and hidden["expires_at"] == ""
    assert dead["error"] == "ValueError: =1+1"


@pytest.fixture
def with_a_bad_row(runtime, file) -> None:
    """Three jobs. Another program has stored half of a surrogate pair with the second one."""
    with runtime() as rt:
        for job_id in ("a", "b", "c"):
            rt.jobs.queue("nobody", job_id, id=job_id)
    with closing(sqlite3.connect(file)) as store, store:
        store.execute("""update lamplighter_jobs set data = '{"\\ud83d":"\\udce9"}' where id = 'b'""")


@pytest.mark.parametrize(
    "words",
    [["jobs", "list", "--json"], ["jobs", "list"], ["export", "jobs", "--json"], ["export", "jobs", "--csv"]],
    ids=" ".join,
)
def test_half_of_a_surrogate_pair_in_one_row_ends_no_list(with_a_bad_row, capsys, words):
    assert main([*words, "--show-data"]) == 0

    said = capsys.readouterr().out
    said.encode()
    rows = [line for line in said.splitlines() if "nobody" in line]
    assert len(rows) == 3
    assert "--json" not in words or json.loads(rows[1])["data"]["value"] == {"\ufffd": "\ufffd"}


def test_half_of_a_surrogate_pair_is_shown_of_one_job(with_a_bad_row, capsys):
    assert main(["jobs", "show", "b", "--show-data"]) == 0

    assert "\ufffd" in capsys.readouterr().out


def assert_same_times(json_rows, csv_rows, times):
    """Whatever is so large a number in JSON is a time, and stands in CSV as one in UTC."""
    told = set()
    for said, row in zip(json_rows, csv_rows, strict=True):
        for column, value in said.items():
            if isinstance(value, int | float) and value > 1e9:
                told.add(column)
                assert row[column].endswith("Z")
                assert datetime.fromisoformat(row[column]).timestamp() == pytest.approx(value, abs=0.001, rel=0)
    assert times <= told


def test_times_in_csv_are_in_utc_wherever_the_machine_is(zone, filled, capsys):
    for what, times in (
        ("jobs", {"queued_at", "run_at", "claimed_at", "ended_at", "expires_at"}),
        ("slots", {"slot", "last"}),
        ("tallies", {"start"}),
    ):
        rest = ["--per", "minute"] if what == "tallies" else []
        assert main(["export", what, *rest, "--json"]) == 0
        json_rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert main(["export", what, *rest, "--csv"]) == 0

        assert_same_times(json_rows, table(capsys), times)


def test_slots_are_written_with_their_schedule(filled, capsys):
    assert main(["export", "slots", "nobody", "--key", "often", "--json"]) == 0
    fired = json.loads(capsys.readouterr().out.splitlines()[0])
    assert main(["export", "slots", "--csv"]) == 0
    row = table(capsys)[0]

    assert (fired["key"], fired["name"], fired["outcome"], fired["count"]) == ("often", "nobody", "fired", 1)
    assert (row["schedule"], row["job_id"]) == (fired["schedule"], fired["job_id"])
    assert row["slot"].endswith("Z")


def test_tallies_are_written_by_their_span(filled, capsys):
    assert main(["export", "tallies", "work", "--per", "ever", "--json"]) == 0
    sums = {one["kind"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert main(["export", "tallies", "fails", "--per", "minute", "--csv"]) == 0
    rows = {row["kind"]: row for row in table(capsys)}

    assert (sums["done"]["n"], sums["queued"]["n"], sum(sums["ran.succeeded"]["buckets"])) == (1, 1, 1)
    assert rows["dead"]["n"] == "1"
    assert (
        sum(int(cell) for head, cell in rows["ran.failed"].items() if head.startswith("to_") or head == "longer") == 1
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["jobs", "name:none-such", "--json"], 1, ""),
        (["jobs", "state:ded", "--json"], 2, "at character 7 of the query"),
        (["slots", "nope", "--json"], 1, "no schedule 'nope'"),
        (["slots", "--from", "noon", "--json"], 2, "expected a time such as 2h"),
        (["tallies", "none-such", "--csv"], 1, ""),
        (["jobs", "-s", "none.db", "--json"], 3, "which is no file"),
        *[
            ([what, "-s", "amqp://nobody@127.0.0.1:1", "--json"], 2, f"lamplighter: {not_supported(feature)}\n")
            for what, feature in {"jobs": "export", "steps": "export", "slots": "export", "tallies": "tallies"}.items()
        ],
    ],
)
def test_what_cannot_be_written_is_said(filled, capsys, words, code, says):
    assert main(["export", *words]) == code

    assert says in capsys.readouterr().err


@pytest.fixture
def aged(file) -> None:
    """A store with sums and slots of 30 and of 90 minutes ago, of two names."""
    now = SystemClock().now()
    with contextlib.closing(SqliteStore(str(file))) as store:
        store.open()
        with store.turn("b", now) as turn:
            for name in ("mail", "report"):
                turn.schedules.declare([a_schedule(name)._replace(name=name)])
                for age in (30 * 60, 90 * 60):
                    slot, start = now - age, start_of(MINUTE, now - age)
                    turn.tallies.add([Tally(MINUTE, start, name, "done", 1), Tally(EVER, 0, name, "done", 1)])
                    turn.schedules.fire(
                        SlotEntry(
                            schedule_id=name,
                            slot=slot,
                            last=slot,
                            count=1,
                            outcome="fired",
                            reason=None,
                            job_id=f"{name}-{age}",
                        )
                    )


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("tallies --per minute --from 1h", 2),
        ("tallies --per minute --from 2h", 4),
        ("tallies --per minute", 4),
        ("tallies mail --per minute --from 1h", 1),
        ("tallies --per ever", 2),
        ("tallies --per hour", 0),
        ("slots --from 1h", 2),
        ("slots --from 2h", 4),
        ("slots", 4),
        ("slots --from 2h --to 1h", 2),
        ("slots mail --from 2h", 2),
        ("slots mail --from 1h", 1),
    ],
)
def test_what_is_written_is_of_the_span_of_time_and_the_name_that_were_given(aged, capsys, words, count):
    assert main(["export", *words.split(), "--json"]) == (0 if count else 1)
    assert len(capsys.readouterr().out.splitlines()) == count

    assert main(["export", *words.split(), "--csv"]) == (0 if count else 1)
    assert len(table(capsys)) == count


@pytest.mark.parametrize("what", ["jobs", "steps", "slots", "tallies"])
def test_of_a_store_that_cannot_be_read_nothing_is_written(file, capsys, what):
    assert main(["export", what, "--csv"]) == 3

    written = capsys.readouterr()
    assert (written.out, "which is no file" in written.err) == ("", True)


@pytest.mark.parametrize("words", [["jobs"], ["jobs", "--json", "--csv"]])
def test_one_way_to_write_must_be_chosen(capsys, words):
    assert main(["export", *words]) == 2
    assert "--json" in capsys.readouterr().err


def test_a_wait_whose_time_was_over_is_written_as_one_without_a_signal(runtime, capsys):
    def work(job):
        job.wait("approval", timeout=timedelta(milliseconds=1))
        job.wait("payment")

    with runtime() as rt:
        rt.jobs.add_handler("work", work)
        rt.jobs.queue("work", id="a")
        while rt.jobs.get("a").awaits != "payment":
            rt.wait(0.01)

    assert main(["export", "steps", "--csv"]) == 0
    rows = {(row["kind"], row["name"]) for row in table(capsys)}
    assert rows == {("wait", "approval"), ("no signal", "approval"), ("wait", "payment")}


def test_steps_signals_and_waits_are_written_without_results_unless_asked_for(runtime, capsys):
    def work(job):
        job.step("charge", lambda: {"id": 7})
        job.wait("approval")

    with runtime() as rt:
        rt.jobs.add_handler("work", work)
        rt.jobs.queue("work", id="a")
        rt.jobs.signal("a", "veto", {"by": "ada"})
        while rt.jobs.get("a").awaits != "approval":
            rt.wait(0.01)

    assert main(["export", "steps", "name:work", "--csv"]) == 0
    rows = list(table(capsys))
    assert main(["export", "steps", "--json", "--show-data"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert_same_times(shown, rows, {"at"})
    hidden = {row["kind"]: row for row in rows}
    assert {kind: (row["job_id"], row["name"], row["claim_no"]) for kind, row in hidden.items()} == {
        "step": ("a", "charge", "1"),
        "wait": ("a", "approval", "1"),
        "signal": ("a", "veto", "0"),
    }
    assert hidden["step"]["result"] == "object of 1: id (number)"
    assert {row["kind"]: row["result"]["value"] for row in shown} == {
        "step": {"id": 7},
        "wait": None,
        "signal": {"by": "ada"},
    }
    assert main(["export", "steps", "name:nobody", "--csv"]) == 1
