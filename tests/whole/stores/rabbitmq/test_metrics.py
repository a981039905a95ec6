"""What a Prometheus is told of a RabbitMQ: what is so at the moment, and nothing that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from lamplighter import Runtime, StoreError
from lamplighter.admin.inspector import inspector_at
from lamplighter.admin.metrics import LAG, metrics_of
from lamplighter.cli.main import main
from lamplighter.contrib.prometheus import LamplighterCollector, text_of
from prometheus_client.parser import text_string_to_metric_families

from ....conftest import Recorder

Values = dict[tuple[Any, ...], float]


def scraped(url: str) -> Values:
    """What each metric has come to, by its name and labels; no ages, which go on."""
    families = text_string_to_metric_families(text_of(LamplighterCollector(url)))
    samples = [sample for family in families for sample in family.samples]
    return {(one.name.removeprefix("lamplighter_"), *one.labels.values()): one.value for one in samples}


def fail(job: Any) -> None:
    raise ValueError("no")


@pytest.fixture
def busy(url: str, runtime, recorder: Recorder) -> Runtime:
    """One is dead, one runs, two wait for a handler, one is delayed; a pause, and a schedule."""
    rt: Runtime = runtime(url)
    rt.jobs.add_handler("fails", fail, max_attempts=1)
    rt.jobs.add_handler("sleeps", lambda job: job.sleep(60), concurrency=2)
    rt.scheduler.add("rests", "@every 1h", key="kept", durable=True)
    rt.jobs.queue_many([("fails", 1), ("nobody's", 1), ("nobody's", 2)])
    rt.jobs.queue("sleeps", id="running")
    rt.jobs.queue("sleeps", delay=3600)
    rt.jobs.pause("paused")
    recorder.wait_for("job.dead")
    recorder.wait_for("job.started", job_id="running")
    return rt


def test_what_is_so_at_the_moment_is_told_and_nothing_is_guessed(url: str, busy: Runtime) -> None:
    found = scraped(url)

    of = {key: value for key, value in found.items() if key[0] in ("jobs", "dead_jobs", "lanes", "lanes_busy", "boots")}
    assert of == {
        ("jobs", "fails", "ready"): 0.0,
        ("jobs", "fails", "parked"): 0.0,
        ("jobs", "fails", "running"): 0.0,
        ("jobs", "nobody's", "ready"): 0.0,
        ("jobs", "nobody's", "parked"): 2.0,
        ("jobs", "nobody's", "running"): 0.0,
        ("jobs", "paused", "ready"): 0.0,
        ("jobs", "paused", "parked"): 0.0,
        ("jobs", "paused", "running"): 0.0,
        ("jobs", "rests", "ready"): 0.0,
        ("jobs", "rests", "parked"): 0.0,
        ("jobs", "rests", "running"): 0.0,
        ("jobs", "sleeps", "ready"): 0.0,
        ("jobs", "sleeps", "parked"): 0.0,
        ("jobs", "sleeps", "running"): 1.0,
        ("dead_jobs",): 1.0,
        ("lanes", "fails"): 1.0,
        ("lanes", "sleeps"): 2.0,
        ("lanes_busy", "fails"): 0.0,
        ("lanes_busy", "sleeps"): 1.0,
        ("boots", "answers"): 1.0,
    }
    assert found["schedule_lag_seconds", "rests"] == 0.0
    assert (found["paused", "paused"], found["paused", "sleeps"]) == (1.0, 0.0)
    assert found["health",] == 1.0
    told = {key[0] for key in found}
    assert {name for name in told if name.endswith(("_total", "_bucket"))} == set()
    assert told & {"oldest_ready_seconds", "store_bytes", "wal_bytes"} == set()


def test_of_schedules_that_code_declares_it_is_told_by_one_look_while_a_runtime_does(
    url: str, runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = runtime(url)
    rt.scheduler.add("declared", "@every 1h", key="here")
    place, looked = inspector_at(url), []
    snapshot = place.store.snapshot
    monkeypatch.setattr(place.store, "snapshot", lambda: looked.append("once") or snapshot())

    before = {metric.of: metric.values for metric in metrics_of(place, version="1")}[LAG]
    looks = tuple(looked)
    rt.stop()

    assert (before, looks) == ({("declared",): 0.0}, ("once",))
    assert {metric.of: metric.values for metric in metrics_of(place, version="1")}[LAG] == {}


def test_with_no_runtime_alive_it_is_told_from_where_it_lies(url: str, busy: Runtime, capsys) -> None:
    busy.stop()

    found = scraped(url)

    assert (found["jobs", "nobody's", "parked"], found["dead_jobs",]) == (2, 1)
    assert (found["health",], [key for key in found if key[0] in ("boots", "lanes")]) == (2.0, [])
    assert main(["metrics", "-s", url]) == 0
    assert "lamplighter_dead_jobs 1.0" in capsys.readouterr().out


def test_a_server_where_nobody_was_is_said_and_not_told_of_as_an_empty_one(url: str, capsys) -> None:
    with pytest.raises(StoreError, match="expected a RabbitMQ that runtimes have used"):
        scraped(url)

    assert main(["metrics", "-s", url]) == 3
    assert "lamplighter_" not in capsys.readouterr().out
