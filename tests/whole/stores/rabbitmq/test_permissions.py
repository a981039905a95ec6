"""What the user needs, what is refused, and what somebody has changed or deleted on the server: on a real one."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from lamplighter import Runtime, StoreError
from lamplighter.stores.rabbitmq import session, topology
from lamplighter.stores.rabbitmq.link import Pulse

from ....conftest import Recorder
from ....faults.kit import eventually
from .conftest import Vhosts

JOIN_SECONDS = 15.0
HEAL_SECONDS = 30.0
OURS = r"^lamplighter\..*$"
WRITTEN = r"^(lamplighter\..*|amq\.default)$"
"""As docs/scaling-out.md has them."""


class User:
    """Somebody with permissions of his own on a virtual host."""

    def __init__(self, vhosts: Vhosts, name: str) -> None:
        self._server = vhosts.server
        self._name = name
        url = vhosts.take()
        self._vhost = url.rpartition("/")[2]
        self.url = f"amqp://{name}:pw@127.0.0.1:{self._server.nodes[0].port}/{self._vhost}"
        self.root_url = url
        self._server.add_user(name, "pw")

    def may(self, configure: str, write: str, read: str) -> None:
        self._server.let(self._name, self._vhost, configure, write, read)

    def reconnect(self) -> None:
        """End his connections: an old channel keeps the rights that it has used for a while."""
        self._server.close_connections(self._name, "a test")


@pytest.fixture
def user(vhosts: Vhosts, request: pytest.FixtureRequest) -> User:
    return User(vhosts, f"user-{abs(hash(request.node.name))}")


@pytest.fixture
def channel(url: str):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    yield connection.channel()
    connection.close()


def test_the_documented_permissions_are_enough_for_all_that_a_runtime_does(user: User, runtime, recorder) -> None:
    user.may(OURS, WRITTEN, OURS)
    broken = [True]

    def work(job):
        if broken[0]:
            raise ValueError("broken")
        return job.data

    one = runtime(user.url)
    one.jobs.add_handler("work", work, max_attempts=1)
    one.jobs.add_handler("tick", lambda job: None)
    one.scheduler.add("tick", "* * * * * *")
    dead = one.jobs.queue("work", 1)
    eventually(lambda: one.jobs.counts("work")["dead"] == 1, what="a dead job")
    broken[0] = False
    one.jobs.pause("other")
    one.jobs.requeue_dead()
    later = one.jobs.queue("work", 2, delay=0.1)

    assert [one.jobs.join(job, timeout=JOIN_SECONDS).result for job in (dead, later)] == [1, 2]
    recorder.wait_for("slot.fired")
    one.jobs.resume("other")
    assert one.health().reasons == ()


def test_a_start_without_a_permission_fails_at_once_and_says_which(user: User) -> None:
    user.may(OURS, OURS, OURS)

    with pytest.raises(StoreError, match=r"write access to exchange 'amq\.default'"):
        Runtime(user.url).start()
    user.may("^$", WRITTEN, OURS)
    with pytest.raises(StoreError, match="configure access to"):
        Runtime(user.url).start()


def test_a_lost_permission_turns_the_health_red_with_its_reason_until_it_is_back(
    user: User, runtime: Callable[..., Runtime]
) -> None:
    user.may(OURS, WRITTEN, OURS)
    one = runtime(user.url, reply_seconds_max=1.0)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 1), timeout=JOIN_SECONDS)

    user.may(OURS, OURS, OURS)
    user.reconnect()
    eventually(lambda: one.health().status == "red", HEAL_SECONDS, what="a red health")
    reasons = one.health().reasons
    user.may(OURS, WRITTEN, OURS)

    assert any("write access to exchange 'amq.default'" in reason for reason in reasons)
    eventually(lambda: one.health().status == "green", HEAL_SECONDS, what="a green health")
    assert one.jobs.join(one.jobs.queue("work", 2), timeout=JOIN_SECONDS).result == 2


def test_two_applications_share_a_virtual_host_and_neither_may_touch_the_other(
    user: User, runtime: Callable[..., Runtime]
) -> None:
    user.may(r"^app1\..*$", r"^(app1\..*|amq\.default)$", r"^app1\..*$")
    one, other = runtime(f"{user.url}?prefix=app1"), runtime(f"{user.root_url}?prefix=app2")
    broken, ran = [True], list[tuple[str, int]]()

    def work(job):
        ran.append((job.id, job.data))
        if broken[0] and job.data == 3:
            raise ValueError("broken")
        return job.data

    one.jobs.add_handler("work", work, max_attempts=1)
    one.jobs.add_handler("tick", lambda job: None)
    one.scheduler.add("tick", "* * * * * *")
    jobs = [one.jobs.queue("work", 1), one.jobs.queue("work", 2, delay=0.1)]
    other.jobs.queue("work", 7)

    assert [one.jobs.join(job, timeout=JOIN_SECONDS).result for job in jobs] == [1, 2]
    dead = one.jobs.queue("work", 3)
    eventually(lambda: [job.id for job in one.jobs.list(state="dead")] == [dead.id], what="a dead job")
    broken[0] = False
    one.jobs.requeue(dead)
    assert one.jobs.join(dead, timeout=JOIN_SECONDS).result == 3
    assert (other.jobs.counts("work")["queued"], other.jobs.list(state="dead"), other.scheduler.list()) == (1, [], [])
    assert 7 not in [data for _, data in ran]
    assert one.current_boot.get().store.address.endswith("?prefix=app1")


def test_a_queue_with_other_arguments_stops_its_name_alone_until_it_is_gone(
    url: str, runtime: Callable[..., Runtime], channel, recorder: Recorder
) -> None:
    channel.queue_declare(topology.queue_of("odd"), durable=True, arguments={"x-queue-type": "quorum"})
    one = runtime(url)
    for name in ("odd", "work"):
        one.jobs.add_handler(name, lambda job: job.data)

    with pytest.raises(StoreError, match=r"precondition failed \(406\)"):
        # The first who asks learns it by a turn that is taken again.
        one.jobs.queue("odd", 1)
    assert one.jobs.join(one.jobs.queue("work", 2), timeout=JOIN_SECONDS).result == 2
    health = one.health()
    channel.queue_delete(topology.queue_of("odd"))
    one.boot.store.hear(Pulse(None, None))

    assert health.status == "red"
    assert health.reasons[0].startswith("odd has stopped: precondition failed (406)")
    eventually(lambda: one.health().status == "green", HEAL_SECONDS, what="a green health")
    assert one.jobs.join(one.jobs.queue("odd", 3), timeout=JOIN_SECONDS).result == 3


def test_a_schedule_of_a_name_that_has_stopped_stops_no_other(
    url: str, runtime: Callable[..., Runtime], channel, recorder: Recorder
) -> None:
    channel.queue_declare(topology.queue_of("odd"), durable=True, arguments={"x-queue-type": "quorum"})
    one = runtime(url, start=False)
    for name in ("odd", "work"):
        one.jobs.add_handler(name, lambda job: job.data)
        one.scheduler.add(name, "* * * * * *", key=name)
    one.start()

    recorder.until(lambda: len([1 for line in recorder.of("job.done") if line["job_name"] == "work"]) > 2, "work done")


@pytest.mark.parametrize(
    "exchange", [topology.OUT, topology.NEWS, f"{topology.PREFIX}.delay.1"], ids=["out", "news", "a rung"]
)
def test_an_exchange_that_was_deleted_is_made_again(
    url: str, runtime: Callable[..., Runtime], channel, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MENDED_PULSES", 1)
    one = runtime(url)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 1, delay=0.1), timeout=JOIN_SECONDS)

    channel.exchange_delete(exchange)
    later = one.jobs.queue("work", 2, delay=0.1)
    one.boot.store.hear(Pulse(None, None))

    assert one.jobs.join(later, timeout=HEAL_SECONDS).result == 2


def test_a_queue_of_jobs_that_was_deleted_is_made_again(url: str, runtime: Callable[..., Runtime], channel) -> None:
    one = runtime(url)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 1), timeout=JOIN_SECONDS)

    channel.queue_delete(topology.queue_of("work"))
    later = one.jobs.queue("work", 2, delay=0.1)

    assert one.jobs.join(later, timeout=JOIN_SECONDS).result == 2
