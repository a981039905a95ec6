"""The command: what it prints, and how it exits."""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import lamplighter
import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.stores.postgresql.schema import NEW_ID, creation

from ..history.kit import clean_run, index_of, without, write_log


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log at debug of a clean run."""
    return str(write_log(tmp_path / "app.log", clean_run().lines))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def a_job_of(name: str) -> str:
    """A dead job of this name in the clean run."""
    lines = clean_run().lines
    return str(lines[index_of(lines, "job.dead", job_name=name)]["job_id"])


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in printed(capsys)]


def test_the_sql_of_a_store_names_its_schema_and_gives_each_role_the_same_rights(capsys):
    assert main(["schema", "postgresql://127.0.0.1:1/none?schema=jobs", "--role", "shop", "--role", 'the "web"']) == 0

    out = capsys.readouterr().out
    assert out.replace(creation(), "(tables)").splitlines() == [
        "begin;",
        'create schema if not exists "jobs";',
        'set local search_path = "jobs";',
        "(tables);",
        f"update lamplighter_store set store_id = {NEW_ID};",
        'grant usage on schema "jobs" to "shop";',
        'grant select, insert, update, delete on all tables in schema "jobs" to "shop";',
        'grant usage on all sequences in schema "jobs" to "shop";',
        'grant usage on schema "jobs" to "the ""web""";',
        'grant select, insert, update, delete on all tables in schema "jobs" to "the ""web""";',
        'grant usage on all sequences in schema "jobs" to "the ""web""";',
        "commit;",
    ]
    assert main(["schema", "postgresql://127.0.0.1:1/none"]) == 0
    assert capsys.readouterr().out == out.replace('"jobs"', '"lamplighter"').partition("grant")[0] + "commit;\n"


def test_an_audit_says_one_line_when_all_is_well(log, capsys):
    assert main(["audit", log, "--store", str(clean_run().store)]) == 0

    (line,) = printed(capsys)
    assert line.startswith("all is well: ")
    assert line.endswith("1 unfinished")


def test_an_audit_exits_with_1_and_shows_the_lines_of_each_finding(tmp_path, capsys):
    lines = clean_run().lines
    index = index_of(lines, "job.claimed")
    log = write_log(tmp_path / "app.log", without(lines, index))

    assert main(["audit", str(log)]) == 1

    said = printed(capsys)
    assert said[0] == f"missing lines: line {lines[index]['seq']} is missing of boot {lines[index]['boot']}"
    assert said[1].startswith("    app.log:")
    assert said[-1].startswith("not well: 1 missing line; in ")


def test_an_audit_as_json_is_one_object_a_finding_and_one_that_sums_up(tmp_path, capsys):
    lines = clean_run().lines
    log = write_log(tmp_path / "app.log", without(lines, index_of(lines, "job.claimed")))

    main(["audit", "--json", str(log)])

    finding, total = objects(capsys)
    assert (finding["kind"], finding["excused"], len(finding["lines"])) == ("missing lines", False, 2)
    assert total["ok"] is False
    assert total["lines"] == len([line for line in lines if "seq" in line]) - 1


def test_an_audit_as_json_tells_how_many_findings_are_not_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lamplighter.history.replay.findings.FINDINGS_KEPT_MAX", 1)
    lines = clean_run().lines
    claimed = [index for index, line in enumerate(lines) if line["event"] == "job.claimed"]
    # Two that stand side by side would be one gap.
    gaps = [index for index in claimed if index - 1 not in claimed][:3]
    log = write_log(tmp_path / "app.log", without(lines, *gaps))

    main(["audit", "--json", str(log)])

    *findings, total = objects(capsys)
    kinds = Counter(finding["kind"] for finding in findings)
    assert kinds["missing lines"] == 1
    assert total["more"]["missing lines"] == 2


@pytest.mark.parametrize("text", ["", "\n \n", "nothing of ours\n"])
def test_a_log_without_a_line_of_ours_is_not_audited(tmp_path, capsys, text):
    log = tmp_path / "app.log"
    log.write_text(text)

    assert main(["audit", str(log)]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert ("no line that is one; the first is app.log:1: nothing" if text.strip() else "no line at all") in said.err


def test_a_pattern_means_each_file_once(tmp_path, capsys):
    lines = clean_run().lines
    write_log(tmp_path / "app.log.1", lines[:40])
    newest = write_log(tmp_path / "app.log", lines[40:])

    assert main(["audit", str(tmp_path / "app.log*"), str(newest)]) == 0


def test_a_log_comes_through_standard_input(log, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(log).read_bytes())))

    assert main(["audit", "-"]) == 0


def test_a_trace_is_a_title_and_a_line_a_hop(log, capsys):
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.snoozed")]["job_id"]

    assert main(["trace", job_id, log]) == 0

    title, *hops = printed(capsys)
    assert title.startswith(f"job {job_id} (sleepy): done after ")
    assert len(hops) == 7
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z +broker/1 · \w{6} +queued, 4 bytes of data", hops[0])
    assert re.match(r"\S+Z +\+[\d.]+ [µm]s +broker/1 · \w{6} +claim 1 taken after", hops[1])


@pytest.mark.parametrize("words", [["--json", "JOB", "LOG"], ["JOB", "--json", "LOG"], ["JOB", "LOG", "--json"]])
def test_a_trace_as_json_carries_the_lines(log, capsys, words):
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.snoozed")]["job_id"]

    main(["trace", *({"JOB": job_id, "LOG": log}.get(word, word) for word in words)])

    assert [hop["line"]["event"] for hop in objects(capsys)] == [
        "job.queued",
        "job.claimed",
        "job.started",
        "job.snoozed",
        "job.claimed",
        "job.started",
        "job.done",
    ]


def test_a_job_that_is_not_in_the_log_exits_with_1(log, capsys):
    assert main(["trace", "nobody", log]) == 1
    assert printed(capsys) == ["nothing in these logs is about job nobody"]


def test_a_schedule_says_of_each_slot_what_became_of_it(log, capsys):
    lines = clean_run().lines
    slots = [line for line in lines if line["event"] == "slot.fired"]

    assert main(["trace", "--schedule", slots[0]["schedule"], log]) == 0

    said = printed(capsys)
    assert "schedule added: @every 1s (UTC), for good" in said[1]
    fired = [line for line in said if " fired as job " in line or " fired, " in line]
    assert len(fired) == len(slots)
    assert "the job is done" in fired[0]


def test_a_schedule_in_a_log_at_info_is_told_by_its_jobs(tmp_path, capsys):
    lines = clean_run("info").lines
    log = write_log(tmp_path / "app.log", lines)
    done = lines[index_of(lines, "job.done", schedule=lines[index_of(lines, "schedule.added")]["schedule"])]

    main(["trace", "--schedule", done["schedule"], str(log)])

    assert any(f"fired as job {done['job_id']}; the job is done" in line for line in printed(capsys))


@pytest.mark.parametrize(("level", "hints"), [("info", True), ("debug", False)])
def test_an_actor_of_which_nothing_is_told_at_info_is_not_said_not_to_be(tmp_path, capsys, level, hints):
    path = write_log(tmp_path / "log", clean_run(level).lines)

    assert main(["trace", "--actor", "handler:nobody", str(path)]) == 1

    assert ("at info, only that it died is" in capsys.readouterr().out) == hints


def test_an_actor_says_its_lives(log, capsys):
    assert main(["trace", "--actor", "handler:bad", log]) == 0

    said = printed(capsys)
    assert said[0] == "actor handler:bad"
    assert said[1].endswith("handler:bad/1 started") or "handler:bad/1 started; " in said[1]
    assert "handler:bad/1 stopped" in said[-1]


def test_a_root_says_everything_that_descends_from_it(log, capsys):
    job_id = clean_run().lines[index_of(clean_run().lines, "job.snoozed")]["job_id"]

    assert main(["trace", "--corr", job_id, "--json", log]) == 0
    assert {hop["line"]["job_id"] for hop in objects(capsys)} == {job_id}


@pytest.mark.parametrize("level", ["debug", "info"])
def test_an_instant_shows_who_had_what_in_hand(tmp_path, capsys, level):
    lines = clean_run(level).lines
    log = str(write_log(tmp_path / "app.log", lines))
    end = lines[index_of(lines, "job.snoozed")]
    moves = [
        (move, line) for line in lines if "moves" in line for move in line["moves"] if move.get("j") == end["job_id"]
    ]
    place = next(place for place, (move, _) in enumerate(moves) if move["k"] == "snoozed")
    at = (moves[place - 1][1]["ts"] + moves[place][1]["ts"]) / 2
    if level == "debug":
        at = lines[index_of(lines, "job.started", job_id=end["job_id"])]["ts"]

    assert main(["trace", "--at", str(at), "--json", log]) == 0

    (seen,) = objects(capsys)
    assert seen["jobs"]["running"] >= 1
    assert end["job_id"] in [job["job_id"] for job in seen["running"]]
    assert list(seen["boots"]) == [end["boot"]]
    if level == "debug":
        (actor,) = [actor for actor in seen["actors"] if actor["actor"] == "handler:sleepy"]
        assert (actor["status"], actor["jobs"]) == ("up", [end["job_id"]])


def test_an_instant_may_be_given_in_iso_8601(log, capsys):
    assert main(["trace", "--at", "2999-01-01T00:00:00+01:00", log]) == 0
    said = printed(capsys)
    assert said[0].startswith("at 2998-12-31T23:00:00Z")
    assert said[1] == "boots alive: none"

    assert main(["trace", "--at", "1999-01-01T00:00:00Z", log]) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit"], "expected at least one LOG"),
        (["audit", "/nowhere/app.log"], "expected a log, got: '/nowhere/app.log', and there is no such file"),
        (["audit", "FOLDER"], "which is a folder"),
        (["trace"], "expected JOB_ID LOG..., or one of --schedule"),
        (["trace", "job"], "expected a LOG, or --store FILE, after the job's id, got only: 'job'"),
        (["trace", "--at", "noon", "LOG"], "expected --at as ISO 8601 or seconds since the epoch, got: 'noon'"),
        (["trace", "--actor", "broker"], "expected at least one LOG"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_was_expected(log, tmp_path, capsys, arguments, says):
    given = [{"LOG": log, "FOLDER": str(tmp_path)}.get(word, word) for word in arguments]

    assert main(given) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("/nowhere.db", "expected the path of a store's file, got: '/nowhere.db'"),
        ("LOG", "expected a store of Lamplighter, got"),
    ],
)
def test_a_store_that_cannot_be_read_exits_with_3(log, capsys, store, says):
    assert main(["audit", log, "--store", log if store == "LOG" else store]) == 3
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("amqp", "got: amqp://host:5672/v; audit its logs"),
        ("amqps", "got: amqps://host:5671/v; audit its logs"),
        ("ampq", "got: ampq://..."),
    ],
)
def test_an_audit_does_not_show_the_password_of_a_server_that_it_is_to_compare_with(log, capsys, scheme, says):
    assert main(["audit", log, "--store", f"{scheme}://ada:s3cr3t@host/v"]) == 2

    said = capsys.readouterr()
    assert says in said.err
    assert "s3cr3t" not in said.out + said.err


@pytest.mark.parametrize("command", ["web", "run"])
def test_an_address_in_the_place_of_a_runtime_is_not_shown(capsys, command):
    assert main([command, "postgresql://ada:s3cr3t@host/db"]) == 2

    said = capsys.readouterr()
    assert "the address of a store is given with --store" in said.err
    assert "s3cr3t" not in said.out + said.err


@pytest.mark.parametrize("words", ["jobs list", "errors list", "stats", "doctor", "export jobs --csv", "top --once"])
def test_the_password_of_a_mistyped_address_of_a_server_is_not_shown(capsys, words):
    assert main([*words.split(), "--store", "ampq://ada:s3cr3t@host/v"]) == 2

    said = capsys.readouterr()
    assert "got: ampq://..." in said.err
    assert "s3cr3t" not in said.out + said.err


def test_a_jobs_life_is_told_by_a_store_alone_beside_a_log_and_as_json(log, capsys):
    store, job_id = str(clean_run().store), a_job_of("bad")

    assert main(["trace", job_id, "--store", store]) == 0
    assert printed(capsys)[0].endswith(f"; told by {store} alone")

    assert main(["trace", job_id, log, "--store", store]) == 0
    said = printed(capsys)
    assert said[0].startswith(f"job {job_id} (bad): dead after ")
    assert said[-2].strip() == f"{store} adds:"
    assert "the store" in said[-1]
    assert "it has the same: dead, claim 2, attempt 2" in said[-1]

    assert main(["trace", job_id, "--store", store, "--json"]) == 0
    told = objects(capsys)
    assert [one["stored"]["claim_no"] for one in told if "claim_no" in one.get("stored", {})] == [1, 2]
    assert not any("line" in one for one in told)


def test_a_job_that_is_in_no_store_and_no_log_exits_with_1(log, capsys):
    store = str(clean_run().store)

    assert main(["trace", "nope", "--store", store]) == 1
    said = capsys.readouterr()
    assert said.err == f"lamplighter: no job 'nope': unknown to {store}, or removed by retention\n"
    assert said.out == ""

    assert main(["trace", "nope", log, "--store", store]) == 1
    said = capsys.readouterr()
    assert "no job 'nope'" in said.err
    assert said.out == "nothing in these logs is about job nope\n"


def test_what_only_one_of_log_and_store_knows_is_told_by_it_and_the_other_says_so(tmp_path, log, capsys):
    stranger, job_id = tmp_path / "other.db", a_job_of("bad")
    with Runtime(stranger) as runtime:
        runtime.jobs.queue("nobody", id="stranger")

    assert main(["trace", job_id, log, "--store", str(stranger)]) == 0
    assert printed(capsys)[-1].strip().startswith(f"no job '{job_id}': unknown to {stranger}")

    assert main(["trace", "stranger", log, "--store", str(stranger)]) == 0
    assert printed(capsys)[:2] == [
        "nothing in these logs is about job stranger",
        f"job stranger (nobody): queued, 0 claims, attempt 0; told by {stranger} alone",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--at", "5"], "expected a JOB_ID with --store"),
        (["--corr", "j"], "expected a JOB_ID with --store"),
        (
            ["j", "--store", "amqp://ada:s3cr3t@host/v"],
            "amqp://host:5672/v; trace its logs",
        ),
    ],
)
def test_a_store_that_cannot_answer_what_was_asked_exits_with_2(log, capsys, arguments, says):
    assert main(["trace", "--store", log, *arguments]) == 2

    said = capsys.readouterr().err
    assert says in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize("arguments", [[], ["conjure"], ["trace", "--actor", "a", "--corr", "b", "log"]])
def test_arguments_that_make_no_sense_exit_with_2(arguments, capsys):
    assert main(arguments) == 2


NOT_TEXT = "\udcff"
"""An argument that is not UTF-8, as Python gives it."""


@pytest.mark.parametrize(
    "words",
    [
        [NOT_TEXT],
        ["jobs", NOT_TEXT],
        ["jobs", "list", NOT_TEXT],
        ["jobs", "list", "--name", NOT_TEXT],
        ["jobs", "list", "--after", NOT_TEXT],
        ["jobs", "show", NOT_TEXT],
        ["jobs", "cancel", "--yes", NOT_TEXT],
        ["jobs", "copy", "a", "--set", f"a={NOT_TEXT}"],
        ["errors", "show", NOT_TEXT],
        ["names", "pause", "mail", "--by", NOT_TEXT],
        ["schedules", "show", "mail", "--key", NOT_TEXT],
        ["runtimes", "show", NOT_TEXT],
        ["queue", "mail", f'"{NOT_TEXT}"'],
        ["trace", NOT_TEXT],
    ],
    ids=ascii,
)
def test_an_argument_that_is_not_utf8_is_refused(log, tmp_path, monkeypatch, capsys, words):
    store = tmp_path / "jobs.db"
    with Runtime(store) as runtime:
        runtime.jobs.queue("mail", id="a")
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(store))
    if words[0] == "trace":
        words = [*words, "--store", str(store)]

    assert main(words) == 2

    said = capsys.readouterr().err
    assert re.search(r"\\xff|\\udcff", said)
    assert "Traceback" not in said


def test_the_name_of_a_file_need_not_be_utf8(log, tmp_path):
    other = tmp_path / NOT_TEXT
    other.write_bytes(Path(log).read_bytes())

    assert main(["audit", str(other)]) == main(["audit", log])


class Unheard(BaseException):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(7), 7, ""),
        (SystemExit(), 0, ""),
        (SystemExit("no"), 1, "lamplighter: no"),
        (BrokenPipeError(), 141, ""),
        (OSError("no \x1b[2J"), 2, "expected files that can be read and written, got: no \\x1b[2J"),
        (RecursionError("deep"), 1, "RecursionError: deep"),
        (ValueError("\x1b[2J \udcff"), 1, "ValueError: \\x1b[2J \\udcff"),
        (Unheard(), 1, "Unheard"),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("place", ["_parsed", "_declared"])
def test_whatever_happens_the_command_ends_with_an_exit_code(monkeypatch, capsys, error, code, says, place):
    def fails(*_):
        raise error

    monkeypatch.setattr(f"lamplighter.cli.main.{place}", fails)
    monkeypatch.setattr("os.dup2", lambda *_: None)

    assert main(["jobs", "list"]) == code

    said = capsys.readouterr().err
    assert says in said
    assert "\x1b" not in said


@pytest.mark.parametrize("command", ["audit", "doctor --log", "doctor --only log.gaps --json --log"])
def test_the_verdict_is_the_exit_code_though_the_reader_has_gone(tmp_path, monkeypatch, command):
    lines = clean_run().lines
    log = write_log(tmp_path / "app.log", without(lines, index_of(lines, "job.claimed")))
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(clean_run().store))

    def goes(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout.write", goes)
    monkeypatch.setattr("os.dup2", lambda *_: None)

    assert main([*command.split(), str(log)]) == 1


def test_ctrl_c_while_arguments_are_parsed_is_no_error_of_argparse(monkeypatch, capsys):
    def interrupted(*_):
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("save_nargs")

    monkeypatch.setattr("lamplighter.cli.main._parsed", interrupted)

    assert (main(["jobs", "list"]), capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize(
    "words", [["jobs", "list"], ["jobs", "list", "--json"], ["jobs", "requeue", "--where", "state:dead"]]
)
def test_a_command_whose_streams_were_closed_ends_as_ever(monkeypatch, tmp_path, words):
    with Runtime(tmp_path / "jobs.db") as runtime:
        runtime.jobs.queue("work", id="j")
        runtime.jobs.cancel("j")
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)

    assert main([*words, "--store", str(tmp_path / "jobs.db")]) == (1 if "requeue" in words else 0)


def test_a_terminal_gets_colours_and_without_rich_the_same_words(log, monkeypatch, capsys):
    lines = clean_run().lines
    job_id = lines[index_of(lines, "job.snoozed")]["job_id"]
    main(["trace", job_id, log])
    plain = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    main(["trace", job_id, log])
    coloured = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "rich.console", None)
    main(["trace", job_id, log])
    without_rich = capsys.readouterr().out

    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain == without_rich


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert printed(capsys) == [f"lamplighter {lamplighter.__version__}"]
    assert lamplighter.__version__ == importlib.metadata.version("lamplighter")
