"""The host's side of the log: its own configuration stays, its lines carry the job, and no log call ever raises."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from lamplighter.log.job_context import JOB_FIELDS

from support.logs import SCRIPT_SECONDS_MAX, run_script, whole_and_torn


@pytest.fixture
def lines(tmp_path):
    """Reads the lines of tmp_path/app.log, each as a dict."""
    return lambda: [json.loads(line) for line in (tmp_path / "app.log").read_bytes().splitlines()]


def test_without_a_terminal_and_a_path_json_lines_go_to_standard_error(tmp_path):
    script = "import lamplighter, logging; lamplighter.configure_logging(); logging.getLogger('app').info('hello')"

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, timeout=SCRIPT_SECONDS_MAX
    )

    assert json.loads(ran.stderr)["event"] == "hello"


def test_a_line_that_was_cut_off_by_a_full_disk_spoils_no_other(tmp_path, lines):
    script = """
import logging, resource
from lamplighter import configure_logging

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

configure_logging("app.log", console=False)
log = logging.getLogger("app")
log.info("first")
room(200)
log.info("x" * 300)
log.info("y" * 300)
room(resource.RLIM_INFINITY)
log.info("last")
"""
    run_script(script, tmp_path)

    whole, torn = whole_and_torn(tmp_path / "app.log")

    assert [line["event"] for line in whole] == ["first", "log.dropped", "last"]
    assert (whole[1]["count"], torn) == (2, 1)


def test_a_daemon_that_closes_all_descriptors_keeps_its_log_and_writes_no_other_file(tmp_path, lines):
    script = """
import logging, os
from lamplighter import configure_logging

configure_logging("app.log", console=False)
(sink,) = logging.getLogger().handlers
os.closerange(3, 256)
other = open("other", "wb")
sink.handle(logging.makeLogRecord({"msg": "hello", "levelname": "INFO", "created": 100.0}))
other.write(b"mine")
other.close()
"""
    run_script(script, tmp_path)

    assert (tmp_path / "other").read_bytes() == b"mine"
    assert [line["event"] for line in lines()] == ["hello"]


def test_several_processes_may_share_the_file(tmp_path, lines):
    script = """
import sys
import structlog
from lamplighter import configure_logging

configure_logging("app.log", console=False)
log = structlog.get_logger("app")
for number in range(500):
    log.info("said", who=sys.argv[1], number=number, padding="x" * (number * 20))
"""
    (tmp_path / "script.py").write_text(script)

    running = [subprocess.Popen([sys.executable, "script.py", who], cwd=tmp_path) for who in "abc"]
    codes = [one.wait(SCRIPT_SECONDS_MAX) for one in running]

    assert codes == [0, 0, 0]
    told = [(line["who"], line["number"]) for line in lines()]
    assert sorted(told) == [(who, number) for who in "abc" for number in range(500)]
    assert all([number for one, number in told if one == who] == list(range(500)) for who in "abc")


CHILD = """
import logging
import structlog
from lamplighter import configure_logging

configure_logging("child.log", console=False)

def work(job):
    structlog.get_logger("app").info("structured")
    logging.getLogger("app").info("standard")
    return [job.id, job.attempt]
"""


def test_in_a_child_process_the_hosts_lines_carry_the_job_too(runtime, tmp_path, monkeypatch, importable):
    monkeypatch.chdir(tmp_path)
    rt = runtime()
    rt.jobs.add_handler("work", importable("logging_child", CHILD).work, isolation="process")

    jobs = [rt.jobs.join(rt.jobs.queue("work"), timeout=30) for _ in range(2)]

    told = [json.loads(line) for line in (tmp_path / "child.log").read_text().splitlines()]
    told = [line for line in told if line.get("logger") == "app"]
    assert [(line["event"], *(line[name] for name in JOB_FIELDS)) for line in told] == [
        (event, job.id, "work", 1, 1, job.id) for job in jobs for event in ("structured", "standard")
    ]
    del sys.modules["logging_child"]


def test_a_host_that_configures_nothing_finds_its_logging_untouched(tmp_path):
    script = """
import logging
import structlog

def everything():
    root, ours = logging.getLogger(), logging.getLogger("lamplighter")
    return [
        root.handlers, root.filters, root.level, ours.handlers, ours.filters, ours.level, ours.propagate,
        logging.getLoggerClass(), logging.getLogRecordFactory(), logging.lastResort, logging.root.manager.disable,
        structlog.is_configured(), logging.raiseExceptions,
    ]

before = repr(everything())
from lamplighter import Runtime

def work(job):
    job.log.warning("mine")

runtime = Runtime("jobs.db")
runtime.jobs.add_handler("work", work)
with runtime:
    runtime.jobs.join(runtime.jobs.queue("work"), timeout=10)
assert repr(everything()) == before, (before, everything())
print("untouched")
"""
    assert run_script(script, tmp_path) == "untouched\n"


DICT_CONFIG = """
import json
import logging
import logging.config
from lamplighter import Runtime

class Json(logging.Formatter):
    def format(self, record):
        fields = {"message": record.getMessage(), "level": record.levelname, "logger": record.name}
        return json.dumps({**fields, "job_id": record.job_id, "attempt": record.attempt})

logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"job": {"()": "lamplighter.JobFields", "outside": None}, "plain": {"()": "lamplighter.JobFields"}},
    "formatters": {"json": {"()": Json}, "plain": {"format": "%(levelname)s %(name)s [%(job_id)s] %(message)s"}},
    "handlers": {
        "json": {"class": "logging.FileHandler", "filename": "json.log", "formatter": "json", "filters": ["job"]},
        "plain": {"class": "logging.FileHandler", "filename": "plain.log", "formatter": "plain", "filters": ["plain"]},
    },
    "root": {"level": "DEBUG", "handlers": ["json", "plain"]},
    "loggers": {"pykka": {"level": "WARNING"}},
})
before = [*logging.getLogger().handlers], logging.getLogger().level
events = []
runtime = Runtime("jobs.db")
runtime.subscribe(events.append)
runtime.jobs.add_handler("work", lambda job: logging.getLogger("app").info("100%% inside"))
with runtime:
    job = runtime.jobs.join(runtime.jobs.queue("work"), timeout=10)
assert before == ([*logging.getLogger().handlers], logging.getLogger().level)
while not events or events[-1]["event"] != "runtime.stopped":
    pass
print(json.dumps([job.id, events]))
"""


def test_a_host_with_its_own_standard_logging_gets_every_event_in_its_own_formats(tmp_path):
    job_id, events = json.loads(run_script(DICT_CONFIG, tmp_path))

    told = [json.loads(line) for line in (tmp_path / "json.log").read_text().splitlines()]
    ours = [line for line in told if line["logger"] == "lamplighter"]
    assert [json.loads(line["message"]) for line in ours] == events
    assert [line["job_id"] for line in ours] == [event.get("job_id") for event in events]
    assert [line["level"].lower() for line in ours] == [event["level"] for event in events]
    inside = {"message": "100%% inside", "level": "INFO", "logger": "app", "job_id": job_id, "attempt": 1}
    assert [line for line in told if line["logger"] == "app"] == [inside]
    plain = (tmp_path / "plain.log").read_text().splitlines()
    assert f"INFO app [{job_id}] 100%% inside" in plain
    assert plain[0].startswith("INFO lamplighter [-] {")
    assert len(plain) == len(told)
