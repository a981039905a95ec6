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
from lamplighter import configure_logging
from lamplighter.environment.failpoints import Failpoints
from lamplighter.log.emitter import NOBODY, Log, Said

from support.logs import alone

pytestmark = pytest.mark.usefixtures("logging_as_before")

JOBS = ("a", "b", "c")

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
def log_to(path):
    """A log that goes to a sink alone: pytest's own handlers are taken away for the time."""
    with alone():
        try:
            configure_logging(path, console=False)
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

    assert [(one["event"], one["seq"], one["job_id"]) for one in seen] == lines()
    assert lines() == [("job.done", number, job_id) for number, job_id in enumerate(JOBS, start=1)]


def test_the_level_of_a_sink_counts(tmp_path, lines):
    with log_to(tmp_path / "app.log") as log:
        logging.getLogger().handlers[0].setLevel(logging.ERROR)
        log.emit_all((Said("job.done", NOBODY, JOBS), Said("job.dead", NOBODY, "d")), of_job)

    assert lines() == [("job.dead", 4, "d")]
