"""What is right: no type checker finds anything here."""

from __future__ import annotations

import asyncio
import pathlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import lamplighter
from lamplighter import (
    Attempt,
    Backoff,
    Debounce,
    Health,
    Job,
    JobGraph,
    Jobs,
    JobSpec,
    JobState,
    KeptStep,
    Limits,
    Runtime,
    Schedule,
    Scheduler,
)


@dataclass
class Resize:
    path: pathlib.Path
    width: int


@dataclass
class Thumbnail:
    id: uuid.UUID


runtime: Runtime = Runtime(":memory:", durability="os", reply_seconds_max=5)
jobs: Jobs = runtime.jobs
scheduler: Scheduler = runtime.scheduler
PAYLOAD = Resize(pathlib.Path("a.png"), 300)


@jobs.handler("resize", concurrency=2, backoff=Backoff(first=1.0), isolation="process", on_timeout="raise")
def resize(job: Job[Resize], quality: int = 80) -> Thumbnail:
    job.progress(1, 2, "half")
    job.queue("fetch", "a", delay=5)
    job.queue("fetch", "a", debounce=Debounce("a", quiet=5, at_most=timedelta(minutes=1)))
    job.then(("fetch", "a"), JobSpec(name="fetch", data="b", delay=5))
    more: list[Job[Any]] = job.queue_many([("fetch", "a"), JobSpec(name="fetch", data="b")])
    print(more)
    size: int = job.step("measure", measure, "a.png", exact=True)
    job.snooze("pause", timedelta(days=size))
    return Thumbnail(uuid.UUID(int=job.data.width * quality))


@jobs.handler
async def fetch(job: Job[str]) -> int:
    length: int = await job.astep("measure", measure, job.data)
    longer: int = await job.astep("again", ameasure, job.data)
    await job.asnooze("pause", length + longer)
    return len(job.data)


def measure(path: str, *, exact: bool = False) -> int:
    return len(path) + exact


async def ameasure(path: str) -> int:
    return len(path)


@jobs.handler()
def tidy(job: Job[None]) -> None: ...


@jobs.handler("anything")
def anything(job: Job[Any]) -> list[str]:
    return [str(job.data)]


def plain(job: Job[Resize]) -> None: ...


jobs.add_handler("plain", plain, max_attempts=3, timeout=timedelta(seconds=5), retry_on=OSError)
jobs.handler("picky", retry_on=(OSError, KeyError), discard_on=[FileNotFoundError])(plain)
jobs.add_handler("lambda", lambda job: job.data)
jobs.add_handler("again", resize)

queued: Job[Resize, Thumbnail] = resize.queue(PAYLOAD, delay=timedelta(minutes=1), unique="a", connection=None)
any_queued: Job[Resize] = queued
thumbnail: Thumbnail = jobs.join(queued, timeout=5).result
payload: Resize = jobs.get(queued).data
several: list[Job[Resize, Thumbnail]] = resize.many([PAYLOAD, PAYLOAD], priority=3)
by_id: Job[Any] = jobs.get(queued.id)
result: Any = jobs.join("id").result
nothing: None = jobs.join(tidy.queue(delay=3)).result
anything.queue()
anything.queue({"what": ["ever"]}, id="x")
name: str = resize.name
jobs.remove_handler(resize.id, drain=5)


def call(job: Job[Resize], text: Job[str]) -> None:
    made: Thumbnail = resize(job)
    small: Thumbnail = resize(job, quality=10)
    number: int = asyncio.run(fetch(text))
    print(made, small, number)


async def use() -> None:
    job = await fetch.aqueue("a", expires=datetime.now(UTC))
    number: int = (await jobs.ajoin(job)).result
    text: str = (await jobs.aget(job)).data
    many: list[Job[str, int]] = await fetch.amany(["a", "b"])
    await tidy.aqueue(connection=None)
    schedule_id: str = await scheduler.aadd("resize", "@daily", PAYLOAD, durable=True, key="nightly")
    at: datetime | None = (await scheduler.aget(schedule_id)).next_local
    print(at)
    print(number, text, many)


jobs.queue("resize", PAYLOAD, at=datetime.now(UTC))
kept: list[KeptStep] = jobs.steps(queued)
jobs.requeue(queued, afresh=True)
jobs.requeue_many("error:timeout", afresh=True)
jobs.mark_done(queued, 7, then=[("resize", PAYLOAD), JobSpec(name="tidy")])
jobs.queue_many([("resize", PAYLOAD), JobSpec(name="resize", data=PAYLOAD, priority=1)])
parts = [JobSpec(name="resize", data=PAYLOAD), JobSpec(name="tidy", after=queued, after_ended="b")]
jobs.queue_many([*parts, JobSpec(name="merge", after=parts, after_ended=[queued, "b", parts[0]])])
spec: JobSpec[Resize, Thumbnail] = resize.spec(PAYLOAD, priority=1)
sized: list[Job[Resize, Thumbnail]] = jobs.queue_many([spec, resize.spec(PAYLOAD)])
mixed: list[Job[Any]] = jobs.queue_many(
    [spec, fetch.spec("a"), tidy.spec(), JobSpec(name="merge", after=spec), ("x", 1)]
)
specs = [spec, fetch.spec("a"), tidy.spec()]
jobs.queue_many(specs)
graph: JobGraph = jobs.graph(queued)
held: str | None = graph.held_up_by[0].first.error


@jobs.handler("merged")
def merged(job: Job[str]) -> int:
    handles: list[JobSpec] = job.then(spec, ("x", 1))
    job.then(fetch.spec("a", after=handles))
    return sum(parent.data.width for parent in job.parents(resize)) + len(job.parents())


waits: bool = jobs.queue("merge", after=(queued, "b")).waits
resize.queue(PAYLOAD, after=[queued])
states = [parent.state for parent in jobs.parents(queued)]
scheduler.add("resize", timedelta(hours=1), PAYLOAD, catch_up="all", overlap="skip")
nightly = scheduler.cron("0 3 * * *", PAYLOAD, overlap="skip", durable=False)(resize)
also_queued: Job[Resize, Thumbnail] = nightly.queue(PAYLOAD)
state: JobState = queued.state
as_dict: dict[str, Any] = queued.to_dict()
health: Health = runtime.health()
limits: Limits = runtime.limits
schedules: list[Schedule] = [*scheduler.list(), *scheduler.list("resize", everywhere=True)]
scheduler.remove("resize", key="nightly")
attempts: list[Attempt] = list(jobs.attempts(queued))
requeued: int = jobs.requeue_many("error:timeout", delay=timedelta(minutes=1), by="ada", reason="mended")
cancelled: int = jobs.cancel_many("data.customer=7", by="ada")
jobs.forget(queued, by="ada")
found: list[Job[Any]] = jobs.list("resize", "dead", query="ended:<1d")
version: str = lamplighter.__version__
