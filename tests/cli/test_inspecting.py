"""The commands that only read: what they print, on which stream, and how they exit."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lamplighter.admin import finding
from lamplighter.admin import inspector as looks
from lamplighter.admin.operator import Operator
from lamplighter.cli.main import main


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return str(tmp_path / "jobs.db")


def failing(job: Any) -> None:
    raise ValueError(f"order {job.data} has no lines")


@pytest.fixture
def filled(runtime, recorder):
    """A runtime with a job of each kind: `m0` runs, `m1` waits behind it, `parked` has no handler, one is dead."""
    rt, begun = runtime(), threading.Event()
    rt.jobs.add_handler("mail", lambda job: begun.set() or job.sleep(60))
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.scheduler.add("mail", "30 6 * * *", {"all": True}, key="daily", timezone="Europe/Berlin")
    rt.jobs.queue("mail", {"to": "ada@example.org"}, id="m0")
    assert begun.wait(10)
    rt.jobs.queue("mail", 1, id="m1")
    rt.jobs.queue("send_mail", id="parked")
    rt.jobs.queue("fails", 17, id="f0")
    recorder.wait_for("job.dead")
    return rt


def said(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The lines on standard output, in their columns."""
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_jobs_are_listed_each_with_what_there_is_to_say(filled, capsys):
    assert main(["jobs", "list"]) == 0

    rows = {row[0]: row for row in said(capsys)}
    assert rows["m1"][:4] == ["m1", "mail", "queued", "lanes_full"]
    assert rows["parked"][:4] == ["parked", "send_mail", "queued", "parked"]
    assert rows["f0"][:5] == ["f0", "fails", "dead", "ValueError:", "order"]
    assert rows["m0"][:3] == ["m0", "mail", "running"]


def test_jobs_are_listed_by_a_query_and_by_options(filled, capsys):
    assert main(["jobs", "list", "state:queued", "name:mail", "--json"]) == 0
    assert [one["id"] for one in objects(capsys)[:-1]] == ["m1"]

    assert main(["jobs", "list", "--state", "dead", "--name", "fails", "error:order"]) == 0
    assert [row[0] for row in said(capsys)[1:]] == ["f0"]

    assert main(["jobs", "list", "name:nobody"]) == 1
    assert "no such job among the" in capsys.readouterr().err

    assert main(["jobs", "list", "state:dead", "--state", "done"]) == 2
    assert "expected the state of the jobs once, got it as an argument and in the query" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("errors list", "1 more group: --limit shows more of them\n"),
        ("errors show {group}", "1 more job: --limit shows more of them\n"),
        ("names list", "more: --after fails\n"),
    ],
    ids=["errors", "group", "names"],
)
def test_only_where_a_limit_leaves_something_out_it_is_said_that_there_is_more(
    runtime, recorder, capsys, command, more
):
    rt = runtime()
    for name in ("fails", "fails too"):
        rt.jobs.add_handler(name, failing, max_attempts=1)
    rt.jobs.queue_many([("fails", 1), ("fails", 2), ("fails too", 3)])
    recorder.wait_for("job.dead", count=3)
    assert main(["errors", "list", "--name", "fails", "--json"]) == 0
    group = objects(capsys)[0]["id"]

    told = []
    for limit in ("1", "2", "3"):
        assert main([*command.format(group=group).split(), "--limit", limit]) == 0
        told.append(capsys.readouterr().err)

    assert told == [more, "", ""]


@pytest.mark.parametrize(("most", "more"), [(2, ""), (1, "among the 1 jobs that failed last\n")])
def test_groups_of_failures_say_whether_all_are_in_them(runtime, recorder, capsys, monkeypatch, most, more):
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_MAX", most)
    rt = runtime()
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.jobs.queue_many([("fails", 1), ("fails", 2)])
    recorder.wait_for("job.dead", count=2)

    assert main(["errors", "list"]) == 0
    assert capsys.readouterr().err == more
    assert main(["errors", "list", "--json"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["jobs list --json", "export jobs --json", "names list --json"])
def test_json_holds_nothing_that_a_terminal_obeys_and_says_the_same(runtime, capsys, command):
    name = "\x9b31m\x7f\u202e\u2028\U000e0041Zoë\N{PILE OF POO}"
    runtime().jobs.queue(name)

    assert main(command.split()) == 0

    text = capsys.readouterr().out.removesuffix("\n")
    assert all(line.isprintable() for line in text.split("\n"))
    assert name in [json.loads(line).get("name") for line in text.split("\n")]
    assert "Zoë\N{PILE OF POO}" in text


def test_a_list_says_on_standard_error_how_to_go_on_and_as_json_in_its_last_line(filled, capsys):
    assert main(["jobs", "list", "--limit", "2"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    _, _, cursor = printed.err.strip().partition("more: --after ")

    assert main(["jobs", "list", "--json", "--after", cursor.strip("'")]) == 0
    *jobs, end = objects(capsys)
    assert [job["id"] for job in jobs] == ["m1", "m0"]
    assert end == {"next": None, "looked_at": 2, "is_complete": True}

    assert main(["jobs", "list", "--json", "--limit", "2"]) == 0
    assert objects(capsys)[-1] == {"next": cursor.strip("'"), "looked_at": 2, "is_complete": True}


def test_a_list_says_how_far_it_has_looked_where_that_is_not_at_all_jobs(filled, capsys, monkeypatch):
    monkeypatch.setitem(finding.find.__kwdefaults__, "looked_max", 2)

    assert main(["jobs", "list", "parked"]) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["id", "parked"]
    says, _, cursor = printed.err.strip().partition("'")
    assert says == "looked at 2 jobs, and no further: go on with --after "
    assert main(["jobs", "list", "parked", "--json"]) == 0
    *_, end = objects(capsys)
    assert end == {"next": cursor.strip("'"), "looked_at": 2, "is_complete": False}

    monkeypatch.setitem(finding.find.__kwdefaults__, "looked_max", 100)
    assert main(["jobs", "list", "parked", "--after", end["next"]]) == 1
    assert capsys.readouterr() == ("", "no such job among the 2 that were looked at\n")


def test_a_count_says_how_far_it_has_looked_where_that_is_not_at_all_jobs(filled, capsys, monkeypatch):
    monkeypatch.setattr(looks, "LOOKED_MAX", 2)

    assert main(["jobs", "count", "parked"]) == 0

    assert capsys.readouterr() == ("1+\n", "looked at 2 jobs, and no further\n")
    assert main(["jobs", "count", "parked", "--json"]) == 0
    (out, err) = capsys.readouterr()
    told = json.loads(out)
    assert told == {"at": told["at"], "amount": {"count": 1, "is_capped": True}, "looked_at": 2}
    assert err == ""


def test_names_are_listed_some_at_a_time(filled, capsys):
    assert main(["names", "list", "--json"]) == 0
    every = [one["name"] for one in objects(capsys)]

    assert main(["names", "list", "--limit", "1", "--json"]) == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["name"], printed.err) == (every[0], f"more: --after {every[0]}\n")

    assert main(["names", "list", "--limit", str(len(every) - 1), "--json", "--after", every[0]]) == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["name"] for line in printed.out.splitlines()] == every[1:]
    assert printed.err == ""


def test_a_job_is_shown_without_its_data_unless_that_is_asked_for(filled, capsys):
    assert main(["jobs", "show", "m0"]) == 0
    hidden = capsys.readouterr().out
    assert "object of 1: to (text), 24 bytes (--show-data shows it)" in hidden
    assert "ada@example.org" not in hidden

    assert main(["jobs", "show", "m0", "--show-data"]) == 0
    assert '"to": "ada@example.org"' in capsys.readouterr().out

    assert main(["jobs", "show", "f0", "--json"]) == 0
    (page,) = objects(capsys)
    assert (page["job"]["state"], page["attempts"][0]["outcome"]) == ("dead", "failed")
    assert page["job"]["data"] == {"is_shown": False, "value": None, "shape": "number", "bytes": 2}


def test_why_is_a_sentence_and_what_would_change_it(filled, capsys, file):
    Operator(file, by="ada", via="test").pause("mail", reason="the server is down")

    assert main(["jobs", "why", "m1"]) == 0
    first, change, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("'mail' has been paused since ")
    assert first.endswith(" by ada: the server is down")
    assert change == "what would change it: `lamplighter names resume mail`, or jobs.resume('mail')"
    assert others[0].startswith("and then: the one lane of 'mail' is busy")

    main(["jobs", "why", "m1", "--json"])
    assert [one["code"] for one in objects(capsys)] == ["paused", "lanes_full"]


def test_a_graph_is_its_levels_with_counts_and_what_holds_it_up(filled, capsys):
    parts = [filled.jobs.queue("mail", id=f"part{number}") for number in range(2)]
    album = filled.jobs.queue("album", id="album", after=parts)
    filled.jobs.cancel(parts[1])

    assert main(["jobs", "graph", "part1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "waiting: 1 of 3 jobs have ended"
    assert lines[2].split() == ["name", "jobs", "queued", "cancelled"]
    assert [line.rstrip() for line in lines[3:5]] == ["mail        2       1          1", "  album     1       1"]
    assert lines[6].startswith("held up by queued job part0 (mail): the one lane of 'mail' is busy")
    assert lines[-1] == "`lamplighter jobs requeue --where 'graph:part1 state:dead state:cancelled fate:no'` mends it"

    assert main(["jobs", "graph", album.id, "--json"]) == 0
    (found,) = objects(capsys)
    assert (found["state"], found["total"], found["held_up_by"][0]["first"]["id"]) == ("waiting", 3, "part0")
    assert main(["jobs", "list", "graph:album", "state:cancelled", "--json"]) == 0
    assert [one["id"] for one in objects(capsys)[:-1]] == ["part1"]


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "show", "nope"],
        ["jobs", "graph", "nope"],
        ["jobs", "why", "nope"],
        ["schedules", "show", "nope"],
        ["names", "show", "nope"],
    ],
)
def test_what_is_not_there_exits_with_1(filled, capsys, words):
    assert main(words) == 1

    printed = capsys.readouterr()
    assert "nope" in printed.err
    assert printed.out == ""


def test_jobs_are_counted_by_state_or_as_many_as_match(filled, capsys):
    assert main(["jobs", "count"]) == 0
    assert said(capsys) == [["queued", "2"], ["running", "1"], ["done", "0"], ["dead", "1"], ["cancelled", "0"]]

    assert main(["jobs", "count", "--name", "mail"]) == 0
    assert said(capsys)[:2] == [["queued", "1"], ["running", "1"]]

    assert main(["jobs", "count", "state:queued"]) == 0
    assert said(capsys) == [["2"]]

    assert main(["jobs", "count", "name:nobody", "state:dead"]) == 1
    assert said(capsys) == [["0"]]
    assert main(["jobs", "count", "--name", "nobody"]) == 1
    assert {row[1] for row in said(capsys)} == {"0"}


def test_failures_are_listed_in_groups_and_a_group_is_shown_with_its_jobs(filled, capsys):
    assert main(["errors", "list", "--json"]) == 0
    (group,) = objects(capsys)
    assert (group["message"], group["dead"], group["sample"]) == ("order # has no lines", 1, "f0")

    assert main(["errors", "show", group["id"][:4]]) == 0
    shown = capsys.readouterr().out
    assert "last error  ValueError: order 17 has no lines" in shown
    assert "raise ValueError" in shown

    assert main(["errors", "show", "nope"]) == 1
    assert main(["errors", "list", "--name", "mail"]) == 1


def test_a_group_of_failures_is_shown_from_its_first_to_its_last(runtime, recorder, file, capsys):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        rt.jobs.queue_many([("fails", 1), ("fails", 2)])
        recorder.wait_for("job.dead", count=2)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("update lamplighter_jobs set ended_at = 1782000000 + no")
    assert main(["errors", "list", "--json"]) == 0
    (group,) = objects(capsys)

    assert main(["errors", "show", group["id"], "--utc"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(["errors", "show", group["id"], "--json"]) == 0
    (page,) = objects(capsys)

    assert page["group"] == group
    assert [job["id"] for job in page["jobs"]] == [line.split()[0] for line in shown[-2:]]
    facts = dict(line.split("  ", 1) for line in shown[: shown.index("")])
    assert {
        name: facts[name].strip() for name in ("id", "name", "jobs", "message", "where", "first seen", "last seen")
    } == {
        "id": group["id"],
        "name": "fails",
        "jobs": "2: 2 dead, 0 tried again",
        "message": "order # has no lines",
        "where": "cli/test_inspecting.py:failing",
        "first seen": "2026-06-21 00:00:01Z",
        "last seen": "2026-06-21 00:00:02Z",
    }


def test_names_are_listed_with_who_takes_their_jobs(filled, capsys, file):
    Operator(file, by="ada", via="test").pause("mail", reason="the server is down")

    assert main(["queues", "list"]) == 0
    rows = {row[0]: row for row in said(capsys)}
    assert rows["mail"][1] == "1"
    assert " ".join(rows["mail"]).endswith("1/1 0 1 paused by ada: the server is down")
    assert " ".join(rows["send_mail"]).endswith("no handler")

    assert main(["names", "show", "mail"]) == 0
    assert "lanes       1 of 1 busy" in capsys.readouterr().out
    assert main(["names", "show", "mial"]) == 1
    assert "did you mean 'mail'?" in capsys.readouterr().err


def test_the_last_slot_of_a_schedule_is_told_by_its_own_clock_as_the_next_are(filled, file, capsys):
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("update lamplighter_schedules set last_slot = 1782000000")

    assert main(["schedules", "show", "mail", "--key", "daily"]) == 0

    assert "2026-06-21T02:00:00+02:00 (" in capsys.readouterr().out


def test_schedules_are_listed_shown_and_explained(filled, capsys):
    assert main(["schedules", "list"]) == 0
    (row,) = capsys.readouterr().out.splitlines()[1:]
    assert "at 06:30 every day" in row

    assert main(["schedules", "show", "mail", "--key", "daily", "--utc"]) == 0
    shown = capsys.readouterr().out
    assert "at 06:30 every day (30 6 * * *)" in shown
    assert f"declared by   {filled.boot.id}" in shown

    assert main(["schedules", "next", "-n", "3", "--json"]) == 0
    coming = objects(capsys)
    assert [one["key"] for one in coming] == ["daily"] * 3
    assert main(["schedules", "next", "-n", "1"]) == 0
    assert said(capsys)[1][-2:] == ["daily", "mail"]
    assert main(["schedules", "next", "mail", "--key", "daily", "-n", "2", "--json"]) == 0
    assert objects(capsys) == coming[:2]

    assert main(["schedules", "explain", row.split()[0], "--from", "1d", "--to", "+2d", "--json"]) == 0
    assert {slot["outcome"] for slot in objects(capsys)} == {"due"}
    assert main(["schedules", "explain", row.split()[0], "--from", "noon"]) == 2


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("list", ["mail", "report"]),
        ("list --name report", ["report"]),
        ("list --name nobody", []),
    ],
)
def test_schedules_are_listed_of_a_name(runtime, capsys, words, names):
    rt = runtime()
    for name in ("report", "mail"):
        rt.scheduler.add(name, "@every 1h", key="hourly", durable=True)

    assert main(["schedules", *words.split(), "--json"]) == (0 if names else 1)

    assert sorted(one["name"] for one in objects(capsys)) == names


def test_schedules_are_listed_some_at_a_time(runtime, capsys):
    rt = runtime()
    first, second, third = sorted(
        rt.scheduler.add("mail", "@every 1h", key=key, durable=True) for key in ("a", "b", "c")
    )

    told = []
    for words in ("--limit 1", f"--limit 2 --after {first}", f"--after {second}"):
        assert main(["schedules", "list", *words.split()]) == 0
        printed = capsys.readouterr()
        told.append(([row.split()[0] for row in printed.out.splitlines()[1:]], printed.err))

    assert told == [
        ([first], f"perhaps more: --after {first}\n"),
        ([second, third], f"perhaps more: --after {third}\n"),
        ([third], ""),
    ]
    assert main(["schedules", "list", "--limit", "1", "--json"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("span", "count"),
    [("--to +3h", 3), ("--to +5h", 5), ("--from +1h --to +3h", 2), ("", 24), ("--to +1s --from 2s", 0)],
)
def test_slots_are_explained_of_the_span_that_was_given(timed, time, runtime, monkeypatch, capsys, span, count):
    rt = timed()
    rt.scheduler.add("report", "@every 1h", key="hourly", durable=True)
    monkeypatch.setattr("lamplighter.environment.clock.SystemClock.now", lambda clock: time.clock().now() + 60)

    assert main(["schedules", "explain", "report", "--key", "hourly", "--json", *span.split()]) == (0 if count else 1)

    assert [slot["outcome"] for slot in objects(capsys)] == ["due"] * count


@pytest.mark.parametrize("words", ["next", "next mail --key hourly"])
def test_no_slot_of_a_schedule_that_does_not_fire_is_told_as_the_next(runtime, file, capsys, words):
    with runtime() as rt:
        rt.scheduler.add("mail", "@every 1h", key="hourly", durable=True)
        rt.scheduler.add("report", "@every 1h", key="declared")

    assert main(["schedules", *words.split(), "-n", "2", "--json"]) == 0
    assert [one["name"] for one in objects(capsys)] == ["mail"] * 2
    assert main(["schedules", "next", "report", "--key", "declared"]) == 1
    assert main(["schedules", "pause", "mail", "--key", "hourly"]) == 0
    capsys.readouterr()

    assert main(["schedules", *words.split()]) == 1
    assert capsys.readouterr().out == ""


def test_a_schedule_that_the_store_keeps_needs_no_process_to_declare_it(runtime, capsys):
    with runtime() as rt:
        rt.scheduler.add("mail", "@daily", key="kept", durable=True)
        rt.scheduler.add("mail", "@daily", key="declared")

    assert main(["schedules", "list"]) == 0

    rows = capsys.readouterr().out.splitlines()[1:]
    assert {row.split()[1]: "no process that lives declares it" in row for row in rows} == {
        "kept": False,
        "declared": True,
    }


def test_times_are_those_of_this_machine_and_with_utc_those_of_utc(zone, filled, file, capsys):
    Operator(file, by="ada", via="test").pause("mail")
    assert main(["errors", "list", "--json"]) == 0
    group = objects(capsys)[0]["id"]
    zones = {}
    for command in (
        "jobs show f0",
        f"errors show {group}",
        "names show mail",
        "names pause mail --until +2h",
        "schedules list",
        "schedules next",
        "schedules explain mail --key daily",
        "runtimes show 1",
        "top --once",
    ):
        for more in ("", " --utc"):
            main(f"{command}{more}".split())
            said = capsys.readouterr().out
            zones[command, more] = {*re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([-+Z:\d]*)", said)}

    for (command, more), found in zones.items():
        assert (command, more, bool(found), "Z" in found, found <= {"Z"}) == (
            command,
            more,
            True,
            more != "",
            more != "",
        )


def test_a_store_that_is_not_there_exits_with_3(file, capsys):
    assert main(["jobs", "list"]) == 3
    assert f"got: '{file}', which is no file" in capsys.readouterr().err


def test_no_store_at_all_is_a_mistake(monkeypatch, capsys):
    monkeypatch.delenv("LAMPLIGHTER_STORE")

    assert main(["names", "list"]) == 2
    assert "expected --store ADDRESS, or $LAMPLIGHTER_STORE to be set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ("paused = 1", "paused"),
        ("timezone = 'Mars/Phobos'", "Mars/Phobos"),
        ("paused = 1, timezone = 'Mars/Phobos'", "paused; expected"),
    ],
)
def test_the_list_of_schedules_says_what_keeps_one_from_firing(filled, file, capsys, changes, what):
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(f"update lamplighter_schedules set {changes}")

    assert main(["schedules", "list"]) == 0

    assert what in capsys.readouterr().out
