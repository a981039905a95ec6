"""The commands that act: what they do, in whose name, what they say, and when nothing is done."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lamplighter import JobSpec
from lamplighter.admin.inspector import inspector_at
from lamplighter.admin.operator import Operator
from lamplighter.cli.main import main
from lamplighter.stores.tables.schema import VERSION

WHO = ["--by", "ada", "--reason", "mended"]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return tmp_path / "jobs.db"


@pytest.fixture
def dead(runtime, recorder) -> Callable[[int], None]:
    """Leaves so many dead jobs, `dead0` and so on, on a store that no runtime is on."""

    def make(count: int) -> None:
        with runtime() as rt:
            rt.jobs.add_handler("fails", failing, max_attempts=1)
            for number in range(count):
                rt.jobs.queue("fails", number, id=f"dead{number}")
            recorder.wait_for("job.dead", count=count)

    return make


def failing(job: Any) -> None:
    raise ValueError(f"order {job.data} has no lines")


def states(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("select id, state from lamplighter_jobs order by no").fetchall())


def boots(path: Path) -> int:
    """How many boots there have been on a store: an act that changes something is one."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("select boots from lamplighter_store").fetchone()[0])


def acts(recorder: Any) -> list[tuple[str, str, str, str]]:
    told = sorted(recorder.of("operator.acted"), key=lambda line: line["seq"])
    return [(line["by"], line["via"], line["action"], line.get("reason")) for line in told]


def answers(monkeypatch: pytest.MonkeyPatch, text: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Somebody at a terminal answers so, after something else has happened."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, *_: Any) -> str:
            meanwhile()
            return text

    monkeypatch.setattr(sys, "stdin", Terminal())


def sees_others(monkeypatch: pytest.MonkeyPatch, looks: list[list[str]]) -> None:
    """Each look of a sweep at what matches a query finds the next of these."""
    found = iter(looks)
    monkeypatch.setattr("lamplighter.cli.acting.matching", lambda *_: iter([next(found)]))


def test_acts_beside_a_living_runtime_are_told_in_its_log_and_the_proof_is_whole(runtime, recorder, file, capsys):
    rt = runtime()
    rt.jobs.add_handler("fails", failing, max_attempts=1)
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
    rt.jobs.queue("fails", id="dead")
    rt.jobs.queue("sleeps", id="running")
    rt.jobs.queue("nobody", id="waits")
    daily = rt.scheduler.add("sleeps", "@yearly", key="yearly", durable=True)
    recorder.wait_for("job.dead")
    recorder.wait_for("job.started", job_id="running")

    codes = [
        main(["jobs", "requeue", "dead", *WHO]),
        main(["jobs", "cancel", "running", *WHO]),
        main(["jobs", "reprioritize", "waits", "-7", *WHO]),
        main(["names", "pause", "fails", "--until", "+2h", *WHO]),
        main(["names", "resume", "fails", *WHO]),
        main(["names", "limit", "sleeps", "1", *WHO]),
        main(["schedules", "pause", "sleeps", "--key", "yearly", *WHO]),
        main(["schedules", "resume", daily, *WHO]),
        main(["schedules", "run", daily, *WHO]),
        main(["schedules", "remove", daily, "--yes", *WHO]),
    ]
    recorder.wait_for("operator.acted", count=len(codes))
    rt.stop()

    assert codes == [0] * len(codes)
    assert acts(recorder) == [
        ("ada", "cli", action, "mended")
        for action in (
            "requeued",
            "cancelled",
            "reprioritized",
            "name.paused",
            "name.resumed",
            "name.limited",
            "schedule.paused",
            "schedule.resumed",
            "queued",
            "schedule.removed",
        )
    ]
    report = recorder.audit(file)
    assert (report.findings, report.acts, report.crashes) == ((), len(codes), 0)


@pytest.mark.parametrize("jobs", [["dead0", "waits"], ["waits", "dead0"]], ids=" ".join)
def test_that_one_of_several_jobs_was_refused_is_told_by_the_exit_code(dead, capsys, jobs):
    dead(1)
    assert main(["queue", "work", "--id", "waits"]) == 0

    assert main(["jobs", "cancel", *jobs]) == 1

    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "waits is cancelled"
    assert "dead0 has ended already, as dead" in said.err


def test_acts_with_no_runtime_alive_are_told_by_the_next_start(runtime, recorder, file, dead, capsys):
    dead(2)

    assert main(["jobs", "requeue", "dead0", "--delay", "1h", *WHO]) == 0
    assert main(["jobs", "cancel", "dead0", *WHO]) == 0
    assert main(["errors", "requeue", group(capsys), "--yes", *WHO]) == 0
    assert main(["names", "pause", "fails", *WHO]) == 0
    runtime().stop()

    assert states(file) == {"dead0": "cancelled", "dead1": "queued"}
    assert acts(recorder) == [
        ("ada", "cli", action, "mended") for action in ("requeued", "cancelled", "requeued", "name.paused")
    ]
    report = recorder.audit(file)
    assert (report.findings, report.acts, report.crashes) == ((), 4, 0)


def group(capsys: pytest.CaptureFixture[str]) -> str:
    """The id of the first group of failures."""
    capsys.readouterr()
    main(["errors", "list", "--json"])
    return str(json.loads(capsys.readouterr().out.splitlines()[0])["id"])


def test_somebody_who_says_no_name_is_the_user_at_this_machine(runtime, recorder, dead):
    dead(1)
    rt = runtime()

    assert main(["names", "pause", "fails"]) == 0

    user, _, host = recorder.wait_for("operator.acted")["by"].partition("@")
    assert user and host
    rt.stop()


def test_a_sweep_counts_first_and_acts_by_turns_of_500(runtime, recorder, file, capsys):
    with runtime() as rt:
        rt.jobs.queue_many([("work", number) for number in range(1_200)])

    assert main(["jobs", "cancel", "--where", "state:queued name:work", "--yes", "--json", *WHO]) == 0

    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert (told["matching"]["count"], told["done"], told["changed"], told["is_done"]) == (1_200, 1_200, 0, True)
    assert printed.err.splitlines() == ["500 of 1,200", "1,000 of 1,200"]
    assert set(states(file).values()) == {"cancelled"}
    runtime().stop()
    assert [line["told"] for line in recorder.of("operator.acted")] == [500, 500, 200]
    assert recorder.audit(file).findings == ()


def test_a_sweep_takes_only_what_was_there_when_somebody_asked(runtime, file, capsys, monkeypatch):
    rt = runtime()
    rt.jobs.queue_many([("work", number) for number in range(3)])
    answers(monkeypatch, "y\n", lambda: rt.jobs.queue("work", id="later"))

    assert main(["jobs", "cancel", "--where", "state:queued"]) == 0

    assert capsys.readouterr().out == "cancelled 3 jobs\n"
    assert states(file).pop("later") == "queued"


def test_a_sweep_is_refused_when_there_are_fewer_jobs_than_somebody_was_shown(file, dead, capsys, monkeypatch):
    dead(2)

    def another() -> None:
        Operator(file, by="bob", via="test").requeue("dead1", delay=3600)
        Operator(file, by="bob", via="test").cancel("dead1")

    answers(monkeypatch, "y\n", another)

    assert main(["jobs", "requeue", "--where", "state:dead"]) == 1
    assert "expected 2 jobs, as you were shown, got: 1 of them; nothing was done" in capsys.readouterr().err
    assert states(file)["dead0"] == "dead"


def test_of_a_group_a_job_that_has_died_again_since_somebody_was_asked_is_left(
    runtime, recorder, file, dead, capsys, monkeypatch
):
    dead(2)
    with inspector_at(str(file)) as inspector:
        (group,) = inspector.errors().groups

    def again() -> None:
        with runtime() as rt:
            rt.jobs.add_handler("fails", failing, max_attempts=1)
            rt.jobs.requeue("dead1")
            recorder.wait_for("job.dead", count=3)

    answers(monkeypatch, "y\n", again)

    assert main(["errors", "requeue", group.id]) == 0
    assert capsys.readouterr().out == "requeued 1 job; 1 job had changed meanwhile\n"
    assert states(file) == {"dead0": "queued", "dead1": "dead"}


def test_more_jobs_than_somebody_was_shown_do_not_make_up_for_one_that_is_gone(file, dead, capsys, monkeypatch):
    dead(3)
    sees_others(monkeypatch, [["dead0", "dead1"], ["dead0", "dead2"]])
    answers(monkeypatch, "y\n")

    assert main(["jobs", "requeue", "--where", "state:dead"]) == 1
    assert "expected 2 jobs, as you were shown, got: 1 of them; nothing was done" in capsys.readouterr().err
    assert set(states(file).values()) == {"dead"}


@pytest.mark.parametrize("sure", [["--yes"], ["--yes", "--expect", "2"], []], ids=["yes", "expect", "asked"])
def test_a_sweep_takes_those_that_were_found_though_more_have_come_since(file, dead, capsys, monkeypatch, sure):
    dead(3)
    sees_others(monkeypatch, [["dead0", "dead1"], ["dead0", "dead1", "dead2"]])
    answers(monkeypatch, "y\n")

    assert main(["jobs", "requeue", "--where", "state:dead", *sure]) == 0

    assert capsys.readouterr().out == "requeued 2 jobs\n"
    assert states(file) == {"dead0": "queued", "dead1": "queued", "dead2": "dead"}


def test_with_yes_nobody_was_shown_anything_that_could_be_gone(file, dead, capsys, monkeypatch):
    dead(3)
    sees_others(monkeypatch, [["dead0", "dead1"], ["dead0"]])

    assert main(["jobs", "requeue", "--where", "state:dead", "--yes"]) == 0
    assert capsys.readouterr().out == "requeued 2 jobs\n"


def test_jobs_that_share_a_fate_are_in_no_group_and_wait_again_for_the_other(runtime, recorder, file, capsys):
    """They ran without the job that they had waited for, which was still dead."""
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        cause = JobSpec(name="fails", id="cause")
        rt.jobs.queue_many([cause, *(JobSpec(name="child", id=f"child{n}", after=cause) for n in range(3))])
        recorder.wait_for("job.doomed", count=3)
    main(["errors", "list", "--json"])
    groups = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [(one["name"], one["dead"]) for one in groups] == [("fails", 1)]
    assert main(["errors", "requeue", groups[0]["id"], "--yes"]) == 0
    assert capsys.readouterr().out == "requeued 1 job\n"
    with runtime() as rt:
        rt.jobs.add_handler("child", lambda job: None)
        rt.jobs.add_handler("fails", lambda job: None)
        recorder.wait_for("job.done", count=4)

    assert recorder.of("job.done")[0]["job_id"] == "cause"
    assert set(states(file).values()) == {"done"}


def test_of_failures_that_have_come_since_they_were_counted_none_is_requeued(file, dead, capsys, monkeypatch):
    dead(2)
    of = group(capsys)
    looks = iter([["dead0"], ["dead0", "dead1"]])
    monkeypatch.setattr("lamplighter.admin.inspector.Inspector.dead_in", lambda *_: next(looks))
    answers(monkeypatch, "y\n")

    assert main(["errors", "requeue", of]) == 0

    assert capsys.readouterr().out == "requeued 1 job\n"
    assert states(file) == {"dead0": "queued", "dead1": "dead"}


@pytest.mark.parametrize(
    ("others", "code", "told"),
    [
        (["never"], 0, "cancelled 1 job; 1 job had changed meanwhile\n"),
        ([], 1, "cancelled 0 jobs; 1 job had changed meanwhile\n"),
    ],
    ids=["some", "none"],
)
def test_a_sweep_leaves_what_is_in_another_state_by_then(
    runtime, recorder, file, capsys, monkeypatch, others, code, told
):
    rt = runtime()
    rt.jobs.queue("sleeps", id="soon")
    for other in others:
        rt.jobs.queue("nobody", id=other)

    sweep = Operator.sweep

    def start(*given: Any, **named: Any) -> Any:
        rt.jobs.add_handler("sleeps", lambda job: job.sleep(60))
        recorder.wait_for("job.started", job_id="soon")
        return sweep(*given, **named)

    # The sweep begins once the jobs have been found, and before any turn.
    monkeypatch.setattr(Operator, "sweep", start)

    assert main(["jobs", "cancel", "--where", "state:queued", "--yes"]) == code

    assert capsys.readouterr().out == told
    assert states(file) == {"soon": "running", **dict.fromkeys(others, "cancelled")}
    rt.jobs.cancel("soon")


def test_a_sweep_says_of_how_many_jobs_another_one_holds_the_unique_key(runtime, file, capsys):
    with runtime() as rt:
        rt.jobs.queue("work", id="first", unique="key")
        rt.jobs.cancel("first")
        rt.jobs.queue("work", id="second", unique="key")

    assert main(["jobs", "requeue", "--where", "state:cancelled", "--yes"]) == 1

    assert capsys.readouterr().out == "requeued 0 jobs; of 1 job another one holds the unique key\n"
    assert states(file) == {"first": "cancelled", "second": "queued"}


@pytest.mark.parametrize(("answer", "code", "state"), [("y\n", 0, "queued"), ("n\n", 1, "dead"), ("", 1, "dead")])
def test_somebody_at_a_terminal_is_asked_before_many_are_changed(file, dead, capsys, monkeypatch, answer, code, state):
    dead(2)
    answers(monkeypatch, answer)

    assert main(["jobs", "requeue", "--where", "state:dead"]) == code

    printed = capsys.readouterr()
    assert printed.err.startswith("Requeue 2 jobs? [y/N] ")
    assert ("nothing was done" in printed.err) is (code == 1)
    assert set(states(file).values()) == {state}


def test_of_very_many_the_number_must_be_typed(runtime, file, capsys, monkeypatch):
    with runtime() as rt:
        rt.jobs.queue_many([("work", number) for number in range(1_001)])
    words = ["jobs", "cancel", "--where", "state:queued"]

    answers(monkeypatch, "y\n")
    assert main(words) == 1
    assert "Type how many to go on:" in capsys.readouterr().err
    answers(monkeypatch, "1,001\n")
    assert main(words) == 0

    assert set(states(file).values()) == {"cancelled"}


def test_a_number_that_has_changed_is_refused(file, dead, capsys):
    dead(3)

    assert main(["jobs", "requeue", "--where", "state:dead", "--expect", "2", "--yes"]) == 1

    assert "expected 2 jobs, got: 3; nothing was done" in capsys.readouterr().err
    assert main(["jobs", "requeue", "--where", "state:dead", "--expect", "3", "--yes"]) == 0
    assert set(states(file).values()) == {"queued"}


def test_a_group_of_failures_is_requeued_whole_also_what_is_too_old_to_be_shown(file, dead, capsys, monkeypatch):
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_MAX", 2)
    dead(5)

    assert main(["errors", "requeue", group(capsys), "--yes", "--delay", "90"]) == 0

    assert capsys.readouterr().out == "requeued 5 jobs\n"
    assert set(states(file).values()) == {"queued"}


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 1), ("", 1, 1), ("y\n", 0, 0)])
def test_a_schedule_is_removed_when_somebody_is_sure(runtime, file, capsys, monkeypatch, answer, code, left):
    with runtime() as rt:
        schedule = rt.scheduler.add("mail", "@yearly", key="yearly", durable=True)
    words = ["schedules", "remove", "mail", "--key", "yearly"]
    assert main([*words, "--no-input"]) == 2
    answers(monkeypatch, answer)

    assert main(words) == code

    assert f"Remove the schedule {schedule}? [y/N] " in capsys.readouterr().err
    with inspector_at(str(file)) as inspector:
        assert len(inspector.schedules(limit=9)) == left


@pytest.mark.parametrize(
    "words", [["jobs", "requeue", "--where", "state:dead"], ["errors", "requeue", "GROUP"]], ids=["jobs", "errors"]
)
def test_a_delay_is_that_of_each_job_of_a_sweep(file, dead, capsys, words):
    dead(2)
    given = [group(capsys) if word == "GROUP" else word for word in words]

    assert main([*given, "--yes", "--delay", "90"]) == 0

    with closing(sqlite3.connect(file)) as db:
        assert db.execute("select state, due_in from lamplighter_jobs").fetchall() == [("queued", 90.0)] * 2


def test_of_a_name_only_the_failures_of_the_group_are_requeued(runtime, recorder, file, capsys):
    with runtime() as rt:
        rt.jobs.add_handler("fails", failing, max_attempts=1)
        rt.jobs.queue_many([JobSpec(name="fails", data=data, id=data) for data in ("one", "other")])
        recorder.wait_for("job.dead", count=2)
    main(["errors", "list", "--json"])
    groups = {one["sample"]: one["id"] for one in map(json.loads, capsys.readouterr().out.splitlines())}

    assert main(["errors", "requeue", groups["other"], "--yes"]) == 0

    assert capsys.readouterr().out == "requeued 1 job\n"
    assert states(file) == {"one": "dead", "other": "queued"}


REFUSED = [
    (["jobs", "requeue", "dead0", "nope"], 1, "no job 'nope'"),
    (["jobs", "requeue"], 2, "expected the ids of jobs, or --where QUERY"),
    (["jobs", "cancel", "dead0", "--where", "state:queued"], 2, "expected the ids of jobs, or --where QUERY"),
    (["jobs", "requeue", "--where", "state:dead eror:x", "--yes"], 2, "at character 12 of the query"),
    (["jobs", "requeue", "--where", "name:fails", "--yes"], 2, "expected a search with state:done or state:dead or"),
    (["jobs", "cancel", "--where", "state:dead", "--yes"], 2, "expected a search with state:queued or state:running"),
    (["jobs", "requeue", "--where", "state:dead"], 2, "expected --yes to requeue 2 jobs: nobody can be asked"),
    (["jobs", "requeue", "--where", "state:dead error:none", "--yes"], 1, "no such job to requeue"),
    (["jobs", "requeue", "dead0", "--delay", "soon"], 2, "expected --delay to be a span such as 90s"),
    (["jobs", "requeue", "dead0", "--delay", "nan"], 2, "expected --delay to be a span such as 90s"),
    (["jobs", "requeue", "dead0", "--expect", "1"], 2, "expected --expect beside --where, got ids"),
    (["jobs", "requeue", "dead0", "--by", ""], 2, "expected by to be a str of 1 to 200 characters"),
    (["jobs", "requeue", "dead0", "--reason", "x" * 201], 2, "expected reason to be a str of 1 to 200 characters"),
    (["jobs", "cancel", "dead0"], 1, "dead0 has ended already, as dead; nothing was done"),
    (["queue", "mail", "hello"], 2, "got: 'hello', Expecting value at character 1; as a text it is \"hello\""),
    (["queue", "mail", '{"a": NaN}'], 2, "expected DATA to be JSON, which has no NaN"),
    (["queue", "mail", "[" * 100_000], 2, "expected DATA to be JSON"),
    (["queue", "mail", "1" * 5_000], 2, "expected DATA to be JSON as it can be read here"),
    (["queue", ""], 2, "expected name to be a str of 1 to 200 characters"),
    (["queue", "mail", "--priority", "1000001"], 2, "expected priority to be a whole number"),
    (["queue", "mail", "--at", "+1h", "--delay", "1h"], 2, "expected delay or at, got both"),
    (["queue", "mail", "--at", "2020-01-01"], 2, "expected --at to be in the future"),
    (["queue", "mail", "--at", "99999999999d"], 2, "expected a time such as 2h"),
    (["queue", "mail", "--expires", "never"], 2, "expected --expires to be a span"),
    (["queue", "mail", "--dry-run", "--unique", ""], 2, "expected unique to be a str of 1 to 200 characters"),
    (["queue", "mail", "--group", ""], 2, "expected group to be a str of 1 to 200 characters"),
    (["queue", "mail", "--debounce", "k", "--quiet", "5s"], 2, "--at-most together, got only: --debounce, --quiet"),
    (["queue", "mail", "--quiet", "5s"], 2, "expected --debounce, --quiet and --at-most together, got only: --quiet"),
    (
        ["queue", "mail", "--debounce", "k", "--quiet", "5s", "--at-most", "4s"],
        2,
        "expected debounce.at_most to be quiet",
    ),
    (["queue", "mail", "--debounce", "k", "--quiet", "no", "--at-most", "4s"], 2, "expected --quiet to be a span"),
    (
        ["queue", "mail", "--after", "nope"],
        1,
        "expected jobs of the store in after, after_ended and after_failed, got: 'nope'",
    ),
    (
        ["queue", "mail", "--after-ended", "nope", "--dry-run"],
        1,
        "expected jobs of the store in after, after_ended and after_failed",
    ),
    (
        ["queue", "mail", "--after", "dead0", "--after-ended", "dead0"],
        2,
        "expected each job in one of after, after_ended and after_failed",
    ),
    (["jobs", "copy", "nope"], 1, "no job 'nope'"),
    (["jobs", "copy", "dead0", "--set", "a..b=1"], 2, "at character 3 of the setting"),
    (["jobs", "copy", "dead0", "--set", "a.b=1", "--dry-run"], 2, "expected data with an object at data, got: 0"),
    (["jobs", "reprioritize", "dead0", "5"], 1, "expected a job that is queued, got: dead0, which is dead"),
    (["jobs", "reprioritize", "dead0", "5", "--dry-run"], 1, "dead0 would keep its priority: it is dead"),
    (["jobs", "reprioritize", "dead0", "1000001"], 2, "expected priority to be a whole number from -1000000"),
    (["jobs", "reprioritize", "nope", "5"], 1, "no job 'nope'"),
    (["jobs", "forget", "dead0", "nope", "--yes"], 1, "no job 'nope'"),
    (["jobs", "forget", "dead0", "--yes", "--reason", ""], 2, "expected reason to be a str of 1 to 200 characters"),
    (["jobs", "forget", "dead0", "--no-input"], 2, "expected --yes to remove 1 job for good: nobody can be asked"),
    (["errors", "requeue", "nope", "--yes"], 1, "no group of failures 'nope'"),
    (["names", "pause", ""], 2, "expected name to be a str of 1 to 200 characters"),
    (["names", "pause", "fails", "--until", "2h"], 2, "expected --until to be in the future, such as +2h"),
    (["names", "pause", "fails", "--until", "noon"], 2, "expected a time such as 2h, +30m"),
    (["names", "resume", "fails"], 1, "fails is not paused; nothing was done"),
    (["names", "resume", "nobody"], 1, "nobody is not paused; nothing was done"),
    (["names", "limit", "fails", "many"], 2, "expected N to be a whole number from 1 on, or none, got: 'many'"),
    (["names", "limit", "fails", "0"], 2, "expected most to be a whole number from 1"),
    (["schedules", "run", "nope"], 1, "no schedule 'nope'"),
    (["schedules", "pause", "fails", "--key", "nope"], 1, "no schedule"),
    (["schedules", "remove", "nope", "--yes"], 1, "no schedule 'nope'"),
]


@pytest.mark.parametrize(("words", "code", "says"), REFUSED, ids=[" ".join(words)[:60] for words, *_ in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_is_done(file, dead, capsys, words, code, says):
    dead(2)
    before, were = boots(file), states(file)

    assert main(words) == code

    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""
    assert (boots(file), states(file)) == (before, were)


ACTS = [
    ["jobs", "requeue", "j"],
    ["jobs", "cancel", "--where", "state:queued", "--yes"],
    ["errors", "requeue", "abc", "--yes"],
    ["names", "pause", "work"],
    ["names", "resume", "work"],
    ["names", "limit", "work", "1"],
    ["schedules", "run", "s"],
    ["queue", "work"],
    ["queue", "work", "--dry-run"],
    ["jobs", "copy", "j"],
]


@pytest.mark.parametrize("words", ACTS, ids=[" ".join(words[:2]) for words in ACTS])
def test_no_act_makes_a_store_that_is_not_there_or_touches_a_newer_one(runtime, file, tmp_path, capsys, words):
    assert main([*words, "-s", str(tmp_path / "none.db")]) == 3
    assert not (tmp_path / "none.db").exists()

    runtime().stop()
    with closing(sqlite3.connect(file)) as db:
        db.execute("update lamplighter_store set schema_version = ?", (VERSION + 1,))
        db.commit()
    assert main(words) == 3
    assert f"expected a store of schema version {VERSION}" in capsys.readouterr().err


ONCE = [
    ["jobs", "requeue", "dead0"],
    ["jobs", "requeue", "dead0", "dead1"],
    ["jobs", "requeue", "--where", "state:dead", "--yes"],
    ["jobs", "cancel", "waits"],
    ["jobs", "reprioritize", "waits", "5"],
    ["jobs", "forget", "dead0", "--yes"],
    ["jobs", "copy", "dead0"],
    ["names", "pause", "fails"],
    ["names", "limit", "fails", "1"],
    ["schedules", "pause", "fails", "--key", "nightly"],
    ["queue", "fails"],
]


@pytest.mark.parametrize("words", ONCE, ids=[" ".join(words[:3]) for words in ONCE])
def test_an_act_opens_the_store_once(runtime, file, dead, monkeypatch, words):
    dead(2)
    with runtime() as rt:
        rt.jobs.queue("nobody", id="waits")
        rt.scheduler.add("fails", "@daily", key="nightly", durable=True)
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: opened.append(given) or connect(*given, **named))

    assert main(words) == 0

    # One connection writes, and one reads beside it.
    assert len(opened) <= 2


def test_a_job_is_queued_with_data_of_the_command_line_or_of_standard_input(runtime, file, capsys, monkeypatch):
    runtime().stop()

    assert main(["queue", "mail", '{"to": "ada"}', "--id", "a", "--priority", "5", "--unique", "k", *WHO]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2]"))
    assert main(["queue", "mail", "-", "--id", "b", "--delay", "1h", "--expires", "2h", "--json"]) == 0
    assert main(["queue", "mail", "--id", "c", "--at", "+1h"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()

    assert (first, third) == ("a", "c")
    told = {"action": "queue", "id": "b", "name": "mail", "state": "queued", "is_new": True, "is_done": True}
    assert json.loads(second) == told
    with closing(sqlite3.connect(file)) as db:
        query = "select data, priority, unique_key, due_in, expires_in from lamplighter_jobs order by no"
        assert db.execute(query).fetchall() == [
            ('{"to":"ada"}', 5, "k", 0.0, None),
            ("[1,2]", 0, None, 3600.0, 7200.0),
            ("null", 0, None, None, None),
        ]


def test_two_calls_with_a_debounce_key_are_one_job_with_the_data_of_the_last(runtime, file, capsys):
    runtime().stop()
    call = ["--debounce", "doc-7", "--quiet", "5s", "--at-most", "1m"]

    assert main(["queue", "index", "1", *call]) == main(["queue", "index", "2", *call]) == 0
    first, second = capsys.readouterr().out.split()
    assert main(["queue", "index", "3"]) == main(["jobs", "list", "debounce:doc-7", "--json", "--show-data"]) == 0

    assert first == second
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(one["id"], one["data"]["value"]) for one in listed if "id" in one] == [(first, 2)]


def test_what_begins_with_a_dash_stands_behind_two_of_them(runtime, file, capsys):
    runtime().stop()

    assert main(["queue", "--id=-x", "--", "-mail", '"a"']) == 0
    assert main(["jobs", "cancel", "--reason", "no", "--", "-x"]) == 0
    assert capsys.readouterr().out.splitlines() == ["-x", "-x is cancelled"]
    assert states(file) == {"-x": "cancelled"}


def test_a_job_is_queued_for_a_group_and_behind_others(runtime, file, capsys):
    runtime().stop()

    for words in (
        ["pull", "--id", "a", "--group", "acme"],
        ["pull", "--id", "b"],
        ["pull", "--id", "c", "--group", "Acme & Sons", "--after", "a", "--after", "b"],
        ["tell", "--id", "d", "--after-ended", "c"],
    ):
        assert main(["queue", *words]) == 0
    assert main(["jobs", "list", "--json", "group:acme"]) == 0
    found = [json.loads(line).get("id") for line in capsys.readouterr().out.splitlines()[4:]]
    assert main(["jobs", "count", "state:queued", "name:pull", 'group:"Acme & Sons"']) == 0
    assert main(["jobs", "list", "group:nobody"]) == 1
    assert main(["jobs", "why", "c"]) == 0
    assert main(["jobs", "why", "d"]) == 0

    assert found == ["a", None]
    count, *why = capsys.readouterr().out.splitlines()
    assert count == "1"
    assert [line for line in why if line.startswith("it waits for")] == [
        "it waits for 2 of 2 jobs: a and b",
        "it waits for a job: c",
    ]


def test_what_was_queued_with_this_id_or_key_is_told_and_is_no_failure(runtime, file, capsys):
    runtime().stop()
    for code, words in (
        (0, ["queue", "mail", "--id", "a", "--unique", "k"]),
        (0, ["queue", "mail", "1", "--id", "a"]),
        (0, ["queue", "mail", "--unique", "k"]),
        (1, ["jobs", "copy", "a"]),
    ):
        assert main(words) == code

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["a"] * 4
    assert printed.err.splitlines() == ["a was there already, and is queued; nothing was queued"] * 3
    assert list(states(file)) == ["a"]


def test_a_copy_is_queued_with_other_data(file, dead, capsys):
    dead(1)

    assert main(["jobs", "copy", "dead0", "--set", "=7", "--id", "copy", "--delay", "1m", "--dry-run"]) == 0
    assert states(file) == {"dead0": "dead"}
    assert main(["jobs", "copy", "dead0", "--set", "=7", "--id", "copy", "--delay", "1m"]) == 0

    assert capsys.readouterr().out.splitlines() == ["would queue a job like dead0, of fails", "copy"]
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("select data, due_in from lamplighter_jobs where id = 'copy'").fetchall() == [("7", 60.0)]


def test_a_copy_that_shares_the_fate_of_one_that_it_waits_for_is_said_to(runtime, file, dead, capsys):
    dead(1)
    with runtime() as rt:
        rt.jobs.queue("merge", id="child", after="dead0")

    assert main(["jobs", "copy", "child", "--id", "copy"]) == 0

    printed = capsys.readouterr()
    assert printed.out == "copy\n"
    assert printed.err.startswith("copy is dead: ") and "dead0" in printed.err
    assert states(file) == {"dead0": "dead", "child": "dead", "copy": "dead"}


def test_jobs_that_have_ended_are_forgotten_when_somebody_is_sure(runtime, recorder, file, dead, capsys, monkeypatch):
    dead(3)

    assert main(["jobs", "forget", "dead0", "--dry-run"]) == 0
    answers(monkeypatch, "n\n")
    assert main(["jobs", "forget", "dead0", "dead1"]) == 1
    assert list(states(file)) == ["dead0", "dead1", "dead2"]
    assert main(["jobs", "forget", "dead0", "dead1", "--yes", *WHO]) == 0

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["would forget dead0, which is dead", "dead0 is removed", "dead1 is removed"]
    assert "Remove 2 jobs for good? [y/N]" in printed.err
    assert list(states(file)) == ["dead2"]
    runtime().stop()
    assert acts(recorder) == [("ada", "cli", "forgotten", "mended")] * 2
    assert recorder.audit(file).findings == ()


def test_each_job_that_is_to_be_forgotten_is_tried_and_who_is_refused_is_named(runtime, file, dead, capsys):
    dead(3)
    assert main(["jobs", "requeue", "dead1"]) == 0
    with runtime() as rt:
        rt.jobs.pause("fails")
        rt.jobs.cancel(rt.jobs.queue("merge", id="child", after_ended=["dead0", "dead1"]))
    ids = ["dead0", "dead1", "dead2"]
    capsys.readouterr()

    assert main(["jobs", "forget", *ids, "--dry-run"]) == 0
    assert main(["jobs", "forget", *ids, "--yes"]) == 1

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["would forget dead2, which is dead", "dead2 is removed"]
    assert printed.err.splitlines() == [
        "dead0 would stay: job child waits for it, or has",
        "dead1 would stay: it is queued",
        "lamplighter: expected a job that no other one waits for, or has waited for, got: dead0; forget job child, "
        "which has, first",
        "lamplighter: expected a job that has ended, got: dead1, which is queued; cancel it first",
    ]
    assert states(file) == {"dead0": "dead", "dead1": "queued", "child": "cancelled"}


def test_jobs_are_forgotten_in_the_order_in_which_they_are_named(runtime, file, dead, capsys):
    dead(1)
    with runtime() as rt:
        rt.jobs.cancel(rt.jobs.queue("merge", id="child", after_ended="dead0"))

    for code, more in ((0, ["--dry-run"]), (0, ["--yes"])):
        assert main(["jobs", "forget", "child", "dead0", *more]) == code

    assert capsys.readouterr().err == ""
    assert states(file) == {}


def test_one_that_is_refused_keeps_no_other_from_being_done(runtime, file, dead, capsys):
    dead(2)
    with runtime() as rt:
        rt.jobs.pause("fails")
        rt.jobs.queue("work", id="first", unique="key")
        rt.jobs.cancel("first")
        rt.jobs.queue("work", id="second", unique="key")

    assert main(["jobs", "requeue", "dead0", "first", "dead1"]) == 1

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["dead0 is queued", "dead1 is queued"]
    assert "another unfinished work job holds its unique key" in printed.err


def test_what_a_store_holds_never_moves_the_cursor_of_a_terminal(runtime, file, capsys):
    evil = "\x1b[2Jgone\r"
    with runtime() as rt:
        rt.jobs.cancel(rt.jobs.queue(evil, id=evil))

    main(["jobs", "cancel", evil])
    main(["jobs", "requeue", evil])
    main(["jobs", "cancel", evil, "--dry-run"])
    main(["jobs", "copy", evil, "--dry-run"])
    main(["queue", evil, "--id", evil])
    main(["names", "pause", evil])
    main(["names", "resume", "x\x1b[2J"])
    main(["schedules", "run", evil])

    printed = capsys.readouterr()
    assert "gone" in printed.out and "gone" in printed.err
    assert not {"\x1b", "\r"} & {*printed.out, *printed.err}


def test_a_name_that_nobody_knows_is_paused_and_said_to_be_unknown(file, dead, capsys):
    dead(1)

    assert main(["names", "pause", "fials"]) == 0

    printed = capsys.readouterr()
    assert "did you mean 'fails'?" in printed.err
    assert printed.out == "no job of fials is started until it is resumed\n"


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("jobs requeue dead0 dead1 dead0", ["dead0 is queued", "dead1 is queued"]),
        ("jobs cancel waits waits", ["waits is cancelled"]),
        ("jobs forget dead0 dead0 --yes", ["dead0 is removed"]),
        ("jobs requeue dead0 dead0 --dry-run", ["would requeue dead0, which is dead"]),
        ("jobs cancel waits waits --dry-run", ["would cancel waits, which is queued"]),
        ("jobs forget dead0 dead0 --dry-run", ["would forget dead0, which is dead"]),
    ],
)
def test_a_job_that_is_named_twice_is_acted_on_once(runtime, file, dead, capsys, words, out):
    dead(2)
    assert main(["queue", "nobody", "--id", "waits"]) == 0
    capsys.readouterr()

    assert main(words.split()) == 0

    printed = capsys.readouterr()
    assert (printed.out.splitlines(), printed.err) == (out, "")


TOLD: list[tuple[str, str, dict[str, Any]]] = [
    ("jobs requeue dead0", "dead0 is queued", {"action": "requeue", "id": "dead0", "name": "fails", "state": "queued"}),
    (
        "jobs requeue --where state:dead --yes",
        "requeued 2 jobs",
        {
            "action": "requeue",
            "matching": {"count": 2, "is_capped": False},
            "asked": 2,
            "done": 2,
            "changed": 0,
            "refused": 0,
        },
    ),
    (
        "jobs cancel waits",
        "waits is cancelled",
        {"action": "cancel", "id": "waits", "name": "nobody", "state": "cancelled"},
    ),
    (
        "jobs reprioritize waits 5",
        "waits has priority 5",
        {"action": "reprioritize", "id": "waits", "name": "nobody", "priority": 5},
    ),
    (
        "jobs copy dead0 --id copy",
        "copy",
        {"action": "copy", "id": "copy", "name": "fails", "state": "queued", "is_new": True},
    ),
    ("jobs signal waits go", "waits has signal 'go'", {"action": "signal", "id": "waits", "signal": "go"}),
    ("jobs forget dead0 --yes", "dead0 is removed", {"action": "forget", "id": "dead0"}),
    (
        "names pause fails --until 2099-01-01 --utc",
        "no job of fails is started until 2099-01-01 00:00:00Z",
        {"action": "pause", "name": "fails", "until": 4070908800.0},
    ),
    ("names resume nobody", "jobs of nobody are started again", {"action": "resume", "name": "nobody"}),
    (
        "names limit fails 3",
        "at most 3 jobs of fails may run at once",
        {"action": "limit", "name": "fails", "most": 3},
    ),
    (
        "names limit fails 1",
        "at most 1 job of fails may run at once",
        {"action": "limit", "name": "fails", "most": 1},
    ),
    (
        "names limit fails none",
        "as many jobs as its handlers take of fails may run at once",
        {"action": "limit", "name": "fails", "most": None},
    ),
    (
        "schedules pause fails --key nightly",
        "the slots of {id} pass until it is resumed",
        {"action": "pause", "schedule": "{id}"},
    ),
    ("schedules resume {id}", "{id} fires again", {"action": "resume", "schedule": "{id}"}),
    ("schedules remove {id} --yes", "{id} is removed", {"action": "remove", "schedule": "{id}"}),
    (
        "queue fails 7 --id new",
        "new",
        {"action": "queue", "id": "new", "name": "fails", "state": "queued", "is_new": True},
    ),
]


@pytest.mark.parametrize(("words", "text", "view"), TOLD, ids=[words for words, *_ in TOLD])
def test_an_act_tells_people_and_programs_what_it_has_done(runtime, file, dead, tmp_path, capsys, words, text, view):
    dead(2)
    with runtime() as rt:
        rt.jobs.queue("nobody", id="waits")
        rt.jobs.pause("nobody")
        schedule = rt.scheduler.add("fails", "@yearly", key="nightly", durable=True)
    again = str(shutil.copy(file, tmp_path / "again.db"))
    given = words.replace("{id}", schedule).split()

    assert main(given) == main([*given, "--json", "-s", again]) == 0

    people, programs = capsys.readouterr().out.splitlines()
    assert people == text.replace("{id}", schedule)
    assert json.loads(programs) == {
        **{field: schedule if value == "{id}" else value for field, value in view.items()},
        "is_done": True,
    }


ENDED_DEAD0 = "dead0 has ended already, as dead; nothing was done\n"

DRY: list[tuple[str, list[str], list[dict[str, Any]], str]] = [
    (
        "jobs requeue dead0 dead1",
        ["would requeue dead0, which is dead", "would requeue dead1, which is dead"],
        [
            {"action": "requeue", "id": "dead0", "name": "fails", "state": "dead"},
            {"action": "requeue", "id": "dead1", "name": "fails", "state": "dead"},
        ],
        "",
    ),
    (
        "jobs requeue --where state:dead",
        ["would requeue 2 jobs"],
        [{"action": "requeue", "matching": {"count": 2, "is_capped": False}, "done": 0, "changed": 0, "refused": 0}],
        "",
    ),
    (
        "jobs cancel waits dead0",
        ["would cancel waits, which is queued"],
        [{"action": "cancel", "id": "waits", "name": "nobody", "state": "queued"}],
        ENDED_DEAD0,
    ),
    (
        "jobs cancel --where state:queued",
        ["would cancel 1 job"],
        [{"action": "cancel", "matching": {"count": 1, "is_capped": False}, "done": 0, "changed": 0, "refused": 0}],
        "",
    ),
    (
        "jobs copy dead0",
        ["would queue a job like dead0, of fails"],
        [{"action": "copy", "id": "dead0", "name": "fails"}],
        "",
    ),
    (
        "jobs signal waits approved",
        ["would signal 'approved' to waits, which is queued"],
        [{"action": "signal", "id": "waits", "name": "nobody", "state": "queued", "signal": "approved"}],
        "",
    ),
    (
        "jobs reprioritize waits 5",
        ["would give priority 5 to waits, which is queued"],
        [{"action": "reprioritize", "id": "waits", "name": "nobody", "state": "queued", "priority": 5}],
        "",
    ),
    (
        "jobs forget dead0",
        ["would forget dead0, which is dead"],
        [{"action": "forget", "id": "dead0", "name": "fails", "state": "dead"}],
        "",
    ),
    ("queue fails", ["would queue a job of fails"], [{"action": "queue", "name": "fails"}], ""),
    (
        "names pause fails --until 2099-01-01 --utc",
        ["no job of fails would be started until 2099-01-01 00:00:00Z"],
        [{"action": "pause", "name": "fails", "until": 4070908800.0}],
        "",
    ),
    (
        "names resume nobody",
        ["jobs of nobody would be started again"],
        [{"action": "resume", "name": "nobody"}],
        "",
    ),
    (
        "names limit fails 3",
        ["at most 3 jobs of fails would run at once"],
        [{"action": "limit", "name": "fails", "most": 3}],
        "",
    ),
    (
        "names limit fails none",
        ["as many jobs as its handlers take of fails would run at once"],
        [{"action": "limit", "name": "fails", "most": None}],
        "",
    ),
    ("schedules run {id}", ["would queue a job of {id}"], [{"action": "run", "schedule": "{id}"}], ""),
    (
        "schedules pause {id}",
        ["the slots of {id} would pass until it is resumed"],
        [{"action": "pause", "schedule": "{id}"}],
        "",
    ),
    ("schedules resume {id}", ["{id} would fire again"], [{"action": "resume", "schedule": "{id}"}], ""),
    ("schedules remove {id}", ["{id} would be removed"], [{"action": "remove", "schedule": "{id}"}], ""),
]


@pytest.mark.parametrize(("words", "lines", "views", "noted"), DRY, ids=[words for words, *_ in DRY])
def test_a_dry_run_tells_people_and_programs_what_would_be_done(
    runtime, file, dead, capsys, words, lines, views, noted
):
    dead(2)
    with runtime() as rt:
        rt.jobs.queue("nobody", id="waits")
        rt.jobs.pause("nobody")
        schedule = rt.scheduler.add("fails", "@yearly", key="nightly", durable=True)
    with closing(sqlite3.connect(file)) as db:
        before = list(db.iterdump())
    capsys.readouterr()
    given = [*words.replace("{id}", schedule).split(), "--dry-run"]

    assert main(given) == 0
    people = capsys.readouterr()
    assert main([*given, "--json"]) == 0
    programs = capsys.readouterr()

    assert people.out.splitlines() == [line.replace("{id}", schedule) for line in lines]
    assert [json.loads(line) for line in programs.out.splitlines()] == [
        {**{field: schedule if value == "{id}" else value for field, value in view.items()}, "is_done": False}
        for view in views
    ]
    assert people.err == programs.err == noted
    with closing(sqlite3.connect(file)) as db:
        assert list(db.iterdump()) == before


@pytest.mark.parametrize(("more", "until"), [([], None), (["--until", "2099-01-01T00:00:00Z"], 4070908800.0)])
def test_a_pause_is_stored_with_its_end_and_its_reason(runtime, file, more, until):
    runtime().stop()

    assert main(["names", "pause", "fails", *more, "--reason", "mending"]) == 0

    with inspector_at(str(file)) as inspector:
        (pause,) = [name.pause for name in inspector.names() if name.pause is not None]
    assert (pause.until, pause.reason) == (until, "mending")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no file that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_act_whose_output_cannot_be_written_is_said_to_be_done(runtime, file, capsys, monkeypatch, options):
    with runtime():
        pass
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = main(["queue", "mail", "--id", "a", *options, *WHO])

    assert (code, states(file)) == (141, {"a": "queued"})
    assert "queue was done, but the output cannot be written" in (said := capsys.readouterr().err)
    assert said.endswith(": a\n")
