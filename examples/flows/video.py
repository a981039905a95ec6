"""A video pipeline: one film is cut into parts, the parts are encoded side by side, and the film is put together again.

    python examples/flows/video.py      # makes a film in three formats, and prints its graph

`lamplighter web --store video.db` then draws the graph: follow the link "graph" on the page of any of these jobs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from lamplighter import Job, Runtime, Step

FORMATS = ("480p", "720p", "1080p")
PART_SECONDS = 10


@dataclass
class Film:
    title: str
    seconds: int


@dataclass
class Part:
    title: str
    number: int
    format: str


def encode(part: Part) -> str:
    """Stands for an hour of ffmpeg. The name of the file that it has written is the result."""
    time.sleep(0.01)
    return f"{part.title}-{part.number}.{part.format}.mp4"


def upload(files: list[str]) -> int:
    """Stands for an upload to a service that is away now and then."""
    return len(files)


def register(runtime: Runtime) -> None:
    jobs = runtime.jobs

    @jobs.handler("film")
    def film(job: Job[Film]) -> int:
        """Look at the film, and say all that follows: it is stored with the end of this job, or not at all."""
        parts = range(-(-job.data.seconds // PART_SECONDS))
        merged = []
        for wanted in FORMATS:
            # job.then returns what it was given, so that later jobs of this attempt can wait for it.
            encoded = job.then(*[encode_part.spec(Part(job.data.title, part, wanted)) for part in parts])
            merged += job.then(merge.spec(wanted, after=encoded))
        (published,) = job.then(publish.spec(job.data.title, after=merged))
        job.then(clean_up.spec(job.data.title, after_failed=published))
        return len(parts)

    @jobs.handler("encode", concurrency=4, timeout=3600, max_attempts=3)
    def encode_part(job: Job[Part]) -> str:
        job.log.info("encodes", part=job.data.number, format=job.data.format)
        return encode(job.data)

    @jobs.handler("merge")
    def merge(job: Job[str]) -> str:
        return " + ".join(part.result for part in job.parents(encode_part))

    @jobs.handler("publish")
    def publish(job: Job[str]) -> int:
        films = [one.result for one in job.parents(merge)]
        return job.step(Step("upload", retries=5), upload, films)

    @jobs.handler("clean-up")
    def clean_up(job: Job[str]) -> str:
        """Runs only if the film is never published, whatever of: the cause has ended `publish` as dead too."""
        (published,) = job.parents()
        return f"removed the parts of {job.data}: {published.reason}"


def main(store: str = "video.db") -> None:
    runtime = Runtime(store)
    register(runtime)
    with runtime:
        begun = runtime.jobs.queue("film", Film("lighthouse", 95))
        runtime.jobs.join(begun, timeout=60)
        graph = runtime.jobs.graph(begun)
        # The clean-up is cancelled when the film is published, because nobody needs it.
        while graph.ended < graph.total:
            time.sleep(0.05)
            graph = runtime.jobs.graph(begun)
        for node in graph.nodes:
            print(f"{'  ' * node.level}{node.name}: {dict(node.of)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
