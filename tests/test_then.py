"""`job.then`: jobs that are queued with the end of another as done, or not at all."""

from __future__ import annotations

import asyncio
import json
import queue
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from lamplighter import Cancel, Debounce, Discard, JobFailed, JobSpec, Limits, Runtime, Snooze, StaleClaim, UsageError
from lamplighter.handlers.carriers import Carrier
from lamplighter.messages.jobs import NewJob
from lamplighter.rules.new_jobs import FollowUps, follow_up_id, follow_ups
from lamplighter.stores.transitions import born
from lamplighter.testing import Faults, Inline, Simulation

JOIN_SECONDS_MAX = 20

FUNCTIONS = """
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from lamplighter import Discard, JobSpec, UnknownJob, UsageError


def end(job):
    if job.data == "nothing":
        job.then()
        return "nothing"
    job.then(("part", {"number": 1}))
    job.then(
        JobSpec(name="part", data=2, id=f"{job.id}-second", priority=3, max_attempts=7, timeout=timedelta(minutes=2)),
        JobSpec(name="part", data=3, at=datetime(2100, 1, 1, tzinfo=UTC), expires=datetime(2101, 1, 1, tzinfo=UTC)),
    )
    match job.data:
        case "fail" if job.attempt == 1:
            raise ValueError("no")
        case "discard":
            raise Discard("no")
        case "refused":
            try:
                job.then(("part", 4), JobSpec(name="part", priority="high"))
            except UsageError as error:
                return str(error)
    return "well"


async def end_async(job):
    return end(job)


def graph(job):
    first, second = job.then(("part", 1), JobSpec(name="part", data=2))
    (merge,) = job.then(JobSpec(name="part", data=3, after=[first, second]))
    with suppress(UsageError):
        job.then(JobSpec(name="part", data="dropped", after=merge), JobSpec(name="part", priority="high"))
    beside = JobSpec(name="part", data="beside")
    job.then(beside, JobSpec(name="part", data=4, after=[merge, beside], after_ended=first))
    try:
        job.then(JobSpec(name="part", after="nobody"))
    except UnknownJob as error:
        return str(error)


async def graph_async(job):
    return graph(job)


def many(job):
    return [one.id for one in job.queue_many([("part", 1), JobSpec(name="part", data=2, id="known")])]


async def many_async(job):
    return [one.id for one in await job.aqueue_many([("part", 1), JobSpec(name="part", data=2, id="known")])]
"""


@pytest.fixture(params=["thread", "task"])
def lanes(request, runtime, importable):
    """Has a function of FUNCTIONS do a job, on each kind of lane; gives the runtime, and the job as it ended.
    tests/whole has the lanes in processes.
    """
    return lanes_of(request.param, runtime, importable)


def lanes_of(kind, runtime, importable):
    module = importable("functions_that_say_then", FUNCTIONS)
    rt = runtime(workers_max=4)
    rt.jobs.add_handler("part", lambda job: None)

    def ended(data, function="end"):
        fn = getattr(module, f"{function}_async" if kind == "task" else function)
        isolation = "process" if kind == "process" else "thread"
        rt.jobs.add_handler("whole", fn, isolation=isolation, max_attempts=2, backoff=[0.0])
        with suppress(JobFailed):
            rt.jobs.join(rt.jobs.queue("whole", data, id="a"), timeout=JOIN_SECONDS_MAX)
        return rt, rt.jobs.get("a")

    return ended


def parts(rt, name="part"):
    """The jobs of a name, the oldest first."""
    return sorted(rt.jobs.list(name), key=lambda job: job.record.row_id)


def test_what_a_handler_says_is_queued_with_the_end_of_its_job(lanes):
    rt, whole = lanes("well")

    first, second, third = parts(rt)
    assert [job.id for job in (first, second, third)] == ["a.1.1", "a-second", "a.1.3"]
    assert [job.data for job in (first, second, third)] == [{"number": 1}, 2, 3]
    assert {job.record.root_id for job in (first, second, third)} == {"a"}
    assert {job.queued_at for job in (first, second, third)} == {whole.ended_at}
    assert (second.priority, second.record.max_attempts, second.record.timeout) == (3, 7, 120.0)
    assert (third.state, third.run_at) == ("queued", datetime(2100, 1, 1, tzinfo=UTC))
    assert third.record.expires_at == datetime(2101, 1, 1, tzinfo=UTC).timestamp()
    assert rt.jobs.join(first, timeout=JOIN_SECONDS_MAX).state == "done"


def test_an_attempt_that_fails_drops_what_it_has_said_and_the_next_says_it_anew(lanes):
    rt, _ = lanes("fail")

    assert [job.id for job in parts(rt)] == ["a.2.1", "a-second", "a.2.3"]


@pytest.mark.parametrize("data", ["discard", "nothing"])
def test_nothing_follows_a_job_that_is_dead_or_has_said_nothing(lanes, data):
    rt, _ = lanes(data)

    assert parts(rt) == []


def test_a_call_that_is_refused_adds_none_of_its_jobs_and_says_so_to_the_handler(lanes):
    rt, whole = lanes("refused")

    assert whole.result == "expected priority to be a whole number from -1000000 to 1000000, got: 'high'"
    assert [job.data for job in parts(rt)] == [{"number": 1}, 2, 3]


def test_a_later_call_may_name_what_an_earlier_one_has_said_and_no_unknown_job(lanes):
    rt, whole = lanes(None, "graph")

    assert whole.result.startswith(
        "expected jobs of the store in after, after_ended and after_failed, got: 'nobody'; it never was"
    )
    assert [(job.data, [one.data for one in rt.jobs.parents(job)]) for job in parts(rt)] == [
        (1, []),
        (2, []),
        (3, [1, 2]),
        ("beside", []),
        (4, [3, "beside", 1]),
    ]
    assert rt.jobs.join(parts(rt)[-1], timeout=JOIN_SECONDS_MAX).state == "done"


def test_what_a_refused_call_has_named_cannot_be_waited_for(runtime):
    rt = runtime()

    def whole(job):
        kept, dropped = JobSpec(name="part", data="kept"), JobSpec(name="part", data="dropped")
        with pytest.raises(UsageError, match="priority"):
            job.then(dropped, JobSpec(name="part", priority="high"))
        assert job.then(kept) == [kept]
        with pytest.raises(UsageError, match="expected after to hold a JobSpec that is queued in the same call"):
            job.then(JobSpec(name="part", after=dropped))
        job.then(JobSpec(name="part", data="last", after=kept))

    rt.jobs.add_handler("whole", whole)
    rt.jobs.join(rt.jobs.queue("whole"), timeout=JOIN_SECONDS_MAX)

    assert [(job.data, [one.data for one in rt.jobs.parents(job)]) for job in parts(rt)] == [
        ("kept", []),
        ("last", ["kept"]),
    ]


def test_a_handler_queues_many_at_once(lanes):
    rt, whole = lanes(None, "many")

    assert whole.result == [job.id for job in parts(rt)]
    assert whole.result[1] == "known"
    assert {job.record.root_id for job in parts(rt)} == {"a"}


def say_and(end):
    """A handler that says that a part follows, and then does something else."""

    def handler(job):
        job.then(("part", None))
        return end(job)

    return handler


def raises(error):
    def end(job):
        if not job.token.endswith(":2"):
            raise error

    return end


@pytest.mark.parametrize(
    ("end", "options", "left"),
    [
        (raises(Snooze(0)), {}, ["a.2.1"]),
        (raises(Cancel("not needed")), {}, []),
        (raises(SystemExit()), {"backoff": [0.0]}, ["a.2.1"]),
        (lambda job: job.sleep(60), {"timeout": 0.05, "max_attempts": 1}, []),
        (lambda job: {"a": object()}, {}, ["a.1.1"]),
    ],
    ids=["snooze", "cancel", "exit", "timeout", "a result that is lost"],
)
def test_only_an_end_as_done_counts(runtime, end, options, left):
    rt = runtime(lane_grace_seconds=0.1)
    rt.jobs.add_handler("whole", say_and(end), **options)

    with suppress(JobFailed):
        rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    assert [job.id for job in parts(rt)] == left


@pytest.mark.parametrize("act", ["cancel", "requeue", "mark_done"])
def test_an_attempt_that_has_lost_its_claim_queues_nothing(runtime, recorder, act):
    rt = runtime()
    begun, go_on = rt.environment.event(), rt.environment.event()

    def whole(job):
        job.then(("part", job.token))
        begun.set()
        go_on.wait(JOIN_SECONDS_MAX)

    rt.jobs.add_handler("whole", whole)
    job = rt.jobs.queue("whole", id="a")
    begun.wait(JOIN_SECONDS_MAX)
    if act == "mark_done":
        rt.jobs.mark_done("a:1", then=[("other", None)])
    else:
        getattr(rt.jobs, act)(job)
    go_on.set()
    # Its lane is the only one, so what is done after it is settled after it.
    rt.jobs.join(rt.jobs.queue("whole", id="after it"), timeout=JOIN_SECONDS_MAX)

    assert [one.data for one in parts(rt)] == [*(["a:2"] if act == "requeue" else []), "after it:1"]
    assert [one.id for one in parts(rt, "other")] == (["a.1.1"] if act == "mark_done" else [])
    assert len(recorder.of("job.fenced", job_id="a", claim_no=1)) == (act != "mark_done")


def test_a_job_that_is_done_once_more_is_followed_once_more(runtime):
    rt = runtime()
    rt.jobs.add_handler("whole", say_and(lambda job: None))
    job = rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    rt.jobs.requeue(job)
    rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    assert [one.id for one in parts(rt)] == ["a.1.1", "a.3.1"]


def test_an_id_that_an_earlier_job_of_the_same_id_has_left_behind_costs_no_job(timed, time):
    """Retention removes the first job, and what followed it still waits: nobody may take it for what follows now."""
    rt = timed(keep_done_seconds=60.0)
    rt.jobs.add_handler("whole", say_and(lambda job: None))
    for _ in range(2):
        rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)
        time.advance(7200)
        rt.wait(0.01)
        while any(job.id == "a" for job in rt.jobs.list()):
            rt.wait(0.01)

    first, second = parts(rt)
    assert first.id == "a.1.1"
    assert second.id.startswith("a.1.1~")


def test_a_twin_is_returned_as_ever_and_is_not_counted(runtime, recorder):
    rt = runtime()
    rt.jobs.queue("part", 0, unique="one", id="there")
    rt.jobs.add_handler("whole", lambda job: job.then(JobSpec(name="part", unique="one"), ("part", 1)))

    rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    assert [job.id for job in parts(rt)] == ["there", "a.1.2"]
    assert recorder.wait_for("job.done", job_id="a")["then"] == 1
    assert recorder.wait_for("job.deduplicated", job_id="there")["asked_id"] == "a.1.1"


def test_a_delay_counts_from_the_end_of_the_job(timed, time):
    rt = timed()
    go_on = rt.environment.event()

    def whole(job):
        job.then(JobSpec(name="part", delay=10, expires=timedelta(seconds=60)))
        begun.set()
        go_on.wait(JOIN_SECONDS_MAX)

    begun = rt.environment.event()
    rt.jobs.add_handler("whole", whole)
    job = rt.jobs.queue("whole")
    begun.wait(JOIN_SECONDS_MAX)
    time.advance(100)
    go_on.set()
    whole = rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)

    (part,) = parts(rt)
    assert (part.queued_at, part.run_at) == (whole.ended_at, whole.ended_at + timedelta(seconds=10))
    assert part.record.expires_at == whole.ended_at.timestamp() + 60


def test_parts_without_a_handler_are_said_to_be_parked(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("whole", say_and(lambda job: None))
    rt.jobs.add_handler("parts", lambda job: None)
    # The broker has heard of a handler whose job has run.
    rt.jobs.join(rt.jobs.queue("parts"), timeout=JOIN_SECONDS_MAX)

    rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    assert recorder.wait_for("name.parked", job_name="part")["meant"] == "parts"
    assert recorder.wait_for("job.parked", job_name="part")["job_id"] == "a.1.1"


def test_the_log_ties_both_ends(runtime, recorder):
    rt = runtime()
    rt.jobs.add_handler("whole", lambda job: job.then(("part", 1), ("part", 2)))

    rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    done = recorder.wait_for("job.done", job_id="a")
    births = [recorder.wait_for("job.queued", job_id=f"a.1.{number}") for number in (1, 2)]
    assert done["then"] == 2
    assert [(birth["then_of"], birth["turn"], birth["corr"]) for birth in births] == [("a", done["turn"], "a")] * 2
    (turn,) = (event for event in recorder.of("turn.committed") if event["turn"] == done["turn"])
    assert [(move["j"], move.get("x"), move.get("q")) for move in turn["moves"]][:3] == [
        ("a", 2, None),
        ("a.1.1", None, "a"),
        ("a.1.2", None, "a"),
    ]


def test_what_follows_and_waits_for_others_says_both(runtime, recorder):
    """What a birth says of the job that it follows had taken the place of how many others it waits for, so that the
    audit found it started too soon.
    """
    rt = runtime()
    rt.jobs.add_handler("part", lambda job: job.data)

    def whole(job):
        parts = [JobSpec(name="part", data=number) for number in range(2)]
        job.then(*parts, JobSpec(name="part", id="last", after=parts))

    rt.jobs.add_handler("whole", whole)

    rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)
    rt.jobs.join("last", timeout=JOIN_SECONDS_MAX)
    rt.stop()

    birth = recorder.wait_for("job.queued", job_id="last")
    assert (birth["then_of"], birth["parents"]) == ("a", 2)
    assert recorder.wait_for("job.linked")["waits_for"] == ["a.1.1", "a.1.2"]
    assert recorder.audit().ok


@pytest.mark.parametrize("how", ["token", "id"])
def test_mark_done_takes_what_follows(runtime, how):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("whole", lambda job: tokens.append(job.token), auto_done=False)
    job = rt.jobs.queue("whole" if how == "token" else "nobody", id="a")
    while how == "token" and not tokens:
        rt.wait(0.01)
    ref = tokens[0] if how == "token" else job

    rt.jobs.mark_done(ref, 7, then=[("part", 1), JobSpec(name="part", data=2)])
    rt.jobs.mark_done(ref, 7, then=[("part", 1), JobSpec(name="part", data=2)])

    assert rt.jobs.get("a").result == 7
    assert [(one.id, one.data, one.record.root_id) for one in parts(rt)] == [("a.1.1", 1, "a"), ("a.1.2", 2, "a")]


FIRST = [("part", 1), JobSpec(name="part", data=2, id="own"), JobSpec(name="part", data=3, unique="key"), ("part", 4)]


@pytest.mark.parametrize(
    ("result", "then"),
    [
        ({"approved": False}, FIRST),
        ({"approved": True}, []),
        ({"approved": True}, FIRST[:3]),
        ({"approved": True}, [*FIRST, ("part", 5)]),
        ({"approved": True}, [("part", 7), *FIRST[1:]]),
        ({"approved": True}, [("other", 1), *FIRST[1:]]),
        ({"approved": True}, [FIRST[0], JobSpec(name="part", data=2, id="another"), *FIRST[2:]]),
    ],
    ids=["result", "none", "fewer", "more", "data", "name", "id"],
)
@pytest.mark.parametrize("how", ["token", "id"])
def test_a_second_end_that_differs_is_refused_and_the_same_again_is_one(runtime, tmp_path, how, result, then):
    """Of two people who decide, the second was told nothing, and what follows that decision was dropped."""
    rt, tokens = runtime(), queue.SimpleQueue()
    rt.jobs.add_handler("whole", lambda job: tokens.put(job.token), auto_done=False)
    job = rt.jobs.queue("whole" if how == "token" else "nobody", id="a")
    ref = tokens.get(timeout=JOIN_SECONDS_MAX) if how == "token" else "a"
    rt.jobs.queue("part", 3, unique="key", id="there")
    rt.jobs.mark_done(ref, {"approved": True}, then=FIRST)
    stored = [one.record for one in rt.jobs.list()]

    with pytest.raises(StaleClaim, match="job a is done already, with another result or with other jobs to follow it"):
        rt.jobs.mark_done(ref, result, then=then)
    rt.jobs.mark_done(ref, {"approved": True}, then=FIRST)

    assert rt.jobs.get(job).result == {"approved": True}
    assert [one.record for one in rt.jobs.list()] == stored
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, pytest.raises(StaleClaim):
        # What the application writes beside it would count twice.
        rt.jobs.mark_done(ref, {"approved": True}, then=FIRST, connection=connection)


def test_the_same_end_again_is_one_where_what_follows_has_got_another_id(runtime):
    rt = runtime()
    rt.jobs.queue("nobody", id="a")
    rt.jobs.queue("part", "an earlier one", id="a.1.1")
    rt.jobs.mark_done("a", 7, then=[("part", 1)])

    rt.jobs.mark_done("a", 7, then=[("part", 1)])
    with pytest.raises(StaleClaim):
        rt.jobs.mark_done("a", 7, then=[("part", 2)])

    assert [job.data for job in parts(rt)] == ["an earlier one", 1]


def test_what_became_of_those_that_follow_makes_no_other_end(runtime):
    rt = runtime()
    rt.jobs.queue("nobody", id="a")
    then = [("part", 1), debounced(2, "key")]
    rt.jobs.mark_done("a", 7, then=then)
    rt.jobs.cancel("a.1.1")
    rt.jobs.mark_done("a", 7, then=then)
    rt.jobs.queue("part", 3, debounce=Debounce("key", quiet=60, at_most=90))

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done("a", 7, then=then)

    assert [(one.data, one.state) for one in parts(rt)] == [(1, "cancelled"), (3, "queued")]


def debounced(data, key):
    return JobSpec(name="part", data=data, debounce=Debounce(key, quiet=60, at_most=90))


def unique(data, key):
    return JobSpec(name="part", data=data, unique=key)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], [unique(1, "key")]),
        ([], [debounced(1, "key")]),
        ([("part", 1)], [unique(1, "key")]),
        ([("part", 1)], [("part", 1), unique(1, "key")]),
        ([unique(0, "twin")], [unique(0, "key")]),
        ([unique(1, "key")], [unique(2, "key")]),
        ([debounced(1, "key")], [debounced(2, "key")]),
        ([debounced(1, "key")], [debounced(1, "other")]),
    ],
)
def test_a_second_end_whose_keys_differ_is_refused(runtime, first, second):
    """It had returned without an error, and nothing of it was stored."""
    rt = runtime()
    rt.jobs.queue("nobody", id="a")
    rt.jobs.queue("part", 0, unique="twin", id="there")
    rt.jobs.mark_done("a", 7, then=first)
    stored = [one.record for one in rt.jobs.list()]

    with pytest.raises(StaleClaim, match="job a is done already"):
        rt.jobs.mark_done("a", 7, then=second)
    rt.jobs.mark_done("a", 7, then=first)

    assert [one.record for one in rt.jobs.list()] == stored


def test_amark_done_takes_what_follows(runtime):
    rt = runtime()
    job = rt.jobs.queue("nobody", id="a")

    asyncio.run(rt.jobs.amark_done(job, then=[("part", 1)]))

    assert [one.id for one in parts(rt)] == ["a.1.1"]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("state", ["running", "queued"])
def test_in_a_transaction_of_the_application_they_follow_if_it_commits(runtime, tmp_path, state, commits):
    rt = runtime()
    tokens = []
    rt.jobs.add_handler("whole", tokens.append, auto_done=False)
    job = rt.jobs.queue("whole" if state == "running" else "nobody", id="a")
    while state == "running" and not tokens:
        rt.wait(0.01)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        ref = tokens[0] if state == "running" else job
        rt.jobs.mark_done(ref, then=[("part", 1), ("part", 2)], connection=connection)
        connection.commit() if commits else connection.rollback()

    if commits:
        rt.jobs.join(job, timeout=JOIN_SECONDS_MAX)
    assert [(one.id, one.record.root_id) for one in parts(rt)] == ([("a.1.1", "a"), ("a.1.2", "a")] if commits else [])


@pytest.mark.parametrize("state", ["running", "queued"])
def test_in_a_transaction_of_the_application_the_log_ties_both_ends(runtime, recorder, tmp_path, monkeypatch, state):
    """Also where one turn counts fewer moves of applications than there are."""
    monkeypatch.setattr("lamplighter.stores.tables.jobs.HOST_JOBS_MAX", 1)
    rt, tokens = runtime(), queue.SimpleQueue()
    rt.jobs.add_handler("whole", lambda job: tokens.put(job.token), auto_done=False)
    job = rt.jobs.queue("whole" if state == "running" else "nobody", id="a")
    ref = tokens.get(timeout=JOIN_SECONDS_MAX) if state == "running" else job
    chain = [("part", 1), JobSpec(name="part", data=2, id="b")]
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        rt.jobs.queue("nobody", id="before", connection=connection)
        rt.jobs.mark_done(ref, then=chain, connection=connection)
        # One that follows has ended too, and others follow it.
        rt.jobs.mark_done("b", then=[("part", 3), JobSpec(name="part", id="c", after="a")], connection=connection)
        connection.commit()

    births = {job_id: recorder.wait_for("job.queued", job_id=job_id) for job_id in ("a.1.1", "b", "b.0.1", "c")}
    ends = {job_id: recorder.wait_for("job.done", job_id=job_id) for job_id in ("a", "b")}
    rt.stop()

    assert {job_id: birth["then_of"] for job_id, birth in births.items()} == {
        "a.1.1": "a", "b": "a", "b.0.1": "b", "c": "b"
    }  # fmt: skip
    assert {job_id: end["then"] for job_id, end in ends.items()} == {"a": 2, "b": 2}
    assert {line["turn"] for line in (*births.values(), *ends.values())} == {ends["a"]["turn"]}
    assert births["c"]["parents"] == 1
    assert "then_of" not in recorder.wait_for("job.queued", job_id="before")
    assert recorder.audit().ok
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("select * from lamplighter_follow_ups").fetchall() == []


def test_one_of_those_that_follow_is_told_with_the_end_whoever_asks_for_it_first(runtime, recorder, tmp_path):
    rt = runtime(start=False)
    with rt:
        job = rt.jobs.queue("nobody", id="a")
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            rt.jobs.mark_done(job, then=[("part", 1), ("part", 2)], connection=connection)
            connection.commit()
        rt.jobs.cancel("a.1.2")

        cancelled = recorder.wait_for("job.cancelled", job_id="a.1.2")
        assert recorder.wait_for("job.done", job_id="a")["then"] == 2
        assert cancelled["job_id"] == "a.1.2"
    assert recorder.audit().ok


@pytest.mark.parametrize("ref", ["job", "token"])
@pytest.mark.parametrize("how", ["call", "commit", "roll back"])
def test_what_a_handler_has_said_is_queued_when_it_ends_its_own_job(runtime, recorder, tmp_path, ref, how):
    rt = runtime()

    def whole(job):
        job.then(("part", 1), ("part", 2))
        own = job if ref == "job" else job.token
        if how == "call":
            return rt.jobs.mark_done(own, "by hand", then=[("part", 3)])
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            rt.jobs.mark_done(own, "by hand", then=[("part", 3)], connection=connection)
            connection.commit() if how == "commit" else connection.rollback()
        return "by return"

    rt.jobs.add_handler("whole", whole)
    done = rt.jobs.join(rt.jobs.queue("whole", id="a"), timeout=JOIN_SECONDS_MAX)

    # What a rollback takes back comes with the return.
    assert done.result == ("by return" if how == "roll back" else "by hand")
    left = [1, 2] if how == "roll back" else [1, 2, 3]
    assert [(one.id, one.data) for one in parts(rt)] == [(f"a.1.{number}", number) for number in left]
    rt.stop()
    recorder.check()


def test_a_stale_mark_done_queues_nothing(runtime, tmp_path):
    rt = runtime()
    job = rt.jobs.queue("nobody", id="a")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        with pytest.raises(StaleClaim):
            rt.jobs.mark_done("a:3", then=[("part", 1)], connection=connection)
        connection.commit()

    with pytest.raises(StaleClaim):
        rt.jobs.mark_done("a:3", then=[("part", 1)])

    assert rt.jobs.get(job).state == "queued"
    assert parts(rt) == []


def test_a_handler_that_does_not_end_its_job_is_told_who_takes_them(runtime):
    rt = runtime()
    errors = []

    def whole(job):
        try:
            job.then(("part", 1))
        except UsageError as error:
            errors.append(str(error))

    rt.jobs.add_handler("whole", whole, auto_done=False)
    rt.jobs.queue("whole")
    while not errors:
        rt.wait(0.01)

    assert errors == [
        "expected job.then in a handler whose return ends the job, got one with auto_done=False; say "
        "jobs.mark_done(..., then=[...])"
    ]


def test_a_snapshot_and_a_handler_that_has_returned_cannot_say_it(runtime):
    rt = runtime()
    kept = []
    rt.jobs.add_handler("whole", kept.append)
    job = rt.jobs.join(rt.jobs.queue("whole"), timeout=JOIN_SECONDS_MAX)

    with pytest.raises(UsageError, match="only the Job that a handler gets can do this"):
        job.then(("part", 1))
    with pytest.raises(UsageError, match=r"expected job\.then before the handler has returned, got it after that"):
        kept[0].then(("part", 1))
    assert parts(rt) == []


@pytest.mark.parametrize(
    ("jobs", "error"),
    [
        ([7], "expected a JobSpec or a (name, data) pair, got: 7"),
        (["part"], "expected a JobSpec or a (name, data) pair, got: 'part'"),
        ([("part", object)], "expected a JSON-serializable value at data"),
        ([("", 1)], "expected name to be a str of 1 to 200 characters, got: 0 characters"),
        ([JobSpec(name="part", id="")], "expected id to be a str of 1 to 200 characters, got: 0 characters"),
        ([JobSpec(name="part", delay=-1)], "expected delay to be a number of seconds"),
        ([("part", 1)] * 4, "expected at most 3 jobs in then, got 4: queue them in parts, from a job of their own"),
        (
            [("part", "x" * 60)] * 2,
            "expected data of at most 100 bytes as JSON in then, got 124: pass references, or queue the jobs in parts, "
            "from a job of their own",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_said(runtime, jobs, error):
    rt = runtime(then_jobs_max=3, then_bytes_max=100)
    said = []

    def whole(job):
        try:
            job.then(*jobs)
        except UsageError as refused:
            said.append(str(refused))

    rt.jobs.add_handler("whole", whole)
    job = rt.jobs.join(rt.jobs.queue("whole"), timeout=JOIN_SECONDS_MAX)
    with pytest.raises(UsageError) as of_mark_done:
        rt.jobs.mark_done(rt.jobs.queue("nobody", id="b"), then=jobs)

    assert [text[: len(error)] for text in (*said, str(of_mark_done.value))] == [error, error]
    assert job.state == "done"
    assert rt.jobs.get("b").state == "queued"
    assert parts(rt) == []


@pytest.mark.parametrize("then", [7, None, JobSpec(name="part")])
def test_then_of_mark_done_must_be_some_jobs(runtime, then):
    rt = runtime()
    job = rt.jobs.queue("nobody")

    with pytest.raises(UsageError, match=r"expected then to be JobSpecs or \(name, data\) pairs, got: "):
        rt.jobs.mark_done(job, then=then)

    assert rt.jobs.get(job).state == "queued"


def test_a_generator_without_an_end_is_refused(runtime):
    rt = runtime(then_jobs_max=3)
    job = rt.jobs.queue("nobody")

    with pytest.raises(UsageError, match="expected at most 3 jobs in then, got 4"):
        rt.jobs.mark_done(job, then=iter(partial(tuple, ("part", 1)), None))


def test_the_limits_hold_over_all_calls_and_a_refused_call_adds_nothing():
    kept = FollowUps(Limits(then_jobs_max=3, then_bytes_max=10))
    one = NewJob("", "part", '"xx"', 0, 0.0, 0.0, "a")
    kept.add([one, one])

    with pytest.raises(UsageError, match="expected at most 3 jobs in then, got 4"):
        kept.add([one, one])
    with pytest.raises(UsageError, match="at most 10 bytes as JSON in then, got 12"):
        kept.add([one])

    assert kept.jobs == [one, one]


def test_the_ids_of_a_chain_of_any_length_stay_ids():
    ids, job_id = set(), "a" * 100
    for _ in range(500):
        job_id = follow_up_id(
            born(NewJob(job_id, "link", "null", 0, 0.0, 0.0, "a"), 1)._replace(move_no=2, claim_no=1), 1
        )
        ids.add(job_id)

    assert len(ids) == 500
    assert max(map(len, ids)) <= 200 - len("~") - len(str(10**15))


def test_a_message_that_is_delivered_again_gives_the_same_ids_and_a_requeue_others():
    job = born(NewJob("a", "whole", "null", 0, 0.0, 0.0, "a"), 0)
    claimed, claimed_again = job._replace(move_no=2, claim_no=1), job._replace(move_no=3, claim_no=2)
    requeued = job._replace(move_no=4, claim_no=2)
    part = NewJob("", "part", "1", 0, 5.0, 5.0, "")

    ids = [follow_ups(one, [part], 9.0)[0].id for one in (claimed, claimed_again, requeued)]

    assert ids == ["a.1.1", "a.1.1", "a.2.1"]


class Notes(Carrier):
    def __init__(self):
        self.queued = []

    def inject(self):
        return {"by": "a carrier"}

    def around_queue(self, jobs):
        self.queued.append([job.name for job in jobs])
        return super().around_queue(jobs)


def test_carriers_go_along(runtime):
    notes = Notes()
    rt = runtime(carriers=[notes])
    rt.jobs.add_handler("whole", say_and(lambda job: None))

    rt.jobs.join(rt.jobs.queue("whole"), timeout=JOIN_SECONDS_MAX)

    assert parts(rt)[0].carried == {"by": "a carrier"}
    assert notes.queued == [["whole"], ["part"]]


def test_inline_runs_what_follows():
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("whole", lambda job: job.then(("part", 1), JobSpec(name="part", data=2, delay=60)))
        runtime.jobs.add_handler("part", lambda job: job.data)
        runtime.jobs.add_handler("open", lambda job: None, auto_done=False)

    with Inline(register) as app:
        app.jobs.queue("whole", id="a")
        assert [job.state for job in parts(app)] == ["done", "queued"]
        app.advance(minutes=2)
        assert [job.result for job in parts(app)] == [1, 2]
        token = f"{app.jobs.queue('open', id='b').id}:1"
        app.jobs.mark_done(token, then=[("part", 3)])
        assert app.jobs.get("b.1.1").result == 3


def test_what_follows_survives_brokers_and_actors_that_die():
    def register(runtime: Runtime) -> None:
        def whole(job):
            job.then(("part", job.id), ("part", job.id))
            if job.data % 3 == 0 and job.attempt == 1:
                raise Discard("no")

        runtime.jobs.add_handler("whole", whole, concurrency=3)
        runtime.jobs.add_handler("part", lambda job: job.data)

    def host(runtime: Runtime) -> None:
        for number in range(40):
            with suppress(Exception):
                runtime.jobs.queue("whole", number, id=f"j{number}")

    faults = Faults(crash_actor=0.05, commit_unknown=0.1, store_error=0.05)
    with Simulation(register, host=host, seed=3, faults=faults, restarts_max=10_000) as simulation:
        simulation.run(minutes=2)
        simulation.settle()
        simulation.check()
        moves = [move for line in map(json.loads, simulation.log.splitlines()) for move in line.get("moves", ())]

    done = {move["j"] for move in moves if move["k"] == "done" and move["n"] == "whole"}
    born = [move["q"] for move in moves if move["k"] == "queued" and move["n"] == "part"]
    assert len(done) > 20
    assert {job_id: born.count(job_id) for job_id in {*done, *born}} == dict.fromkeys(done, 2)


@pytest.mark.parametrize("names", [(), ["group"], ["priority"], ["group", "priority"]], ids="-".join)
def test_a_handler_hands_the_group_and_priority_of_its_job_down_if_it_says_so(names):
    def register(runtime: Runtime) -> None:
        def work(job):
            job.then(("next", 1), JobSpec(name="next", data=2, group="own", priority=9))

        runtime.jobs.add_handler("work", work, hands_down=names)
        runtime.jobs.add_handler("next", lambda job: None)

    with Inline(register) as app:
        app.jobs.queue("work", group="acme", priority=3)
        follow = sorted((job.data, job.group, job.priority) for job in app.jobs.list("next"))

    assert follow == [(1, "acme" if "group" in names else None, 3 if "priority" in names else 0), (2, "own", 9)]
