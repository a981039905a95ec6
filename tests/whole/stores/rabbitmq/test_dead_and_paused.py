"""What a host can do with dead jobs and with a whole name, on a real server: list, revive, drop; pause and resume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from lamplighter import JobFailed, NotSupported, Runtime
from lamplighter.stores.rabbitmq import pending_turn, topology

from ....conftest import Recorder
from ....faults.kit import eventually
from .conftest import Vhosts

JOIN_SECONDS = 15.0


class Healing:
    """A handler that fails until it is told that the cause is gone."""

    def __init__(self) -> None:
        self.is_healed = False
        self.runs: list[tuple[str, int]] = []

    def __call__(self, job: Any) -> str:
        self.runs.append((job.id, job.attempt))
        if not self.is_healed:
            raise ValueError(f"broken: {job.data}")
        return f"whole: {job.data}"


def die(runtime: Runtime, *data: Any, name: str = "work") -> list[str]:
    """Queue a job for each, and wait until all are dead; their ids."""
    jobs = [runtime.jobs.queue(name, one, max_attempts=1) for one in data]
    for job in jobs:
        with pytest.raises(JobFailed, match="broken"):
            runtime.jobs.join(job, timeout=JOIN_SECONDS)
    return [job.id for job in jobs]


def dead(runtime: Runtime, name: str | None = None) -> list[str]:
    """The ids of the dead jobs that it sees."""
    return [job.id for job in runtime.jobs.list(name, state="dead")]


def test_a_dead_job_is_listed_on_every_runtime_with_what_it_died_of(url: str, runtime) -> None:
    one, other = runtime(url), runtime(url)
    one.jobs.add_handler("work", Healing())
    one.jobs.add_handler("else", Healing())

    (work,) = die(one, 7)
    (elsewhere,) = die(one, 8, name="else")

    (found,) = other.jobs.list("work", state="dead")
    assert (found.id, found.state, found.data, found.attempt) == (work, "dead", 7, 1)
    assert "broken: 7" in str(found.error)
    assert (sorted(dead(other)), dead(other, "else")) == (sorted([work, elsewhere]), [elsewhere])


def test_looking_at_the_dead_takes_none_of_them_away(url: str, runtime) -> None:
    one = runtime(url)
    one.jobs.add_handler("work", Healing())
    ids = die(one, *range(5))

    looks = [sorted(dead(one)) for _ in range(3)]

    assert looks == [sorted(ids)] * 3
    assert len(one.jobs.list(state="dead", limit=2)) == 2
    assert sorted(dead(one)) == sorted(ids)


@pytest.mark.parametrize("reviver", ["where it died", "elsewhere"])
def test_a_dead_job_that_is_revived_runs_again_and_its_attempts_count_from_none(
    url: str, runtime, recorder: Recorder, reviver: str
) -> None:
    one, healing = runtime(url), Healing()
    one.jobs.add_handler("work", healing)
    (job_id,) = die(one, 7)
    healing.is_healed = True

    by = one if reviver == "where it died" else runtime(url)
    revived = by.jobs.requeue(job_id)
    ended = by.jobs.join(job_id, timeout=JOIN_SECONDS)

    assert (revived.id, revived.state, revived.attempt) == (job_id, "queued", 0)
    assert (ended.state, ended.result) == ("done", "whole: 7")
    assert healing.runs == [(job_id, 1), (job_id, 1)]
    requeued = recorder.wait_for("job.requeued", job_id=job_id)
    (told,) = recorder.of("turn.committed", boot=requeued["boot"], turn=requeued["turn"])
    assert [move["f"] for move in told["moves"] if move["k"] == "requeued"] == ["dead"]
    assert dead(one) == []


def test_of_several_dead_jobs_only_the_one_that_is_asked_for_is_revived(url: str, runtime) -> None:
    one, healing = runtime(url), Healing()
    one.jobs.add_handler("work", healing)
    first, second, third = die(one, 1, 2, 3)
    healing.is_healed = True

    one.jobs.requeue(second)

    assert one.jobs.join(second, timeout=JOIN_SECONDS).result == "whole: 2"
    assert sorted(dead(one)) == sorted([first, third])


def test_a_revived_job_that_fails_again_is_dead_once(url: str, runtime) -> None:
    one, healing = runtime(url), Healing()
    one.jobs.add_handler("work", healing)
    (job_id,) = die(one, 7)

    one.jobs.requeue(job_id)
    with pytest.raises(JobFailed):
        one.jobs.join(job_id, timeout=JOIN_SECONDS)

    assert (healing.runs, dead(one)) == ([(job_id, 1), (job_id, 1)], [job_id])


def test_the_dead_outlive_the_runtime_that_saw_them_die(url: str, runtime) -> None:
    one = runtime(url)
    one.jobs.add_handler("work", Healing())
    (job_id,) = die(one, 7)
    one.stop()

    later, healing = runtime(url), Healing()
    healing.is_healed = True
    later.jobs.add_handler("work", healing)
    later.jobs.requeue(job_id)

    assert later.jobs.join(job_id, timeout=JOIN_SECONDS).result == "whole: 7"


def test_what_is_not_among_the_dead_cannot_be_revived_and_leaves_them_as_they_are(url: str, runtime) -> None:
    one = runtime(url)
    one.jobs.add_handler("work", Healing())
    ids = die(one, 1, 2)

    with pytest.raises(NotSupported):
        one.jobs.requeue("nobody")

    assert sorted(dead(one)) == sorted(ids)


def test_the_server_drops_a_dead_job_when_its_time_is_over(
    url: str, runtime, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_turn, "DEAD_SECONDS_KEPT", 1.0)
    one = runtime(url)
    one.jobs.add_handler("work", Healing())

    die(one, 7)

    recorder.until(lambda: dead(one) == [], "an empty queue of the dead")


def test_the_dead_are_dropped_with_the_tools_of_the_server(vhosts: Vhosts, runtime) -> None:
    url = vhosts.take()
    one, healing = runtime(url), Healing()
    one.jobs.add_handler("work", healing)
    die(one, 1, 2)

    vhosts.server.nodes[0].ctl("purge_queue", "-p", url.rpartition("/")[2], topology.DEAD)

    assert dead(one) == []
    healing.is_healed = True
    assert one.jobs.join(one.jobs.queue("work", 3), timeout=JOIN_SECONDS).result == "whole: 3"


@pytest.fixture
def two(url: str, runtime) -> Callable[[], tuple[Runtime, Runtime, list[int]]]:
    """Two runtimes that both work off one name; and what has run."""

    def make() -> tuple[Runtime, Runtime, list[int]]:
        ran: list[int] = []
        made = [runtime(url) for _ in range(2)]
        for one in made:
            one.jobs.add_handler("work", lambda job: ran.append(job.data))
            one.jobs.add_handler("else", lambda job: None)
        return made[0], made[1], ran

    return make


def test_a_paused_name_starts_no_job_on_any_runtime_until_it_is_resumed(two, recorder: Recorder) -> None:
    one, other, ran = two()
    for number in range(20):
        one.jobs.join(one.jobs.queue("work", number), timeout=JOIN_SECONDS)
    ran.clear()

    other.jobs.pause("work")
    jobs = one.jobs.queue_many([("work", number) for number in range(10)])
    # What is not paused runs on both, several times over: whoever could have started a job has had the chance.
    for _ in range(10):
        for each in (one, other):
            each.jobs.join(each.jobs.queue("else"), timeout=JOIN_SECONDS)
    while_paused, queued = list(ran), one.jobs.counts("work")["queued"]
    one.jobs.resume("work")

    for job in jobs:
        one.jobs.join(job, timeout=JOIN_SECONDS)
    assert (while_paused, queued, sorted(ran)) == ([], 10, list(range(10)))
    assert [recorder.of(event)[0]["job_name"] for event in ("name.paused", "name.resumed")] == ["work", "work"]


def test_a_job_that_runs_when_its_name_is_paused_ends_and_the_next_waits(url: str, runtime) -> None:
    one, started, go_on = runtime(url), threading.Event(), threading.Event()

    def work(job: Any) -> int:
        started.set()
        assert go_on.wait(JOIN_SECONDS)
        return int(job.data)

    one.jobs.add_handler("work", work)
    first, second = one.jobs.queue("work", 1), one.jobs.queue("work", 2)
    assert started.wait(JOIN_SECONDS)

    one.jobs.pause("work")
    go_on.set()

    assert one.jobs.join(first, timeout=JOIN_SECONDS).result == 1
    # What is given back is on its way for a moment, and then ready again.
    eventually(lambda: one.jobs.counts("work")["queued"] == 1, what="the job that waits")
    one.jobs.resume("work")
    assert one.jobs.join(second, timeout=JOIN_SECONDS).result == 2


def test_a_pause_outlives_every_runtime(url: str, runtime) -> None:
    one = runtime(url)
    one.jobs.pause("work")
    one.jobs.queue("work", 1)
    one.stop()

    later, ran = runtime(url), threading.Event()
    later.jobs.add_handler("work", lambda job: ran.set())
    later.jobs.add_handler("else", lambda job: None)
    for _ in range(10):
        later.jobs.join(later.jobs.queue("else"), timeout=JOIN_SECONDS)
    had_run = ran.is_set()
    later.jobs.resume("work")

    assert not had_run
    assert ran.wait(JOIN_SECONDS)
