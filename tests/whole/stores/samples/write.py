"""Writes what this version leaves on a PostgreSQL and on a RabbitMQ as samples for test_samples.py: `make samples`.

Both are the samples of servers of this script's own, with a job in every state that such a store keeps.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pika
import psycopg
from lamplighter import Runtime
from lamplighter.stores.postgresql.schema import NUMBERED, creation
from psycopg import sql
from server import Server as RabbitServer
from write import VERSION, cleaned, fail, fill

from support.postgresql.fixtures import own_server

HERE = Path(__file__).parent


def rows(own: psycopg.Connection[Any]) -> str:
    """The statements that make the tables, and all rows that this connection sees."""
    tables = own.execute("select tablename from pg_tables where schemaname = 'lamplighter' order by 1").fetchall()
    lines = [f"{creation()};", "delete from lamplighter_store;"]
    for (table,) in tables:
        found = own.execute(f"select * from {table}")
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in found.description or ())
        for row in found:
            values = sql.SQL(", ").join(map(sql.Literal, row))
            statement = sql.SQL("insert into {} ({}) values ({});").format(sql.Identifier(table), names, values)
            lines.append(statement.as_string(own))
    for sequence in NUMBERED.values():
        (last,) = own.execute(f"select last_value from {sequence}").fetchone() or ()
        lines.append(f"select setval('{sequence}', {last});")
    return "\n".join(lines) + "\n"


def postgresql() -> str:
    with own_server() as server, closing(psycopg.connect(server.url, autocommit=True)) as own:
        own.execute("set search_path = lamplighter")
        return fill(Runtime(server.url), own, lambda: rows(own))


def leave(url: str) -> None:
    """Run a runtime that has a job in every state until this process is killed, and print its log."""
    runtime, said = Runtime(url), SimpleQueue[Any]()
    jobs = runtime.jobs
    runtime.subscribe(lambda line: print(json.dumps(line), flush=True))
    runtime.subscribe(said.put, ["job.dead", "job.failed"])
    jobs.add_handler("bad", fail)
    jobs.add_handler("flaky", fail, max_attempts=5, backoff=[3600.0])
    jobs.add_handler("hang", lambda job: sys.stdin.read())
    with runtime:
        for name, job_id in (("bad", "dead-1"), ("flaky", "retries-1")):
            jobs.queue(name, id=job_id)
            said.get(timeout=10)
        jobs.pause("paused", by="ops", reason="maintenance")
        jobs.queue("paused", id="paused-1")
        jobs.queue("nobody", {"x": [1, 2, {"y": "ü"}]}, id="queued-1")
        runtime.scheduler.add("nobody", "0 0 1 1 *", key="yearly", timezone="Europe/Berlin", durable=True)
        # One rung of the ladder, that of 6.4 s: who restores the sample waits for it.
        jobs.queue("nobody", id="later-1", delay=6.4)
        jobs.queue("hang", id="running-1", timeout=3600)
        sys.stdin.read()


def taken(url: str, queues: list[str]) -> list[dict[str, Any]]:
    """All messages of queues, as somebody would have to publish them for them to lie there again."""
    found = []
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        while not channel.queue_declare("lamplighter.job.hang", passive=True).method.message_count:
            # The server has yet to take back what the killed process had.
            connection.sleep(0.1)
        for queue in queues:
            for _ in range(channel.queue_declare(queue, passive=True).method.message_count):
                # The ledger's queue gives messages to consumers only.
                method, properties, body = next(channel.consume(queue))
                kept = {name: value for name, value in vars(properties).items() if value is not None}
                # The server counts deliveries, and publishers cannot.
                headers = {name: value for name, value in kept.pop("headers", {}).items() if not name.startswith("x-")}
                message = {"exchange": method.exchange, "key": method.routing_key, "body": body.decode()}
                found.append(message | {"properties": {**kept, "headers": headers} if headers else kept})
            channel.cancel()
    return found


def rabbitmq() -> str:
    with (
        tempfile.TemporaryDirectory(prefix="lamplighter-rabbit-") as folder,
        RabbitServer(Path(folder) / "server") as server,
    ):
        server.make_vhost("sample")
        url = f"{server.url}sample"
        with subprocess.Popen(
            [sys.executable, "-P", __file__, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as runtime:
            assert runtime.stdout is not None
            log = []
            for line in map(json.loads, runtime.stdout):
                log.append(line)
                if any((move.get("j"), move["k"]) == ("running-1", "claimed") for move in line.get("moves", ())):
                    break
            runtime.kill()
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            connection.channel().basic_publish("", "lamplighter.job.nobody", b"this is no job")
        exported = Path(folder) / "definitions.json"
        server.nodes[0].ctl("export_definitions", str(exported))
        definitions = json.loads(exported.read_text("utf-8"))
        sample = {
            # Queues that expire are of the process that was killed.
            kind: [one for one in definitions[kind] if "x-expires" not in one.get("arguments", ())]
            for kind in ("exchanges", "queues", "bindings")
        }
        names = [queue["name"] for queue in sample["queues"]]
        sample["bindings"] = [
            one for one in sample["bindings"] if one["destination"] in names or one["destination_type"] == "exchange"
        ]
        messages = taken(url, names)
    lines = (
        f" {json.dumps(kind)}: [\n  " + ",\n  ".join(json.dumps(one) for one in many) + "\n ]"
        for kind, many in {**sample, "messages": messages, "log": log}.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    if sys.argv[1:]:
        leave(sys.argv[1])
    else:
        (HERE / f"postgresql-{VERSION}.sql").write_text(cleaned(postgresql()), "utf-8")
        (HERE / f"rabbitmq-{VERSION}.json").write_text(cleaned(rabbitmq()), "utf-8")
