"""Mistakes, each in a line of its own that says so. A type checker finds them all, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from lamplighter import Debounce, Job, JobSpec, Runtime


@dataclass
class Resize:
    path: str
    width: int


@dataclass
class Thumbnail:
    path: str


runtime = Runtime(":memory:")
jobs, scheduler = runtime.jobs, runtime.scheduler


@jobs.handler("resize", concurrency=2)
def resize(job: Job[Resize]) -> Thumbnail:
    print(job.data.widht)  # mistake: a field that the payload does not have
    job.then("fetch")  # mistake: a name in the place of a job that follows
    return Thumbnail(job.data.path)


@jobs.handler
async def fetch(job: Job[str]) -> int:
    return len(job.data)


def plain() -> None: ...


PAYLOAD = Resize("a.png", 300)

resize.queue(Thumbnail("a.png"))  # mistake: the payload of another handler
resize.queue({"path": "a.png", "width": 300})  # mistake: a dict in the place of a payload
resize.queue()  # mistake: no payload
resize.many([PAYLOAD, "b.png"])  # mistake: one payload of many
resize.queue(PAYLOAD, dely=5)  # mistake: an option that there is not
resize.queue(PAYLOAD, priority="high")  # mistake: an option of another type
resize.queue(PAYLOAD, after=7)  # mistake: a number in the place of a job to wait for
resize.queue(PAYLOAD, group=7)  # mistake: a number in the place of a group
resize.queue(PAYLOAD, debounce="doc-7")  # mistake: a key in the place of a Debounce
print(Debounce("doc-7", quiet=5))  # mistake: it lacks at_most
print(Debounce("doc-7", 5, 60))  # mistake: what are its seconds
jobs.queue("resize", PAYLOAD, after_ended=[PAYLOAD])  # mistake: a payload in the place of a job to wait for
print(JobSpec(name="resize", after=[7]))  # mistake: the same in a spec
resize(PAYLOAD)  # mistake: a payload in the place of the job
jobs.requeue("a", afresh="yes")  # mistake: text in the place of True
jobs.mark_done("a", then=JobSpec(name="resize"))  # mistake: one job in the place of several
width: int = jobs.join(resize.queue(PAYLOAD)).result  # mistake: the result is of another type
print(resize.queue(PAYLOAD).data.height)  # mistake: a field that the data does not have


async def use() -> None:
    await fetch.aqueue(3)  # mistake: a payload of another type, in the async variant
    print(fetch.aqueue("a").id)  # mistake: no await
    text: str = (await jobs.ajoin(await fetch.aqueue("a"))).result  # mistake: the result of a coroutine function
    print(text)


@jobs.handler("nothing")  # mistake: no parameter
def nothing() -> None: ...


@jobs.handler  # mistake: the payload in the place of the job
def payload(of: Resize) -> None: ...


jobs.handler("x", isolation="fork")  # mistake: a word that an option does not have
jobs.handler("x", retry_on="OSError")  # mistake: the name of an exception
jobs.add_handler("x", plain)  # mistake: no parameter, without the decorator
Runtime(":memory:", reply_seconds="5")  # mistake: a limit that there is not
jobs.requeue_many("state:dead", dely=5)  # mistake: an option that an act on many does not have
jobs.queue_many([JobSpec(name="resize", dealy=5)])  # mistake: a field that a spec does not have
scheduler.add("resize", "@daily", catch_up="none")  # mistake: a word that a schedule does not have
resize.spec("wide")  # mistake: the data of another type in a spec
