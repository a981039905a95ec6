"""Many jobs at a stroke, by a query: put back into the queue, or cancelled; and listed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from lamplighter import JobSpec, Runtime, UsageError
from lamplighter.admin.query import parse_query
from lamplighter.messages.mail import CancelMany, RequeueMany

from ..conftest import Recorder

ADA = {"by": "ada", "reason": "the bank is back"}


def fail(job: Any) -> None:
    raise ValueError(job.data["why"])


@pytest.fixture
def one(runtime: Callable[..., Runtime], recorder: Recorder) -> Runtime:
    """Three dead `charge` jobs, `c0` to `c2`, and a dead `mail`; jobs of both are paused from then on."""
    made = runtime()
    for name in ("charge", "mail"):
        made.jobs.add_handler(name, fail, max_attempts=1)
    for number, why in enumerate(("timeout", "no money", "Timeout of the bank")):
        made.jobs.queue("charge", {"why": why, "customer": number}, id=f"c{number}")
    made.jobs.queue("mail", {"why": "timeout", "customer": 1}, id="m")
    recorder.wait_for("job.dead", count=4)
    for name in ("charge", "mail"):
        made.jobs.pause(name)
    return made


def states(runtime: Runtime) -> dict[str, str]:
    return {job.id: job.state for job in runtime.jobs.list(limit=10_000)}


DEAD = dict.fromkeys(("c0", "c1", "c2", "m"), "dead")


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("error:timeout", ("c0", "c2", "m")),
        ("name:charge error:timeout", ("c0", "c2")),
        ("name:charge data.customer=1", ("c1",)),
        ("ended:<1h name:mail", ("m",)),
        ("ended:>1h", ()),
        ("state:dead", ("c0", "c1", "c2", "m")),
        ("state:done", ()),
        ("id:c", ("c0", "c1", "c2")),
        ("money", ("c1",)),
    ],
)
def test_those_that_a_query_asks_for_are_queued_again_and_no_others(
    one: Runtime, query: str, meant: tuple[str, ...]
) -> None:
    assert one.jobs.requeue_many(query) == len(meant)

    assert states(one) == DEAD | dict.fromkeys(meant, "queued")


def test_done_and_cancelled_jobs_are_queued_again_where_the_query_says_so(one: Runtime) -> None:
    one.jobs.mark_done(one.jobs.queue("charge", {"why": "none"}, id="done"))
    one.jobs.cancel(one.jobs.queue("charge", {"why": "none"}, id="off"))

    assert one.jobs.requeue_many("name:charge state:done state:cancelled") == 2

    assert states(one) == DEAD | {"done": "queued", "off": "queued"}


def test_waiting_and_running_jobs_of_a_query_are_cancelled_and_no_others(one: Runtime, recorder: Recorder) -> None:
    one.jobs.add_handler("report", lambda job: job.sleep(60))
    one.jobs.queue("report", {"customer": 7}, id="runs")
    one.jobs.queue("charge", {"customer": 7}, id="waits")
    one.jobs.queue("charge", {"customer": 8}, id="stays")
    recorder.wait_for("job.started", job_id="runs")

    assert one.jobs.cancel_many("data.customer=7", **ADA) == 2

    assert states(one) == DEAD | {"runs": "cancelled", "waits": "cancelled", "stays": "queued"}
    assert one.jobs.get("waits").reason == "cancelled by ada: the bank is back"


def test_what_is_no_more_what_was_found_is_left(one: Runtime) -> None:
    """Between the look at the store and the turn, each of these has become another one than was asked for."""
    boot = one.boot
    dead, waiting = parse_query("state:dead error:timeout", 0.0), parse_query("state:queued data.customer=7", 0.0)
    one.jobs.queue("charge", {"customer": 8}, id="other")

    requeued = boot.requests.ask(partial(RequeueMany, ("c1", "other", "none"), dead, 0.0))
    cancelled = boot.requests.ask(partial(CancelMany, ("c1", "other", "none"), waiting))

    assert (requeued, cancelled) == (0, 0)
    assert states(one) == DEAD | {"other": "queued"}


def test_many_are_done_in_turns_of_so_many_each_of_them_in_the_ledger(one: Runtime, recorder: Recorder) -> None:
    many = 1_001
    one.jobs.queue_many([JobSpec(name="bulk", data=number) for number in range(many)])

    assert one.jobs.cancel_many("name:bulk", **ADA) == many

    recorder.wait_for("job.cancelled", count=many)
    lines = [line for line in recorder.of("turn.committed") if any(move["k"] == "cancelled" for move in line["moves"])]
    assert len({line["turn"] for line in lines}) == 3
    moves = [move for line in lines for move in line["moves"]]
    assert {(move["k"], move["by"], move["why"]) for move in moves} == {("cancelled", *ADA.values())}
    assert len(moves) == many


def test_one_whose_unique_key_is_taken_stays_as_it_is(one: Runtime) -> None:
    one.jobs.cancel(one.jobs.queue("charge", {"why": "none"}, id="first", unique="k"))
    one.jobs.queue("charge", {"why": "none"}, id="second", unique="k")

    assert one.jobs.requeue_many("state:cancelled") == 0

    assert states(one) == DEAD | {"first": "cancelled", "second": "queued"}


def test_a_delay_holds_for_each(one: Runtime) -> None:
    assert one.jobs.requeue_many("name:mail", delay=3600) == 1

    assert one.jobs.get("m").run_at.timestamp() == pytest.approx(one.boot.clock.now() + 3600.0, abs=60.0)


def test_the_log_of_it_all_is_whole(one: Runtime, recorder: Recorder) -> None:
    one.jobs.requeue_many("name:charge", **ADA)
    one.jobs.cancel_many("name:charge", **ADA)
    one.jobs.requeue_many("state:cancelled", **ADA)
    one.stop()

    assert recorder.audit().ok


def test_an_asyncio_host_does_the_same(one: Runtime) -> None:
    async def act() -> tuple[int, int, list[str]]:
        return (
            await one.jobs.arequeue_many("name:charge", **ADA),
            await one.jobs.acancel_many("name:charge", **ADA),
            [job.id for job in await one.jobs.alist(query="name:charge data.customer=2")],
        )

    assert asyncio.run(act()) == (3, 3, ["c2"])


def test_who_is_cancelled_in_the_middle_of_a_look_is_just_that(one: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, go_on = threading.Event(), threading.Event()

    def slowly(query: object) -> Iterator[list[str]]:
        looks.set()
        go_on.wait(15)
        yield ["c0"]

    async def act() -> None:
        acting = asyncio.create_task(one.jobs.arequeue_many("state:dead"))
        await asyncio.to_thread(looks.wait, 15)
        acting.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await acting

    monkeypatch.setattr(one.boot.store.table, "sweep", slowly)

    asyncio.run(act())

    assert states(one) == DEAD


REFUSED = {
    "": "expected a query that says which jobs jobs.requeue_many is for, got: ''; for all of them: 'state:dead'",
    "   ": "expected a query that says which jobs",
    "state:running": "expected jobs.requeue_many to be for .*state:done.*, got: state:running",
    "stat:dead": "did you mean state:?",
    "ended:yesterday": "expected < or > after ended:",
    'error:"open': "expected a second quotation mark",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_cannot_be_meant_is_refused_before_anything_is_done(one: Runtime, query: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[query]):
        one.jobs.requeue_many(query)

    assert states(one) == DEAD


@pytest.mark.parametrize("query", ["", "state:dead", "state:queued state:done"])
def test_nothing_is_cancelled_without_saying_what_or_that_has_ended(one: Runtime, query: str) -> None:
    one.jobs.queue("charge", {"why": "none"}, id="waits")

    with pytest.raises(UsageError, match=r"expected .*jobs\.cancel_many"):
        one.jobs.cancel_many(query)

    assert states(one) == DEAD | {"waits": "queued"}


@pytest.mark.parametrize("query", [None, 7, b"state:dead"])
def test_a_query_that_is_no_text_is_refused(one: Runtime, query: Any) -> None:
    with pytest.raises(UsageError, match="expected a query of at most"):
        one.jobs.requeue_many(query)


def test_jobs_are_listed_by_a_query_beside_name_and_state_page_by_page(one: Runtime) -> None:
    first = one.jobs.list("charge", "dead", limit=1, query="error:timeout")
    second = one.jobs.list("charge", "dead", limit=1, query="error:timeout", before=first[-1])
    third = one.jobs.list("charge", "dead", limit=1, query="error:timeout", before=second[-1])

    assert [[job.id for job in page] for page in (first, second, third)] == [["c2"], ["c0"], []]


@pytest.mark.parametrize("asked", [{"name": "charge"}, {"state": "dead"}])
def test_what_is_asked_for_twice_is_refused(one: Runtime, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="once, got it as an argument and in the query"):
        one.jobs.list(**asked, query="name:mail state:dead")
