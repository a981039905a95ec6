"""What an operator does with many dead jobs, on a real server: list them all, page through them, revive them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import JobSpec, NotSupported, Runtime, StoreUnavailable
from lamplighter.admin.inspector import inspector_at
from lamplighter.stores.rabbitmq import topology

from ....faults.kit import count, eventually
from .test_dead_and_paused import JOIN_SECONDS, Healing, die
from .test_unreadable import Outside

MANY = count(40, 2_100)


@pytest.fixture
def healing() -> Healing:
    return Healing()


@pytest.fixture
def one(url: str, runtime: Callable[..., Runtime], healing: Healing) -> Runtime:
    made = runtime(url)
    for name in ("work", "else"):
        made.jobs.add_handler(name, healing, concurrency=4)
    return made


def die_together(runtime: Runtime, *data: Any, name: str = "work") -> list[str]:
    """Queue a job for each in one call, and wait until all are dead; their ids."""
    jobs = runtime.jobs.queue_many([JobSpec(name=name, data=one, max_attempts=1) for one in data])
    eventually(lambda: len(runtime.jobs.list(name, "dead", 10_000)) >= len(data), 60.0, what="all of them dead")
    return [job.id for job in jobs]


def ids(jobs: list[Any]) -> list[str]:
    return [job.id for job in jobs]


def test_a_name_is_found_behind_many_of_others_and_counted(one: Runtime) -> None:
    die_together(one, *range(MANY))
    (rare,) = die(one, "rare", name="else")

    assert ids(one.jobs.list("else", "dead", 5)) == [rare]
    assert (one.jobs.counts("work")["dead"], one.jobs.counts("else")["dead"]) == (MANY, 1)


@pytest.mark.parametrize(("most", "is_capped"), [(2, True), (3, False)])
def test_failures_beyond_the_most_that_are_grouped_are_said_to_be_more(one: Runtime, url, monkeypatch, most, is_capped):
    die_together(one, 1, 2, 3)
    monkeypatch.setattr("lamplighter.admin.error_groups.FAILED_ON_SERVER_MAX", most)

    with inspector_at(url) as inspector:
        page = inspector.errors()

    assert (page.looked_at, page.is_capped) == (most, is_capped)


def test_pages_show_each_once_the_newest_first_also_when_one_is_revived_between(one: Runtime, healing: Healing) -> None:
    died = [job for data in range(7) for job in die(one, data)]

    first = one.jobs.list("work", "dead", 3)
    healing.is_healed = True
    one.jobs.requeue(first[-1])
    second = one.jobs.list("work", "dead", 3, before=first[-1])
    third = one.jobs.list("work", "dead", 3, before=second[-1])

    assert ids([*first, *second, *third]) == died[::-1]


def test_whoever_lists_sees_all_however_many_list_and_revive_at_once(
    url: str, one: Runtime, runtime: Callable[..., Runtime], healing: Healing
) -> None:
    died, other = die_together(one, *range(MANY)), runtime(url)
    healing.is_healed = True
    stays, leaves = set(died[10:]), died[:10]
    seen: list[set[str]] = []

    def watch() -> None:
        for _ in range(8):
            seen.append(set(ids(other.jobs.list(state="dead", limit=10_000))))

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for job_id in leaves:
        one.jobs.requeue(job_id)
    for watcher in watchers:
        watcher.join()

    assert [stays - each for each in seen] == [set()] * 16
    assert set(ids(one.jobs.list(state="dead", limit=10_000))) == stays


def test_the_dead_of_a_name_and_then_all_are_revived_at_a_stroke(one: Runtime, healing: Healing) -> None:
    died = [die_together(one, *range(MANY)), die(one, 1, 2, 3, name="else")]
    healing.is_healed = True

    revived = one.jobs.requeue_dead("else"), one.jobs.requeue_dead(), one.jobs.requeue_dead()

    assert revived == (3, MANY, 0)
    for job_id in (job_id for ids in died for job_id in ids):
        assert one.jobs.join(job_id, timeout=60.0).state == "done"
    assert one.jobs.list(state="dead") == []


def test_the_dead_that_a_query_asks_for_are_revived_and_no_others(one: Runtime, healing: Healing) -> None:
    stays, (meant,) = die_together(one, 1, 2, 3), die(one, {"customer": 7}, name="else")
    healing.is_healed = True

    assert one.jobs.requeue_many("state:dead data.customer=7") == 1

    assert one.jobs.join(meant, timeout=JOIN_SECONDS).state == "done"
    assert set(ids(one.jobs.list(query="state:dead"))) == set(stays)


def test_what_no_server_can_look_for_is_refused_with_what_to_do_instead(one: Runtime) -> None:
    with pytest.raises(NotSupported, match="only dead jobs can be listed"):
        one.jobs.requeue_many("state:done")
    with pytest.raises(NotSupported, match="jobs that have not ended cannot be looked for: give them expires="):
        one.jobs.cancel_many("name:work")


def test_what_dies_again_while_all_are_revived_is_revived_once(one: Runtime, healing: Healing) -> None:
    die_together(one, *range(20))

    assert one.jobs.requeue_dead("work") == 20

    eventually(lambda: len(one.jobs.list("work", "dead", 100)) == 20, what="all of them dead again")
    eventually(lambda: len(healing.runs) == 40, what="two runs of each")


def test_a_look_at_the_dead_holds_up_no_job(one: Runtime, url: str) -> None:
    """Somebody else browses, and hangs: those who want to look wait for it, and nobody else does."""
    died = die(one, 1)
    one.jobs.add_handler("ping", lambda job: "pong")
    store = one.boot.store
    hang = store._link.browse(topology.DEAD, lambda arrival: None).result(JOIN_SECONDS)
    refused = threading.Event()

    def revive() -> None:
        try:
            one.jobs.requeue(died[0])
        except StoreUnavailable:
            refused.set()

    reviver = threading.Thread(target=revive)
    reviver.start()
    done = [one.jobs.join(one.jobs.queue("ping"), timeout=JOIN_SECONDS).result for _ in range(5)]
    hang.done(())
    reviver.join()

    assert (done, refused.is_set()) == (["pong"] * 5, False)


def test_what_of_the_dead_is_no_job_is_left_out_of_all_of_this(url: str, one: Runtime, healing: Healing) -> None:
    died, outside = die(one, 1, 2), Outside(url)
    outside.publish(topology.DEAD, b"garbage")
    healing.is_healed = True

    assert one.jobs.requeue_dead() == 2
    assert [one.jobs.join(job_id, timeout=JOIN_SECONDS).result for job_id in died] == ["whole: 1", "whole: 2"]
    outside.close()
