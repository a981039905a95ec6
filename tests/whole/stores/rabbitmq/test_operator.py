"""Somebody outside of any runtime acts on a RabbitMQ: it is told once, with who and why, and the proof is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
import pytest
from lamplighter import NotSupported, Runtime, StoreError, UnknownJob, UnknownSchedule, UsageError
from lamplighter.admin.operator import Operator
from lamplighter.cli.main import main
from lamplighter.environment import Environment
from lamplighter.environment.failpoints import Failpoints
from lamplighter.history.trace.job import biography
from lamplighter.messages.names import PauseRecord
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.ledger import SILENT_LOOKS_MAX, Ledger

from ....conftest import Recorder
from ....history.kit import logger_to


def fail(job: Any) -> None:
    raise ValueError("not yet")


def told_by(recorder: Recorder) -> list[tuple[Any, ...]]:
    """Who acted, and what was said of it, in the order in which it was told."""
    said = sorted(recorder.of("operator.acted"), key=lambda line: (line["ts"], line["seq"]))
    return [(line["by"], line["via"], line["action"], line.get("reason"), line["told"]) for line in said]


def check_told_once(recorder: Recorder, acts: int) -> None:
    """So many acts were told, each once, by a runtime; and the audit has nothing to say."""
    said = recorder.of("operator.acted")
    assert len({line["operator"] for line in said}) == len(said) == acts
    turns = [(line["of"], line["turn"]) for line in recorder.of("turn.committed") if "told_by" in line]
    assert len(set(turns)) == len(turns) == acts
    report = recorder.audit()
    assert (report.findings, report.acts, report.crashes) == ((), acts, 0)


def pauses_on(rt: Runtime) -> Sequence[PauseRecord]:
    return rt.current_boot.get().store.jobs.pauses()


@pytest.fixture
def ada(url: str) -> Operator:
    return Operator(url, by="ada", via="cli")


@pytest.fixture
def started(url: str, runtime) -> Callable[..., Runtime]:
    def start(*names: str) -> Runtime:
        made = runtime(url)
        for name in names or ("fails",):
            made.jobs.add_handler(name, fail, max_attempts=1)
        return made

    return start


def test_dead_jobs_are_requeued_beside_a_runtime_which_tells_it(url: str, started, recorder: Recorder, ada):
    rt = started()
    jobs = rt.jobs.queue_many([("fails", number) for number in range(5)])
    recorder.wait_for("job.dead", count=5)

    first = ada.requeue(jobs[0], reason="mended")
    recorder.wait_for("job.dead", count=6)
    assert ada.requeue_dead([job.id for job in jobs], reason="all") == 5
    recorder.wait_for("job.dead", count=11)
    recorder.wait_for("operator.acted", count=2)
    rt.stop()

    assert (first.id, first.state) == (jobs[0].id, "queued")
    assert told_by(recorder) == [("ada", "cli", "requeued", "mended", 1), ("ada", "cli", "requeued", "all", 5)]
    check_told_once(recorder, 2)


def test_names_and_schedules_are_steered_and_each_act_is_told_with_its_reason(
    url: str, started, recorder: Recorder, ada
):
    rt = started("work")
    nightly = rt.scheduler.add("work", "0 3 * * *", key="nightly", durable=True)
    recorder.wait_for("schedule.added")
    until = datetime.now(UTC) + timedelta(hours=1)

    ada.pause("work", until=until, reason="the other side is down")
    recorder.wait_for("operator.acted", action="name.paused")
    (pause,) = pauses_on(rt)
    ada.resume("work", reason="it is back")
    ada.pause_schedule(nightly, reason="holidays")
    ada.resume_schedule(nightly)
    run = ada.run_now(nightly, reason="at once")
    recorder.wait_for("job.dead", job_id=run.id)
    ada.remove_schedule(nightly, reason="no more")
    recorder.wait_for("operator.acted", count=6)
    recorder.until(lambda: not rt.scheduler.list(), "the schedule to be gone")
    rt.stop()

    assert (pause.name, pause.by, pause.reason, pause.until) == (
        "work",
        "ada",
        "the other side is down",
        until.timestamp(),
    )
    assert told_by(recorder) == [
        ("ada", "cli", "name.paused", "the other side is down", 1),
        ("ada", "cli", "name.resumed", "it is back", 1),
        ("ada", "cli", "schedule.paused", "holidays", 1),
        ("ada", "cli", "schedule.resumed", None, 1),
        ("ada", "cli", "queued", "at once", 1),
        ("ada", "cli", "schedule.removed", "no more", 1),
    ]
    check_told_once(recorder, 6)


def test_with_no_runtime_alive_the_next_start_tells_what_was_done(url: str, started, recorder: Recorder, ada):
    with started() as rt:
        nightly = rt.scheduler.add("fails", "0 3 * * *", key="nightly", durable=True)
        dead = rt.jobs.queue("fails")
        recorder.wait_for("job.dead")

    ada.requeue(dead, reason="mended")
    Operator(url, by="bob", via="web").pause_schedule(nightly)
    ada.pause("fails", reason="wait")
    before = recorder.audit()
    after = started()
    recorder.wait_for("operator.acted", count=3)
    paused = [pause.reason for pause in pauses_on(after)]
    after.jobs.resume("fails")
    recorder.wait_for("job.dead", count=2)
    after.stop()

    assert before.findings == ()
    assert paused == ["wait"]
    assert told_by(recorder) == [
        ("ada", "cli", "requeued", "mended", 1),
        ("bob", "web", "schedule.paused", None, 1),
        ("ada", "cli", "name.paused", "wait", 1),
    ]
    check_told_once(recorder, 3)


def test_many_acts_are_told_once_each_whoever_leads(url: str, started, recorder: Recorder, ada):
    one, other = started("work"), started("work")
    for number in range(25):
        ada.pause(f"name {number}")
    one.stop()
    for number in range(25):
        ada.resume(f"name {number}")
    recorder.wait_for("operator.acted", count=50)
    other.stop()
    # Nobody tells of it again.
    started("work").stop()

    check_told_once(recorder, 50)


def test_one_killed_after_all_of_it_holds_is_told_all_the_same(url: str, started, recorder: Recorder):
    rt = started()
    dead = rt.jobs.queue("fails")
    recorder.wait_for("job.dead")
    points = Failpoints("store.turn.committed=1*raise(SystemExit: killed)")

    with pytest.raises(SystemExit):
        Operator(url, by="ada", via="cli", environment=Environment(failpoints=points)).requeue(dead)

    recorder.wait_for("operator.acted", by="ada", action="requeued")
    recorder.wait_for("job.dead", count=2)
    rt.stop()
    check_told_once(recorder, 1)


def test_of_one_who_is_killed_midway_it_is_told_what_nobody_can_know(
    url: str, started, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
):
    looks = SILENT_LOOKS_MAX + 2
    look = Ledger.look_who_lives
    monkeypatch.setattr(Ledger, "look_who_lives", lambda self: [look(self) for _ in range(looks)])
    monkeypatch.setattr("lamplighter.stores.rabbitmq.pika.link.PULSE_SECONDS", 0.2)
    rt = started()
    dead = rt.jobs.queue("fails")
    recorder.wait_for("job.dead")
    points = Failpoints("store.turn.published=1*raise(SystemExit: killed)")

    with pytest.raises(SystemExit):
        Operator(url, by="ada", via="cli", environment=Environment(failpoints=points)).requeue(dead, reason="mended")

    line = recorder.wait_for("operator.acted")
    recorder.wait_for("job.dead", count=2)
    rt.stop()
    said = {name: line.get(name) for name in ("by", "via", "action", "reason", "told", "unknown", "turn")}
    assert said == {
        "by": "ada",
        "via": "cli",
        "action": "requeued",
        "reason": "mended",
        "told": 0,
        "unknown": 1,
        "turn": 0,
    }
    report = recorder.audit()
    assert (report.findings, report.acts) == ((), 1)
    assert any("was lost while it acted" in note for note in report.notes)


def test_a_server_where_no_runtime_ever_was_is_none_to_act_on(url: str, ada: Operator):
    with pytest.raises(StoreError, match=r"expected a RabbitMQ that runtimes have used at .*, got: no ledger"):
        ada.pause("work")

    connection = pika.BlockingConnection(pika.URLParameters(url))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        connection.channel().queue_declare(topology.LEDGER, passive=True)
    connection.close()


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("where", ["file", "server"])
def test_the_life_of_a_job_tells_who_has_requeued_it_by_what_means_and_why(
    where: str, level: str, request: pytest.FixtureRequest, tmp_path: Path, recorder: Recorder
):
    address = request.getfixturevalue("url") if where == "server" else str(tmp_path / "jobs.db")
    log = tmp_path / "lamplighter.log"
    rt = Runtime(address, logger=logger_to(log, level))
    recorder.follow(rt)
    rt.jobs.add_handler("fails", fail, max_attempts=1)
    with rt:
        job = rt.jobs.queue("fails")
        recorder.wait_for("job.dead")
        Operator(address, by="ada", via="cli").requeue(job, reason="mended")
        recorder.wait_for("operator.acted")
        recorder.wait_for("job.dead", count=2)

    life = biography([str(log)], job.id)

    assert life is not None
    assert life.gaps == 0
    (told,) = [entry.says for entry in life.entries if "requeued" in entry.says]
    assert told.startswith("requeued by ada via cli, queued again: mended (told by boot ")


def test_what_cannot_be_is_refused_before_anything_is_stored(url: str, started, recorder: Recorder, ada):
    rt = started("work")
    nightly = rt.scheduler.add("work", "0 3 * * *", key="nightly")
    waiting = rt.jobs.queue("work", delay=3600)
    recorder.wait_for("schedule.added")

    for act in (ada.cancel, ada.requeue):
        with pytest.raises(UnknownJob, match=f"no runtime holds job '{waiting.id}', as 1 runtime said"):
            act(waiting)
    for act in (
        lambda: ada.limit("work", 1),
        lambda: ada.reprioritize(waiting, 1),
        lambda: rt.jobs.reprioritize(waiting, 1),
        lambda: next(ada.sweep([[waiting.id]], "cancel")),
    ):
        with pytest.raises(NotSupported, match="this store keeps queues, no table of jobs"):
            act()
    with pytest.raises(UnknownSchedule):
        ada.run_now("none")
    with pytest.raises(UsageError, match="expected a durable schedule"):
        ada.remove_schedule(nightly)
    assert ada.requeue_dead([waiting.id]) == 0
    rt.stop()
    started("work").stop()

    check_told_once(recorder, 0)


def test_the_command_acts_there_too_and_says_what_cannot_be_looked_at(started, url, recorder, capsys):
    started().jobs.queue("fails", id="dead")
    recorder.wait_for("job.dead")
    who = ["-s", url, "--by", "ada", "--reason", "mended"]

    codes = [
        main(["jobs", "requeue", "dead", *who]),
        main(["names", "pause", "fails", *who]),
        main(["names", "resume", "fails", *who]),
        main(["queue", "mail", "1", "--id", "new", *who]),
    ]
    recorder.wait_for("operator.acted", count=4)

    assert codes == [0] * 4
    assert [told[:4] for told in told_by(recorder)] == [
        ("ada", "cli", action, "mended") for action in ("requeued", "name.paused", "name.resumed", "queued")
    ]
    assert main(["jobs", "requeue", "--where", "state:dead", "--yes", *who]) == 2
    assert "this store keeps queues, no table of jobs" in capsys.readouterr().err
    assert main(["jobs", "cancel", "new", *who]) == 1
    assert "no runtime holds job 'new', as 1 runtime said" in capsys.readouterr().err
    assert main(["jobs", "forget", "new", "--yes", *who]) == 2
