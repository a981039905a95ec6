"""The host's side of the log: its own configuration stays, its lines carry the job, and no log call ever raises."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import logging.config
import logging.handlers
import queue
import re
import shutil
import sqlite3
import stat
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import lamplighter.log.outlets
import msgspec
import pytest
import structlog
from lamplighter import JobFields, UsageError, configure_logging
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import Mailbox
from lamplighter.log.emitter import Log, Subscription
from lamplighter.log.job_context import JOB_FIELDS
from lamplighter.log.log_line import to_json
from lamplighter.log.outlets import outlet_of

from support.logs import alone


@pytest.fixture
def lines(tmp_path):
    """Reads the lines of tmp_path/app.log, each as a dict."""
    return lambda: [json.loads(line) for line in (tmp_path / "app.log").read_bytes().splitlines()]


def sink() -> lamplighter.log.outlets.Sink:
    """The one that configure_logging has just installed."""
    (found,) = (one for one in logging.getLogger().handlers if isinstance(one, lamplighter.log.outlets.Sink))
    return found


def test_the_hosts_lines_and_ours_go_to_one_file_with_the_same_fields(runtime, recorder, tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    rt = runtime()

    def work(job):
        structlog.get_logger("app.a").info("hello %s", "you", size=3)
        logging.getLogger("app.b").warning("bye %s", "then", extra={"size": 4})
        job.log.info("mine", size=5)

    rt.jobs.add_handler("work", work)
    # Then the turn that stores the job claims it too.
    recorder.until(lambda: rt.boot.post.find("broker") is not None, "the broker to be found")
    recorder.until(lambda: rt.boot.post.find("broker")._state.capacities, "its HandlerActor to offer lanes")
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    logging.getLogger("app.b").info("outside")
    rt.stop()

    mine = {"job_id": job.id, "job_name": "work", "claim_no": 1, "attempt": 1, "corr": job.id}
    told = [{key: value for key, value in line.items() if key != "ts"} for line in lines() if "boot" not in line]
    assert told == [
        {"event": "hello you", "level": "info", "logger": "app.a", "size": 3, **mine},
        {"event": "bye then", "level": "warning", "logger": "app.b", "size": 4, **mine},
        {"event": "mine", "level": "info", "logger": "lamplighter", "size": 5, **mine},
        {"event": "outside", "level": "info", "logger": "app.b"},
    ]
    assert [line["event"] for line in lines() if "boot" in line] == [
        "runtime.started",
        "turn.committed",
        "turn.committed",
        "job.done",
        "runtime.stopping",
        "runtime.stopped",
    ]
    assert all(isinstance(line["ts"], float) for line in lines())


def test_at_debug_the_file_has_every_event_as_subscribers_get_it(runtime, recorder, tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False, level="debug")
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.stop()

    recorder.wait_for("runtime.stopped")

    assert [line for line in lines() if "boot" in line] == json.loads(json.dumps(recorder.events))


def test_the_traceback_of_an_error_is_in_the_line(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)

    try:
        raise ValueError("so it goes")
    except ValueError:
        logging.getLogger("app").exception("standard")
        structlog.get_logger("app").exception("structured", n=1)

    for line, event in zip(lines(), ("standard", "structured"), strict=True):
        assert (line["event"], line["level"]) == (event, "error")
        assert line["exception"].endswith("ValueError: so it goes")


def test_a_structlog_logger_without_a_name_is_called_after_its_module(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)

    structlog.get_logger().info("hello")

    assert lines()[0]["logger"] == __name__


def test_the_level_of_a_single_logger_counts_for_its_structlog_lines_too(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    logging.getLogger("app.loud").setLevel(logging.ERROR)

    structlog.get_logger("app.loud").warning("unheard")
    structlog.get_logger("app.loud").error("heard")
    structlog.get_logger("app.other").debug("unheard")
    logging.getLogger("app.loud").setLevel(logging.NOTSET)

    assert [line["event"] for line in lines()] == ["heard"]


@pytest.mark.parametrize(("own", "heard"), [(logging.NOTSET, ["b"]), (logging.DEBUG, ["a", "b"])])
def test_the_client_of_rabbitmq_is_quiet_unless_the_host_wants_to_hear_it(request, tmp_path, lines, own, heard):
    client = logging.getLogger("pika")
    request.addfinalizer(partial(client.setLevel, client.level))
    client.setLevel(own)
    configure_logging(tmp_path / "app.log", console=False, level="debug")

    logging.getLogger("pika.connection").debug("a")
    logging.getLogger("pika.connection").warning("b")

    assert [line["event"] for line in lines()] == heard


def test_calling_it_twice_replaces_its_own_sinks_and_nobody_elses(tmp_path):
    theirs = logging.NullHandler()
    logging.getLogger().addHandler(theirs)
    before = [*logging.getLogger().handlers]
    configure_logging(tmp_path / "first.log", console=False)
    first = sink()

    configure_logging(tmp_path / "second.log", console=False, level="debug")
    logging.getLogger("app").debug("here")

    assert logging.getLogger().handlers == [*before, sink()]
    assert sink() is not first
    assert (tmp_path / "first.log").read_text() == ""
    assert "here" in (tmp_path / "second.log").read_text()
    logging.getLogger().removeHandler(theirs)


def test_a_runtime_that_was_started_before_is_heard_too(runtime, recorder, tmp_path, lines):
    rt = runtime()

    configure_logging(tmp_path / "app.log", console=False)
    rt.stop()

    assert [line["event"] for line in lines()] == ["runtime.stopping", "runtime.stopped"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"level": "loud"}, "expected level to be one of debug, info, warning, error, got: 'loud'"),
        ({"console": False}, "expected somewhere to log to"),
        ({"path": "no/such/folder/app.log"}, "expected a path that can be appended to, got: 'no/such/folder/app.log'"),
        ({"path": "/"}, "expected a path that can be appended to"),
        ({"path": "a\0b"}, "expected a path that can be appended to"),
    ],
)
def test_what_cannot_be_configured_is_said_and_changes_nothing(arguments, expected):
    before = [*logging.getLogger().handlers]

    with pytest.raises(UsageError, match=expected):
        configure_logging(**arguments)

    assert logging.getLogger().handlers == before
    assert not structlog.is_configured()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_readable_lines_unasked_and_a_pipe_does_not(tmp_path, monkeypatch, lines):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    configure_logging(tmp_path / "app.log")
    logging.getLogger("app").info("to both", extra={"n": 1})
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    configure_logging(tmp_path / "app.log")
    logging.getLogger("app").info("to the file")

    assert "to both" in terminal.getvalue()
    assert pipe.getvalue() == ""
    assert [line["event"] for line in lines()] == ["to both", "to the file"]


def test_readable_lines_can_be_asked_for_and_have_colours_only_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    configure_logging(console=True)

    logging.getLogger("app").error("watch out", extra={"why": {"a", "\ud800"}})

    assert "\x1b" not in pipe.getvalue()
    assert "[error    ] watch out" in pipe.getvalue()
    assert "[app]" in pipe.getvalue()


EVENT = {
    "event": "job.failed",
    "level": "warning",
    "ts": 1795714125.25,
    "boot": "b",
    "seq": 7,
    "actor": "broker",
    "msg": 16,
    "corr": "j",
    "job_id": "j",
    "job_name": "greet",
    "run_at": 1795714130.5,
    "traceback": "Traceback (most recent call last):\n  in greet\nValueError: no",
}


def test_a_person_at_a_terminal_reads_what_became_of_jobs_and_no_bookkeeping(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    configure_logging()
    outlet = outlet_of(logging.getLogger("lamplighter"))

    outlet.write(
        [{"event": "turn.committed", "level": "info", "boot": "b", "seq": 6, "moves": [{"k": "failed"}]}, EVENT]
    )

    first, *rest = terminal.getvalue().splitlines()
    run_at = datetime.fromtimestamp(EVENT["run_at"]).isoformat(" ", "milliseconds")
    assert first.split("job.failed")[1].split(maxsplit=1) == ["job_name=greet", f"run_at='{run_at}' job_id=j"]
    assert rest[:3] == EVENT["traceback"].splitlines()


def test_an_attempt_that_fails_is_one_line_with_its_traceback_at_a_terminal(monkeypatch, runtime, recorder):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    configure_logging()
    rt = runtime()
    rt.jobs.add_handler("greet", lambda job: 1 / 0, max_attempts=2, backoff=[0])
    job = rt.jobs.queue("greet")
    recorder.wait_for("job.dead", job_id=job.id)
    rt.stop()

    printed = terminal.getvalue().splitlines()
    of_it = [line for line in printed if job.id in line]
    assert [re.search(r"job\.\w+", line)[0] for line in of_it] == ["job.failed", "job.dead"]
    assert printed.count("Traceback (most recent call last):") == 2
    assert printed.count("ZeroDivisionError: division by zero") == 2
    assert all("ZeroDivisionError" in line and "traceback=" not in line for line in of_it)


FOR_PEOPLE = {
    "a duration has its unit": ({"event": "job.done", "took": 0.079143}, "job_name=greet took='79.1 ms' job_id=j"),
    "what the reason says is said once": (
        {"event": "job.dead", "attempt": 2, "outcome": "failed", "reason": "failed in attempt 2 of 2"},
        "job_name=greet reason='failed in attempt 2 of 2' job_id=j",
    ),
    "a first attempt goes without saying": ({"event": "job.done", "attempt": 1}, "job_name=greet job_id=j"),
    "nor does one that has not counted": (
        {"event": "job.snoozed", "attempt": 0, "reason": "snoozed for 0 s"},
        "job_name=greet reason='snoozed for 0 s' job_id=j",
    ),
    "an interruption says once who died": (
        {
            "event": "job.failed",
            "attempt": 0,
            "outcome": "interrupted",
            "error": "the process of boot b7 died",
            "reason": "interrupted: the process of boot b7 died",
            "boot_was": "b7",
        },
        "job_name=greet reason='interrupted: the process of boot b7 died' job_id=j",
    ),
    "several are a list of words": (
        {"event": "job.done", "waits_for": ["a (greet)", "b (greet)"]},
        "job_name=greet waits_for='a (greet), b (greet)' job_id=j",
    ),
    "a handler's own line has no bookkeeping": (
        {"event": "mail.sent", "boot": None, "seq": None, "store_id": None, "turn": None, "claim_no": 3, "attempt": 1},
        "job_id=j job_name=greet attempt=1",
    ),
    "a second one does not": ({"event": "job.done", "attempt": 2}, "job_name=greet attempt=2 job_id=j"),
    "the schedule is in the id of its job": (
        {"event": "job.done", "job_id": "s-7", "schedule": "s", "corr": "s-7"},
        "job_name=greet job_id=s-7",
    ),
    "whose child a job is": ({"event": "job.done", "corr": "root"}, "job_name=greet corr=root job_id=j"),
    "what was meant is asked": (
        {"event": "name.parked", "job_id": None, "corr": "j", "jobs": 3, "meant": "greets"},
        "job_name=greet jobs=3 did_you_mean=greets",
    ),
}


@pytest.mark.parametrize("what", FOR_PEOPLE)
def test_a_line_at_a_terminal_says_what_matters_first_and_nothing_twice(monkeypatch, what):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    configure_logging()
    fields, expected = FOR_PEOPLE[what]
    common = {"level": "info", "ts": EVENT["ts"], "boot": "b", "seq": 7, "corr": "j", "job_id": "j"}

    line = {**common, "job_name": "greet", "store_id": "x", "turn": 3, **fields}
    outlet_of(logging.getLogger("lamplighter")).write([{name: one for name, one in line.items() if one is not None}])

    assert terminal.getvalue().split(fields["event"])[1].strip() == expected


TURN = {"event": "turn.committed", "level": "debug", "ts": 1.5, "seq": 6, "moves": [{"k": "queued"}, {"k": "queued"}]}


def test_a_pipe_gets_all_fields_for_the_commands_that_read_them(monkeypatch):
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    configure_logging(console=True)

    outlet_of(logging.getLogger("lamplighter")).write([EVENT, TURN])

    said, *traceback, turn = pipe.getvalue().splitlines()
    assert said.split("job.failed")[1].split() == [
        *("boot=b", "seq=7", "actor=broker", "msg=16", "corr=j", "job_id=j", "job_name=greet", "run_at=1795714130.5"),
    ]
    assert traceback == EVENT["traceback"].splitlines()
    assert turn.split("turn.committed")[1].split(maxsplit=1) == ["seq=6", "did='2 queued'"]


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_without_any_configuration_a_terminal_gets_text_and_a_pipe_json(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", printed := stream())
    outlet = outlet_of(logging.Logger("without handlers"))

    outlet.write([EVENT])
    outlet.bound(job_id="j").warning("nearly %s", "done")

    if stream is Terminal:
        assert "job.failed" in printed.getvalue() and "nearly done" in printed.getvalue()
        assert "\nValueError: no\n" in printed.getvalue()
        assert "{" not in printed.getvalue()
    else:
        said = [json.loads(line) for line in printed.getvalue().splitlines()]
        assert said[0] == EVENT
        assert (said[1]["event"], said[1]["job_id"]) == ("nearly done", "j")


def test_a_closed_terminal_is_counted_and_told_later(monkeypatch):
    monkeypatch.setattr(sys, "stderr", closed := Terminal())
    configure_logging()
    closed.close()
    logging.getLogger("app").info("lost")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    logging.getLogger("app").info("found")

    assert "log.dropped" in terminal.getvalue()
    assert "found" in terminal.getvalue()
    assert sink().dropped == 0


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Hostile(dict):
    def items(self):
        raise RuntimeError("no items")

    __iter__ = keys = items


class Unwalked(Mapping):
    """A mapping that can be shown, and not walked through."""

    def __getitem__(self, key: object) -> object:
        raise RuntimeError("no items")

    __iter__ = __len__ = __getitem__

    def __repr__(self) -> str:
        return "Unwalked"


def loop() -> list:
    one: list = [1]
    one.append(one)
    return one


BAD = {
    "object": object(),
    "unprintable": Unprintable(),
    "surrogate": "a\ud800b",
    "surrogate key": {"\ud800": 1},
    "huge int": 10**5000,
    "large int": 2**80,
    "keys that are no text": {1: 2, (3, 4): 5, None: 6, 1.5: 7, Unprintable(): 8},
    "cycle": loop(),
    "deep": json.loads("[" * 500 + "]" * 500),
    "hostile dict": Hostile(a=1),
    "not a number": float("nan"),
    "infinite": float("inf"),
    "bytes": b"\xff\x00",
    "set": {1, "a"},
    "set of one": {1},
    "class": Unprintable,
    "error": ValueError(Unprintable()),
    "line breaks": "a\nb\r\u2028c\x00\x1b[31m",
    "beside a surrogate": [
        "\ud800",
        Unwalked(),
        {1},
        True,
        None,
        1.5,
        7,
        10**500,
        msgspec.Raw(b"[1]"),
        (2**80, {Unprintable(): 8}),
    ],
}

SHOWN = {
    "unprintable": "<Unprintable: repr raised RuntimeError>",
    "surrogate": "a\ud800b",
    "surrogate key": {"\ud800": 1},
    "huge int": hex(10**5000),
    "large int": 2**80,
    "keys that are no text": {
        "1": 2,
        "(3, 4)": 5,
        "None": 6,
        "1.5": 7,
        "<Unprintable: repr raised RuntimeError>": 8,
    },
    "cycle": json.loads("[1, " * 19 + '"..."' + "]" * 19),
    "deep": BAD["deep"],
    "hostile dict": {"a": 1},
    "not a number": None,
    "infinite": None,
    "set of one": [1],
    "error": "<ValueError: repr raised RuntimeError>",
    "line breaks": BAD["line breaks"],
    "beside a surrogate": [
        *("\ud800", "Unwalked", "{1}", True, None, 1.5, 7, hex(10**500), [1]),
        [2**80, {"<Unprintable: repr raised RuntimeError>": 8}],
    ],
}


@pytest.mark.parametrize("what", SHOWN)
def test_what_json_cannot_say_is_said_by_what_comes_next_to_it(what):
    assert json.loads(to_json({"value": BAD[what]})) == {"value": SHOWN[what]}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_whatever_is_logged_is_one_line_of_json_and_raises_nothing(tmp_path, lines, value):
    with alone():
        configure_logging(tmp_path / "app.log", console=False)

        structlog.get_logger("app").info("structured", value=value, other=1)
        logging.getLogger("app").info("standard", extra={"value": value, "other": 1})
        logging.getLogger("app").info("template %s", value)
        logging.getLogger("app").info(value)
        structlog.get_logger("app").info(value)

    told = lines()
    assert len(told) == 5
    assert [line["event"] for line in told[:2]] == ["structured", "standard"]
    assert all("value" in line and line["other"] == 1 for line in told[:2])
    assert told[2]["event"].startswith("template ")
    assert sink().dropped == 0


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_whatever_is_logged_is_shown_on_a_terminal_and_raises_nothing(monkeypatch, value):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with alone():
        configure_logging()

        structlog.get_logger("app").info("structured", value=value)
        logging.getLogger("app").info("standard", extra={"value": value})
        logging.getLogger("app").info("template %s", value)

    assert sink().dropped == 0
    assert all(event in terminal.getvalue() for event in ("structured", "standard", "template"))


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_a_handlers_log_takes_whatever_it_is_given_without_any_configuration(runtime, caplog, value):
    caplog.set_level(logging.INFO, logger="lamplighter")
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: job.log.info("mine", value=value))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    told = [json.loads(record.getMessage()) for record in caplog.records if record.name == "lamplighter"]
    assert [line["job_id"] for line in told if line["event"] == "mine"] == [job.id]


def test_a_template_that_does_not_fit_its_arguments_is_shown_as_it_is(tmp_path, lines):
    with alone():
        configure_logging(tmp_path / "app.log", console=False)

        logging.getLogger("app").info("%d apples", "x")
        structlog.get_logger("app").info("%s and %s", 1)
        logging.getLogger("app").info("%(n)d apples", {"n": 3})
        structlog.get_logger("app").info("%(n)d pears", {"n": 4})

    assert [line["event"] for line in lines()] == [
        "%d apples % ('x',) (TypeError)",
        "%s and %s % (1,) (TypeError)",
        "3 apples",
        "4 pears",
    ]


def test_a_line_that_is_too_long_keeps_what_names_it(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)

    structlog.get_logger("app").info("long", value="x" * 2_000_000, job_id="j1")

    (line,) = lines()
    assert (line["event"], line["level"], line["job_id"]) == ("long", "info", "j1")
    assert line["cut_bytes"] > 2_000_000
    assert "value" not in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_on_a_full_disk_jobs_run_and_the_lines_are_counted(runtime):
    configure_logging("/dev/full", console=False)
    rt = runtime()

    def work(job):
        job.log.info("one")
        logging.getLogger("app").info("two")
        structlog.get_logger("app").info("three")

    rt.jobs.add_handler("work", work)

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert job.state == "done"
    assert sink().dropped == 3
    # runtime.started and job.done, at least.
    assert rt.health().log_dropped >= 2


class Looks(Failpoints):
    """Looks at what counts as lost whenever a line is written."""

    is_live = True
    log: Log
    seen: list[tuple[str, int]]

    def at(self, point, about=None):
        self.seen.append((about, self.log.dropped))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_lost_lines_count_as_lost_until_a_line_says_so(tmp_path):
    (tmp_path / "app.log").symlink_to("/dev/full")
    configure_logging(tmp_path / "app.log", console=False, level="error")
    looks = Looks()
    looks.log = log = Log(None, "boot", CountingClock(), waiting_max=10, lock=threading.Lock(), failpoints=looks)
    looks.seen = seen = []
    log.emit("job.dead")
    log.emit("job.dead")
    (tmp_path / "app.log").unlink()

    log.emit("job.dead")

    assert seen == [("job.dead", 0), ("log.dropped", 1), ("job.dead", 2), ("log.dropped", 3), ("job.dead", 0)]
    assert log.dropped == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_event_that_a_full_disk_lost_is_said_in_the_name_of_its_boot(tmp_path, lines):
    (tmp_path / "app.log").symlink_to("/dev/full")
    configure_logging(tmp_path / "app.log", console=False, level="error")
    log = Log(None, "boot", CountingClock(), waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())
    log.emit("job.dead")
    log.emit("job.done")
    (tmp_path / "app.log").unlink()

    log.emit("job.dead", job_id="j1")

    dropped, dead = lines()
    assert (dropped["event"], dropped["boot"], dropped["seq"], dropped["count"]) == ("log.dropped", "boot", 3, 1)
    assert dropped["reason"].startswith("OSError: [Errno ")
    assert (dead["event"], dead["seq"], dead["job_id"]) == ("job.dead", 4, "j1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_what_was_dropped_is_said_as_soon_as_there_is_room_again(tmp_path, lines):
    (tmp_path / "app.log").symlink_to("/dev/full")
    configure_logging(tmp_path / "app.log", console=False)
    for number in range(3):
        logging.getLogger("app").info("lost %d", number)

    (tmp_path / "app.log").unlink()
    logging.getLogger("app").info("found")
    logging.getLogger("app").info("and found")

    dropped, *rest = lines()
    assert (dropped["event"], dropped["level"], dropped["count"]) == ("log.dropped", "error", 3)
    assert dropped["reason"].startswith("OSError: ")
    assert [line["event"] for line in rest] == ["found", "and found"]


def test_no_line_is_lost_when_a_configuration_of_others_closes_every_handler(tmp_path, lines, capsys):
    """`uvicorn.Config` makes one: an application that ran it after `configure_logging` lost all lines from then on."""
    configure_logging(tmp_path / "app.log", console=True)

    for event in ("first", "second"):
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        logging.getLogger("app").warning(event)

    assert [line["event"] for line in lines()] == ["first", "second"]
    assert "second" in capsys.readouterr().err


def test_a_sink_that_was_closed_and_has_no_place_any_more_counts_and_does_not_raise(tmp_path):
    (tmp_path / "logs").mkdir()
    configure_logging(tmp_path / "logs" / "app.log", console=False)
    closed = sink()
    closed.close()
    shutil.rmtree(tmp_path / "logs")

    logging.getLogger("app").info("lost")

    assert closed.dropped == 1


def test_a_file_that_we_create_is_ours_alone_and_one_that_was_there_keeps_its_mode(tmp_path):
    (tmp_path / "there.log").write_text("before\n")
    (tmp_path / "there.log").chmod(0o644)

    configure_logging(tmp_path / "there.log", console=False)
    logging.getLogger("app").info("hello")
    configure_logging(tmp_path / "made.log", console=False)

    assert stat.S_IMODE((tmp_path / "there.log").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "made.log").stat().st_mode) == 0o600
    assert (tmp_path / "there.log").read_text().startswith("before\n")


def record(text: str, created: float) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "app", "levelname": "INFO", "msg": text, "created": created})


def test_a_file_that_was_moved_away_is_opened_anew_within_a_second(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    sink().handle(record("old", 100.0))
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")

    sink().handle(record("still old", 100.5))
    sink().handle(record("new", 101.5))

    assert [json.loads(line)["event"] for line in (tmp_path / "app.log.1").read_text().splitlines()] == [
        "old",
        "still old",
    ]
    assert [line["event"] for line in lines()] == ["new"]


def test_a_file_that_was_moved_away_is_opened_anew_though_the_clock_was_set_back(tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    sink().handle(record("old", 4_000.0))
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")

    sink().handle(record("new", 400.0))

    assert [line["event"] for line in lines()] == ["new"]


def test_a_file_that_cannot_be_opened_anew_is_still_written_to(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    configure_logging(folder / "app.log", console=False)
    folder.rename(tmp_path / "moved")

    sink().handle(record("kept", 100.0))

    assert "kept" in (tmp_path / "moved" / "app.log").read_text()
    assert sink().dropped == 0


def say(where: str) -> None:
    structlog.get_logger("app").info("structured", where=where)
    logging.getLogger("app").info("standard", extra={"where": where})


def in_the_function(job):
    say("function")


async def in_a_task(job):
    say("task")
    await asyncio.gather(asyncio.create_task(in_a_sub_task()), asyncio.to_thread(say, "thread of a task"))


async def in_a_sub_task():
    say("sub-task")


def in_a_thread(job):
    thread = threading.Thread(target=contextvars.copy_context().run, args=(say, "thread"))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("handler", "where"),
    [
        (in_the_function, {"function"}),
        (in_a_task, {"task", "sub-task", "thread of a task"}),
        (in_a_thread, {"thread"}),
    ],
)
def test_a_handlers_own_lines_carry_its_job(runtime, tmp_path, lines, handler, where):
    configure_logging(tmp_path / "app.log", console=False)
    rt = runtime()
    rt.jobs.add_handler("work", handler)

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    told = [line for line in lines() if line.get("logger") == "app"]
    assert {(line["event"], line["where"]) for line in told} == {
        (event, place) for event in ("structured", "standard") for place in where
    }
    assert {tuple(line.get(name) for name in JOB_FIELDS) for line in told} == {(job.id, "work", 1, 1, job.id)}


def test_the_lines_of_a_later_attempt_say_so_and_a_descendant_names_its_root(runtime, tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    rt = runtime()

    def work(job):
        say(job.name)
        if job.attempt == 1:
            raise ValueError("again")
        job.queue("child")

    rt.jobs.add_handler("work", work, backoff=[0])
    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.jobs.add_handler("child", lambda job: say(job.name))
    (child,) = rt.jobs.list("child")
    rt.jobs.join(child, timeout=10)

    told = [
        (line["job_id"], line["claim_no"], line["attempt"], line["corr"])
        for line in lines()
        if line["event"] == "standard"
    ]
    assert told == [(job.id, 1, 1, job.id), (job.id, 2, 2, job.id), (child.id, 1, 1, job.id)]


def test_nothing_leaks_into_the_next_job_on_the_same_thread(runtime, tmp_path, lines):
    configure_logging(tmp_path / "app.log", console=False)
    rt = runtime()
    threads = []

    def work(job):
        threads.append(threading.get_ident())
        say("before")
        structlog.contextvars.bind_contextvars(user=job.data, job_name="mine")
        say("after")

    rt.jobs.add_handler("work", work)
    jobs = [rt.jobs.join(rt.jobs.queue("work", user), timeout=10) for user in ("ada", "bob")]

    assert threads[0] == threads[1]
    told = [line for line in lines() if line["event"] == "structured"]
    assert [(line["job_id"], line["where"], line.get("user"), line["job_name"]) for line in told] == [
        (jobs[0].id, "before", None, "work"),
        (jobs[0].id, "after", "ada", "mine"),
        (jobs[1].id, "before", None, "work"),
        (jobs[1].id, "after", "bob", "mine"),
    ]


@pytest.fixture
def stream():
    """A host's own handler with a plain format, and the text that it has written."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(job_id)s %(job_name)s %(claim_no)s %(attempt)s %(corr)s|%(message)s"))
    loggers = [logging.getLogger("app"), logging.getLogger("lamplighter")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield text, handler
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_the_filter_gives_a_plain_format_the_job_of_handlers_lines_and_our_events(runtime, stream):
    text, handler = stream
    handler.addFilter(JobFields())
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: logging.getLogger("app").info("inside"))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    logging.getLogger("app").info("outside")
    rt.stop()

    told = [
        line.split("|")[0] for line in text.getvalue().splitlines() if "runtime." not in line and "turn." not in line
    ]
    mine = f"{job.id} work 1 1 {job.id}"
    assert told == [mine, mine, "- - - - -"]


def test_the_filter_leaves_what_the_host_gives_and_has_another_word_for_outside(stream):
    text, handler = stream
    handler.addFilter(JobFields(outside=None))

    logging.getLogger("app").info("hello", extra={"job_id": "mine"})

    assert text.getvalue() == "mine None None None None|hello\n"


def test_the_filter_works_in_front_of_a_queue(runtime):
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(records)  # type: ignore[arg-type]
    handler.addFilter(JobFields())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: logger.info("inside"))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert records.get_nowait().job_id == job.id  # type: ignore[attr-defined]
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("kind", ["filtering", "standard", "plain"])
def test_a_host_with_its_own_structlog_gets_every_event_through_its_own_processors(runtime, recorder, kind):
    heard = []

    def keep(logger, method, said):
        heard.append({**said, "level": method})
        raise structlog.DropEvent

    logging.getLogger("lamplighter").setLevel(logging.WARNING)
    given = {
        "filtering": {"wrapper_class": structlog.make_filtering_bound_logger(logging.DEBUG)},
        # Its processors see every line, whatever the standard logger's level: only they could say that it is unheard.
        "standard": {
            "wrapper_class": structlog.stdlib.BoundLogger,
            "logger_factory": logging.getLogger,
        },
        "plain": {"wrapper_class": structlog.BoundLogger},
    }[kind]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep], **given)
    before = dict(structlog.get_config())
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: structlog.get_logger("app").info("inside", n=1))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.stop()
    recorder.wait_for("runtime.stopped")

    assert structlog.get_config() == before
    assert [line for line in heard if line["event"] != "inside"] == recorder.events
    (inside,) = (line for line in heard if line["event"] == "inside")
    assert [inside[name] for name in JOB_FIELDS] == [job.id, "work", 1, 1, job.id]


def test_structlogs_own_test_helper_sees_our_events(runtime):
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=logging.getLogger,
    )

    with structlog.testing.capture_logs() as heard:
        runtime().stop()

    assert heard[0]["event"] == "runtime.started"


def test_a_standard_logger_may_be_given_to_a_runtime(runtime, caplog):
    caplog.set_level(logging.DEBUG, logger="my.jobs")
    rt = runtime(logger=logging.getLogger("my.jobs"))
    rt.jobs.add_handler("work", lambda job: job.log.info("mine"))

    rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    told = [json.loads(record.getMessage())["event"] for record in caplog.records if record.name == "my.jobs"]
    assert told[0] == "runtime.started"
    assert "mine" in told


class CountingClock:
    """Says how many lines were built: each asks once what time it is."""

    def __init__(self) -> None:
        self.asked = 0

    def now(self) -> float:
        self.asked += 1
        return 0.0


def keep_into(heard: list):
    def keep(logger, method, said):
        heard.append(said["seq"])
        raise structlog.DropEvent

    return keep


def quiet_standard(heard):
    logger = logging.getLogger("test.quiet")
    logger.setLevel(logging.ERROR)
    logger.handlers = [handler := logging.NullHandler()]
    handler.handle = lambda record: heard.append(record.msg.fields["seq"])
    return logger


def quiet_filtering(heard):
    wrapper = structlog.make_filtering_bound_logger(logging.ERROR)
    return structlog.wrap_logger(None, processors=[keep_into(heard)], wrapper_class=wrapper)


def quiet_structlog_over_standard(heard):
    logger = logging.getLogger("test.quiet")
    logger.setLevel(logging.ERROR)
    processors = [structlog.stdlib.filter_by_level, keep_into(heard)]
    return structlog.wrap_logger(logger, processors=processors, wrapper_class=structlog.stdlib.BoundLogger)


@pytest.mark.parametrize("quiet", [quiet_standard, quiet_filtering, quiet_structlog_over_standard])
def test_what_nobody_hears_is_counted_but_not_built(quiet):
    heard, clock = [], CountingClock()
    log = Log(quiet(heard), "boot", clock, waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())

    log.emit("job.queued")
    log.emit("job.done")
    log.emit("job.dead")

    assert (heard, clock.asked) == ([3], 1)


def test_a_level_that_changes_at_run_time_counts_at_once():
    heard = []
    logger = quiet_standard(heard)
    log = Log(logger, "boot", CountingClock(), waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())

    log.emit("job.done")
    logger.setLevel(logging.DEBUG)
    log.emit("job.done")
    logger.setLevel(logging.CRITICAL)
    log.emit("job.dead")

    assert heard == [2]


def test_a_subscriber_hears_what_the_logger_does_not(runtime, recorder):
    rt = runtime(logger=quiet_standard([]))
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=10)
    rt.stop()

    recorder.wait_for("runtime.stopped")

    assert [event["seq"] for event in recorder.events] == list(range(1, len(recorder.events) + 1))
    assert {"job.queued", "job.claimed", "job.started", "job.done"} <= {event["event"] for event in recorder.events}


def test_a_subscriber_that_was_too_slow_once_hears_what_comes_later():
    heard, most = [], 2
    slow = Subscription(heard.append, None, Mailbox())

    for behind in (1, 2, 3):
        for number in range(most + behind):
            slow.offer({"event": "job.done", "turn": number}, most)
        slow.close()
        slow.run(lambda one, error: None)

        assert [event["turn"] for event in heard] == [0, 1] * behind
        assert slow.dropped == sum(range(behind + 1))


def test_when_the_hosts_logger_raises_as_many_lines_are_lost_as_numbers_are_missing():
    heard, broken = [], [True]

    def fail(logger, method, said):
        if broken[0]:
            raise OSError("no space left")
        heard.append((said["event"], said.get("count"), said["seq"]))
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, processors=[fail], wrapper_class=structlog.BoundLogger)
    log = Log(logger, "boot", CountingClock(), waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())
    log.emit("job.done")
    log.emit("job.done")
    broken[0] = False

    log.emit("job.done")

    # As many as there are numbers missing: the first attempt to say so was lost as well.
    assert heard == [("log.dropped", 3, 4), ("job.done", None, 5)]


@pytest.mark.parametrize("kind", ["standard", "structlog"])
def test_those_of_a_batch_that_can_be_written_are_beside_others_that_cannot(kind):
    heard = []

    def hear(said):
        if said["event"] == "job.dead":
            raise OSError(f"no space left for {said['seq']}")
        heard.append(said["seq"])

    def process(logger, method, said):
        hear(said)
        raise structlog.DropEvent

    class Handler(logging.Handler):
        def emit(self, record):
            hear(record.msg.fields)

    standard = logging.Logger("host")
    standard.addHandler(Handler())
    ours = structlog.wrap_logger(None, processors=[process], wrapper_class=structlog.BoundLogger)
    events = ["job.done", "job.dead", "job.done", "job.dead", "job.done"]
    lines = [{"event": event, "level": "info", "ts": 1.0, "seq": seq} for seq, event in enumerate(events, start=1)]

    lost = outlet_of(ours if kind == "structlog" else standard).write(lines)

    assert lost is not None
    assert (heard, lost.lines, lost.reason) == ([1, 3, 5], 2, "OSError: no space left for 4")


def test_logging_is_not_hijacked_and_the_hosts_lines_know_their_job(runtime):
    root, contexts = logging.getLogger(), []
    before = list(root.handlers), root.level, structlog.is_configured()
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: contexts.append(structlog.contextvars.get_contextvars()))

    job = rt.jobs.join(rt.jobs.queue("work"), timeout=10)

    assert (list(root.handlers), root.level, structlog.is_configured()) == before
    assert (contexts[0]["job_id"], contexts[0]["attempt"]) == (job.id, 1)


def test_data_is_json_in_the_store_and_nowhere_in_the_log(runtime, recorder, tmp_path):
    rt = runtime()
    rt.jobs.add_handler("work", lambda job: None)

    job = rt.jobs.join(rt.jobs.queue("work", {"password": "hunter2"}), timeout=10)
    rt.stop()
    recorder.wait_for("runtime.stopped")

    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        (text,) = connection.execute("select data from lamplighter_jobs where id = ?", (job.id,)).fetchone()
    connection.close()
    assert json.loads(text) == {"password": "hunter2"}
    assert "hunter2" not in str(recorder.events)
    assert recorder.of("job.queued")[0]["bytes"] == len(text)
