"""What the doctor says of a RabbitMQ: a real one."""

from __future__ import annotations

import threading

import pika
import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.doctor.diagnosis import Diagnosis
from lamplighter.doctor.examining import chosen, examine
from lamplighter.doctor.opening import evidence_at
from lamplighter.stores.rabbitmq import topology

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
    """A connection of somebody else's."""
    return pika.BlockingConnection(pika.URLParameters(url)).channel()


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
    assert one(url, "rabbit.nodes")[0] == "unknown"


def test_a_server_that_fares_well_is_well(runtime, url):
    rt = runtime(url)
    rt.jobs.add_handler("work", lambda job: None)
    rt.jobs.join(rt.jobs.queue("work"), timeout=30)

    with evidence_at(url, timeout=3.0) as seen:
        findings = examine(seen).findings

    levels = {finding.check: finding.level for finding in findings}
    assert {check for check, level in levels.items() if level not in ("ok", "unknown")} == set()
    assert {check for check in levels if levels[check] == "unknown"} <= {"rabbit.nodes", "rabbit.delayed"}
    assert "is RabbitMQ" in next(one.evidence for one in findings if one.check == "rabbit.version")
    assert rt.boot.id in next(one.evidence for one in findings if one.check == "rabbit.leader")
    assert not [check for check in levels if check.startswith("store.")]


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
        other.basic_publish("", topology.DEAD, b"{}")
    other.queue_declare(topology.DEAD, passive=True)

    assert one(url, "rabbit.dead")[0] == level


def test_messages_that_nobody_can_read_are_a_warning(runtime, url):
    runtime(url).stop()
    channel(url).basic_publish("", topology.UNREADABLE, b"no job")

    first, _ = found(url, "rabbit.dead")

    assert first.level == "warning"
    assert "no runtime could read 1 message" in first.evidence


def test_a_delayed_job_is_seen_and_nobody_knows_whether_it_is_late(runtime, url):
    rt: Runtime = runtime(url)
    assert one(url, "rabbit.delayed")[0] == "ok"
    rt.jobs.queue("work", delay=3600)

    level, evidence = one(url, "rabbit.delayed")

    assert (level, "1 delayed job" in evidence) == ("unknown", True)
