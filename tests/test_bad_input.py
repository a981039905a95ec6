"""What bad input gets: a clear error at the call, and nothing is stored."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from lamplighter import (
    Backoff,
    MissingExtra,
    Rate,
    Runtime,
    SchemaTooNew,
    StoreCorrupt,
    UnknownHandler,
    UnknownJob,
    UnknownSchedule,
    UsageError,
)

CYCLE: list = []
CYCLE.append(CYCLE)
DEEP: list = []
for _ in range(200):
    DEEP = [DEEP]

NAMES = ["", None, 7, b"mail", ["mail"], "x" * 201, "\ud83d"]
DATA = [
    ({1j, 2}, "complex"),
    (float("nan"), "nan"),
    (float("inf"), "inf"),
    ({1: "a"}, "only str keys"),
    (iter("x"), "iterator"),
    ({UUID(int=1): "a", str(UUID(int=1)): "b"}, "keys that differ as text"),
    (CYCLE, "cycles"),
    (DEEP, "deep"),
    ({"a": [object()]}, r"data\.a\[0\]"),
    (datetime.now(UTC).tzinfo, "timezone"),
    ("x" * (1024 * 1024), "at most 1048576 bytes"),
    (10**5000, "integer string conversion"),
    ({"to": ["ada", "\ud83d"]}, r"valid Unicode at data\.to\[1\]"),
]
OPTIONS = [
    ({"delay": -1}, "delay"),
    ({"delay": float("nan")}, "delay"),
    ({"delay": "1"}, "delay"),
    ({"delay": True}, "delay"),
    ({"delay": timedelta(seconds=-1)}, "delay"),
    ({"delay": float("inf")}, "delay"),
    ({"delay": 1e300}, "delay.* at most a century"),
    ({"delay": 10**400}, "delay.* at most a century"),
    ({"delay": timedelta.max}, "delay.* at most a century"),
    ({"at": datetime.max.replace(tzinfo=UTC)}, "at to be a datetime between the years 2 and 9998"),
    ({"at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))}, "between the years 2 and 9998"),
    ({"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=12)))}, "between the years 2 and 9998"),
    ({"expires": 1e300}, "expires.* at most a century"),
    ({"expires": datetime.max.replace(tzinfo=UTC)}, "expires to be a datetime between the years 2 and 9998"),
    ({"at": datetime(2030, 1, 1)}, "time zone"),
    ({"at": 1.0}, "at"),
    ({"at": "2030-01-01"}, "at"),
    ({"delay": 1, "at": datetime.now(UTC)}, "delay or at"),
    ({"priority": 1.5}, "priority"),
    ({"priority": True}, "priority"),
    ({"priority": 10**7}, "priority"),
    ({"unique": ""}, "unique"),
    ({"group": ""}, "group"),
    ({"group": 7}, "group"),
    ({"group": "x" * 201}, "group"),
    ({"unique": 3}, "unique"),
    ({"id": ""}, "id"),
    ({"id": "x" * 201}, "id"),
    ({"expires": -1}, "expires"),
    ({"expires": datetime(2030, 1, 1)}, "expires"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 1.0}, "max_attempts"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": -5}, "timeout"),
]
HANDLER_OPTIONS = [
    {"concurrency": 0},
    {"concurrency": 1.5},
    {"concurrency_total": 0},
    {"concurrency_per_group": 0},
    {"concurrency_per_group": 1.5},
    {"rate_per_group": 5},
    {"rate": "100/m"},
    {"rate": Rate(0, per=1)},
    {"rate": Rate(1.5, per=1)},
    {"rate": Rate(10**7, per=1)},
    {"rate": Rate(1, per=0)},
    {"rate": Rate(1, per="1s")},
    {"rate": Rate(1, per=float("nan"))},
    {"rate": Rate(3, per=1, burst=0)},
    {"rate": Rate(3, per=1, burst=4)},
    {"timeout": 0},
    {"on_timeout": "kill"},
    {"max_attempts": 0},
    {"backoff": []},
    {"backoff": "fast"},
    {"backoff": [-1]},
    {"backoff": -5},
    {"backoff": Backoff(factor=0)},
    {"backoff": Backoff(first=-1)},
    {"auto_done": 1},
    {"isolation": "greenlet"},
    {"interruptions_max": 0},
    {"restart": 5},
    {"upcast": 5},
    {"hands_down": "group"},
    {"hands_down": ["unique"]},
    {"hands_down": 5},
    {"upcast": print},
]
WHENS = [
    ("* * * *", "4"),
    ("* * * * * * * *", "8"),
    ("60 * * * *", "60"),
    ("* 24 * * *", "24"),
    ("* * 0 * *", "0"),
    ("* * * 13 *", "13"),
    ("0 0 31 2 *", "never matches a date"),
    ("0 0 30 2 *", "never matches a date"),
    ("R * * * *", "R"),
    ("* " * 200, "256"),
    ("", "expected"),
    ("@fortnightly", "fortnightly"),
    ("@every 0s", "expected"),
    ("@every -5s", "expected"),
    (timedelta(0), "expected"),
    (timedelta(milliseconds=10), "expected"),
    (timedelta(seconds=-5), "expected"),
    (datetime(2030, 1, 1), "time zone|naive|aware"),
    (5, "expected"),
    (None, "expected"),
]
SCHEDULE_OPTIONS = [
    {"timezone": "Mars/Base"},
    {"timezone": ""},
    {"timezone": None},
    {"timezone": "../etc/passwd"},
    {"catch_up": "maybe"},
    {"catch_up_window": -1},
    {"catch_up_max": 0},
    {"overlap": "queue_all"},
    {"dst_gap": "before"},
    {"dst_fold": "third"},
    {"jitter": -1},
    {"durable": "yes"},
    {"key": ""},
    {"data": {1j, 2}},
]


def ids(values):
    return [repr(value)[:40] for value in values]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One runtime for all refusals, because none of them may change it."""
    with Runtime(tmp_path_factory.mktemp("bad") / "jobs.db") as rt:
        yield rt


@pytest.fixture
def rt(shared):
    """The shared runtime, which must be as empty after the test as before."""
    yield shared
    assert sum(shared.jobs.counts().values()) == 0, "something was stored"
    assert shared.scheduler.list() == []
    assert shared.current_boot.declared.names() == []


@pytest.mark.parametrize("name", NAMES, ids=ids(NAMES))
def test_a_job_name_that_cannot_be_is_refused(rt, name):
    with pytest.raises(UsageError, match="expected name to be"):
        rt.jobs.queue(name)
    with pytest.raises(UsageError, match="expected name to be"):
        rt.jobs.queue_many([("good", 1), (name, 1)])
    with pytest.raises(UsageError, match="expected name to be"):
        rt.jobs.add_handler(name, print)
    with pytest.raises(UsageError, match="expected name to be"):
        rt.jobs.pause(name)
    with pytest.raises(UsageError, match="expected name to be"):
        rt.scheduler.add(name, "@daily")


@pytest.mark.parametrize(("data", "says"), DATA, ids=ids([says for _, says in DATA]))
def test_data_that_json_cannot_carry_is_refused(rt, data, says):
    with pytest.raises(UsageError, match=says):
        rt.jobs.queue("mail", data)
    with pytest.raises(UsageError, match=says):
        rt.jobs.queue_many([("good", 1), ("mail", data)])
    with pytest.raises(UsageError, match=says):
        rt.scheduler.add("mail", "@daily", data)


@pytest.mark.parametrize(("options", "says"), OPTIONS, ids=ids([options for options, _ in OPTIONS]))
def test_an_option_of_queue_that_cannot_be_is_refused(rt, options, says):
    with pytest.raises(UsageError, match=says):
        rt.jobs.queue("mail", **options)


@pytest.mark.parametrize("option", ["delay", "expires", "priority", "timeout"])
def test_a_number_that_python_does_not_even_write_is_refused(rt, option):
    with pytest.raises(UsageError, match="got: an int of too many digits"):
        rt.jobs.queue("mail", **{option: 10**5000})


@pytest.mark.parametrize("options", HANDLER_OPTIONS, ids=ids(HANDLER_OPTIONS))
def test_an_option_of_add_handler_that_cannot_be_is_refused(rt, options):
    with pytest.raises(UsageError, match="expected"):
        rt.jobs.add_handler("mail", print, **options)


@pytest.mark.parametrize("fn", [None, "print", 7, {"a": 1}])
def test_a_handler_that_is_not_callable_is_refused(rt, fn):
    with pytest.raises(UsageError, match="expected a callable handler for mail"):
        rt.jobs.add_handler("mail", fn)


def test_a_process_handler_that_a_child_cannot_import_is_refused(rt):
    async def coroutine(job):
        pass

    with pytest.raises(UsageError, match="can import"):
        rt.jobs.add_handler("mail", lambda job: None, isolation="process")
    with pytest.raises(UsageError, match="plain function"):
        rt.jobs.add_handler("mail", coroutine, isolation="process")


@pytest.mark.parametrize(("when", "says"), WHENS, ids=ids([when for when, _ in WHENS]))
def test_a_when_that_cannot_be_is_refused(rt, when, says):
    with pytest.raises(UsageError, match=says):
        rt.scheduler.add("mail", when)


@pytest.mark.parametrize("options", SCHEDULE_OPTIONS, ids=ids(SCHEDULE_OPTIONS))
def test_an_option_of_a_schedule_that_cannot_be_is_refused(rt, options):
    with pytest.raises(UsageError, match="expected"):
        rt.scheduler.add("mail", "@daily", **options)


def test_add_many_adds_none_if_one_cannot_be(rt):
    with pytest.raises(UsageError):
        rt.scheduler.add_many([{"name": "a", "when": "@daily"}, {"name": "b", "when": "never"}])
    with pytest.raises(UsageError, match="name and when"):
        rt.scheduler.add_many([{"name": "a"}])
    with pytest.raises(UsageError, match="colour"):
        rt.scheduler.add_many([{"name": "a", "when": "@daily", "colour": "red"}])


@pytest.mark.parametrize(
    "call",
    [
        lambda rt: rt.jobs.queue("mail", colour="red"),
        lambda rt: rt.jobs.add_handler("mail", print, colour="red"),
        lambda rt: rt.jobs.handler("mail", colour="red")(print),
        lambda rt: rt.scheduler.add("mail", "@daily", colour="red"),
        lambda rt: Runtime(":memory:", colour="red"),
    ],
    ids=["queue", "add_handler", "handler", "schedule", "Runtime"],
)
def test_an_unknown_option_is_named(rt, call):
    with pytest.raises((UsageError, TypeError), match="colour"):
        call(rt)


def test_unknown_ids_are_said_to_be_unknown(rt):
    with pytest.raises(UnknownJob, match="nobody"):
        rt.jobs.get("nobody")
    with pytest.raises(UnknownHandler, match="nobody"):
        rt.jobs.remove_handler("nobody")
    for call in (rt.scheduler.remove, rt.scheduler.pause, rt.scheduler.resume, rt.scheduler.run_now):
        with pytest.raises(UnknownSchedule, match="nobody"):
            call("nobody")
        with pytest.raises(UnknownSchedule, match="7"):
            call([7])
    with pytest.raises(UnknownSchedule, match="nobody"):
        rt.scheduler.explain("nobody", datetime.now(UTC), datetime.now(UTC))


@pytest.mark.parametrize("job", ["", 7, None, b"x"])
def test_what_is_no_job_is_refused(rt, job):
    for call in (rt.jobs.get, rt.jobs.cancel, rt.jobs.requeue, rt.jobs.join, rt.jobs.mark_done):
        with pytest.raises(UsageError, match="expected job to be"):
            call(job)


@pytest.mark.parametrize("jobs", [["mail"], [("mail",)], [("a", 1, 2)], [7]])
def test_what_is_neither_a_pair_nor_a_spec_is_refused(rt, jobs):
    with pytest.raises(UsageError, match=r"expected a JobSpec or a \(name, data\) pair"):
        rt.jobs.queue_many(jobs)


@pytest.mark.parametrize(
    "options",
    [
        {"state": "sleeping"},
        {"limit": 0},
        {"limit": "all"},
        {"limit": 10**9},
        {"name": 7},
        {"name": ""},
        {"before": "x"},
    ],
    ids=repr,
)
def test_a_list_that_cannot_be_is_refused(rt, options):
    with pytest.raises(UsageError):
        rt.jobs.list(**options)


@pytest.mark.parametrize("name", ["", 7, {1}])
def test_counts_of_what_is_no_name_are_refused(rt, name):
    with pytest.raises(UsageError, match="expected name"):
        rt.jobs.counts(name)


@pytest.mark.parametrize("timeout", ["x", -1, float("nan"), True])
def test_a_timeout_of_join_that_cannot_be_is_refused(rt, timeout):
    with pytest.raises(UsageError, match="expected timeout"):
        rt.jobs.join("nobody", timeout=timeout)
    with pytest.raises(UsageError, match="expected timeout"):
        asyncio.run(rt.jobs.ajoin("nobody", timeout=timeout))


@pytest.mark.parametrize(
    "limits",
    [
        {"reply_seconds_max": -1},
        {"reply_seconds_max": "10"},
        {"turn_messages_max": 0},
        {"turn_messages_max": 1.5},
        {"data_bytes_max": True},
        {"keep_done_seconds": float("inf")},
    ],
    ids=repr,
)
def test_a_limit_that_cannot_be_is_refused(limits):
    with pytest.raises(UsageError, match="expected"):
        Runtime(":memory:", **limits)


@pytest.mark.parametrize("store", ["", None, 7, "mysql://x/y", "sqlite://", "sqlite:///", "sqlite://a.db", b"jobs.db"])
def test_a_store_address_that_cannot_be_is_refused(store):
    with pytest.raises(UsageError, match="expected a store"):
        Runtime(store)


def test_a_missing_pika_is_said_with_the_line_that_installs_it(monkeypatch):
    for name in ("pika", *(name for name in sys.modules if name.startswith("pika."))):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "lamplighter.stores.rabbitmq.pika.link", raising=False)

    with pytest.raises(MissingExtra, match=r"pip install 'lamplighter\[rabbitmq\]'") as caught:
        Runtime("amqp://user:secret@host/vhost")

    assert "secret" not in str(caught.value)


def test_an_unknown_durability_is_refused():
    with pytest.raises(UsageError, match="'full' or 'os'"):
        Runtime(":memory:", durability="maybe")


def test_a_store_in_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected the folder of the store to exist"):
        Runtime(tmp_path / "nowhere" / "jobs.db").start()

    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(UsageError, match="got a folder"):
        Runtime(tmp_path).start()


@pytest.mark.parametrize("path", ["/dev/null", "pipe"])
def test_what_is_no_regular_file_is_no_store(tmp_path, path):
    # It was unavailable, which is said of what heals by itself.
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="expected a regular file for the store, got a device, a pipe or a socket"):
        Runtime(tmp_path / path).start()


@pytest.mark.parametrize("name", ["f" * 250 + ".db", "/".join("f" * 100 for _ in range(6))], ids=["name", "path"])
def test_a_path_that_leaves_no_room_for_what_sqlite_keeps_beside_it_is_refused(tmp_path, name):
    # It was unavailable, which is said of what heals by itself.
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)

    with pytest.raises(UsageError, match="expected a path of at most"):
        Runtime(tmp_path / name).start()


def test_a_path_that_is_not_utf_8_is_refused_and_a_folder_that_is_not_too(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="expected a store"):
        Runtime(os.fsdecode(b"jobs-\xff.db"))
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    monkeypatch.chdir(folder)

    with pytest.raises(UsageError, match="expected a store"):
        Runtime("jobs.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_in_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="may be created"):
        Runtime(tmp_path / "jobs.db").start()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which even root creates no file")
def test_a_store_where_no_file_can_be_created_is_refused():
    with pytest.raises(UsageError, match="may be created"):
        Runtime("/proc/self/jobs.db").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "jobs.db"
    path.touch(mode=0o400)
    with pytest.raises(UsageError, match="read and written"):
        Runtime(path).start()


def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 100)

    with pytest.raises(StoreCorrupt, match=r"notes\.txt to be a sound SQLite database"):
        Runtime(path).start()

    assert path.read_text() == "these are my notes\n" * 100


def test_a_schema_from_the_future_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "jobs.db"
    Runtime(path).start().stop()
    with sqlite3.connect(path) as connection:
        connection.execute("update lamplighter_store set schema_version = 999")
    connection.close()

    with pytest.raises(SchemaTooNew, match="got: 999"):
        Runtime(path).start()

    with sqlite3.connect(path) as connection:
        assert connection.execute("select schema_version from lamplighter_store").fetchone() == (999,)
    connection.close()


def test_a_runtime_that_could_not_start_can_be_started_once_it_is_mended(tmp_path):
    rt = Runtime(tmp_path / "later" / "jobs.db")
    with pytest.raises(UsageError):
        rt.start()
    (tmp_path / "later").mkdir()

    with rt:
        assert rt.jobs.queue("mail").state == "queued"


def test_mark_done_refuses_a_result_that_json_cannot_carry(runtime):
    rt = runtime()
    job = rt.jobs.queue("work")

    with pytest.raises(UsageError, match="result"):
        rt.jobs.mark_done(job, {1j})

    assert rt.jobs.get(job).state == "queued"


def test_the_limit_of_data_is_the_runtimes_own(runtime):
    rt = runtime(data_bytes_max=10)

    rt.jobs.queue("work", "12345678")
    with pytest.raises(UsageError, match="at most 10 bytes"):
        rt.jobs.queue("work", "123456789")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rt: rt.scheduler.add("work", "0 0 31 2 *"), "cron expression '0 0 31 2 *' never matches a date"),
        (lambda rt: rt.jobs.get("nope"), "no job 'nope': unknown, or removed by retention"),
        (lambda rt: rt.jobs.queue("work", retries=3), "unknown option retries; did you mean max_attempts?"),
        (lambda rt: rt.scheduler.add("work", "EVERY 5M"), "'EVERY 5M'; did you mean \"@every 5m\"?"),
        (lambda rt: rt.jobs.queue("work", object()), "expected a JSON-serializable value at data"),
        (lambda rt: rt.jobs.queue("work", at=datetime(2030, 1, 1)), "expected at to be a datetime with a time zone"),
    ],
)
def test_errors_speak_the_words_of_the_field(rt, call, says):
    with pytest.raises(UsageError) as caught:
        call(rt)

    assert says in str(caught.value)
