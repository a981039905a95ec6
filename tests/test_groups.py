"""`group=` and `concurrency_per_group=`: jobs of a name in groups that take turns, over all processes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest
from lamplighter import Job, JobSpec, Rate, Runtime, UsageError
from lamplighter.testing import Faults, Inline, Simulation

JOIN_SECONDS_MAX = 20


def claims(log: str, name: str = "sync") -> list[dict[str, object]]:
    """The claims of a name, in the order in which they were made."""
    lines = [json.loads(line) for line in log.splitlines() if '"turn.committed"' in line]
    return [move for line in lines for move in line["moves"] if move["k"] == "claimed" and move["n"] == name]


def jain(shares: list[int]) -> float:
    """Jain's index of fairness: 1 where all have as much."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def test_a_tenant_with_a_hundred_times_the_backlog_gets_no_more_than_the_others():
    with Inline(lambda rt: rt.jobs.add_handler("sync", lambda job: None, concurrency=4), at_once=False) as app:
        app.jobs.queue_many([JobSpec(name="sync", group="heavy") for _ in range(2_000)])
        app.jobs.queue_many([JobSpec(name="sync", group=f"t{number % 9}") for number in range(9 * 20)])
        app.drain()
        made = claims(app.log)

    last = max(place for place, move in enumerate(made) if move["g"] != "heavy")
    shares = Counter(move["g"] for move in made[: last + 1])
    assert jain(list(shares.values())) >= 0.98
    assert len(made) == 2_180


def test_no_more_of_a_group_run_than_may_over_two_processes_that_are_killed():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("sync", lambda job: job.sleep(0.5), concurrency=6, concurrency_per_group=2)

    def live(runtime: Runtime) -> None:
        runtime.jobs.queue_many([JobSpec(name="sync", group=f"t{number % 3}") for number in range(30)])

    faults = Faults(kill_process=0.005, crash_actor=0.01, crash_handler=0.02)
    with Simulation(register, host=live, faults=faults, processes=2, seed=1) as simulation:
        simulation.run(minutes=1)
        report = simulation.check()
        made = claims(simulation.log)

    assert simulation.reached["kill_process"] or simulation.reached["crash_actor"]
    assert {(move["z"], move["e"]) for move in made} <= {(1, 2), (2, 2)}
    assert (len(made) >= 60, report.ok) == (True, True)


def test_a_limit_of_one_has_one_run_at_a_time(runtime):
    rt, running, most = runtime(), Counter[str](), Counter[str]()

    def sync(job: Job[None]) -> None:
        running[job.group] += 1
        most[job.group] = max(most[job.group], running[job.group])
        job.sleep(0.01)
        running[job.group] -= 1

    rt.jobs.add_handler("sync", sync, concurrency=8, concurrency_per_group=1)
    jobs = rt.jobs.queue_many([JobSpec(name="sync", group=f"t{number % 4}") for number in range(24)])
    for job in jobs:
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert most == {"t0": 1, "t1": 1, "t2": 1, "t3": 1}


def test_the_end_of_one_lets_the_next_of_its_group_start_at_once():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("sync", lambda job: job.sleep(1), concurrency=8, concurrency_per_group=1)

    with Inline(register, at_once=False) as app:
        began = app.now
        app.jobs.queue_many([JobSpec(name="sync", group="a") for _ in range(5)])
        app.drain()

        assert (app.now - began).total_seconds() < 6


def test_a_delayed_job_of_a_group_starts_at_its_instant_with_nobody_else_to_wake_it():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("sync", lambda job: app.now, concurrency=2, concurrency_per_group=1)

    with Inline(register) as app:
        job = app.jobs.queue("sync", group="a", delay=100)
        app.jobs.queue("sync", group="a")
        app.jobs.queue("sync", group="b")
        app.advance(seconds=101)

        done = app.jobs.get(job)
        assert (done.started_at - done.run_at).total_seconds() < 0.05


def test_a_group_at_its_rate_waits_for_its_instant_and_the_others_do_not():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("sync", lambda job: None, concurrency=4, rate_per_group=Rate(1, per=10))

    with Inline(register, at_once=False) as app:
        app.jobs.queue_many([JobSpec(name="sync", group=group) for group in "aaabbc"])
        app.jobs.queue_many([("sync", number) for number in range(3)])
        app.drain()
        lines = [json.loads(line) for line in app.log.splitlines() if '"job.claimed"' in line]

    starts = {group: [line["ts"] for line in lines if line.get("group") == group] for group in ("a", "b", "c", None)}
    assert [round(at - starts["a"][0]) for at in starts["a"]] == [0, 10, 20]
    assert [round(at - starts["b"][0]) for at in starts["b"]] == [0, 10]
    assert max(starts["c"] + starts[None]) - starts["a"][0] < 1


@pytest.mark.parametrize("how", ["queue", "queue_many", "handler object", "from a handler", "then", "connection"])
def test_every_way_to_queue_takes_a_group(runtime, tmp_path, how):
    rt = runtime(tmp_path / "app.db")

    @rt.jobs.handler("sync", concurrency_per_group=2)
    def sync(job: Job[int]) -> str | None:
        return job.group

    @rt.jobs.handler("first")
    def first(job: Job[int]) -> str:
        if how == "then":
            job.then(JobSpec(name="sync", data=1, group="acme", id="it"))
            return ""
        return job.queue("sync", 1, group="acme", id="it").id

    match how:
        case "queue":
            rt.jobs.queue("sync", 1, group="acme", id="it")
        case "queue_many":
            rt.jobs.queue_many([JobSpec(name="sync", data=1, group="acme", id="it")])
        case "handler object":
            sync.queue(1, group="acme", id="it")
        case "connection":
            with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
                connection.execute("begin")
                rt.jobs.queue("sync", 1, group="acme", id="it", connection=connection)
                connection.commit()
        case _:
            rt.jobs.join(first.queue(1), timeout=JOIN_SECONDS_MAX)

    job = rt.jobs.join("it", timeout=JOIN_SECONDS_MAX)
    assert (job.result, job.group, job.to_dict()["group"]) == ("acme", "acme", "acme")


def test_a_job_that_waits_for_another_takes_its_groups_turn_afterwards(runtime):
    rt = runtime()
    rt.jobs.add_handler("sync", lambda job: job.group, concurrency=2, concurrency_per_group=1)
    rt.jobs.add_handler("first", lambda job: None)

    first = rt.jobs.queue("first", delay=0.05)
    child = rt.jobs.queue("sync", group="acme", after=first)

    assert rt.jobs.join(child, timeout=JOIN_SECONDS_MAX).result == "acme"


def test_the_lines_say_the_group_and_how_many_of_it_run(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("sync", lambda job: None, concurrency_per_group=2)
    added = recorder.wait_for("handler.added")

    rt.jobs.join(rt.jobs.queue("sync", group="acme"), timeout=JOIN_SECONDS_MAX)

    queued, claimed = recorder.wait_for("job.queued"), recorder.wait_for("job.claimed")
    assert (added["concurrency_per_group"], queued["group"]) == (2, "acme")
    assert (claimed["group"], claimed["of_group"], claimed["limit"]) == ("acme", 1, 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rt: rt.jobs.queue("sync", group=7), "expected group to be a str of 1 to 200 characters, got: 7"),
        (lambda rt: rt.jobs.queue("sync", group=""), "expected group to be a str of 1 to 200 characters, got: 0 char"),
        (
            lambda rt: rt.jobs.add_handler("sync", print, concurrency_per_group=0),
            "expected concurrency_per_group to be a whole number from 1 to 10000, got: 0",
        ),
        (
            lambda rt: rt.jobs.add_handler("sync", print, rate_per_group=timedelta(1)),
            "expected rate_per_group to be a Rate, got: ",
        ),
    ],
)
def test_a_wrong_group_is_refused_before_anything_is_stored(runtime, call, says):
    rt = runtime()

    with pytest.raises(UsageError, match=says):
        call(rt)

    assert rt.jobs.counts()["queued"] == 0
