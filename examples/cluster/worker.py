"""One host: python -m cluster.worker URL [LOG]. It ends when its standard input does."""

from __future__ import annotations

import os
import sys

from lamplighter import Job, Runtime, configure_logging


def resize(job: Job) -> dict[str, int]:
    """Stands for work: takes a moment, and says who has done it."""
    job.sleep(0.02)
    return {"number": job.data["number"], "worker": os.getpid()}


def main(url: str, log: str | None = None) -> None:
    """Work until nobody wants it any more."""
    if log is not None:
        configure_logging(log, level="info")
    runtime = Runtime(url)
    runtime.jobs.add_handler("resize", resize, concurrency=4)
    with runtime:
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
