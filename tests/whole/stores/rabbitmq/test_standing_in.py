"""On RabbitMQ too a caller takes the turn of a broker that waits, if it can wait as long as the turn may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from lamplighter.broker.tallies import TurnTime
from lamplighter.environment import Environment
from lamplighter.stores.rabbitmq.questions import ANSWER_SECONDS_MAX

from ....actors.test_standing_in import SECONDS_MAX, Turns, raise_time_is_up
from ....broker.test_direct_lane import Passed


def test_a_caller_takes_the_turn_of_a_broker_that_waits(
    url: str, runtime, unwatched, caller: Callable[..., Future]
) -> None:
    turns = Turns()
    rt = runtime(url, logger=unwatched, environment=Environment(failpoints=turns))

    def queue() -> int:
        # The broker may have heard something from the server in this very moment, and a turn be slow.
        for number in range(1_000):
            rt.jobs.queue("work")
            if threading.current_thread() in turns.threads:
                return number
        return -1

    assert caller(queue).result(SECONDS_MAX) >= 0


@pytest.mark.parametrize("is_main", [False, True], ids=["a-thread", "the-main-thread"])
def test_jobs_without_options_take_the_direct_lane_and_run_once(
    url: str, runtime, unwatched, caller: Callable[..., Future], recorder, is_main: bool
) -> None:
    passed = Passed()
    rt = runtime(url, logger=unwatched, environment=Environment(failpoints=passed))

    def queue() -> list:
        jobs = []
        # Each delivery and each completion is news for an ordinary turn, so nobody works yet. The broker may have heard
        # something else from the server in this very moment, and a turn be slow.
        while "direct.out" not in passed.points and len(jobs) < 1_000:
            jobs.append(rt.jobs.queue("work"))
        return jobs

    jobs = queue() if is_main else caller(queue).result(SECONDS_MAX)

    rt.jobs.add_handler("work", lambda job: None)
    assert "direct.out" in passed.points
    assert {rt.jobs.join(job, timeout=SECONDS_MAX).attempt for job in jobs} == {1}
    rt.stop()
    recorder.until(lambda: recorder.of("runtime.stopped"), "the end")
    assert not recorder.audit().findings
    assert len(recorder.of("job.started")) == len(jobs)


@pytest.mark.parametrize(("seconds", "lends"), [(ANSWER_SECONDS_MAX, True), (ANSWER_SECONDS_MAX - 0.1, False)])
def test_who_would_give_up_before_the_server_must_have_confirmed_takes_no_turn(
    url: str, runtime, unwatched, seconds: float, lends: bool
) -> None:
    rt = runtime(url, logger=unwatched, reply_seconds_max=seconds)

    def is_lent() -> bool:
        # A turn may be slow, or answer others too.
        rt.jobs.queue("work")
        broker = rt.boot.post.find("broker")
        broker.turn_times.last = TurnTime(0.001, 0.0)
        return broker.may_be_stood_in_for

    assert any(is_lent() for _ in range(20)) is lends


@pytest.mark.parametrize("point", ["store.turn.begin", "store.turn.committed", "broker.let_out", "log.write"])
def test_whatever_a_host_raises_into_a_turn_nothing_is_left_untold(
    url: str, runtime, unwatched, caller: Callable[..., Future], recorder, point: str
) -> None:
    turns = Turns()
    rt = runtime(url, logger=unwatched, environment=Environment(failpoints=turns), restart_backoff_seconds_max=0.0)
    rt.jobs.add_handler("work", lambda job: None)

    def queue() -> list:
        jobs = []
        while threading.current_thread() not in turns.threads:
            jobs.append(rt.jobs.queue("work"))
        turns.calls[point] = [raise_time_is_up]
        return [*jobs, rt.jobs.queue("work")]

    jobs = caller(queue).result(SECONDS_MAX)

    assert {rt.jobs.join(job, timeout=SECONDS_MAX).state for job in jobs} == {"done"}
    rt.stop()
    recorder.until(lambda: recorder.of("runtime.stopped"), "the end")
    assert not recorder.audit().findings
