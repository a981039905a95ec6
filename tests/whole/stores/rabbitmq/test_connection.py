"""What a host sees of a RabbitMQ that is away, refuses, is blocked or loses a queue; no secret is ever shown."""

from __future__ import annotations

import contextlib
import socket
import threading
import traceback
from collections.abc import Callable

import pika
import pytest
from lamplighter import JobSpec, NotSupported, Rate, Runtime, StoreError, StoreUnavailable, UsageError
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq.address import parse_address
from lamplighter.stores.rabbitmq.pika import connection as pika_connection
from pika.exceptions import ChannelClosedByBroker

from ....conftest import Recorder
from .conftest import Vhosts
from .server import Server, free_ports

SECRET = "s3cr3t-pw"


def with_user(url: str, user: str, password: str) -> str:
    return url.replace("guest:guest@", f"{user}:{password}@")


def test_an_address_is_read_and_shown_without_its_secrets() -> None:
    address = parse_address(f"amqp://ada:{SECRET}@one:5673,two/my%2Fhost?heartbeat=7&results=no&wait=60")

    assert (address.hosts, address.vhost, address.user) == ((("one", 5673), ("two", 5672)), "my/host", "ada")
    assert (address.password, address.heartbeat, address.results, address.wait) == (SECRET, 7, False, 60)
    assert str(address) == "amqp://one:5673,two:5672/my/host"
    assert SECRET not in repr(address)
    assert "ada" not in repr(address)


def test_an_address_of_ipv6_is_shown_as_it_is_written() -> None:
    assert str(parse_address("amqp://[::1]:5673,[fe80::2]/")) == "amqp://[::1]:5673,[fe80::2]:5672/"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("no", False), ("No", False), ("false", False), ("0", False), ("yes", True), ("true", True), ("1", True)],
)
def test_results_are_wanted_or_not_however_that_is_written(text: str, wanted: bool) -> None:
    assert parse_address(f"amqp://host/?results={text}").results is wanted


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"amqp://u:{SECRET}@host:port/", "host or port"),
        (f"amqp://u:{SECRET}@host/?colour=red", "unknown options colour"),
        (f"amqp://u:{SECRET}@host/?heartbeat=soon", "whole number of seconds"),
        (f"amqp://u:{SECRET}@host/?wait=²", "whole number of seconds"),
        (f"amqp://u:{SECRET}@host/?results=perhaps", "expected results= to be yes or no, got: 'perhaps'"),
        (f"amqp://u:{SECRET}@host/?results=", "expected results= to be yes or no"),
        (f"amqp://u:{SECRET}@host/?cafile=ca.pem", "amqps://"),
        (f"amqps://u:{SECRET}@host/?cafile=/nowhere/ca.pem", "PEM file"),
        (f"amqps://u:{SECRET}@host/?keyfile=" + __file__, "certfile="),
        (f"amqps://u:{SECRET}@host/?cafile=" + __file__, "PEM files"),
        (f"ampq://u:{SECRET}@host/", "expected a store"),
        (f"amqp://u:{SECRET}?x@host/vhost", "must be escaped"),
        (f"amqp://u:x?{SECRET}@host/vhost", "must be escaped"),
        (f"amqp://u:x?y=1&{SECRET}@host/vhost", "must be escaped"),
        (f"amqp://u:12/{SECRET}@host/vhost", "must be escaped"),
        (f"amqp://u:{SECRET}#x@host/vhost", "must be escaped"),
        (f"amqp://u:x#{SECRET}@host/vhost", "must be escaped"),
        (f"amqp://u:x@y/{SECRET}@host/vhost", "must be escaped"),
        (f"amqp://u:{SECRET}[x@host/vhost", "makes no sense"),
        (f"amqp://u:{SECRET}\u2100@host/vhost", "makes no sense"),
        (f"amqp://host/?{SECRET}1=2", "got others"),
        (f"amqp://u:{SECRET}@host/?prefix=a.b", "expected prefix="),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_without_being_shown(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Runtime(url)

    assert SECRET not in str(caught.value)


def test_the_queue_for_results_ends_with_a_clean_stop(url: str) -> None:
    with Runtime(url) as runtime:
        name = runtime.current_boot.get().store.state.results_name

    with pika.BlockingConnection(pika.URLParameters(url)) as connection, pytest.raises(ChannelClosedByBroker) as caught:
        connection.channel().queue_declare(name, passive=True)
    assert caught.value.reply_code == 404


def refused(url: str) -> str:
    """What a start says; nothing of it may hold the password."""
    runtime = Runtime(url, reply_seconds_max=1.0)
    try:
        with pytest.raises((StoreError, StoreUnavailable)) as caught:
            runtime.start()
        shown = "".join(traceback.format_exception(caught.value)) + repr(runtime) + repr(runtime.health())
        assert SECRET not in shown
        return f"{type(caught.value).__name__}: {caught.value}"
    finally:
        runtime.stop(0.0)


def test_a_wrong_password_is_said_at_once(url: str) -> None:
    assert "StoreError" in (said := refused(with_user(url, "guest", SECRET)))
    assert "refuses the user or the password" in said


def test_a_virtual_host_that_is_not_there_is_said_at_once(vhosts) -> None:
    assert "StoreError" in (said := refused(f"{vhosts.server.url}nowhere"))
    assert "virtual host 'nowhere'" in said


def test_a_user_who_may_not_use_the_virtual_host_is_told_so(vhosts) -> None:
    vhosts.server.add_user("stranger", SECRET)

    said = refused(with_user(vhosts.take(), "stranger", SECRET))

    assert "may not use the virtual host" in said


def test_a_limit_that_is_reached_is_said_and_not_taken_for_a_missing_right(vhosts) -> None:
    url = vhosts.take()
    vhost = url.rpartition("/")[2]
    vhosts.server.nodes[0].call("rabbit_vhost_limit:parse_set", vhost, '{"max-connections": 0}', "tests")

    said = refused(with_user(url, "guest", "guest"))

    assert "not allowed (530)" in said
    assert "connection limit (0) is reached" in said


def test_a_user_who_may_not_make_queues_is_told_what_is_missing(vhosts) -> None:
    url = vhosts.take()
    vhosts.server.add_user("reader", SECRET)
    vhosts.server.let("reader", url.rpartition("/")[2], "", "", ".*")

    said = refused(with_user(url, "reader", SECRET))

    assert "access refused (403)" in said


def test_a_queue_with_other_arguments_is_said(url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_declare(topology.DEAD, durable=True)
    connection.close()

    said = refused(url)

    assert "precondition failed (406)" in said
    assert topology.DEAD in said


def test_nobody_at_the_address_is_unavailable() -> None:
    (port,) = free_ports(1)

    said = refused(f"amqp://u:{SECRET}@127.0.0.1:{port}/")

    assert "StoreUnavailable" in said
    assert "not connected: it cannot be reached: Connection refused" in said


def test_somebody_else_at_the_address_is_said_to_be_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        port = web.getsockname()[1]

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = web.accept()
                    caller.recv(100)
                    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    caller.close()

        threading.Thread(target=serve, daemon=True).start()
        said = refused(f"amqp://u:{SECRET}@127.0.0.1:{port}/")

    assert "the connection ended before any AMQP was spoken: is that a RabbitMQ's port" in said


def test_a_server_that_takes_the_connection_and_says_nothing_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pika_connection, "CONNECT_SECONDS_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = refused(f"amqp://u:{SECRET}@127.0.0.1:{mute.getsockname()[1]}/")

    assert "it did not answer in time while the connection was opened" in said


@pytest.fixture
def tls(vhosts: Vhosts) -> Callable[..., str]:
    """Makes a URL of the server's TLS port, with these files."""
    return vhosts.over_tls


def test_jobs_run_over_tls_with_certificates_on_both_sides(tls: Callable[..., str], runtime) -> None:
    one = runtime(tls(cafile="ca.pem", certfile="client.pem", keyfile="client.key"))
    one.jobs.add_handler("add", lambda job: sum(job.data))

    assert one.jobs.join(one.jobs.queue("add", [1, 2]), timeout=10).result == 3


def test_a_certificate_that_is_not_trusted_is_said(tls: Callable[..., str]) -> None:
    said = refused(tls(user=f"u:{SECRET}", cafile="other.pem", certfile="client.pem", keyfile="client.key"))

    assert "its TLS certificate is not trusted" in said


def test_a_server_that_wants_a_certificate_and_gets_none_is_said(tls: Callable[..., str]) -> None:
    assert "TLS" in refused(tls(user=f"u:{SECRET}", cafile="ca.pem"))


@pytest.fixture
def server(vhosts: Vhosts) -> Server:
    """One that may be killed, if it is started again."""
    return vhosts.server


def test_while_the_server_is_away_the_host_stays_up_and_goes_on_by_itself(
    server: Server, url: str, runtime, recorder: Recorder
) -> None:
    one = runtime(url, reply_seconds_max=3.0)
    ran = threading.Event()
    one.jobs.add_handler("work", lambda job: ran.set())
    one.jobs.join(one.jobs.queue("work"), timeout=10)

    server.nodes[0].let_sync()
    server.nodes[0].kill()
    recorder.wait_for("store.unavailable")
    yellow = one.health()
    with pytest.raises(StoreUnavailable, match="not connected") as caught:
        one.jobs.queue("work")
    ran.clear()
    server.nodes[0].start()
    back = recorder.wait_for("store.available")
    again = one.jobs.queue("work", id=caught.value.job_id)

    assert (yellow.status, one.health().status) == ("yellow", "green")
    assert "not connected" in yellow.reasons[0]
    assert back["waited"] > 0
    assert one.jobs.join(again, timeout=10).state == "done"
    assert ran.is_set()
    assert "guest:" not in str(recorder.events)


def test_a_job_that_runs_while_the_connection_is_lost_ends_once_if_it_comes_back(
    server: Server, url: str, runtime, recorder: Recorder
) -> None:
    one = runtime(url)
    started, go_on, runs = threading.Event(), threading.Event(), []

    def work(job):
        runs.append(job.token)
        started.set()
        go_on.wait(30)
        return "whole"

    one.jobs.add_handler("work", work)
    job = one.jobs.queue("work")
    assert started.wait(10)

    server.nodes[0].let_sync()
    server.nodes[0].kill()
    recorder.wait_for("store.unavailable")
    go_on.set()
    server.nodes[0].start()

    assert one.jobs.join(job, timeout=30).result == "whole"
    assert len(runs) == 1
    assert recorder.of("job.claimed", job_id=job.id)[1:] == []


def test_an_alarm_is_said_and_everything_goes_on_when_it_is_over(
    server: Server, url: str, runtime, recorder: Recorder
) -> None:
    one = runtime(url, reply_seconds_max=1.0)
    one.jobs.add_handler("work", lambda job: None)
    one.jobs.join(one.jobs.queue("work"), timeout=10)

    server.limit_memory(1e-7)
    # Until the server has told the runtime, it may take a job in.
    recorder.until(lambda: "memory" in str(one.health().reasons), "an alarm that health tells")
    yellow = one.health()
    with pytest.raises(StoreUnavailable) as caught:
        one.jobs.queue("work", id="during")
    server.limit_memory(0.6)
    recorder.wait_for("store.available", timeout=20.0)

    assert caught.value.job_id == "during"
    assert yellow.status == "yellow"
    assert "memory" in yellow.reasons[0]
    assert one.jobs.join(one.jobs.queue("work", id="during"), timeout=10).state == "done"


def test_a_queue_that_is_deleted_under_a_runtime_is_made_again(url: str, runtime) -> None:
    one = runtime(url)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 1), timeout=10)

    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_delete(topology.queue_of("work"))
    connection.close()

    assert one.jobs.join(one.jobs.queue("work", 2), timeout=10).result == 2


def test_what_a_queue_cannot_is_refused_before_anything_is_published(url: str, runtime) -> None:
    one = runtime(url)
    job = one.jobs.queue("nobody")
    refusals = [
        lambda: one.jobs.queue("work", unique="k"),
        lambda: one.jobs.queue_many([("work", 1), JobSpec(name="work", unique="k")]),
        lambda: one.jobs.queue("work", connection=object()),
        lambda: one.jobs.get(job),
        one.jobs.list,
        lambda: one.jobs.attempts(job),
        lambda: one.jobs.cancel(job),
        lambda: one.jobs.requeue(job),
        lambda: one.jobs.mark_done(job),
        lambda: one.jobs.add_handler("work", print, concurrency_total=2),
        lambda: one.jobs.add_handler("work", print, rate=Rate(2, per=1)),
        lambda: one.jobs.add_handler("work", print, rate_per_group=Rate(2, per=1)),
        lambda: one.jobs.add_handler("work", print, concurrency_per_group=2),
        lambda: one.jobs.queue("work", group="a"),
        lambda: one.jobs.queue_many([JobSpec(name="work", group="a")]),
        lambda: one.scheduler.add("work", "@daily", overlap="skip"),
    ]

    for refusal in refusals:
        with pytest.raises(NotSupported, match="this store keeps queues, no table of jobs: "):
            refusal()

    assert one.jobs.counts("work")["queued"] == 0
    assert one.jobs.counts("nobody")["queued"] == 1
