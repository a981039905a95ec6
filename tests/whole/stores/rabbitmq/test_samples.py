"""This version reads what a released version has left on a RabbitMQ: what that holds stays, and goes on.

`make samples` writes that of today's version, before a release.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pika
import pytest
from lamplighter import Runtime
from lamplighter.history.audit.audit import audit_logs
from lamplighter.stores.rabbitmq import topology

from ....faults.kit import eventually
from .conftest import Vhosts

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("rabbitmq-*.json"))


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.stem)
def old(request: pytest.FixtureRequest, vhosts: Vhosts, tmp_path: Path) -> str:
    """The URL of a virtual host as that version left it, with jobs in every state, of a boot that was killed."""
    sample: dict[str, list[dict[str, Any]]] = json.loads(request.param.read_text("utf-8"))
    url, messages, log = vhosts.take(), sample.pop("messages"), sample.pop("log")
    definitions = {kind: [{**one, "vhost": url.rpartition("/")[2]} for one in many] for kind, many in sample.items()}
    (tmp_path / "before.log").write_text("".join(json.dumps(line) + "\n" for line in log), "utf-8")
    (tmp_path / "definitions.json").write_text(json.dumps(definitions), "utf-8")
    vhosts.server.nodes[0].ctl("import_definitions", str(tmp_path / "definitions.json"))
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for one in messages:
            properties = pika.BasicProperties(**one["properties"])
            channel.basic_publish(one["exchange"], one["key"], one["body"].encode(), properties, mandatory=True)
    return url


def depth(url: str, queue: str) -> int:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def test_a_runtime_goes_on_where_each_version_stopped_and_its_log_is_well(old: str, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    ended: dict[str, Any] = {}
    runtime = Runtime(old)
    for name in ("hang", "nobody"):
        runtime.jobs.add_handler(name, lambda job: ended.setdefault(job.id, job.data))
    runtime.subscribe(lines.append)
    with runtime:
        eventually(lambda: {*ended} == {"queued-1", "later-1", "running-1"}, what="the end of what was due")
        eventually(lambda: len([line for line in lines if line["event"] == "job.done"]) == 3, what="their logs")
        (schedule,) = runtime.scheduler.list(everywhere=True)
        (dead,) = runtime.jobs.list(state="dead")
        paused = runtime.jobs.paused()
        runtime.jobs.requeue_dead()
        runtime.jobs.resume("paused")
        runtime.jobs.add_handler("paused", lambda job: ended.setdefault(job.id, job.data))
        eventually(lambda: "paused-1" in ended, what="the end of the job whose name was paused")
    (tmp_path / "now.log").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert ended["queued-1"] == {"x": [1, 2, {"y": "\u00fc"}]}
    assert (schedule.key, dead.id, dead.error, [*paused]) == ("yearly", "dead-1", "Discard: it cannot work", ["paused"])
    assert depth(old, topology.queue_of("bad")) == 1
    assert depth(old, topology.UNREADABLE) == 1
    assert depth(old, topology.ladder()[16]) == 1
    report = audit_logs([str(tmp_path / "before.log"), str(tmp_path / "now.log")], None)
    assert report.ok, report.findings
