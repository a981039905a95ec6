"""`debounce=`: of many calls with one key, one job, with the data of the last; and no call is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from lamplighter import (
    Carrier,
    Debounce,
    Job,
    JobFailed,
    JobSpec,
    LamplighterError,
    Operator,
    Runtime,
    Snooze,
    UsageError,
)
from lamplighter.rules.codec import digest
from lamplighter.testing import Faults, Inline, Simulation, assert_queued

JOIN_SECONDS_MAX = 20

DOC = Debounce("doc-7", quiet=5, at_most=60)


def seen_by(**options: Any) -> tuple[Inline, list[Any]]:
    """An application whose jobs of `index` note what they are given, one at a time."""
    seen: list[Any] = []

    def index(job: Job[Any]) -> Any:
        seen.append(job.data)
        return job.data

    def add(runtime: Runtime) -> None:
        runtime.jobs.add_handler("index", index, **options)

    return Inline(add), seen


def test_one_job_runs_after_many_calls_with_the_data_of_the_last():
    app, seen = seen_by()
    with app:
        ids = set()
        for version in range(1, 6):
            ids.add(app.jobs.queue("index", version, debounce=DOC).id)
            app.advance(seconds=1)
        assert seen == []
        (ended,) = app.advance(seconds=5)

    assert (seen, ids) == ([5], {ended.id})


def test_it_starts_when_quiet_has_passed_since_the_last_call():
    app, seen = seen_by()
    with app:
        app.jobs.queue("index", 1, debounce=DOC)
        app.advance(seconds=4.9)
        job = app.jobs.queue("index", 2, debounce=DOC)
        assert abs(job.run_at - app.now - timedelta(seconds=5)) < timedelta(seconds=0.001)
        app.advance(seconds=4.9)
        assert seen == []
        app.advance(seconds=0.2)

    assert seen == [2]


def test_no_call_puts_it_off_beyond_at_most_after_the_first():
    app, seen = seen_by()
    with app:
        first = app.jobs.queue("index", 0, debounce=DOC)
        for second in range(1, 59):
            app.advance(seconds=1)
            job = app.jobs.queue("index", second, debounce=DOC)
            assert (job.id, seen) == (first.id, [])
        assert job.run_at - first.queued_at == timedelta(seconds=60)
        app.advance(seconds=2.1)

    assert seen == [58]


def test_a_call_that_asks_for_less_at_most_has_it_due_by_then():
    app, seen = seen_by()
    with app:
        app.jobs.queue("index", 1, debounce=Debounce("doc-7", quiet=30, at_most=600))
        app.jobs.queue("index", 2, debounce=Debounce("doc-7", quiet=1, at_most=2))
        app.jobs.queue("index", 3, debounce=Debounce("doc-7", quiet=30, at_most=600))
        app.advance(seconds=2.1)

    assert seen == [3]


def test_a_call_while_it_runs_makes_the_next_job(runtime):
    rt, inside, go_on, seen = runtime(), Event(), Event(), []

    def index(job: Job[int]) -> None:
        seen.append(job.data)
        inside.set()
        go_on.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("index", index)
    quick = Debounce("doc-7", quiet=0.01, at_most=0.01)
    first = rt.jobs.queue("index", 1, debounce=quick)
    assert inside.wait(JOIN_SECONDS_MAX)
    second = rt.jobs.queue("index", 2, debounce=quick)
    third = rt.jobs.queue("index", 3, debounce=quick)
    go_on.set()

    assert rt.jobs.join(third, timeout=JOIN_SECONDS_MAX).data == 3
    assert (seen, second.id, first.id != second.id) == ([1, 3], third.id, True)


def test_what_has_failed_and_waits_for_its_retry_holds_no_key():
    tries: list[tuple[int, int]] = []

    def index(job: Job[int]) -> None:
        tries.append((job.data, job.attempt))
        if job.data == 1 and job.attempt == 1:
            raise ValueError("not today")

    with Inline(lambda rt: rt.jobs.add_handler("index", index, backoff=[100.0])) as app:
        app.jobs.queue("index", 1, debounce=DOC)
        app.advance(seconds=6)
        app.jobs.queue("index", 2, debounce=DOC)
        app.advance(seconds=200)

    assert tries == [(1, 1), (2, 1), (1, 2)]


def test_what_was_snoozed_holds_no_key():
    tries: list[int] = []

    def index(job: Job[int]) -> None:
        tries.append(job.data)
        if tries == [1]:
            raise Snooze(100)

    with Inline(lambda rt: rt.jobs.add_handler("index", index)) as app:
        app.jobs.queue("index", 1, debounce=DOC)
        app.advance(seconds=6)
        app.jobs.queue("index", 2, debounce=DOC)
        app.advance(seconds=200)

    assert tries == [1, 2, 1]


def test_keys_are_of_a_name_and_do_not_meet():
    app, seen = seen_by()
    with app:
        app.jobs.add_handler("other", lambda job: seen.append(job.data))
        app.jobs.queue("index", "a", debounce=DOC)
        app.jobs.queue("index", "b", debounce=Debounce("doc-8", quiet=5, at_most=60))
        app.jobs.queue("other", "c", debounce=DOC)
        app.advance(seconds=6)

    assert sorted(seen) == ["a", "b", "c"]


def test_keys_that_differ_behind_a_zero_byte_or_in_case_are_two():
    app, seen = seen_by()
    with app:
        for number, key in enumerate(("k\0a", "k\0b", "k", "K", "\u00e9", "e\u0301")):
            app.jobs.queue("index", number, debounce=Debounce(key, quiet=5, at_most=60))
        app.advance(seconds=6)

    assert sorted(seen) == [0, 1, 2, 3, 4, 5]


def test_a_call_replaces_all_that_it_says_and_keeps_what_the_job_is():
    app, _ = seen_by()
    with app:
        first = app.jobs.queue("index", 1, priority=3, timeout=5, group="a", expires=600, debounce=DOC)
        app.advance(seconds=1)
        second = app.jobs.queue("index", 2, max_attempts=7, debounce=DOC)

    assert (second.id, second.queued_at, second.record.row_id, second.deduplicated) == (
        first.id,
        first.queued_at,
        first.record.row_id,
        False,
    )
    options = (second.priority, second.record.timeout, second.group, second.record.expires_at, second.max_attempts)
    assert options == (0, None, None, None, 7)
    assert (second.debounce, second.to_dict()["debounce"]) == ("doc-7", "doc-7")


def test_a_call_with_a_group_takes_it_to_that_groups_line_and_one_without_out_of_it():
    app, seen = seen_by(concurrency=2, concurrency_per_group=1)
    with app:
        app.jobs.queue("index", 1, group="a", debounce=DOC)
        app.jobs.queue("index", 2, debounce=DOC)
        app.jobs.queue("index", 3, debounce=Debounce("doc-8", quiet=5, at_most=60))
        app.jobs.queue("index", 4, group="b", debounce=Debounce("doc-8", quiet=5, at_most=60))
        app.advance(seconds=6)

    assert sorted(seen) == [2, 4]


def test_two_calls_of_one_queue_many_are_one_job():
    app, seen = seen_by()
    with app:
        jobs = app.jobs.queue_many([JobSpec(name="index", data=n, debounce=DOC) for n in (1, 2, 3)])
        app.advance(seconds=6)

    assert ({job.id for job in jobs}, seen) == ({jobs[0].id}, [3])


def test_one_that_waits_for_a_job_of_several_calls_waits_for_the_job():
    app, seen = seen_by()
    with app:
        part = JobSpec(name="index", data=2, debounce=DOC)
        app.jobs.queue("index", 1, debounce=DOC)
        _, after = app.jobs.queue_many([part, JobSpec(name="index", data="after", after=part)])
        app.advance(seconds=6)
        assert app.jobs.get(after).state == "done"

    assert seen == [2, "after"]


@pytest.mark.parametrize("how", ["queue", "queue_many", "handler object", "connection", "then", "from a handler"])
def test_each_way_to_queue_takes_it(how, runtime, tmp_path):
    rt = runtime(tmp_path / "app.db")
    quick = Debounce("k", quiet=0.05, at_most=10)
    seen: list[int] = []

    @rt.jobs.handler("index")
    def index(job: Job[int]) -> str:
        seen.append(job.data)
        return f"{job.data} {job.debounce}"

    @rt.jobs.handler("first")
    def first(job: Job[int]) -> str:
        if how == "then":
            job.then(JobSpec(name="index", data=1, debounce=quick), JobSpec(name="index", data=2, debounce=quick))
            return ""
        job.queue("index", 1, debounce=quick)
        return job.queue("index", 2, debounce=quick).id

    match how:
        case "queue":
            rt.jobs.queue("index", 1, debounce=quick)
            job = rt.jobs.queue("index", 2, debounce=quick)
        case "queue_many":
            *_, job = rt.jobs.queue_many([JobSpec(name="index", data=n, debounce=quick) for n in (1, 2)])
        case "handler object":
            index.queue(1, debounce=quick)
            job = index.queue(2, debounce=quick)
        case "connection":
            with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
                connection.execute("begin immediate")
                rt.jobs.queue("index", 1, debounce=quick, connection=connection)
                job = rt.jobs.queue("index", 2, debounce=quick, connection=connection)
                connection.commit()
        case "then":
            job = f"{rt.jobs.join(first.queue(1), timeout=JOIN_SECONDS_MAX).id}.1.1"
        case _:
            job = rt.jobs.join(first.queue(1), timeout=JOIN_SECONDS_MAX).result

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == "2 k"
    assert seen[-1] == 2


class Numbered(Carrier):
    """Has each job carry the number of the call that queued it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def inject(self) -> dict[str, str]:
        return {"call": str(next(self._numbers))}


@pytest.mark.parametrize("how", ["queue", "queue_many", "connection"])
def test_the_job_carries_what_its_last_call_took_along(how, runtime, tmp_path):
    rt = runtime(tmp_path / "app.db", carriers=[Numbered()])
    rt.jobs.add_handler("index", lambda job: job.carried["call"])
    for data in (1, 2):
        match how:
            case "queue":
                job = rt.jobs.queue("index", data, debounce=DOC)
            case "queue_many":
                (job,) = rt.jobs.queue_many([JobSpec(name="index", data=data, debounce=DOC)])
            case _:
                with closing(sqlite3.connect(tmp_path / "app.db", timeout=JOIN_SECONDS_MAX)) as connection, connection:
                    job = rt.jobs.queue("index", data, debounce=DOC, connection=connection)

    rt.jobs.requeue(job)

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == "2"


def test_the_lines_of_the_job_have_the_root_of_the_first_call(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("save", lambda job: job.queue("index", job.data, debounce=DOC).id)
    one, two = (rt.jobs.join(rt.jobs.queue("save", data), timeout=JOIN_SECONDS_MAX) for data in (1, 2))
    rt.jobs.queue("index", 3, debounce=DOC)

    recorder.wait_for("job.replaced", count=2)
    assert one.result == two.result
    assert {line["corr"] for line in (*recorder.of("job.replaced"), *recorder.of("job.queued", job_id=one.result))} == {
        one.id
    }
    stored = rt.jobs.get(one.result)
    assert (stored.record.root_id, stored.data) == (one.id, 3)


async def _aqueue(rt: Runtime) -> Job[Any]:
    await rt.jobs.aqueue("index", 1, debounce=DOC)
    return await rt.jobs.aqueue("index", 2, debounce=DOC)


def test_the_async_call_takes_it(runtime):

    job = asyncio.run(_aqueue(runtime()))

    assert (job.data, job.debounce) == (2, "doc-7")


def test_a_requeue_has_it_run_as_it_is_and_a_later_call_makes_the_next():
    app, seen = seen_by()
    with app:
        first = app.jobs.queue("index", 1, debounce=DOC)
        app.jobs.requeue(first)
        assert seen == [1]
        second = app.jobs.queue("index", 2, debounce=DOC)
        app.jobs.requeue(first, delay=3)
        third = app.jobs.queue("index", 3, debounce=DOC)
        app.advance(seconds=6)

    assert (second.id, first.id == third.id, seen) == (third.id, False, [1, 1, 3])


@pytest.mark.parametrize("end", ["cancel", "mark_done", "expiry", "connection"])
def test_whatever_ends_it_lets_go_of_its_key(end, runtime, tmp_path):
    rt = runtime(tmp_path / "app.db")
    options = {"expires": 0.01, "debounce": Debounce("doc-7", quiet=0.001, at_most=60)} if end == "expiry" else {}
    first = rt.jobs.queue("index", 1, **{"debounce": DOC} | options)
    match end:
        case "cancel":
            rt.jobs.cancel(first)
        case "mark_done":
            rt.jobs.mark_done(first)
        case "expiry":
            with pytest.raises(JobFailed):
                rt.jobs.join(first, timeout=JOIN_SECONDS_MAX)
        case _:
            with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
                connection.execute("begin immediate")
                rt.jobs.mark_done(first, connection=connection)
                inside = rt.jobs.queue("index", 2, debounce=DOC, connection=connection)
                connection.commit()
            assert inside.id != first.id

    second = rt.jobs.queue("index", 3, debounce=DOC)

    assert second.id != first.id
    assert rt.jobs.queue("index", 4, debounce=DOC).id == second.id


def test_a_paused_name_collects_calls_and_runs_the_last_when_it_is_resumed():
    app, seen = seen_by()
    with app:
        app.jobs.pause("index")
        for number in range(5):
            app.jobs.queue("index", number, debounce=DOC)
            app.advance(seconds=40)
        assert seen == []
        app.jobs.resume("index")
        app.advance(seconds=0.1)

    assert seen == [4]


def test_what_a_transaction_of_the_application_says_is_so_if_it_commits(runtime, tmp_path, recorder):
    rt = runtime(tmp_path / "app.db")
    first = rt.jobs.queue("index", 1, debounce=DOC)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("begin immediate")
        rt.jobs.queue("index", 2, debounce=DOC, connection=connection)
        connection.rollback()
        assert rt.jobs.get(first).data == 1
        connection.execute("begin immediate")
        job = rt.jobs.queue("index", 3, debounce=DOC, connection=connection)
        again = rt.jobs.queue("index", 4, debounce=DOC, connection=connection)
        connection.commit()

    said = recorder.wait_for("job.replaced")
    assert (job.id, again.id, again.deduplicated, rt.jobs.get(first).data) == (first.id, first.id, False, 4)
    assert said["digest"] == digest("4")
    assert len(recorder.of("job.replaced")) == 1
    recorder.check()


def test_a_call_in_a_transaction_that_has_it_due_earlier_is_heard_of(runtime, tmp_path):
    rt = runtime(tmp_path / "app.db")
    rt.jobs.add_handler("index", lambda job: job.data)
    job = rt.jobs.queue("index", 1, debounce=Debounce("k", quiet=3600, at_most=7200))
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("begin immediate")
        rt.jobs.queue("index", 2, debounce=Debounce("k", quiet=0.001, at_most=0.001), connection=connection)
        connection.commit()

    assert rt.jobs.join(job, timeout=JOIN_SECONDS_MAX).result == 2


def test_other_data_and_an_end_in_one_transaction_is_no_finding(runtime, tmp_path, recorder):
    rt = runtime(tmp_path / "app.db")
    job = rt.jobs.queue("index", 1, debounce=DOC)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("begin immediate")
        rt.jobs.queue("index", 2, debounce=DOC, connection=connection)
        rt.jobs.mark_done(job, "done here", connection=connection)
        connection.commit()

    done = rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    recorder.wait_for("job.done")
    rt.stop()
    assert (done.data, done.result) == (2, "done here")
    assert recorder.audit(tmp_path / "app.db").findings == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"debounce": "doc-7"},
            "expected debounce to be a Debounce, got: 'doc-7'; write debounce=Debounce('doc-7', quiet=5, at_most=60)",
        ),
        ({"debounce": Debounce("", quiet=5, at_most=60)}, "expected debounce.key to be a str of 1 to 200 characters"),
        ({"debounce": Debounce("x" * 201, quiet=5, at_most=60)}, "expected debounce.key to be a str of 1 to 200"),
        ({"debounce": Debounce(7, quiet=5, at_most=60)}, "expected debounce.key to be a str of 1 to 200 characters"),
        ({"debounce": Debounce("\ud800", quiet=5, at_most=60)}, "expected debounce.key to be valid Unicode"),
        ({"debounce": Debounce("k", quiet=0, at_most=60)}, "expected debounce.quiet to be a number of seconds"),
        ({"debounce": Debounce("k", quiet=-1, at_most=60)}, "expected debounce.quiet to be a number of seconds"),
        ({"debounce": Debounce("k", quiet=float("nan"), at_most=60)}, "expected debounce.quiet to be a number"),
        ({"debounce": Debounce("k", quiet="5", at_most=60)}, "expected debounce.quiet to be a number of seconds"),
        ({"debounce": Debounce("k", quiet=True, at_most=60)}, "expected debounce.quiet to be a number of seconds"),
        ({"debounce": Debounce("k", quiet=5, at_most=float("inf"))}, "expected debounce.at_most to be a number"),
        ({"debounce": Debounce("k", quiet=5, at_most=None)}, "expected debounce.at_most to be a number of seconds"),
        (
            {"debounce": Debounce("k", quiet=5, at_most=60), "expires": 5},
            "expected expires to be more than debounce.quiet, got: 5 s, and debounce.quiet is 5 s",
        ),
        (
            {"debounce": Debounce("k", quiet=5, at_most=timedelta(seconds=4))},
            "expected debounce.at_most to be quiet or more, got: 4 s, and quiet is 5 s",
        ),
        (
            {"debounce": DOC, "id": "doc-7"},
            "expected id or debounce, got both: a known id drops what a call says; "
            "leave it out, also where a call is said again",
        ),
        ({"debounce": DOC, "delay": 0}, "expected delay or debounce, got both: quiet is its delay"),
        ({"debounce": DOC, "at": datetime.now(UTC)}, "expected at or debounce, got both: it is due by the last call"),
        (
            {"debounce": DOC, "unique": "k"},
            "expected unique or debounce, got both: that keeps the data of the first call, and this those of the last",
        ),
        (
            {"debounce": DOC, "after": "other"},
            "expected after or debounce, got both: what waits for other jobs is not due by its calls",
        ),
        ({"debounce": DOC, "after_ended": ["other"]}, "expected after or debounce, got both: what waits"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(options, says, runtime):
    rt = runtime()

    with pytest.raises(UsageError) as refusal:
        rt.jobs.queue("index", 1, **options)
    with pytest.raises(UsageError):
        rt.jobs.queue_many([("index", 1), JobSpec(name="index", data=1, **options)])

    assert str(refusal.value).startswith(says)
    assert rt.jobs.list() == []


def test_many_jobs_of_a_handler_cannot_have_one_key(runtime):
    rt = runtime()
    index = rt.jobs.handler("index")(lambda job: None)

    with pytest.raises(UsageError, match="expected options that many jobs can have, got: debounce"):
        index.many([1, 2], debounce=DOC)


def test_waiting_for_no_other_jobs_is_as_saying_nothing_of_it(runtime):
    assert runtime().jobs.queue("index", 1, debounce=DOC, after=[]).debounce == "doc-7"


def test_a_job_given_other_data_by_then_is_of_the_end_that_has_said_so():
    def first(job: Job[int]) -> None:
        job.then(JobSpec(name="index", data=job.data, debounce=DOC), JobSpec(name="other", data=1))

    app, seen = seen_by()
    with app:
        app.jobs.add_handler("first", first)
        app.jobs.add_handler("other", lambda job: None)
        app.jobs.queue("index", 0, debounce=DOC)
        done = app.jobs.queue("first", 7)
        app.advance(seconds=6)
        moves = moves_of(app.log)

    (replaced,) = [move for move in moves if move["k"] == "replaced"]
    (end,) = [move for move in moves if move["k"] == "done" and move["j"] == done.id]
    assert (seen, replaced["q"], end["x"]) == ([7], done.id, 2)


def moves_of(log: str) -> list[dict[str, Any]]:
    """What the ledger tells."""
    return [
        move
        for line in map(json.loads, log.splitlines())
        if line["event"] == "turn.committed"
        for move in line["moves"]
    ]


def test_the_log_tells_each_call_by_a_hash_of_its_data_and_never_the_data(runtime, recorder):
    rt = runtime()
    rt.jobs.queue("index", "the first secret", debounce=DOC)
    job = rt.jobs.queue("index", "the second secret", debounce=DOC)

    queued, replaced = recorder.wait_for("job.queued"), recorder.wait_for("job.replaced")
    assert (queued["debounce"], queued["until"]) == ("doc-7", pytest.approx(queued["run_at"] + 55, rel=0, abs=0.001))
    assert replaced == {
        **replaced,
        "job_id": job.id,
        "job_name": "index",
        "claim_no": 0,
        "attempt": 0,
        "run_at": job.record.run_at,
        "until": queued["until"],
        "bytes": len('"the second secret"'),
        "digest": digest('"the second secret"'),
        "debounce": "doc-7",
    }
    assert "secret" not in json.dumps(recorder.events)
    recorder.check()


@pytest.mark.parametrize("seed", range(6))
def test_no_call_is_lost_whatever_dies(seed):
    """The last data that a call has been answered for is seen by a run that was claimed after it."""
    numbers, given, calls_end = itertools.count(1), dict[str, int](), Event()
    seen: dict[str, list[int]] = {}

    def register(runtime: Runtime) -> None:
        options = {"max_attempts": 50, "interruptions_max": 50, "backoff": [0.5]}
        runtime.jobs.add_handler("index", index, concurrency=2, **options)

    def index(job: Job[int]) -> None:
        known = seen.setdefault(str(job.debounce), [])
        job.sleep(0.4)
        if job.attempt == 1 and job.data % 5 == 0:
            raise ValueError("not today")
        known.append(job.data)

    def live(runtime: Runtime) -> None:
        for number in numbers:
            if calls_end.is_set():
                return
            key = f"k{number % 3}"
            with contextlib.suppress(LamplighterError):
                runtime.jobs.queue("index", number, debounce=Debounce(key, quiet=0.6, at_most=3))
                given[key] = number
            runtime.environment.event().wait(0.2)

    faults = Faults(kill_process=0.01, crash_actor=0.02, crash_handler=0.05, commit_unknown=0.03, store_error=0.01)
    with Simulation(register, host=live, faults=faults, seed=seed) as simulation:
        simulation.run(minutes=1)
        calls_end.set()
        simulation.settle(until=lambda: all(job.state == "done" for job in simulation.runtime.jobs.list(limit=1_000)))
        report = simulation.check()

    assert report.ok
    assert {key: max(seen[key]) >= last for key, last in given.items()} == dict.fromkeys(given, True)


def test_what_an_end_in_a_transaction_calls_for_takes_the_data_of_the_last_end(runtime, tmp_path, recorder):
    rt = runtime(tmp_path / "app.db")
    before = rt.jobs.queue("index", 0, debounce=DOC)
    ends = [rt.jobs.queue("first", n) for n in (1, 2)]
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("begin immediate")
        for number, end in enumerate(ends, start=1):
            calls = [
                JobSpec(name="index", data=number, debounce=Debounce(key, quiet=5, at_most=60))
                for key in ("doc-7", "k")
            ]
            rt.jobs.mark_done(end, then=calls, connection=connection)
        connection.commit()
    recorder.wait_for("job.done", job_id=ends[1].id)
    rt.stop()

    assert recorder.audit(tmp_path / "app.db").findings == ()
    (queued,) = recorder.of("job.queued", debounce="k")
    dones = [recorder.of("job.done", job_id=end.id)[0].get("then") for end in ends]
    assert (queued["then_of"], dones) == (ends[0].id, [1, None])
    with runtime(tmp_path / "app.db") as again:
        assert [again.jobs.get(job).data for job in (before, queued["job_id"])] == [2, 2]


def test_a_group_that_a_call_has_left_stands_in_no_line(runtime, tmp_path):
    rt = runtime()
    rt.jobs.queue("index", 1, group="a", debounce=DOC)
    rt.jobs.queue("index", 2, group="b", debounce=DOC)

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("select group_key from lamplighter_turns where group_key <> ''").fetchall() == [
            ("b",)
        ]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_changes_neither_its_quiet_nor_its_at_most(step):
    seen: list[int] = []
    with Simulation(lambda rt: rt.jobs.add_handler("index", lambda job: seen.append(job.data))) as simulation:
        jobs = simulation.runtime.jobs
        jobs.queue("index", 0, debounce=DOC)
        simulation.step_clock(step)
        for second in range(1, 58):
            simulation.run(seconds=1)
            jobs.queue("index", second, debounce=DOC)
        assert seen == []
        simulation.run(seconds=4)

    assert seen == [57]


def test_an_operator_may_call_for_a_job_too_and_a_copy_of_it_is_another(runtime, tmp_path):
    rt = runtime(tmp_path / "app.db")
    first = rt.jobs.queue("index", 1, debounce=DOC)
    operator = Operator(tmp_path / "app.db", by="ada", via="test")
    second = operator.queue("index", 2, debounce=DOC)
    copy = operator.copy(first.id)

    assert (second.id, rt.jobs.get(first).data) == (first.id, 2)
    assert (copy.id != first.id, copy.debounce) == (True, None)


def test_a_test_finds_what_was_called_for():
    app, _ = seen_by()
    with app:
        app.jobs.queue("index", 1, debounce=DOC)
        app.jobs.queue("index", 2, debounce=DOC)
        assert assert_queued(app, "index", debounce="doc-7", count=1)[0].data == 2
