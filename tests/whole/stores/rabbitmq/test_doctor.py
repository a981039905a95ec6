"""What the doctor says of a RabbitMQ: a real one."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pika
import pytest
from lamplighter import Runtime, StoreUnavailable
from lamplighter.cli.main import main
from lamplighter.doctor.diagnosis import Diagnosis
from lamplighter.doctor.examining import chosen, evidence_at, examine
from lamplighter.stores.rabbitmq import topology

from .conftest import Vhosts
from .kit import publish
from .test_permissions import OURS, WRITTEN, User

NOWHERE = "amqp://guest:secret@127.0.0.1:1/none"


def found(url: str, check: str) -> list[Diagnosis]:
    """What one check finds."""
    with evidence_at(url, timeout=3.0) as seen:
        return list(examine(seen, chosen([check])).findings)


def one(url: str, check: str) -> tuple[str, str]:
    """What a check finds that finds one thing."""
    (finding,) = found(url, check)
    return finding.level, finding.evidence


def channel(url: str):
    """A connection of somebody else's. What is published on it is on the server when that returns."""
    made = pika.BlockingConnection(pika.URLParameters(url)).channel()
    made.confirm_delivery()
    return made


def test_a_server_that_cannot_be_reached_is_an_error_and_all_else_is_unknown(capsys):
    assert main(["doctor", "-s", NOWHERE]) == 3

    out = capsys.readouterr().out
    assert "error    rabbit.reach" in out
    assert "unknown  rabbit.dead" in out
    assert "secret" not in out


def test_of_an_empty_virtual_host_little_is_known(url):
    assert one(url, "rabbit.reach")[0] == "ok"
    for check in ("rabbit.leader", "rabbit.delayed", "rabbit.dead", "rabbit.arguments", "rabbit.rights"):
        level, evidence = one(url, check)
        assert level == "unknown", check
        assert "no runtime has used this virtual host yet" in evidence, check
    assert one(url, "rabbit.consumers")[0] == "unknown"


def test_a_server_that_fares_well_is_well(runtime, url):
    rt = runtime(url)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=30)

    with evidence_at(url, timeout=3.0) as seen:
        findings = examine(seen).findings

    levels = {finding.check: finding.level for finding in findings}
    assert {check for check, level in levels.items() if level not in ("ok", "unknown")} == set()
    assert {check for check in levels if levels[check] == "unknown"} <= {"rabbit.delayed"}
    assert "is RabbitMQ" in next(one.evidence for one in findings if one.check == "rabbit.version")
    assert rt.boot.id in next(one.evidence for one in findings if one.check == "rabbit.leader")
    assert not [check for check in levels if check.startswith("store.")]


def test_a_user_who_may_not_declare_is_told_of_and_one_who_may_is_well(vhosts: Vhosts, runtime):
    user = User(vhosts, "half")
    user.may(OURS, WRITTEN, OURS)
    runtime(user.url).stop()
    whole = one(user.url, "rabbit.rights")
    user.may("^$", WRITTEN, OURS)
    user.reconnect()

    level, evidence = one(user.url, "rabbit.rights")

    assert whole == ("ok", "this user may declare, and look at, the queues of a runtime")
    assert level == "warning"
    assert evidence.startswith("the server refuses this user what a runtime must do: ")
    assert "403" in evidence
    assert one(user.url, "rabbit.arguments")[0] == "ok"


def test_a_server_that_takes_no_messages_is_told_of_at_once(
    vhosts: Vhosts, url, runtime, recorder, capsys, monkeypatch
):
    # Nor does it hear that somebody goes.
    monkeypatch.setattr("lamplighter.stores.rabbitmq.pika.link.CLOSE_SECONDS_MAX", 0.1)
    rt = runtime(url, reply_seconds_max=0.5)
    before = one(url, "rabbit.alarms")
    vhosts.server.limit_memory(1e-7)
    try:
        with pytest.raises(StoreUnavailable):
            # Only whoever sends a message is told.
            rt.jobs.queue("work")
        recorder.until(lambda: "memory" in str(rt.health().reasons), "an alarm that health tells")
        during = one(url, "rabbit.alarms")
        code = main(["doctor", "-s", url])
    finally:
        vhosts.server.limit_memory(0.6)
    recorder.wait_for("store.available", timeout=30.0)

    out = capsys.readouterr().out
    assert before == one(url, "rabbit.alarms") == ("ok", "the server has taken a message")
    assert during == ("error", "the server takes no messages: low on memory")
    assert (code, "ok       rabbit.dead" in out) == (1, True)
    assert "takes no messages: low on memory" in re.search(r"boots\.hung +(.*)", out)[1]


@pytest.mark.parametrize(
    ("said", "level", "says"),
    [
        (b"3.9.99", "error", r"the server is RabbitMQ 3\..*, whose quorum queues have no priorities"),
        (b"?.?.??", "unknown", r"the server does not tell its version \(\?.*\)"),
    ],
)
def test_an_older_server_is_an_error_and_one_that_does_not_tell_is_unknown(url, said, level, says):
    with telling_another_version(url, said) as there:
        got = one(there, "rabbit.version")

    assert got[0] == level
    assert re.fullmatch(says, got[1])


@contextlib.contextmanager
def telling_another_version(url: str, said: bytes) -> Iterator[str]:
    """The address of somebody who passes on what the server says, but for its version."""
    real = pika.URLParameters(url)
    with socket.create_server(("127.0.0.1", 0)) as door, ExitStack() as open_ones:

        def let_in() -> None:
            while True:
                try:
                    visitor = open_ones.enter_context(door.accept()[0])
                    server = open_ones.enter_context(socket.create_connection((real.host, real.port)))
                except OSError:
                    return
                threading.Thread(target=pass_on, args=(visitor, server, None), daemon=True).start()
                threading.Thread(target=pass_on, args=(server, visitor, said), daemon=True).start()

        threading.Thread(target=let_in, daemon=True).start()
        port, vhost = door.getsockname()[1], quote(real.virtual_host, "")
        yield f"amqp://{real.credentials.username}:{real.credentials.password}@127.0.0.1:{port}/{vhost}"


VERSION = re.compile(rb"(?<=\x07versionS\x00\x00\x00).(\d+\.\d+\.\d+)", re.DOTALL)


def pass_on(here: socket.socket, there: socket.socket, said: bytes | None) -> None:
    """Pass on what comes, and put this in the place of a version, in as many bytes."""
    with contextlib.suppress(OSError):
        while data := here.recv(1 << 16):
            if said is not None and (found := VERSION.search(data)):
                start, end = found.span(1)
                data = data[:start] + said[: end - start].ljust(end - start, b"9") + data[end:]
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)


def test_a_queue_that_somebody_has_made_otherwise_is_an_error(runtime, url):
    runtime(url).stop()
    other = channel(url)
    other.queue_delete(topology.DEAD)
    other.queue_declare(topology.DEAD, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 7})

    level, evidence = one(url, "rabbit.arguments")

    assert level == "error"
    assert f"queue {topology.DEAD} is another than runtimes declare" in evidence


def test_without_a_runtime_nobody_leads(runtime, url):
    runtime(url).stop()

    assert one(url, "rabbit.leader") == ("error", "no runtime reads the ledger, so no schedule fires")


def test_jobs_of_a_paused_name_have_nobody_who_takes_them(runtime, url):
    rt = runtime(url)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=30)
    rt.jobs.pause("work")
    rt.jobs.queue("work")
    with evidence_at(url) as seen:
        look = seen.server.of_names
        waits = threading.Event()
        for _ in range(100):
            depth = look(["work"])["work"]
            if depth is not None and depth.ready and not depth.consumers:
                break
            waits.wait(0.1)

    level, evidence = one(url, "rabbit.consumers")

    assert level == "warning"
    assert "1 job of 'work' waits, and nobody takes from its queue" in evidence


@pytest.mark.parametrize(("count", "level"), [(1, "note"), (1_001, "warning")])
def test_dead_jobs_are_counted(runtime, url, count, level):
    runtime(url).stop()
    other = channel(url)
    for _ in range(count):
        publish(other, topology.DEAD, b"{}")
    other.queue_declare(topology.DEAD, passive=True)

    assert one(url, "rabbit.dead")[0] == level


def test_messages_that_nobody_can_read_are_a_warning(runtime, url):
    runtime(url).stop()
    publish(channel(url), topology.UNREADABLE, b"no job")

    first, _ = found(url, "rabbit.dead")

    assert first.level == "warning"
    assert "no runtime could read 1 message" in first.evidence


def test_a_delayed_job_is_seen_and_nobody_knows_whether_it_is_late(runtime, url):
    rt: Runtime = runtime(url)
    assert one(url, "rabbit.delayed")[0] == "ok"
    rt.jobs.queue("work", delay=3600)

    level, evidence = one(url, "rabbit.delayed")

    assert (level, "1 delayed job" in evidence) == ("unknown", True)
