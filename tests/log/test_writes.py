"""Lines that are logged together are written together, and whoever else looks at lines sees each of them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading

import lamplighter.log.emitter
import lamplighter.log.outlets
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lamplighter import configure_logging
from lamplighter.broker.outbox import Outbox, log_lines
from lamplighter.environment.failpoints import Failpoints
from lamplighter.environment.replies import Mailbox
from lamplighter.log.emitter import NOBODY, Log, Said, Speaker, Subscription
from lamplighter.log.events import MOVE_KEYS
from lamplighter.log.log_line import to_json
from lamplighter.messages.boots import MOVES_MAX, LedgerTurn
from msgspec import Raw

from support.logs import alone

JOBS = ("a", "b", "c")

BROKER = Speaker("broker", 1)
QUEUED = [{"k": "queued", "j": "a", "n": "mail", "r": 1, "d": "0f"}]
PLAIN = Outbox(did=LedgerTurn("boot", 3, 7, 1.5, QUEUED), lines=[Said("job.queued", NOBODY, [{"job_id": "a"}])])

CALL_HANDLERS = logging.Logger.callHandlers
"""Logging's own: a tool that another test has begun to watch the process with may stand in its place for ever."""


@pytest.fixture(autouse=True)
def unwatched(monkeypatch):
    """Nobody stands in for a method of logging's."""
    monkeypatch.setattr(logging.Logger, "callHandlers", CALL_HANDLERS)


class Clock:
    def now(self):
        return 1.0


def of_job(event, job_id):
    return {"job_id": job_id, "reason": None}


@contextlib.contextmanager
def log_to(path, level="info"):
    """A log that goes to a sink alone: pytest's own handlers are taken away for the time."""
    with alone():
        try:
            configure_logging(path, console=False, level=level)
            yield Log(None, "boot", Clock(), waiting_max=10, lock=threading.Lock(), failpoints=Failpoints())
        finally:
            root = logging.getLogger()
            for handler in root.handlers:
                handler.close()
            root.handlers = []


@pytest.fixture
def lines(tmp_path):
    """Reads the lines of tmp_path/app.log: event, number and job of each."""

    def read():
        told = [json.loads(line) for line in (tmp_path / "app.log").read_bytes().splitlines()]
        return [(line["event"], line["seq"], line.get("job_id")) for line in told]

    return read


@pytest.fixture
def writes(monkeypatch):
    """How many lines each write to a file had."""
    found, write = [], os.write

    def counted(fd, text):
        found.append(text.count(b"\n"))
        return write(fd, text)

    monkeypatch.setattr(lamplighter.log.outlets.os, "write", counted)
    return found


def test_what_is_logged_together_is_one_write_in_the_order_of_its_numbers(tmp_path, lines, writes):
    said = (Said("job.done", NOBODY, JOBS), Said("job.queued", NOBODY, JOBS), Said("job.dead", NOBODY, "d"))
    with log_to(tmp_path / "app.log") as log:
        log.emit_all(said, of_job)

    assert writes == [4]
    told = lines()
    assert [(event, job_id) for event, _, job_id in told] == [*(("job.done", one) for one in JOBS), ("job.dead", "d")]
    # Those that nobody hears have got their numbers, too.
    assert {number for _, number, _ in told} < set(range(1, 8))
    assert told == sorted(told, key=lambda one: one[1])


def test_a_pipe_that_several_may_share_gets_line_by_line(tmp_path, writes):
    os.mkfifo(tmp_path / "app.log")
    reading = os.open(tmp_path / "app.log", os.O_RDONLY | os.O_NONBLOCK)

    with log_to(tmp_path / "app.log") as log:
        log.emit_all((Said("job.done", NOBODY, JOBS),), of_job)
    os.close(reading)

    assert writes == [1, 1, 1]


def test_of_very_many_lines_only_so_many_are_made_before_they_are_written(tmp_path, lines, writes, monkeypatch):
    monkeypatch.setattr(lamplighter.log.emitter, "TOGETHER_MAX", 2)

    with log_to(tmp_path / "app.log") as log:
        log.emit_all((Said("job.done", NOBODY, JOBS), Said("job.dead", NOBODY, JOBS)), of_job)

    assert writes == [2, 2, 2]
    assert [number for _, number, _ in lines()] == [1, 2, 3, 4, 5, 6]


@contextlib.contextmanager
def handler(seen, monkeypatch):
    class Own(logging.Handler):
        def emit(self, record):
            seen.append(record.msg.fields)

    logging.getLogger().addHandler(Own())
    yield


@contextlib.contextmanager
def filter_of_logger(seen, monkeypatch):
    logger = logging.getLogger("lamplighter")
    look = look_into(seen)
    logger.addFilter(look)
    yield
    logger.removeFilter(look)


@contextlib.contextmanager
def filter_of_handler(seen, monkeypatch):
    logging.getLogger().handlers[0].addFilter(look_into(seen))
    yield


@contextlib.contextmanager
def stand_in(seen, monkeypatch):
    """As tools that watch an application have it."""
    call = logging.Logger.callHandlers

    def watched(self, record):
        seen.append(record.msg.fields)
        return call(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", watched)
    yield


def look_into(seen):
    def look(record):
        seen.append(record.msg.fields)
        return True

    return look


@pytest.mark.parametrize("looks", [handler, filter_of_logger, filter_of_handler, stand_in])
def test_whoever_looks_at_records_sees_each_line_and_the_file_has_it(tmp_path, lines, monkeypatch, looks):
    seen = []

    with log_to(tmp_path / "app.log") as log, looks(seen, monkeypatch):
        log.emit_all((Said("job.done", NOBODY, JOBS),), of_job)
        log_lines(log, PLAIN, BROKER, "boot", "store")

    assert [(one["event"], one["seq"], one.get("job_id")) for one in seen] == lines()
    jobs = [("job.done", number, job_id) for number, job_id in enumerate(JOBS, start=1)]
    assert lines() == [*jobs, ("turn.committed", 5, None)]


def test_two_files_of_ours_get_the_line_of_a_turn(tmp_path, lines):
    with log_to(tmp_path / "app.log") as log:
        logging.getLogger().addHandler(lamplighter.log.outlets.LineFile(str(tmp_path / "second.log")))
        log_lines(log, PLAIN, BROKER, "boot", "store")

    assert lines() == [("turn.committed", 2, None)]
    assert (tmp_path / "second.log").read_bytes() == (tmp_path / "app.log").read_bytes()


def test_the_level_of_a_sink_counts(tmp_path, lines):
    with log_to(tmp_path / "app.log") as log:
        logging.getLogger().handlers[0].setLevel(logging.ERROR)
        log.emit_all((Said("job.done", NOBODY, JOBS), Said("job.dead", NOBODY, "d")), of_job)

    assert lines() == [("job.dead", 4, "d")]


INSTANTS = st.floats(min_value=0, max_value=2**33)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | INSTANTS | st.text() | st.lists(st.text())
MOVES = st.lists(st.dictionaries(st.sampled_from(list(MOVE_KEYS)), VALUES), max_size=4)
TURNS = st.builds(LedgerTurn, st.text(), st.integers(0, 9), st.integers(1, 2**53), INSTANTS, MOVES)
JOB_LINES = st.builds(
    Said,
    st.sampled_from(["job.queued", "job.done", "job.dead"]),
    st.just(NOBODY),
    st.lists(st.just({"job_id": "a"}), max_size=3),
)
OUTBOXES = st.builds(
    lambda did, lines, unlogged: Outbox(did=did, lines=lines, unlogged=unlogged),
    st.none() | TURNS,
    st.lists(JOB_LINES, max_size=3),
    st.lists(TURNS, max_size=1),
)


def logged(path, turns, store_id, teller, level, dropped, *, is_seen=False):
    """The file of a log after these turns, and whether code of the application has seen them."""
    with log_to(path, level) as log:
        log.dropped = dropped
        if is_seen:
            logging.getLogger().handlers[0].addFilter(bool)
        for out in turns:
            log_lines(log, out, teller, "boot", store_id)
    return path.read_bytes()


def long_turn(moves):
    return Outbox(did=LedgerTurn("boot", 3, 7, 1.5, moves))


@example([PLAIN, long_turn(QUEUED * MOVES_MAX)], "store", BROKER, "info", 0)
@example([PLAIN, long_turn(QUEUED * (MOVES_MAX + 1))], "store", BROKER, "info", 0)
@example([PLAIN, long_turn([{"k": "x" * 2**20}]), PLAIN], "store", BROKER, "info", 0)
@example([Outbox(did=PLAIN.did, unlogged=[PLAIN.did])], None, NOBODY, "info", 2)
@example([Outbox(did=PLAIN.did, lines=[Said("job.done", NOBODY, [{}])])], "store", BROKER, "info", 0)
@example([PLAIN, Outbox(did=PLAIN.did, lines=[Said("job.dead", NOBODY, [{}])])], "store", BROKER, "warning", 0)
@given(
    st.lists(OUTBOXES, max_size=4),
    st.none() | st.text(),
    st.tuples(st.none() | st.text(), st.none() | st.integers(1, 9)).map(lambda said: Speaker(*said)),
    st.sampled_from(["debug", "info", "warning"]),
    st.integers(0, 2),
)
def test_a_turn_logged_as_one_text_has_the_bytes_of_one_that_the_application_sees(
    tmp_path_factory, turns, store_id, teller, level, dropped
):
    folder = tmp_path_factory.mktemp("logs")

    one = logged(folder / "one.log", turns, store_id, teller, level, dropped)
    other = logged(folder / "other.log", turns, store_id, teller, level, dropped, is_seen=True)

    assert one == other


def test_a_subscriber_hears_a_plain_turn(tmp_path, lines):
    hearer = Subscription(print, None, Mailbox())
    with log_to(tmp_path / "app.log") as log:
        log.subscribe(hearer)
        log_lines(log, PLAIN, BROKER, "boot", "store")

    assert [one["event"] for one in hearer.waiting.mail] == ["turn.committed", "job.queued"]
    assert lines() == [("turn.committed", 1, None)]


def test_a_plain_turn_is_one_text_where_one_file_of_ours_listens_alone(tmp_path, writes):
    with log_to(tmp_path / "app.log") as log:
        assert log.emit_turn(PLAIN.did, "store", BROKER, PLAIN.lines)

    assert writes == [1]


def test_a_line_that_nobody_hears_has_a_number_and_is_not_made(tmp_path, lines):
    made = []
    with log_to(tmp_path / "app.log") as log:
        log.emit_made("job.started", NOBODY, lambda: made.append(1))
        log.emit("job.done", job_id="a")

    assert lines() == [("job.done", 2, "a")]
    assert not made


def test_a_line_that_only_a_subscriber_hears_is_made(tmp_path, lines):
    hearer = Subscription(print, None, Mailbox())
    with log_to(tmp_path / "app.log") as log:
        log.subscribe(hearer)
        log.emit_made("job.started", NOBODY, lambda: {"job_id": "a"})

    assert [(one["event"], one["seq"], one["job_id"]) for one in hearer.waiting.mail] == [("job.started", 1, "a")]
    assert lines() == []


def test_a_text_that_was_ready_is_kept_in_a_line_that_must_be_written_slowly():
    assert json.loads(to_json({"cut": "\ud800", "moves": Raw(b'[{"k":"queued"}]')})) == {
        "cut": "\ud800",
        "moves": [{"k": "queued"}],
    }
