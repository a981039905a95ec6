"""Why a job has not ended: what a log tells of it, and what its level does not let it tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main

from ..kit import WAIT_SECONDS_MAX, Said, Story, logger_to, write_log


@contextmanager
def busy_host(log: Path, store: str, level: str) -> Iterator[Runtime]:
    """A host with a name that is paused, one that is full, a job that is delayed and one that nobody handles."""
    begun, release = threading.Event(), threading.Event()

    def hold(job: object) -> None:
        begun.set()
        assert release.wait(WAIT_SECONDS_MAX)

    runtime = Runtime(store, logger=logger_to(log, level))
    jobs = runtime.jobs
    jobs.add_handler("mail", lambda job: None)
    jobs.add_handler("import", hold, concurrency=4, concurrency_total=1)
    with runtime:
        jobs.pause("mail")
        jobs.queue("mail", id="paused")
        running = jobs.queue("import", id="holder")
        assert begun.wait(WAIT_SECONDS_MAX)
        jobs.queue("import", id="limited")
        jobs.queue("import", id="delayed", delay=3600)
        jobs.queue("nobody", id="orphan")
        # When this turn's reply is there, the lines of the turn before are written.
        jobs.pause("another")
        try:
            yield runtime
        finally:
            jobs.cancel("limited")
            release.set()
            jobs.join(running, timeout=WAIT_SECONDS_MAX)


def last_words(job_id: str, log: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["trace", "--json", job_id, str(log)]) == 0
    says = [json.loads(line)["says"] for line in capsys.readouterr().out.splitlines()]
    return [said.removeprefix("when these logs end, ") for said in says if said.startswith("when these logs end")]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_tells_why_each_job_waits(tmp_path, capsys, level):
    log = tmp_path / "app.log"
    with busy_host(log, ":memory:", level):
        cut = tmp_path / "cut.log"
        cut.write_text(log.read_text())

    (paused,) = last_words("paused", cut, capsys)
    (delayed,) = last_words("delayed", cut, capsys)
    (orphan,) = last_words("orphan", cut, capsys)
    (holder,) = last_words("holder", cut, capsys)
    assert paused.startswith("mail is paused since 2")
    assert delayed.startswith(("it is not due for 59 min", "it is not due for 1 h 0 min"))
    assert orphan == "no runtime that lives has a handler for nobody"
    assert holder.startswith("it runs on boot ")
    assert last_words("holder", log, capsys) == []
    if level == "debug":
        # Which handlers there are is told at debug.
        (limited,) = last_words("limited", cut, capsys)
        assert limited == "import has concurrency_total=1, held by job holder"


def test_a_job_that_waits_or_runs_at_info_is_told_of(tmp_path, capsys):
    log, store = tmp_path / "app.log", tmp_path / "jobs.db"
    with busy_host(log, str(store), "info"):
        assert main(["trace", "limited", str(log)]) == 0
        assert main(["trace", "--at", "9999999999", str(log)]) == 0
        assert main(["audit", str(log)]) == 0
        assert main(["audit", str(log), "--store", str(store)]) == 0
    said = capsys.readouterr().out.splitlines()

    assert "jobs: 4 queued, 1 running" in said
    summaries = [line for line in said if line.startswith("all is well")]
    assert [summary.rpartition("; ")[2] for summary in summaries] == ["5 unfinished", "5 unfinished"]


def test_an_instant_without_an_offset_is_in_utc_wherever_the_machine_is(zone, tmp_path, capsys):
    log = tmp_path / "app.log"
    write_log(log, Story().lines)

    said = []
    for text in ("2026-03-01T12:00", "2026-03-01T12:00Z", "2026-03-01T17:30+05:30"):
        main(["trace", "--at", text, "--json", str(log)])
        said.append(json.loads(capsys.readouterr().out)["at"])

    assert said == [datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()] * 3


def test_at_warning_a_job_is_not_said_not_to_be(tmp_path, capsys):
    log = tmp_path / "app.log"
    story = Story().said("store.available", store="/srv/jobs.db", waited=1.0)
    write_log(log, [{**line, "level": "warning"} for line in story.lines[-1:]])

    assert main(["trace", "somebody", str(log)]) == 1
    assert main(["trace", "--at", "9999999999", str(log)]) == 0

    untold = "(these logs are at warning, and what turns do is told at info)"
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"nothing in these logs is about job somebody {untold}"
    assert f"jobs: none {untold}" in said


def ledger(turn: int, kind: str, job_id: str, **keys: object) -> Said:
    """The ledger's line of a turn with one move."""
    move = {"k": kind, "j": job_id, "n": "work", **keys}
    return {"event": "turn.committed", "store_id": "s", "boot_no": 1, "turn": turn, "moves": [move]}


def told(job_id: str, *more: Said) -> list[Said]:
    """A job that was queued and claimed by a boot, and what came then."""
    lines: list[Said] = [
        {"event": "runtime.started", "store": "/srv/jobs.db", "pid": 7},
        {"event": "handler.added", "job_name": "work", "handler": "work#1", "concurrency": 1},
        ledger(1, "queued", job_id, r=1),
        *more,
    ]
    return [{"boot": "a", **line, "seq": n, "ts": float(n), "at": float(n)} for n, line in enumerate(lines, start=1)]


CLAIMED = ledger(2, "claimed", "j", r=2, f="queued", c=1, a=0)
OTHER = ledger(2, "claimed", "k", r=2, f="queued", c=1, a=0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([CLAIMED], "it runs on boot a (pid 7)"),
        (
            [CLAIMED, {"event": "job.parked", "boot": "b"}, {"event": "job.parked", "boot": "b"}],
            "it runs on boot a (pid 7), which has said nothing for 2 s",
        ),
        ([CLAIMED, {"event": "runtime.stopped"}], "it runs on boot a, which has ended and has not given it back"),
        ([{"event": "runtime.stopped"}], "no runtime that lives has a handler for work"),
        ([{"event": "actor.quarantined", "child": "handler:work"}], "the handlers of work on boot a are quarantined"),
        ([{"event": "handler.halted", "job_name": "work"}], "the handlers of work on boot a are halted"),
        ([OTHER], "work has 1 lane in all, held by job k"),
    ],
)
def test_what_became_of_those_who_would_run_it_is_told(tmp_path, capsys, more, says):
    assert last_words("j", write_log(tmp_path / "log", told("j", *more)), capsys) == [says]


def handler(boot: str = "a", **options: object) -> Said:
    return {
        "event": "handler.added",
        "boot": boot,
        "job_name": "work",
        "handler": "work#1",
        "concurrency": 1,
        **options,
    }


OTHERS = ledger(2, "claimed", "l", r=2, f="queued", c=1, a=0)
OF_ACME = {"event": "job.queued", "job_id": "j", "job_name": "work", "group": "acme", "turn": 1}
LATER = {"event": "runtime.started", "boot": "b", "store": "/srv/jobs.db", "pid": 8}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([handler(concurrency=2), OTHER], []),
        ([handler(concurrency=2), OTHER, {**OTHERS, "turn": 3}], ["work has 2 lanes in all, held by jobs k, l"]),
        ([handler(concurrency=2, concurrency_total=1), OTHER], ["work has concurrency_total=1, held by job k"]),
        ([LATER, handler("b"), OTHER], []),
        (
            [LATER, handler("b"), {"event": "runtime.stopped", "boot": "b"}, OTHER],
            ["work has 1 lane in all, held by job k"],
        ),
        ([handler(rate="1/10s")], ["work may start 1/10s (rate)"]),
        ([handler(rate="1/10s"), LATER, handler("b")], []),
        ([OF_ACME, handler(concurrency_per_group=2)], ["its group acme may have 2 running (concurrency_per_group)"]),
        (
            [OF_ACME, handler(concurrency_per_group=3), LATER, handler("b", concurrency_per_group=2)],
            ["its group acme may have 2 running (concurrency_per_group)"],
        ),
        ([OF_ACME, handler(concurrency_per_group=3), LATER, handler("b")], []),
        ([handler(concurrency_per_group=3)], []),
        ([CLAIMED, ledger(3, "deferred", "j", r=2, c=1)], ["it waits to be marked done"]),
        (
            [
                {"event": "actor.quarantined", "child": "handler:work"},
                {"event": "actor.restarted", "child": "handler:work"},
            ],
            [],
        ),
    ],
)
def test_the_limits_that_keep_a_job_waiting_are_told(tmp_path, capsys, more, says):
    assert last_words("j", write_log(tmp_path / "log", told("j", *more)), capsys) == says


def test_a_name_that_was_resumed_is_not_paused(tmp_path, capsys):
    pauses = [{"event": f"name.{what}", "job_name": "work"} for what in ("paused", "resumed")]

    assert last_words("j", write_log(tmp_path / "log", told("j", *pauses)), capsys) == []


def paused(at: float, kind: str = "name.paused", **keys: object) -> Said:
    """The ledger's line of an act from outside, which has no line of its own."""
    move = {"k": kind, "n": "work", **keys}
    line = {"event": "turn.committed", "store_id": "s", "boot_no": 2, "turn": 1, "of": "x", "told_by": "a"}
    return {**line, "of": f"x{at}", "acted_at": at, "moves": [move]}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            [paused(4, by="ada", via="cli", why="it fails", u=99.0)],
            ["work is paused since 1970-01-01T00:00:04Z by ada until 1970-01-01T00:01:39Z: it fails"],
        ),
        ([paused(4, u=3.5)], []),
        # It was told late, after somebody had resumed it.
        ([paused(6, "name.resumed"), paused(5, by="ada")], []),
        ([paused(5, "name.resumed"), paused(6, by="ada")], ["work is paused since 1970-01-01T00:00:06Z by ada"]),
    ],
)
def test_what_somebody_without_a_log_did_to_its_name_is_told_of(tmp_path, capsys, more, says):
    lines = [{**line, "at": line.pop("acted_at", line["at"])} for line in told("j", *more)]

    assert last_words("j", write_log(tmp_path / "log", lines), capsys) == says
