"""Messages that a runtime cannot read: they stand in nobody's way, are put aside, said, shown and returned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.stores.rabbitmq import job_message as wire
from lamplighter.stores.rabbitmq import topology
from lamplighter.stores.rabbitmq import unreadable as unreadable_messages

from support.conformance.kit import job_of

from ....conftest import Recorder
from ....faults.kit import eventually
from ....stores.rabbitmq.test_unreadable import UNREADABLE, body
from .kit import publish

JOIN_SECONDS = 15.0
QUEUE = topology.queue_of("work")


class Outside:
    """Somebody else who uses the same RabbitMQ."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        # So that what was published is in its queue by then, for whoever looks.
        self._channel.confirm_delivery()

    def publish(self, key: str, body: bytes, headers: dict[str, Any] | None = None, **properties: Any) -> None:
        publish(self._channel, key, body, pika.BasicProperties(headers=headers, **properties))

    def count(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def take(self, queue: str) -> tuple[bytes, dict[str, Any]]:
        _, properties, found = self._channel.basic_get(queue, auto_ack=True)
        return found, properties.headers or {}

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def outside(url: str) -> Iterator[Outside]:
    one = Outside(url)
    yield one
    one.close()


@pytest.fixture
def worker(url: str, runtime) -> Runtime:
    one: Runtime = runtime(url)
    one.jobs.add_handler("work", lambda job: job.data)
    one.jobs.join(one.jobs.queue("work", 0), timeout=JOIN_SECONDS)
    return one


def works(runtime: Runtime) -> bool:
    """Whether jobs are done, more than its window holds."""
    jobs = [runtime.jobs.queue("work", number) for number in range(5)]
    return [runtime.jobs.join(job, timeout=JOIN_SECONDS).result for job in jobs] == list(range(5))


def reasons(recorder: Recorder) -> list[str]:
    return [line["reason"] for line in recorder.of("message.unreadable")]


def test_what_nobody_can_read_is_put_aside_and_said_without_what_it_holds(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    for what, (found, headers, _) in UNREADABLE.items():
        outside.publish(QUEUE, found, headers, message_id=what)

    assert works(worker)
    eventually(lambda: outside.count(topology.UNREADABLE) == len(UNREADABLE), what="all of them put aside")
    said = {line["message_id"]: (line["queue"], line["reason"]) for line in recorder.of("message.unreadable")}
    assert said == {what: (QUEUE, reason) for what, (_, _, reason) in UNREADABLE.items()}
    reason = f"{len(UNREADABLE)} messages in {topology.UNREADABLE} cannot be read: see lamplighter unreadable"
    eventually(lambda: worker.health().reasons == (reason,), what="its count in the health")
    assert worker.health().status == "yellow"
    aside, headers = outside.take(topology.UNREADABLE)
    first, _, why = UNREADABLE["bytes"]
    assert (aside, headers[unreadable_messages.QUEUE], headers[unreadable_messages.REASON]) == (first, QUEUE, why)
    assert headers[unreadable_messages.SINCE] == pytest.approx(worker.current_boot.now(), abs=60)


def test_strange_properties_of_a_message_cost_nobody_a_connection(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    headers = {"x-delivery-count": "many", unreadable_messages.TRIES: "often", "price": None}
    outside.publish(QUEUE, b"garbage", headers, reply_to="nobody", expiration="86400000", priority=200)
    outside.publish(QUEUE, body(format=2), headers)

    assert works(worker)
    recorder.wait_for("message.unreadable", queue=QUEUE)
    recorder.wait_for("message.newer", queue=QUEUE)
    assert recorder.of("store.unavailable") == []


def test_a_field_that_is_not_known_stays_with_the_job_when_it_waits_again(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    worker.jobs.add_handler("later", lambda job: 1 / 0, backoff=[3600.0])
    worker.jobs.queue("later", 1, delay=7200.0)
    outside.publish(topology.queue_of("later"), body(name="later", tenant=7))

    recorder.wait_for("job.failed", job_id="x")

    rungs = [f"{topology.PREFIX}.delay.{number}" for number in range(topology.RUNGS)]
    found = [json.loads(outside.take(rung)[0]) for rung in rungs if outside.count(rung)]
    assert [one.get("tenant") for one in found if one["id"] == "x"] == [7]


def test_what_our_own_messages_never_leave_out_has_a_default_where_others_do(worker: Runtime, outside: Outside) -> None:
    results = worker.boot.store.state.results_name
    outside.publish(QUEUE, b'{"format": 1, "id": "short", "name": "work"}', reply_to=results)

    eventually(lambda: job_of(worker.boot.store, "short") is not None, what="its end")
    assert worker.jobs.join("short", timeout=JOIN_SECONDS).result is None


def test_what_a_newer_version_wrote_is_done_by_whoever_can_read_it(
    worker: Runtime, outside: Outside, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.publish(QUEUE, body(format=2), priority=3, reply_to=worker.boot.store.state.results_name, message_id="x")
    recorder.wait_for("message.newer", message_id="x")

    assert works(worker)
    assert (worker.health().status, reasons(recorder)) == ("green", [])
    # As if its host had been upgraded.
    monkeypatch.setattr(wire, "FORMAT", 2)
    eventually(lambda: job_of(worker.boot.store, "x") is not None, what="its end")
    assert worker.jobs.join("x", timeout=JOIN_SECONDS).result == 1


def test_what_was_given_back_for_a_day_in_vain_is_put_aside(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    outside.publish(QUEUE, body(format=2), {unreadable_messages.TRIES: unreadable_messages.TRIES_MAX})

    assert recorder.wait_for("message.unreadable")["reason"] == "a newer version wrote it"
    eventually(lambda: outside.count(topology.UNREADABLE) == 1, what="it put aside")


def test_among_results_and_in_the_ledger_it_is_put_aside_too(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    results = worker.boot.store.state.results_name
    outside.publish(results, b"garbage")
    outside.publish(results, body(state="queued"))

    assert works(worker)
    eventually(lambda: outside.count(topology.UNREADABLE) == 2, what="all of them put aside")
    # They are there as soon as the server has them; they are said once the turn is committed.
    eventually(lambda: len(recorder.of("message.unreadable")) == 2, what="both said")
    assert {line["queue"] for line in recorder.of("message.unreadable")} == {results}


def test_among_the_dead_it_is_put_aside_when_somebody_looks_and_what_is_newer_stays(
    worker: Runtime, outside: Outside, recorder: Recorder
) -> None:
    for found in (b"garbage", body(), body(state="dead", id="ours"), body(format=2)):
        outside.publish(topology.DEAD, found)

    assert [job.id for job in worker.jobs.list(state="dead")] == ["ours"]
    assert [job.id for job in worker.jobs.list(state="dead")] == ["ours"]
    eventually(lambda: len(reasons(recorder)) == 2, what="both said")
    eventually(
        lambda: (outside.count(topology.UNREADABLE), outside.count(topology.DEAD)) == (2, 2), what="each at its place"
    )
    worker.jobs.requeue("ours")
    assert worker.jobs.join("ours", timeout=JOIN_SECONDS).result == 1


def test_what_somebody_publishes_into_a_rung_of_the_ladder_blocks_no_delayed_job(
    worker: Runtime, outside: Outside
) -> None:
    for _ in range(40):
        outside.publish(f"{topology.PREFIX}.delay.1", b"garbage")

    job = worker.jobs.queue("work", 7, delay=0.1)

    assert worker.jobs.join(job, timeout=JOIN_SECONDS).result == 7
    eventually(lambda: outside.count(topology.UNREADABLE) == 40, what="all of them put aside")


def test_the_command_shows_what_is_unreadable_and_returns_it(
    url: str, worker: Runtime, outside: Outside, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.publish(QUEUE, body(rev="7", data="1234567"), message_id="mine")
    recorder.wait_for("message.unreadable")
    eventually(lambda: outside.count(topology.UNREADABLE) == 1, what="it put aside")

    shown = main(["unreadable", url]), capsys.readouterr().out
    worker.stop()
    returned = main(["unreadable", url, "--return"]), capsys.readouterr().out
    none = main(["unreadable", url]), capsys.readouterr().out

    assert shown[0] == 1
    assert f"{QUEUE}  mine  " in shown[1]
    assert "its rev is of the wrong type, str" in shown[1]
    assert "1234567" not in shown[1]
    assert returned == (0, "returned 1 message; 0 have no queue to go to\n")
    assert none[0] == 0
    found, headers = outside.take(QUEUE)
    assert (json.loads(found)["rev"], headers) == ("7", {})


def test_the_command_shows_and_returns_the_first_and_says_how_many_more_there_are(
    url: str, worker: Runtime, outside: Outside, capsys: pytest.CaptureFixture[str]
) -> None:
    why = {unreadable_messages.REASON: "its body is no JSON", unreadable_messages.SINCE: 1_600_000_000}
    for name, text, said in (("one", b"1", why), ("two", b"22", {}), ("three", b"333", why)):
        outside.publish(topology.UNREADABLE, text, {unreadable_messages.QUEUE: QUEUE, **said}, message_id=name)
    worker.stop()

    def told(*options: str) -> tuple[int, list[str]]:
        return main(["unreadable", url, *options]), capsys.readouterr().out.splitlines()

    shown, (*listed, more, count) = told("--limit", "2")
    returned = told("--return", "--limit", "2")
    left = told()

    since = "2020-09-13T12:26:40Z"
    one = f"{since}  {QUEUE}  one  1 byte: its body is no JSON"
    assert (shown, listed) == (1, [one, f"?  {QUEUE}  two  2 bytes: nobody has said why"])
    assert more == "... and 1 more; --limit shows more of them"
    assert count.startswith("3 unreadable messages in amqp://")
    assert returned == (0, ["returned 2 messages; 0 have no queue to go to"])
    one_left = f"{since}  {QUEUE}  three  3 bytes: its body is no JSON"
    assert left == (1, [one_left, count.replace("3 unreadable messages", "1 unreadable message")])


def test_the_command_leaves_where_it_is_what_has_no_queue_to_go_to(
    url: str, worker: Runtime, outside: Outside, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.publish(topology.UNREADABLE, b"?")
    outside.publish(topology.UNREADABLE, b"?", {unreadable_messages.QUEUE: "nowhere"})

    code = main(["unreadable", url, "--return"])

    assert (code, outside.count(topology.UNREADABLE)) == (1, 2)
    assert capsys.readouterr().out == "returned 0 messages; 2 have no queue to go to\n"


def test_the_command_refuses_what_is_no_rabbitmq_and_says_nothing_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unreadable", "jobs.db"]) == 2
    assert main(["unreadable", "amqp://u:secret@127.0.0.1:1/"]) == 3
    assert "secret" not in capsys.readouterr().err
