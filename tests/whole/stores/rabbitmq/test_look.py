"""Whoever looks at a RabbitMQ from outside sees what can be had there, and is told clearly what cannot."""

from __future__ import annotations

import json
from typing import Any

import pika
import pytest
from lamplighter import NotSupported, Runtime, StoreError, StoreUnavailable, UnknownJob
from lamplighter.admin.inspector import Inspector, inspector_at
from lamplighter.cli.main import main
from lamplighter.messages.jobs import JobState
from lamplighter.messages.queries import JobQuery
from lamplighter.stores.rabbitmq import topology

from ....conftest import Recorder
from ....faults.kit import eventually
from .test_unreadable import QUEUE, Outside, body

DEAD = JobQuery(states=(JobState.DEAD,))


def fail(job: Any) -> None:
    raise ValueError(f"not yet {job.data}")


@pytest.fixture
def busy(url: str, runtime, recorder: Recorder) -> Runtime:
    """Two that are dead, one that runs, three that wait for a handler, one that is delayed; a pause, two schedules."""
    rt = runtime(url)
    rt.jobs.add_handler("fails", fail, max_attempts=1)
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60), concurrency=2)
    rt.scheduler.add("sleeps", "0 3 * * *", key="nightly")
    rt.scheduler.add("rests", "0 4 * * *", key="kept", durable=True)
    rt.jobs.queue_many([("fails", 1), ("fails", 2), ("nobody's", 1), ("nobody's", 2), ("nobody's", 3)])
    rt.jobs.queue("sleeps", id="running")
    rt.jobs.queue("sleeps", delay=3600)
    rt.jobs.pause("paused", by="ada", reason="the other side is down")
    recorder.wait_for("job.dead", count=2)
    recorder.wait_for("job.started", job_id="running")
    return rt


def check_stored(look: Inspector) -> None:
    """What lies on the server, whoever lives."""
    names = {name.name: name for name in look.names()}
    assert set(names) == {"fails", "nobody's", "paused", "rests", "sleeps"}
    assert (names["nobody's"].ready.count, names["nobody's"].is_parked) == (3, True)
    assert (names["paused"].pause.by, names["paused"].pause.reason) == ("ada", "the other side is down")
    found = look.jobs(DEAD, limit=10).jobs
    assert sorted(job.error for job in found) == ["ValueError: not yet 1", "ValueError: not yet 2"]
    assert look.job(found[0].id).job.state == "dead"
    (group,) = look.errors().groups
    assert group.dead == 2
    with pytest.raises(NotSupported, match="only dead jobs can be listed"):
        look.jobs(JobQuery(), limit=10)


def test_what_runtimes_do_and_what_lies_on_the_server_is_seen(url: str, busy: Runtime, recorder: Recorder):
    with inspector_at(url) as look:
        check_stored(look)
        names = {name.name: name for name in look.names()}
        counts = {state: amount.count for state, amount in look.counts().of.items()}
        schedules = {one.key: one for one in look.schedules(limit=10)}
        (boot,) = look.boots()
        overview = look.overview()
        with pytest.raises(UnknownJob, match=r"runs attempt 1 of 'sleeps', for .*; `lamplighter jobs cancel` ends it"):
            look.job("running")
        with pytest.raises(UnknownJob, match="unknown to whoever looks, unless it is dead"):
            look.why("none")

    sleeps = names["sleeps"]
    assert (sleeps.running.count, sleeps.busy, sleeps.lanes, sleeps.boots) == (1, 1, 2, (busy.boot.id,))
    assert sleeps.scheduled is None
    assert counts == {"queued": 4, "running": 1, "dead": 2}
    assert schedules["nightly"].declared_by == (busy.boot.id,)
    assert (schedules["kept"].declared_by, schedules["kept"].is_durable) == ((), True)
    assert (boot.boot, boot.kind, boot.is_alive) == (busy.boot.id, "worker", True)
    assert boot.version
    assert (overview.dead.count, overview.parked.count) == (2, 3)
    # A look is no runtime, and takes nothing away.
    assert recorder.of("scheduler.leads", boot=busy.boot.id) != []
    assert busy.jobs.counts()["dead"] == 2


def test_with_no_runtime_alive_it_is_read_where_it_lies(url: str, busy: Runtime):
    busy.stop()

    with inspector_at(url) as look:
        check_stored(look)
        check_stored(look)
        assert look.boots() == []
        assert look.overview().health.status == "red"


def test_one_that_is_killed_is_seen_not_to_answer(url: str, busy: Runtime):
    # Whoever is killed answers nobody, and has not said that it ends.
    busy.boot.store.answer(None)

    with inspector_at(url) as look:
        (boot,) = look.boots()
        names = {name.name: name for name in look.names()}

    assert (boot.boot, boot.is_alive, boot.condition) == (busy.boot.id, None, "silent")
    assert boot.unheard.startswith("it has said that it is there, and does not answer")
    assert (names["sleeps"].running, names["sleeps"].lanes) == (None, None)


def test_a_look_at_a_server_where_nobody_was_says_so_and_leaves_nothing(url: str):
    with inspector_at(url) as look, pytest.raises(StoreError, match="expected a RabbitMQ that runtimes have used"):
        look.names()

    connection = pika.BlockingConnection(pika.URLParameters(url))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        connection.channel().queue_declare(topology.LEDGER, passive=True)
    connection.close()


def test_a_leader_that_does_not_answer_is_said_to_be_the_trouble(url: str, busy: Runtime, monkeypatch):
    monkeypatch.setattr("lamplighter.stores.rabbitmq.admin_connection.LEADER_SECONDS_MAX", 0.0)

    with (
        inspector_at(url) as look,
        pytest.raises(StoreUnavailable, match=r"expected the runtime that leads \(boot .*, process \d+, .* to answer"),
    ):
        look.names()


def test_the_commands_say_what_can_be_had_and_what_not(url: str, busy: Runtime, capsys: pytest.CaptureFixture[str]):
    def said(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "-s", url])
        out, err = capsys.readouterr()
        return code, out, err

    def lines(*arguments: str) -> list[dict[str, Any]]:
        code, out, _ = said(*arguments, "--json")
        assert code == 0
        return [json.loads(line) for line in out.splitlines()]

    assert [one["name"] for one in lines("names", "list")] == ["fails", "nobody's", "paused", "rests", "sleeps"]
    assert {one["key"] for one in lines("schedules", "list")} == {"nightly", "kept"}
    assert [one["boot"] for one in lines("runtimes", "list")] == [busy.boot.id]
    assert [one["dead"] for one in lines("errors", "list")] == [2]
    assert lines("jobs", "list", "--state", "dead")[-1]["is_complete"] is True
    code, out, _ = said("names", "list")
    assert (code, "nobody's" in out, "?" in out) == (0, True, True)
    assert said("health")[0] == 0
    assert said("jobs", "show", "none")[0] == 1
    for arguments in (["jobs", "list"], ["stats"], ["export", "jobs", "--json"]):
        code, out, err = said(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "this store keeps queues, no table of jobs" in err
    gone = "amqp://guest:guest@127.0.0.1:1/none"
    for arguments in (
        ["names", "list"],
        ["schedules", "list"],
        ["jobs", "list", "--state", "dead"],
        ["errors", "list"],
    ):
        assert main([*arguments, "-s", gone]) == 3
    assert "guest:guest" not in capsys.readouterr().err


def test_half_of_a_surrogate_pair_in_one_job_ends_no_list(url: str, runtime, capsys):
    """Another program has queued it."""
    rt = runtime(url)
    rt.jobs.add_handler("work", cut, max_attempts=1)
    Outside(url).publish(QUEUE, body(id="b", data='{"\\ud83d":"\\udce9"}'))
    for job_id in ("a", "b", "c"):
        if job_id != "b":
            rt.jobs.queue("work", job_id, id=job_id)
    eventually(lambda: len(rt.jobs.list(state="dead")) == 3)

    assert main(["jobs", "list", "state:dead", "--json", "--show-data", "-s", url]) == 0

    *jobs, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert {job["id"]: job["data"]["value"] for job in jobs} == {"a": "a", "b": {"\ufffd": "\ufffd"}, "c": "c"}
    assert {job["error"] for job in jobs} == {"ValueError: caf\ufffd"}


def cut(job: Any) -> None:
    raise ValueError("caf\udce9")
